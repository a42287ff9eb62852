"""Whose container it was, by the engine that the path names. In: an Incident. Out: the same with the container's name.

Rules: only for containers of Docker and Podman outside any Pod. The engine is asked once: it is there or it is not. One
that is missing or broken, or knows nothing of it (it is removed, or a user's own engine has it, whose socket is another
one), makes a note that names its socket; the incident goes on. The client is imported when there is somebody to ask,
for it takes memory that `trace` does without else.

Source: Engine API, GET /containers/{id}/json (ContainerInspect); Podman answers the same.
"""

import logging
from dataclasses import replace
from typing import Any

from oomeventer.engine.errors import EngineError
from oomeventer.incident import Container, Incident
from oomeventer.text import printable

log = logging.getLogger(__name__)

SOCKETS = {"docker": "/run/docker.sock", "podman": "/run/podman/podman.sock"}
#: Characters that are kept of a text.
_LONGEST = 512
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"


class Engines:
    """Call it with an incident. endpoint: unix:///path, None for the usual places, "none" to ask nobody."""

    def __init__(self, endpoint: str | None, timeout_seconds: float) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds

    def knows(self, incident: Incident) -> bool:
        """Whether it is one of these engines' to tell."""
        identity = incident.identity
        return bool(identity.container_id) and identity.pod_uid is None and identity.runtime in SOCKETS

    async def __call__(self, incident: Incident) -> Incident:
        """The incident with its container as the engine has it; as it is where that is not known."""
        container = incident.container
        if container is None or container.runtime is None or self._endpoint == "none":
            return incident
        socket = (self._endpoint or SOCKETS[container.runtime]).removeprefix("unix://")
        try:
            found = await self._inspect(socket, container.id)
        except EngineError as e:
            log.warning("incident %s goes on without %s: %s", incident.key, container.runtime, e)
            return _noted(incident, f"container: {container.runtime} could not be asked at {socket}")
        if found is None:
            return _noted(incident, f"container: {container.runtime} at {socket} does not know it")
        return replace(incident, container=_named(container, found))

    async def _inspect(self, socket: str, container_id: str) -> dict[str, Any] | None:
        from oomeventer.engine.wire import get

        return await get(socket, f"/containers/{container_id}/json", self._timeout_seconds)


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
        limit_bytes=limit if type(limit) is int and limit > 0 else None,
        project=_text(labels.get(_PROJECT)),
        service=_text(labels.get(_SERVICE)),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any, prefix: str = "") -> str | None:
    return printable(value.removeprefix(prefix), _LONGEST) or None if isinstance(value, str) else None
