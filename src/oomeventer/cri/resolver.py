"""The second stage: whose container it was, by the runtime. In: an Incident. Out: the same with names.

Rules: what the path says is a claim, what the runtime says of a container is its name. With the container gone the
Pod's sandbox still knows the Pod; with that gone too, the Pod's uid from the path is left for the API. Where the ID is
the sandbox's own, its pause process or, with Kata, its VM was killed: that is no container. A runtime that
is missing or broken (it is restarted, it starts after us) is asked again while the kill is younger than the patience;
then the incident goes on with a note. While it fails it is asked only once in a while, however many incidents there
are.
"""

import asyncio
import logging
import time
from dataclasses import replace

from oomeventer.cri.answers import ContainerInfo, SandboxInfo
from oomeventer.cri.client import Client, CriError
from oomeventer.cri.others import Others, pods_unnamed
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


class Resolver:
    """Call it with an incident. endpoint: unix:///path, None for the usual places, "none" to ask nobody.
    patience_seconds: how old a kill, or else the runtime's failure, may become while the runtime does not answer."""

    def __init__(self, endpoint: str | None, timeout_seconds: float, patience_seconds: float = 0.0) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._client: Client | None = None
        self._others = Others()
        self._not_before = 0.0
        self._is_well = False
        self._failing_since: float | None = None
        self._asking = asyncio.Lock()
        #: Why the runtime does not answer; None while it does, and until it was first asked.
        self.trouble: str | None = None

    async def connect(self) -> Client:
        """The runtime's client. Raises CriError where there is no runtime, and says where it looked."""
        if self._client is None:
            self._client = await Client.connect(self._endpoint, timeout_seconds=self._timeout_seconds)
        return self._client

    async def __call__(self, incident: Incident) -> Incident:
        """The incident with its container and Pod, and the names of others, as far as the runtime knows."""
        if self._endpoint == "none":
            return incident
        identity = incident.identity
        if identity.pod_uid is None and identity.runtime in _NO_CRI:
            return incident
        if not (identity.container_id or identity.pod_uid):
            return await self._without_waiting(incident)
        if incident.pod or incident.path_refuted:  # an earlier process asked, when the container was younger
            return incident
        while True:
            if self._is_well:
                resolved = await self._ask(incident)
            else:
                async with self._asking:  # one asks whether it is back
                    due = self._is_well or time.monotonic() >= self._not_before
                    resolved = await self._ask(incident) if due else None
            if resolved:
                return resolved
            if self._is_patience_over(incident):
                log.warning("incident %s goes on without the runtime: %s", incident.key, self.trouble)
                return replace(incident, notes=(*incident.notes, "container: the runtime could not be asked"))
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))

    def _is_patience_over(self, incident: Incident) -> bool:
        age = time.time() - incident.time.timestamp()
        if 0 <= age < self._patience_seconds:  # below 0 the clock was set back, and says nothing
            return False
        return time.monotonic() - (self._failing_since or 0.0) >= self._patience_seconds

    async def _ask(self, incident: Incident) -> Incident | None:
        """The incident resolved, or None where the runtime does not answer."""
        try:
            client = await self.connect()
            resolved = await self._resolve(incident, client)
        except CriError as e:
            self._failed(e)
            return None
        self._is_well, self._failing_since, self.trouble = True, None, None
        return await self._others(resolved, client)

    async def _without_waiting(self, incident: Incident) -> Incident:
        """Of a process outside any Pod nothing is to be asked, but for the Pods of a node that ran out."""
        if not pods_unnamed(incident) or time.monotonic() < self._not_before:
            return incident
        try:
            client = await self.connect()
        except CriError as e:
            self._failed(e)
            return incident
        return await self._others(incident, client)

    def _failed(self, error: CriError) -> None:
        now = time.monotonic()
        self._not_before, self._failing_since = now + RETRY_SECONDS, self._failing_since or now
        self._is_well, self.trouble = False, str(error)

    async def _resolve(self, incident: Incident, client: Client) -> Incident:
        identity = incident.identity
        info = await client.container(identity.container_id) if identity.container_id else None
        if info and identity.pod_uid and info.pod_uid and info.pod_uid != identity.pod_uid:
            note = "container: its path names a Pod that is not its own"
            return replace(incident, path_refuted=True, notes=(*incident.notes, note))
        if info and info.name == _DOCKERS_SANDBOX:
            return replace(incident, container=None, sandbox=True, pod=_pod(info))
        if info:
            pid1 = "gone" if incident.pid1 == "seen" and _ended_with(info, incident) else incident.pid1
            return replace(incident, container=_container(info, client.runtime_name), pod=_pod(info), pid1=pid1)
        notes = incident.notes
        if identity.container_id:
            sandbox = await client.sandbox(identity.container_id)
            if sandbox:
                return replace(incident, container=None, sandbox=True, pod=_pod_of(sandbox))
            notes = (*notes, "container: the runtime no longer knows it")
        sandbox = None
        if identity.pod_uid:
            sandbox = await client.sandbox_of_pod(identity.pod_uid)
        return replace(incident, pod=_pod_of(sandbox) if sandbox else None, notes=notes)


def _container(info: ContainerInfo, runtime: str) -> Container:
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
