"""Whom an incident's Event is about, and which kills it counts. In: an Incident. Out: a Subject, the involvedObject.

Rules: pure. The name is made of the incident, so that posting it twice is refused the second time (409) instead of
doubling it, and a Node's is no Pod's, whatever the Pod is called. Kills that a reader would call the same one again
(same container, by its name, same program, same limit) have the same series.
"""

from msgspec import Struct

from oomeventer.incident.incident import Incident
from oomeventer.incident.workload import Pod

REASON = "OOMKilled"
NODE_REASON = "ProcessOOMKilled"
#: How client-go's recorder begins such a message, too.
COMBINED = "(combined from similar events): "
#: Of a longer name (a Pod's may have 253) the start is taken; the key that follows makes it unique.
_NAME_CHARACTERS = 230
#: The end of a Node's Event's name. A Pod's ends with a key.
_OF_NODE = ".node"

Series = tuple[str, ...]


class Subject(Struct, frozen=True):
    """What an incident's Event is called, and whom it is about; namespace, name, object, series: see PendingEvent."""

    namespace: str
    name: str
    object: str
    series: Series

    @property
    def combined(self) -> Series:
        """The one series that all further ones about its object share."""
        return self.object, self.series[3], COMBINED


def subject(incident: Incident, on_node: bool = False) -> Subject:
    """Of the Event on the Pod, or on the Node where there is none or that is asked for."""
    pod = None if on_node else incident.pod
    about = involved(incident, pod)
    namespace = pod.namespace if pod else "default"
    name = f"{about['name'][:_NAME_CHARACTERS].rstrip('-.')}.{incident.key}" + ("" if pod else _OF_NODE)
    # Not by the container's id, nor by its cgroup: a container that is killed, started and killed again is a series.
    limit = incident.limit_cgroup or "" if incident.scope == "cgroup" or pod is None else ""
    where = about["uid"], about.get("fieldPath", ""), limit
    reason = REASON if pod else NODE_REASON
    series = (*where, reason, incident.scope, incident.chosen.comm)
    return Subject(namespace, name, f"{namespace}/{about['uid']}", series)


def involved(incident: Incident, pod: Pod | None) -> dict[str, str]:
    """The involvedObject."""
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
