"""An incident's Events. In: an Incident. Out: PendingEvents: each a core/v1 Event, and its series.

Rules: pure. On the Pod where there is one, else on the Node (whose Events belong into namespace default), and on both
where the node ran out of memory. The message has 1,024 bytes at most, the limit that the API has for Events of the
newer form; kubectl shows it on one line. The Event on a Pod names no process and no Pod but its own: its readers are
that Pod's.

core/v1 without eventTime: of the API's two forms the one whose count, message and time may be changed afterwards.
"""

from dataclasses import dataclass, replace
from typing import Any

from oomeventer.incident.bounds import ANNOTATION_BYTES, fitted
from oomeventer.incident.incident import Incident
from oomeventer.incident.subjects import COMBINED, NODE_REASON, REASON, Series, involved, subject
from oomeventer.incident.victim import Victim
from oomeventer.node import Identity, allocatable, identify
from oomeventer.redaction import quote
from oomeventer.text import cut_bytes, size

COMPONENT = "oomeventer"
ANNOTATION = "oomeventer/incident"
MESSAGE_BYTES = 1024
#: Victims in the annotation, and others than the chosen one in the message.
_ANNOTATED, _NAMED = 16, 8


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
    if incident.pod and _concerns_node(incident):
        events.append(compose(masked or incident, on_node=True))
    return events


def _concerns_node(incident: Incident) -> bool:
    if incident.scope == "cgroup" and incident.limit_cgroup:
        return allocatable(incident.limit_cgroup) is not None
    return incident.scope == "node"


def compose(incident: Incident, on_node: bool = False) -> PendingEvent:
    """The Event on the Pod, or on the Node where there is none or that is asked for."""
    pod = None if on_node else incident.pod
    incident = _of_its_own(incident) if pod else incident
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
        "message": message(incident, on_node),
        "type": "Warning",
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": COMPONENT, "host": incident.node},
    }
    return PendingEvent(about.namespace, about.name, about.object, about.series, incident.time.timestamp(), body)


def combine(event: PendingEvent) -> PendingEvent:
    """The same kill in the one series that all further ones about its object share: for an object that has many."""
    text = cut_bytes(COMBINED + event.body["message"], MESSAGE_BYTES)
    return replace(event, series=(event.object, event.body["reason"], COMBINED), body=event.body | {"message": text})


def message(incident: Incident, on_node: bool = False) -> str:
    """What a person reads: who ran out of what, what was killed and held how much, whether the container goes on."""
    sentences = [_what(incident, on_node)]
    sentences += _group(incident)
    sentences += _pid1(incident)
    sentences += _trigger(incident)
    if incident.chosen.command:
        sentences.append(f"Command: {quote(incident.chosen.command)}")
    text = ". ".join(sentences)
    return cut_bytes(text, MESSAGE_BYTES)


def _what(incident: Incident, on_node: bool) -> str:
    victim = incident.chosen
    held = (
        f"which held {size(victim.rss_bytes)} (anon {size(victim.anon_bytes)}, file {size(victim.file_bytes)}, "
        f"shmem {size(victim.shmem_bytes)}" + (f", swap {size(victim.swap_bytes)}" if victim.swap_bytes else "") + ")"
    )
    return f"{_who(incident)} and the kernel killed {_named(victim, incident, on_node)}, {held}"


def _who(incident: Incident) -> str:
    limit = size(incident.limit_bytes) if incident.limit_bytes is not None else "its"
    match incident.scope:
        case "container":
            return f"Container {_container(incident)} ran out of its {limit} memory limit"
        case "pod":
            name = incident.pod.name if incident.pod else incident.identity.pod_uid
            return f"Pod {name} ran out of its {limit} memory limit"
        case "cgroup":
            return f"Cgroup {incident.limit_cgroup} ran out of its {limit} memory limit"
        case "node":
            return f"Node {incident.node} ran out of memory"
        case "unknown" if incident.limit_cgroup is None:
            return f"The memory limit of a cgroup above {incident.cgroup} ran out"
        case "unknown":
            return f"A memory limit ran out, most likely that of cgroup {incident.limit_cgroup} ({limit})"


def _container(incident: Incident) -> str:
    container = incident.container
    return (container.name or container.id[:12]) if container else incident.cgroup


def _named(victim: Victim, incident: Incident, on_node: bool) -> str:
    if incident.container is None:
        return f"{victim.comm} (pid {victim.pid})"
    place = "the container" if incident.scope == "container" else f"container {_container(incident)}"
    if on_node and incident.pod:
        place += f" of Pod {incident.pod.namespace}/{incident.pod.name}"
    return f"{victim.comm} (pid {victim.container_pid} in {place})"


def _group(incident: Incident) -> list[str]:
    others = incident.victims[1:]
    if not others:
        return []
    named = ", ".join(f"{victim.comm} ({victim.container_pid})" for victim in others[:_NAMED])
    unnamed = incident.victims_total - 1 - len(others[:_NAMED])
    more = f" and {unnamed} more" if unnamed else ""
    return [f"With it went the rest of its group of {incident.victims_total} (memory.oom.group): {named}{more}"]


def _pid1(incident: Incident) -> list[str]:
    if incident.container is None:
        return []
    match incident.pid1:
        case "lives":
            return ["PID 1 lives on: the container was not restarted"]
        case "killed":
            return ["PID 1 was killed: the container ends with it"]
        case "gone":
            return ["PID 1 has ended, and the container with it"]
        case "seen" | None:
            return []


def _of_its_own(incident: Incident) -> Incident:
    """Without what is another Pod's: the trigger, neighbours, the Pods of a node that ran out."""
    own, uid = _place(incident.identity), incident.pod and incident.pod.uid
    trigger, node = incident.trigger, incident.node_memory
    if trigger and _place(identify(trigger.cgroup)) != own:
        trigger = None
    below = incident.limit_cgroup is not None and _place(identify(incident.limit_cgroup)) == own
    neighbours = tuple(one for one in incident.neighbours if one.pod_uid == uid or (below and one.pod_uid is None))
    return replace(incident, trigger=trigger, neighbours=neighbours, node_memory=node and replace(node, pods=()))


def _place(identity: Identity) -> str | None:
    return identity.pod_uid or identity.container_id


def _trigger(incident: Incident) -> list[str]:
    if incident.trigger is None:
        return ["The allocation that set it off was made outside of this Pod"]
    if incident.trigger.pid in {victim.pid for victim in incident.victims}:
        return []
    return [
        f"The allocation that set it off was made by {incident.trigger.comm} (pid {incident.trigger.pid} on the node)"
    ]


def _annotation(incident: Incident) -> str:
    few, notes = incident.victims[:_ANNOTATED], incident.notes
    cut = incident.truncated or len(few) < incident.victims_total
    return fitted(replace(incident, victims=few, notes=notes, truncated=cut), ANNOTATION_BYTES)
