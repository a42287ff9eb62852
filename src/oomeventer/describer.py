"""The third stage: what the API says of the Pod. Flows in: an Incident. Flows out: the same with owner and limits.

Rules: one look-up an incident at most, and none for a process outside any Pod. A Pod that is gone, or an API that
cannot be asked, makes a note: the CRI's names are enough for an Event.
"""

import logging
from dataclasses import replace

from oomeventer.incident import Incident
from oomeventer.limits import as_set
from oomeventer.pods import Pods, PodsError

log = logging.getLogger(__name__)


class Describer:
    """Call it with an incident."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    async def __call__(self, incident: Incident) -> Incident:
        """The incident with its Pod's owner and limits, as far as the API knows."""
        pod = incident.pod
        uid = pod.uid if pod else incident.identity.pod_uid
        if not uid:
            return incident
        try:
            spec = await self._pods.find(uid, pod.namespace if pod else None, pod.name if pod else None)
        except PodsError as e:
            log.warning("incident %s goes on without the Pod's spec: %s", incident.key, e)
            return replace(incident, notes=(*incident.notes, "pod: the API could not be asked"))
        if spec is None:
            return replace(incident, notes=(*incident.notes, "pod: gone from the API"))
        return as_set(incident, spec)
