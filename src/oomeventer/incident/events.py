"""An incident's Events. In: an Incident. Out: PendingEvents: each a core/v1 Event, and its series.

Rules: pure. On the Pod where there is one, else on the Node (whose Events belong into namespace default), and on both
where the node's memory ran out. The Event on a Pod names no process and no Pod but its own: its readers are that Pod's.

core/v1 without eventTime: of the API's two forms the one whose count, message and time may be changed afterwards.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oomeventer.incident.bounds import ANNOTATION_BYTES, fitted
from oomeventer.incident.incident import Incident
from oomeventer.incident.message import MESSAGE_BYTES, with_message
from oomeventer.incident.subjects import COMBINED, NODE_REASON, REASON, Series, involved, subject
from oomeventer.incident.why import is_nodes
from oomeventer.node import Identity, identify
from oomeventer.text import cut_bytes

COMPONENT = "oomeventer"
ANNOTATION = "oomeventer/incident"
#: Of reportingInstance, where the API asks for anything at all.
_INSTANCE_BYTES = 128
#: Victims in the annotation.
_ANNOTATED = 16


class PendingEvent(Struct, frozen=True):
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
    about = subject(incident, on_node)
    time = incident.time.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": about.name,
            "namespace": about.namespace,
            "annotations": {ANNOTATION: _annotation(incident)},
        },
        "involvedObject": involved(incident, pod),
        "reason": REASON if pod else NODE_REASON,
        "message": incident.message,
        "type": "Warning",
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": COMPONENT, "host": incident.node},
        "reportingComponent": COMPONENT,  # by which Events are filtered; core/v1 alone leaves it empty
        "reportingInstance": cut_bytes(incident.node, _INSTANCE_BYTES),
    }
    return PendingEvent(about.namespace, about.name, about.object, about.series, incident.time.timestamp(), body)


def combine(event: PendingEvent) -> PendingEvent:
    """The same kill in the one series that all further ones about its object share: for an object that has many."""
    text = cut_bytes(COMBINED + event.body["message"], MESSAGE_BYTES)
    return replace(event, series=(event.object, event.body["reason"], COMBINED), body=event.body | {"message": text})


def _of_its_own(incident: Incident) -> Incident:
    """Without what is another Pod's: the trigger, neighbours, the other Pods of a node that ran out."""
    own, uid = _place(incident.identity), incident.pod and incident.pod.uid
    trigger, node = incident.trigger, incident.node_memory
    if trigger and _place(identify(trigger.cgroup)) != own:
        trigger = None
    if node:
        node = replace(node, pods=tuple(pod for pod in node.pods if pod.uid == uid))
    is_own = incident.limit_cgroup is not None and _place(identify(incident.limit_cgroup)) == own
    neighbours = tuple(one for one in incident.neighbours if one.pod_uid in ((uid, None) if is_own else (uid,)))
    if is_own and (trigger, neighbours, node) == (incident.trigger, incident.neighbours, None):
        return incident
    total, bytes_ = (incident.neighbours_total, incident.neighbours_bytes) if is_own else (None, None)
    return replace(
        incident,
        trigger=trigger,
        neighbours=neighbours,
        neighbours_total=total,
        neighbours_bytes=bytes_,
        node_memory=node,
    )


def _place(identity: Identity) -> str | None:
    return identity.pod_uid or identity.container_id


def _annotation(incident: Incident) -> str:
    few = incident.victims[:_ANNOTATED]
    if len(few) < incident.victims_total:
        incident = replace(incident, victims=few, truncated=True)
    return fitted(incident, ANNOTATION_BYTES)
