"""What the Pods that held a node's memory had asked for. In: an incident with their names. Out: the same with their
requests and limits.

Rules: the largest alone, each by its name, all at once, of what Pods keeps. It only adds: what the API does not answer
within a moment stays None, and then nobody is asked for a while. No incident waits for an API that is unreachable.
"""

import asyncio
import time

from msgspec.structs import replace

from oomeventer.cluster.pod_spec import Spec
from oomeventer.cluster.pods import Pods, PodsError
from oomeventer.incident import Incident, PodUsage

#: Of so many Pods of an incident, within so many seconds; after a failure nobody is asked for so long.
LARGEST, SECONDS, PAUSE_SECONDS = 8, 2.0, 10.0


class NodePods:
    """Call it with an incident of a node that ran out; others stay as they are."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._not_before = 0.0

    async def __call__(self, incident: Incident) -> Incident:
        """The incident with its Pods' requests and limits, as far as the API says them at once."""
        node = incident.node_memory
        asked = [one for one in node.pods[:LARGEST] if one.namespace and one.name] if node else []
        if not node or not asked or time.monotonic() < self._not_before:
            return incident
        tasks = {one.uid: asyncio.create_task(self._spec(one)) for one in asked}
        _, late = await asyncio.wait(tasks.values(), timeout=SECONDS)
        for task in late:
            task.cancel()
        if late:
            self._pause()
        specs = {uid: spec for uid, task in tasks.items() if task not in late and (spec := task.result())}
        return replace(incident, node_memory=replace(node, pods=tuple(_sized(one, specs) for one in node.pods)))

    async def _spec(self, pod: PodUsage) -> Spec | None:
        try:
            return await self._pods.find(pod.uid, pod.namespace, pod.name)
        except PodsError as e:
            if e.transient:
                self._pause()
            return None

    def _pause(self) -> None:
        self._not_before = time.monotonic() + PAUSE_SECONDS


def _sized(pod: PodUsage, specs: dict[str, Spec]) -> PodUsage:
    spec = specs.get(pod.uid)
    return replace(pod, request_bytes=spec.request_bytes, limit_bytes=spec.limit_bytes) if spec else pod
