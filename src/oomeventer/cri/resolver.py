"""The second stage: whose container it was, by the runtime. In: an Incident. Out: the same with names.

Rules: what the path says is a claim, what the runtime says of a container is its name. With the container gone the
Pod's sandbox still knows the Pod; with that gone too, the Pod's uid from the path is left for the API. Where the ID is
the sandbox's own, its pause process or, with Kata, its VM was killed: that is no container. A runtime that
is missing or broken (it is restarted, it starts after us) is asked again while the kill is younger than the patience;
then the incident goes on with a note. While it fails it is asked only once in a while, however many incidents there
are. Of several runtimes (runtimes.py) one that fails holds up the others' kills in nothing.
"""

import asyncio
import logging
import time

from msgspec import Struct, field
from msgspec.structs import replace

from oomeventer.cri.answers import ContainerInfo, SandboxInfo
from oomeventer.cri.client import Client, CriError
from oomeventer.cri.others import Others, pods_unnamed
from oomeventer.cri.runtimes import Round, Runtimes
from oomeventer.incident import Container, Incident, Pod

log = logging.getLogger(__name__)


#: cri-dockerd knows a sandbox as a container, too, by this name; a container's in a Pod is in lower case.
_DOCKERS_SANDBOX = "POD"
#: A container that ends so soon after the kill ended with it.
ENDED_SECONDS = 1.0
#: What these run outside Pods no CRI runtime has ever known.
_NO_CRI = ("docker", "podman")
#: How often a runtime that fails is asked.
RETRY_SECONDS = 0.5


class _Health(Struct):
    """How a runtime does. not_before, failing_since: monotonic seconds."""

    not_before: float = 0.0
    is_well: bool = False
    failing_since: float | None = None
    trouble: str | None = None
    note: str = "the runtime could not be asked"
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Resolver:
    """Call it with an incident. endpoint: unix:///path, None for the usual places below root, "none" to ask nobody.
    patience_seconds: how old a kill, or else the runtime's failure, may become while the runtime does not answer."""

    def __init__(
        self, endpoint: str | None, timeout_seconds: float, patience_seconds: float = 0.0, root: str = "/"
    ) -> None:
        self._is_off = endpoint == "none"
        self._patience_seconds = patience_seconds
        self._runtimes = Runtimes(endpoint, timeout_seconds, root)
        self._others = Others()
        #: By the runtime that paths name; None for those that name none.
        self._health: dict[str | None, _Health] = {}

    @property
    def trouble(self) -> str | None:
        """Why a runtime does not answer; None while all do, and until one was first asked."""
        return next((health.trouble for health in self._health.values() if health.trouble), None)

    async def connect(self) -> Client:
        """A runtime's client. Raises CriError where there is no runtime, and says where it looked."""
        return await self._runtimes.any()

    async def __call__(self, incident: Incident) -> Incident:
        """The incident with its container and Pod, and the names of others, as far as the runtime knows."""
        if self._is_off:
            return incident
        identity = incident.identity
        if identity.pod_uid is None and identity.runtime in _NO_CRI:
            return incident
        if not (identity.container_id or identity.pod_uid):
            return await self._without_waiting(incident)
        if incident.pod or incident.path_refuted:  # an earlier process asked, when the container was younger
            return incident
        health = self._health.setdefault(identity.runtime, _Health())
        while True:
            if health.is_well:
                resolved = await self._ask(incident, health)
            else:
                async with health.asking:  # one asks whether it is back
                    due = health.is_well or time.monotonic() >= health.not_before
                    resolved = await self._ask(incident, health) if due else None
            if resolved:
                return resolved
            if self._is_patience_over(incident, health):
                log.warning("incident %s goes on without the runtime: %s", incident.key, health.trouble)
                return replace(incident, notes=(*incident.notes, f"container: {health.note}"))
            await asyncio.sleep(max(0.0, health.not_before - time.monotonic()))

    def _is_patience_over(self, incident: Incident, health: _Health) -> bool:
        age = time.time() - incident.time.timestamp()
        if 0 <= age < self._patience_seconds:  # below 0 the clock was set back, and says nothing
            return False
        return time.monotonic() - (health.failing_since or 0.0) >= self._patience_seconds

    async def _ask(self, incident: Incident, health: _Health) -> Incident | None:
        """The incident resolved, or None where the runtime does not answer."""
        asking = self._runtimes.round(incident.identity.runtime)
        try:
            resolved = await self._resolve(incident, asking)
        except CriError as e:
            _failed(health, e, asking)
            return None
        health.is_well, health.failing_since, health.trouble = True, None, None
        anywhere = resolved.node_memory is not None
        return await self._others(resolved, self._runtimes.round(None) if anywhere else asking)

    async def _without_waiting(self, incident: Incident) -> Incident:
        """Of a process outside any Pod nothing is to be asked, but for the Pods of a node that ran out."""
        health = self._health.setdefault(None, _Health())
        if not pods_unnamed(incident) or time.monotonic() < health.not_before:
            return incident
        try:
            await self.connect()
        except CriError as e:
            _failed(health, e)
            return incident
        return await self._others(incident, self._runtimes.round(None))

    async def _resolve(self, incident: Incident, asking: Round) -> Incident:
        identity = incident.identity
        info = await asking.container(identity.container_id) if identity.container_id else None
        if info and identity.pod_uid and info.pod_uid and info.pod_uid != identity.pod_uid:
            note = "container: its path names a Pod that is not its own"
            return replace(incident, path_refuted=True, notes=(*incident.notes, note))
        if info and info.name == _DOCKERS_SANDBOX:
            return replace(incident, container=None, sandbox=True, pod=_pod(info))
        if info:
            pid1 = "gone" if incident.pid1 == "seen" and _ended_with(info, incident) else incident.pid1
            return replace(incident, container=_container(info, asking), pod=_pod(info), pid1=pid1)
        notes = incident.notes
        if identity.container_id:
            sandbox = await asking.sandbox(identity.container_id)
            if sandbox:
                return replace(incident, container=None, sandbox=True, pod=_pod_of(sandbox))
            notes = (*notes, f"container: {asking.unknown()}")
        sandbox = None
        if identity.pod_uid:
            sandbox = await asking.sandbox_of_pod(identity.pod_uid)
        return replace(incident, pod=_pod_of(sandbox) if sandbox else None, notes=notes)


def _failed(health: _Health, error: CriError, asking: Round | None = None) -> None:
    now = time.monotonic()
    health.not_before, health.failing_since = now + RETRY_SECONDS, health.failing_since or now
    health.is_well, health.trouble = False, str(error)
    if asking:
        health.note = asking.silent()


def _container(info: ContainerInfo, asking: Round) -> Container:
    runtime = asking.knew.runtime_name if asking.knew else None
    return Container(id=info.id, name=info.name, image=info.image, runtime=runtime, limit_bytes=info.memory_limit_bytes)


def _ended_with(info: ContainerInfo, incident: Incident) -> bool:
    """Whether the container ended right after the kill. For an agent that did not see that itself."""
    return 0 <= info.finished_at / 1e9 - incident.time.timestamp() < ENDED_SECONDS


def _pod_of(sandbox: SandboxInfo) -> Pod:
    return Pod(namespace=sandbox.namespace, name=sandbox.name, uid=sandbox.uid)


def _pod(info: ContainerInfo) -> Pod | None:
    if not info.pod_namespace or not info.pod_name or not info.pod_uid:
        return None  # not a kubelet's container
    return Pod(namespace=info.pod_namespace, name=info.pod_name, uid=info.pod_uid)
