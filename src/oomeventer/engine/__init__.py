"""Docker and Podman, on hosts without Kubernetes: the container's name, by the Engine API on the engine's own socket.

In: an incident whose path names one of them, outside any Pod. Out: the incident with its container. What Kubernetes
runs is asked for over CRI, whatever the engine (cri).
"""

from oomeventer.engine.engines import Engines, version
from oomeventer.engine.errors import EngineError
from oomeventer.engine.sockets import Socket, there

__all__ = ["EngineError", "Engines", "Socket", "there", "version"]
