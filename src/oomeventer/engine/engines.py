"""Whose container it was, by the engine that the path names. In: an Incident. Out: the same with the container's name.

Rules: only for containers of Docker and Podman outside any Pod. The engine is asked once: it is there or it is not. One
that is missing or broken, or knows nothing of it (it is removed), makes a note that names its socket; the incident goes
on. A container below a user's systemd manager is asked of that user's own engine (rootless); what that says is a
user's word, which a note tells, and one that gave no answer is left alone for a while. The client is imported when
there is somebody to ask.

Source: Engine API, GET /containers/{id}/json (ContainerInspect), GET /version; Podman answers the same.
"""

import logging
import time
from typing import Any

from msgspec.structs import replace

from oomeventer.engine import sockets
from oomeventer.engine.errors import EngineError
from oomeventer.engine.sockets import Socket
from oomeventer.incident import Container, Incident
from oomeventer.text import printable

log = logging.getLogger(__name__)

#: Characters that are kept of a text, and of a version.
_LONGEST, _VERSION = 512, 64
#: No machine has so much memory; what is more is nonsense.
_MOST_BYTES = 1 << 62
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
#: How long a user's engine that gave no answer is not asked.
REST_SECONDS = 10.0


class Engines:
    """Call it with an incident. endpoint: unix:///path, None for the usual places below root, "none" to ask nobody."""

    def __init__(self, endpoint: str | None, timeout_seconds: float, root: str = "/") -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._root = root
        self._rests_until: dict[Socket, float] = {}

    def knows(self, incident: Incident) -> bool:
        """Whether it is one of these engines' to tell."""
        identity = incident.identity
        return bool(identity.container_id) and identity.pod_uid is None and identity.runtime in sockets.USUAL

    async def __call__(self, incident: Incident) -> Incident:
        """The incident with its container as the engine has it; as it is where that is not known."""
        container = incident.container
        if container is None or container.runtime is None or self._endpoint == "none":
            return incident
        cgroup = incident.identity.container_path or incident.cgroup
        socket = sockets.whose(container.runtime, cgroup, self._endpoint, self._root)
        engine = container.runtime if socket.uid is None else f"user {socket.uid}'s {container.runtime}"
        try:
            found = await self._inspect(socket, container.id)
        except EngineError as e:
            log.warning("incident %s goes on without %s: %s", incident.key, engine, e)
            return _noted(incident, f"container: {engine} could not be asked at {socket}")
        if found is None:
            return _noted(incident, f"container: {engine} at {socket} does not know it")
        named = replace(incident, container=_named(container, found))
        return named if socket.uid is None else _noted(named, f"container: so named by {engine} at {socket}")

    async def _inspect(self, socket: Socket, container_id: str) -> dict[str, Any] | None:
        from oomeventer.engine.wire import get

        now = time.monotonic()
        self._rests_until = {one: until for one, until in self._rests_until.items() if until > now}
        if socket in self._rests_until:
            raise EngineError(f"{socket}: it gave no answer before, and is asked again after {REST_SECONDS:g} s")
        try:
            return await get(socket, f"/containers/{container_id}/json", self._timeout_seconds)
        except EngineError:
            if socket.uid is not None:
                self._rests_until[socket] = now + REST_SECONDS
            raise


async def version(socket: Socket, timeout_seconds: float) -> str:
    """The engine's version. Raises EngineError, which names the socket and what is wrong."""
    from oomeventer.engine.wire import get

    found = await get(socket, "/version", timeout_seconds)
    text = found and found.get("Version")
    if not isinstance(text, str) or not text:
        raise EngineError(f"{socket}: it tells no version: it is no Docker and no Podman")
    return printable(text, _VERSION)


def _noted(incident: Incident, note: str) -> Incident:
    return replace(incident, notes=(*incident.notes, note))


def _named(container: Container, found: dict[str, Any]) -> Container:
    config, host = _object(found.get("Config")), _object(found.get("HostConfig"))
    labels = _object(config.get("Labels"))
    limit = host.get("Memory")
    return replace(
        container,
        name=_text(found.get("Name"), "/"),
        image=_text(config.get("Image")),
        limit_bytes=limit if type(limit) is int and 0 < limit <= _MOST_BYTES else None,
        project=_text(labels.get(_PROJECT)),
        service=_text(labels.get(_SERVICE)),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any, prefix: str = "") -> str | None:
    return printable(value.removeprefix(prefix), _LONGEST) or None if isinstance(value, str) else None
