"""Who else held memory, by name: the neighbours' containers, and the Pods of a node that ran out. In: an incident, the
runtimes. Out: the incident with the names that the runtime knows.

Rules: a few calls, all at once, each for an ID that is not known yet: an ID is never another's, so names are kept. What
the runtime does not know, or does not answer, stays None: the incident waits for no neighbour. That a container is in a
Pod is the runtime's word, never the path's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from msgspec.structs import replace

from oomeventer.cri.client import CriError
from oomeventer.cri.runtimes import Round
from oomeventer.incident import Incident, Neighbour, PodUsage

#: Of an incident so many containers and Pods are asked for; so many names are kept.
CONTAINERS, PODS, KEPT = 5, 8, 512

#: (a container's name, its Pod's uid), or (a Pod's namespace, its name).
_Name = tuple[str | None, str | None]


class Others:
    """Call it with an incident whose own container and Pod are named."""

    def __init__(self) -> None:
        self._containers: OrderedDict[str, _Name] = OrderedDict()
        self._pods: OrderedDict[str, _Name] = OrderedDict()

    async def __call__(self, incident: Incident, asking: Round) -> Incident:
        """The incident with the names of the others."""

        async def container(container_id: str) -> _Name | None:
            info = await asking.container(container_id)
            return (info.name or None, info.pod_uid) if info else None

        async def pod(uid: str) -> _Name | None:
            sandbox = await asking.sandbox_of_pod(uid)
            return (sandbox.namespace, sandbox.name) if sandbox else None

        own = incident.identity.container_id
        known: dict[str, _Name] = {}
        if incident.container:
            known[incident.container.id] = incident.container.name, incident.pod.uid if incident.pod else None
        ids = dict.fromkeys(one.container_id for one in _unnamed(incident) if one.container_id not in (own, *known))
        uids = dict.fromkeys(one.uid for one in pods_unnamed(incident))
        containers, pods = await asyncio.gather(
            _asked(islice(filter(None, ids), CONTAINERS), self._containers, container),
            _asked(islice(uids, PODS), self._pods, pod),
        )
        containers |= known
        neighbours = tuple(_named(one, containers) for one in incident.neighbours)
        node = incident.node_memory
        if node and pods:
            node = replace(node, pods=tuple(_pod_named(one, pods) for one in node.pods))
        return replace(incident, neighbours=neighbours, node_memory=node)


def pods_unnamed(incident: Incident) -> list[PodUsage]:
    """The Pods that held the node's memory, and have no name yet."""
    return [one for one in incident.node_memory.pods if one.name is None] if incident.node_memory else []


def _unnamed(incident: Incident) -> list[Neighbour]:
    return [one for one in incident.neighbours if one.container_id and one.container is None]


async def _asked(
    ids: Iterable[str], kept: OrderedDict[str, _Name], ask: Callable[[str], Awaitable[_Name | None]]
) -> dict[str, _Name]:
    async def one(id_: str) -> None:
        try:
            found = kept.pop(id_, None) or await ask(id_)
        except CriError:
            return
        if found:
            kept[id_] = names[id_] = found

    names: dict[str, _Name] = {}
    await asyncio.gather(*(one(id_) for id_ in ids))
    while len(kept) > KEPT:
        kept.popitem(last=False)
    return names


def _named(neighbour: Neighbour, names: dict[str, _Name]) -> Neighbour:
    if neighbour.container is not None or not (found := names.get(neighbour.container_id or "")):
        return neighbour
    return replace(neighbour, container=found[0], pod_uid=found[1])


def _pod_named(pod: PodUsage, names: dict[str, _Name]) -> PodUsage:
    if pod.name is not None or not (found := names.get(pod.uid)):
        return pod
    return replace(pod, namespace=found[0], name=found[1])
