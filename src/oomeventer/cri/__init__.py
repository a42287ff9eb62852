"""The container runtime, asked over CRI v1 (gRPC on a unix socket): whose container it was.

In: a container's, sandbox's or Pod's ID, as read from a cgroup path; or an Incident. Out: ContainerInfo, SandboxInfo,
or the Incident with its container and Pod; None where the runtime knows no such thing (it is gone already); CriError
where the runtime cannot be asked.

Rules: grpclib and the generated messages (_cri, from cri.proto) are known here only. Every call has a deadline and a
connection of its own, so a runtime may restart between two calls, an answer that breaks one call breaks no other, and
nothing is open, and nothing wakes up, while nobody asks. The runtime's answers are not trusted: whatever it sends ends
in a record, in None or in CriError.
"""

from oomeventer.cri.answers import ContainerInfo, SandboxInfo
from oomeventer.cri.client import Client, CriError
from oomeventer.cri.resolver import Resolver
from oomeventer.cri.sockets import there

__all__ = [
    "Client",
    "ContainerInfo",
    "CriError",
    "Resolver",
    "SandboxInfo",
    "there",
]
