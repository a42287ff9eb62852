"""The third stage: what the API says of the Pod. In: an Incident. Out: the same with owner and limits.

Rules: one look-up an incident at most, and none for a process outside any Pod; of a node that ran out see node_pods.py.
A Pod that is gone, or an API that refuses to say, makes a note: the CRI's names are enough for an Event. While the API
gives no answer to anything the incident waits: its Event could not be sent either, and what it lacks now it would lack
for ever. An API that answers others, and of Pods nothing, is waited for too, but only so long, whatever the number of
incidents.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from oomeventer.cluster.api import Api, Unreachable
from oomeventer.cluster.limits import as_set
from oomeventer.cluster.node_pods import NodePods
from oomeventer.cluster.pod_spec import Spec
from oomeventer.cluster.pods import MayNotList, Pods, PodsError
from oomeventer.cluster.retry import backoff
from oomeventer.incident import Incident

log = logging.getLogger(__name__)

OnWait = Callable[[], Awaitable[None]]

#: How long the API may answer others, and not what a Pod is.
MUTE_SECONDS = 120.0
#: For so long after an outage the API may refuse what it permits: it has yet to read who may do what.
JUST_BACK_SECONDS = 10.0
#: The longest wait before an unreachable API is asked again whether it is back.
LONGEST_SECONDS = 10.0


class Describer:
    """Call it with an incident. is_unreachable: whether the API gives no answer at present, as far as it was asked.

    keep_spec_words: called with an incident's key, and its container's command and args as the Pod's spec has them.
    """

    def __init__(self, api: Api, pods: Pods, keep_spec_words: Callable[[str, tuple[str, ...]], None]) -> None:
        self._api = api
        self._pods = pods
        self._node_pods = NodePods(pods)
        self._keep_spec_words = keep_spec_words
        self._asking = asyncio.Lock()
        self._mute_since: float | None = None
        self._back_at: float | None = None
        self._warned = False
        self.is_unreachable = False

    async def __call__(self, incident: Incident, on_wait: OnWait | None = None) -> Incident:
        """The incident with its Pod's owner and limits, as far as the API knows, and those of a node's Pods. on_wait:
        called if that takes long."""
        described = await self._described(incident, on_wait)
        return described if self.is_unreachable else await self._node_pods(described)

    async def _described(self, incident: Incident, on_wait: OnWait | None) -> Incident:
        pod = incident.pod
        claimed = None if incident.path_refuted else incident.identity.pod_uid
        uid = pod.uid if pod else claimed
        if not uid:
            return incident
        try:
            spec = await self._find(uid, pod.namespace if pod else None, pod.name if pod else None, on_wait)
        except MayNotList:
            self._warn_of_listing()
            return replace(incident, notes=(*incident.notes, "pod: its name is not known, and Pods may not be listed"))
        except PodsError as e:
            log.warning("incident %s goes on without the Pod's spec: %s", incident.key, e)
            return replace(incident, notes=(*incident.notes, "pod: the API could not be asked"))
        if spec is None:
            return replace(incident, notes=(*incident.notes, "pod: gone from the API"))
        described = as_set(incident, spec)
        if described.container and (entry := spec.containers.get(described.container.name or "")):
            self._keep_spec_words(incident.key, entry.words)
        return described

    def _warn_of_listing(self) -> None:
        if not self._warned:
            log.warning(
                "the runtime cannot name a Pod, and this account may not list Pods: the Events of such kills are on "
                "the Node, unless you set rbac.listPods (this is logged once)"
            )
        self._warned = True

    async def _find(self, uid: str, namespace: str | None, name: str | None, on_wait: OnWait | None) -> Spec | None:
        for wait in backoff(longest_seconds=LONGEST_SECONDS):
            try:
                found = await self._pods.find(uid, namespace, name)
            except PodsError as e:
                if not (e.transient or self._is_too_early(e)) or self._is_mute():
                    raise
            else:
                self._mute_since = None
                return found
            if on_wait:
                await on_wait()
            await self._until_back()
            self._mute_since = self._mute_since or time.monotonic()
            await asyncio.sleep(wait)
        raise AssertionError("backoff() ends never")

    def _is_mute(self) -> bool:
        """Whether the API has answered others for so long, and this never, that it is no outage."""
        return self._mute_since is not None and time.monotonic() - self._mute_since > MUTE_SECONDS

    def _is_too_early(self, error: PodsError) -> bool:
        """Whether it is a refusal by an API that was unreachable a moment ago."""
        back_at = self._back_at
        return error.forbidden and back_at is not None and time.monotonic() - back_at < JUST_BACK_SECONDS

    async def _until_back(self) -> None:
        """Until the API server answers something, whatever it is; several incidents ask once."""
        async with self._asking:
            for wait in backoff(longest_seconds=LONGEST_SECONDS):
                try:
                    await self._api.request("GET", "/version")
                except Unreachable as e:
                    if not self.is_unreachable:
                        log.warning("incidents wait in the journal: %s", e)
                    self.is_unreachable = True
                    await asyncio.sleep(wait)
                else:
                    if self.is_unreachable:
                        log.info("the API server is no longer unreachable")
                        self._back_at = time.monotonic()
                    self.is_unreachable = False
                    return
