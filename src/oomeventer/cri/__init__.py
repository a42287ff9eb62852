"""Who a container is, asked of the container runtime over CRI v1 (gRPC on a unix socket).

In: a container's, sandbox's or Pod's ID, as read from a cgroup path. Out: `ContainerInfo` or `SandboxInfo`,
or None where the runtime knows no such thing (it is gone already), or `CriError` where the runtime cannot be
asked.

Rules: grpclib and the generated messages (`_cri`, from cri.proto) are known in this room only. Every call has
a deadline and a connection of its own, so a runtime may restart between two calls, an answer that breaks one
call breaks no other, and nothing is open, and nothing wakes up, while nobody asks. The runtime's answers are
not trusted: whatever it sends ends in a record, in None or in `CriError`.
"""

from oomeventer.cri.answers import ContainerInfo, SandboxInfo
from oomeventer.cri.client import Client, CriError

__all__ = ["Client", "ContainerInfo", "CriError", "SandboxInfo"]
