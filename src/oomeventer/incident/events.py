"""An incident's Events. In: an Incident. Out: PendingEvents: each a core/v1 Event, and its series.

Rules: pure. On the Pod where there is one, else on the Node (whose Events belong into namespace default), and on both
where the node's memory ran out. The name is made of the incident, so that posting it twice is refused the second time
(409) instead of doubling it, and a Node's is no Pod's, whatever the Pod is called. Kills that a reader would call the
same one again (same container, by its name, same program, same limit) have the same series. The Event on a Pod names
nothing of another one: its readers are that Pod's.

core/v1 without eventTime: of the API's two forms the one whose count, message and time may be changed afterwards.
"""

from dataclasses import dataclass, replace
from typing import Any

from oomeventer.incident.bounds import ANNOTATION_BYTES, fitted
from oomeventer.incident.incident import Incident
from oomeventer.incident.message import MESSAGE_BYTES, with_message
from oomeventer.incident.why import is_nodes
from oomeventer.incident.workload import Pod
from oomeventer.node import Identity, identify
from oomeventer.text import cut_bytes

COMPONENT = "oomeventer"
ANNOTATION = "oomeventer/incident"
REASON = "OOMKilled"
NODE_REASON = "ProcessOOMKilled"
#: How client-go's recorder begins such a message, too.
COMBINED = "(combined from similar events): "
#: Of a longer name (a Pod's may have 253) the start is taken; the key that follows makes it unique.
_NAME_CHARACTERS = 230
#: The end of a Node's Event's name. A Pod's ends with a key.
_OF_NODE = ".node"
#: Victims in the annotation.
_ANNOTATED = 16

Series = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """body: the Event with count 1. series: equal for kills that count up in one Event. object: whom it is about, equal
    for all Events that share a budget of requests. killed_at: in seconds of UNIX time."""

    namespace: str
    name: str
    object: str
    series: Series
    killed_at: float
    body: dict[str, Any]


def compose_all(incident: Incident, masked: Incident | None = None) -> list[PendingEvent]:
    """All Events for an incident: the one on the Pod, and one on the Node, too, where it was its memory, or what it has
    for all Pods, or for all of a class (node allocatable).

    masked: the incident without what only readers of the Pod may know. The Node's Event is of this: it lies in
    namespace default, whose readers need not be the Pod's.
    """
    events = [compose(incident)]
    if is_nodes(incident) and incident.pod:
        events.append(compose(masked or incident, on_node=True))
    return events


def compose(incident: Incident, on_node: bool = False) -> PendingEvent:
    """The Event on the Pod, or on the Node where there is none or that is asked for."""
    pod = None if on_node else incident.pod
    incident = with_message(_of_its_own(incident) if pod else incident, on_node)
    involved = _involved(incident, pod)
    namespace = pod.namespace if pod else "default"
    name = f"{involved['name'][:_NAME_CHARACTERS].rstrip('-.')}.{incident.key}" + ("" if pod else _OF_NODE)
    reason = REASON if pod else NODE_REASON
    time = incident.time.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace, "annotations": {ANNOTATION: _annotation(incident)}},
        "involvedObject": involved,
        "reason": reason,
        "message": incident.message,
        "type": "Warning",
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": COMPONENT, "host": incident.node},
    }
    # Not by the container's id, nor by its cgroup: a container that is killed, started and killed again is a series.
    limit = incident.limit_cgroup or "" if incident.scope == "cgroup" or pod is None else ""
    where = involved["uid"], involved.get("fieldPath", ""), limit
    about = f"{namespace}/{involved['uid']}"
    series = (*where, reason, incident.scope, incident.chosen.comm)
    return PendingEvent(namespace, name, about, series, incident.time.timestamp(), body)


def combine(event: PendingEvent) -> PendingEvent:
    """The same kill in the one series that all further ones about its object share: for an object that has many."""
    text = cut_bytes(COMBINED + event.body["message"], MESSAGE_BYTES)
    return replace(event, series=(event.object, event.body["reason"], COMBINED), body=event.body | {"message": text})


def _of_its_own(incident: Incident) -> Incident:
    """Without what is another Pod's: the trigger, neighbours where more than the Pod ran out, the node's other Pods."""
    trigger, memory, container = incident.trigger, incident.node_memory, incident.container
    if trigger and _place(identify(trigger.cgroup)) != _place(incident.identity):
        incident = replace(incident, trigger=None)
    if incident.scope not in ("container", "pod"):
        own = tuple(one for one in incident.neighbours if container and one.container_id == container.id)
        incident = replace(incident, neighbours=own, neighbours_total=None, neighbours_bytes=None)
    if memory and incident.pod:
        uid = incident.pod.uid
        memory = replace(memory, pods=tuple(pod for pod in memory.pods if pod.uid == uid))
        incident = replace(incident, node_memory=memory)
    return incident


def _place(identity: Identity) -> str | None:
    return identity.pod_uid or identity.container_id


def _involved(incident: Incident, pod: Pod | None) -> dict[str, str]:
    if pod is None:
        # The kubelet's Events about its Node have the name as uid, too; kubectl describe node looks for that.
        return {"apiVersion": "v1", "kind": "Node", "name": incident.node, "uid": incident.node}
    involved = {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": pod.namespace,
        "name": pod.name,
        "uid": pod.uid,
    }
    if incident.container and incident.container.name:
        involved["fieldPath"] = f"spec.{incident.container.kind or 'containers'}{{{incident.container.name}}}"
    return involved


def _annotation(incident: Incident) -> str:
    few, notes = incident.victims[:_ANNOTATED], incident.notes
    cut = incident.truncated or len(few) < incident.victims_total
    return fitted(replace(incident, victims=few, notes=notes, truncated=cut), ANNOTATION_BYTES)
