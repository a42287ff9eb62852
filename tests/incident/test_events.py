"""The Event of an incident: whom it is about, its name, its words, its bounds, and what counts as the same again.

In: incidents by samples. Out: compose()'s PendingEvent.
"""

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.incident.codec import as_json, decode
from oomeventer.incident.events import ANNOTATION, compose, compose_all
from oomeventer.incident.incident import Incident, Neighbour, Trigger
from oomeventer.incident.memory import NodeMemory, PodUsage
from oomeventer.incident.message import message, with_message
from samples import (
    CGROUP,
    CONTAINER,
    CONTAINER_ID,
    KI,
    MI,
    NODE,
    POD,
    POD_CGROUP,
    UID,
    group_of,
    incident,
    on_the_host,
    victim,
)


def test_the_whole_event() -> None:
    """Every field, as the API and kubectl want it."""
    pending = compose(incident(1))
    metadata = pending.body.pop("metadata")
    assert (pending.namespace, pending.name) == ("shop", "checkout-0.0000000000000001")
    assert (metadata["namespace"], metadata["name"]) == (pending.namespace, pending.name)
    assert metadata["annotations"].keys() == {ANNOTATION}
    assert pending.body == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": "shop",
            "name": "checkout-0",
            "uid": UID,
            "fieldPath": "spec.containers{app}",
        },
        "reason": "OOMKilled",
        "message": message(incident(1)),
        "type": "Warning",
        "count": 1,
        "firstTimestamp": "2026-11-22T08:21:01Z",
        "lastTimestamp": "2026-11-22T08:21:01Z",
        "source": {"component": "oomeventer", "host": NODE},
        "reportingComponent": "oomeventer",
        "reportingInstance": NODE,
    }


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("containers", "spec.containers{app}"),
        ("initContainers", "spec.initContainers{app}"),
        ("ephemeralContainers", "spec.ephemeralContainers{app}"),
        (None, "spec.containers{app}"),
    ],
)
def test_field_path(kind: Any, path: str) -> None:
    """It names the container in the list that has it; without the spec most likely the usual one."""
    sample = incident(container=replace(CONTAINER, kind=kind))
    assert compose(sample).body["involvedObject"]["fieldPath"] == path


@pytest.mark.parametrize("container", [None, replace(CONTAINER, name=None)])
def test_no_container_has_no_field_path(container: Any) -> None:
    """A path to nothing is none."""
    assert "fieldPath" not in compose(incident(container=container)).body["involvedObject"]


def test_an_event_about_the_node() -> None:
    """Outside any Pod it is the Node's, whose Events are in namespace default and have its name as uid."""
    pending = compose(on_the_host())
    assert pending.namespace == pending.body["metadata"]["namespace"] == "default"
    assert pending.body["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": NODE}
    assert pending.body["reason"] == "ProcessOOMKilled"
    assert pending.name == f"{NODE}.{'0' * 16}.node"
    namesake = compose(incident(pod=replace(POD, namespace="default", name=NODE)))
    assert (namesake.namespace, namesake.name) == ("default", f"{NODE}.{'0' * 16}"), "a Pod that is called so"


def test_the_name_is_made_of_the_incident() -> None:
    """Composed again it is the same, another incident's is another, and the longest Pod's name leaves it valid."""
    longest = replace(POD, name="a" * 253)
    names = [compose(incident(number, pod=longest)).name for number in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert all(len(name) <= 253 and re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name) for name in names)


OTHERS = CGROUP.replace(UID, "5b0e7a52-0000-4000-8000-000000000001")


def test_an_event_on_a_pod_names_nothing_of_another() -> None:
    """Where the node runs out a process of another tenant can set it off: the Node's Event says which, and so does the
    log; the Pod's says only that it was not the Pod's own."""
    trigger = Trigger(pid=4300, comm="their-secret", cgroup=OTHERS)
    of_pod, of_node = compose_all(incident(scope="node", limit_cgroup=None, limit_bytes=None, trigger=trigger))
    for shown in (of_pod.body["message"], of_pod.body["metadata"]["annotations"][ANNOTATION]):
        assert not {"their-secret", "4300", OTHERS} & {
            word for word in ("their-secret", "4300", OTHERS) if word in shown
        }
    assert "set it off was made outside of this Pod" in of_pod.body["message"]
    assert json.loads(of_pod.body["metadata"]["annotations"][ANNOTATION])["trigger"] is None
    assert "made by their-secret (pid 4300 on the node)" in of_node.body["message"]
    assert "made by their-secret (pid 4300 on the node)" in message(incident(trigger=trigger))


def annotation(sample: Incident) -> dict[str, Any]:
    text = compose(sample).body["metadata"]["annotations"][ANNOTATION]
    assert len(text.encode()) <= 128 * KI
    read: dict[str, Any] = json.loads(text)
    return read


def test_the_annotation_is_the_incident() -> None:
    """As it is, where it has room."""
    for sample in (incident(), group_of(16)):
        assert annotation(sample) == as_json(with_message(sample))
        assert annotation(sample)["message"] == compose(sample).body["message"]


def test_a_large_group_is_cut() -> None:
    """The first 16 victims are kept, and the cut is reported."""
    cut = annotation(group_of(50))
    assert [one["pid"] for one in cut["victims"]] == [one.pid for one in group_of(50).victims[:16]]
    assert cut["truncated"]


@pytest.mark.parametrize("letter", ["x", "界", '"'])
def test_large_texts_are_left_out(letter: str) -> None:
    """With arguments and environment unredacted an annotation could outgrow what a Pod's may have: then they go."""
    bytes_each = len(json.dumps(letter, ensure_ascii=False)) - 2 if letter.isascii() else len(letter.encode())
    large = victim(command=("hog", letter * (4096 // bytes_each)), environment={"A": letter * (8192 // bytes_each)})
    cut = annotation(incident(victims=(large,) * 16))
    assert cut["truncated"]
    assert [(one["command"], one["environment"]) for one in cut["victims"]] == [(None, None)] * 16
    assert not annotation(incident(victims=(large,)))["truncated"]


def test_repeats_are_one_series() -> None:
    """What a reader would call the same again: other pids, times, figures and commands do not matter."""
    again = incident(
        2,
        victims=(victim(9, container_pid=33, anon_bytes=1, command=("hog", "7"), environment=None),),
        usage_bytes=1,
        peak_bytes=2,
        pid1="killed",
        trigger=Trigger(pid=8, comm="sh", cgroup=CGROUP),
    )
    assert compose(again).series == compose(incident(1)).series
    assert compose(again).name != compose(incident(1)).name


@pytest.mark.parametrize(
    "fields",
    [
        {"victims": (victim(comm="other"),)},
        {"container": replace(CONTAINER, name="sidecar")},
        {"container": replace(CONTAINER, kind="initContainers")},
        {"scope": "pod"},
        {"scope": "node", "limit_cgroup": None},
        {"scope": "cgroup", "limit_cgroup": POD_CGROUP},
        {"pod": replace(POD, uid="another")},
        {"pod": None},
    ],
    ids=["program", "container", "kind", "scope", "node", "limit", "pod", "no pod"],
)
def test_what_differs_is_another_series(fields: dict[str, Any]) -> None:
    """Another program, container, limit or Pod is another story."""
    assert compose(incident(**fields)).series != compose(incident()).series


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"scope": "cgroup", "limit_cgroup": "/kubepods.slice"}, ["Pod", "Node"]),
        ({"scope": "cgroup", "limit_cgroup": "/kubepods/burstable"}, ["Pod", "Node"]),
        ({"scope": "cgroup", "limit_cgroup": f"{CGROUP}/kubepods.slice"}, ["Pod"]),
        ({"scope": "unknown", "limit_cgroup": "/kubepods.slice"}, ["Pod"]),
        ({"scope": "cgroup", "limit_cgroup": "/kubepods.slice", "pod": None}, ["Node"]),
    ],
)
def test_node_allocatable_is_reported_twice(fields: dict[str, Any], kinds: list[str]) -> None:
    """What the kubelet has for all Pods ran out: that is the Node's affair, too."""
    events = compose_all(incident(**fields))
    assert [event.body["involvedObject"]["kind"] for event in events] == kinds


def test_the_nodes_own_memory_is_reported_twice() -> None:
    """Where the node ran out of memory the Pod is reported, and the Node too, which says whose process it was."""
    on_pod, on_node = compose_all(incident(scope="node", limit_cgroup=None, limit_bytes=None))
    assert on_pod.body["involvedObject"]["kind"] == "Pod"
    assert (on_node.namespace, on_node.body["involvedObject"]["kind"]) == ("default", "Node")
    assert on_node.body["reason"] == "ProcessOOMKilled"
    assert "(pid 17 in container app of Pod shop/checkout-0)" in on_node.body["message"]
    assert on_pod.series != on_node.series
    assert len(compose_all(incident())) == 1


def test_what_the_pods_may_have_together_concerns_the_node() -> None:
    """kubepods is full: that is the node's affair as well as the Pod's."""
    full = {"scope": "cgroup", "limit_cgroup": "/kubepods.slice"}
    assert len(compose_all(incident(**full))) == 2
    assert len(compose_all(incident(**full, pod=None))) == 1
    assert len(compose_all(incident(scope="cgroup", limit_cgroup=f"{CGROUP}/kubepods"))) == 1, "a container made it"


def test_no_other_pod_is_on_a_pods_event() -> None:
    """The node's largest Pods, and the processes of others below what ran out, are the Node's Event's and the log's."""
    pods = (PodUsage("u-2", 300 * MI, "bank", "vault-0", MI, None), PodUsage(UID, 200 * MI, "shop", "checkout-0"))
    sample = incident(
        scope="node",
        limit_cgroup=None,
        limit_bytes=None,
        usage_bytes=None,
        node_memory=NodeMemory(512 * MI, 4 * MI, 500 * MI, 2, pods),
        neighbours=(
            Neighbour(1, "vault", 9 * MI, "ab" * 32, "vault"),
            Neighbour(2, "sh", 9 * MI, CONTAINER.id, "app", UID),
        ),
        neighbours_total=2,
        neighbours_bytes=18 * MI,
    )
    on_pod, on_node = compose_all(sample)
    assert "vault" not in json.dumps(on_pod.body)
    assert [one["name"] for one in annotation(sample)["node_memory"]["pods"]] == ["checkout-0"]
    assert [one["comm"] for one in annotation(sample)["neighbours"]] == ["sh"]
    assert "bank/vault-0 300Mi (request 1Mi, no limit)" in on_node.body["message"]


def test_a_crash_loop_is_one_series() -> None:
    """A container that was started again has another id and another cgroup, and is the same container to a reader."""
    again = incident(
        1, container=replace(CONTAINER, id="ab" * 32), cgroup=f"{POD_CGROUP}/x", limit_cgroup=f"{POD_CGROUP}/x"
    )
    assert compose(again).series == compose(incident()).series


ANOTHER = "5b0e7a52-0000-4000-8000-000000000001"
NEIGHBOURS = (
    Neighbour(1, "own", MI, CONTAINER_ID, "app", UID),
    Neighbour(2, "of-the-pod", MI, "aa" * 32, "proxy", UID),
    Neighbour(3, "anothers", MI, "bb" * 32, "db", ANOTHER),
    Neighbour(4, "unnamed", MI, "cc" * 32),
)
NODE_MEMORY = NodeMemory(64 * MI, MI, 32 * MI, 7, (PodUsage(ANOTHER, MI, "bank", "vault"),))


@pytest.mark.parametrize(
    ("scope", "limit_cgroup", "told"),
    [
        ("container", CGROUP, {"own", "of-the-pod", "unnamed"}),
        ("pod", POD_CGROUP, {"own", "of-the-pod", "unnamed"}),
        ("container", POD_CGROUP, {"own", "of-the-pod", "unnamed"}),
        ("cgroup", "/kubepods/burstable", {"own", "of-the-pod"}),
        ("cgroup", f"/kubepods/burstable/pod{UID[::-1]}", {"own", "of-the-pod"}),
        ("unknown", None, {"own", "of-the-pod"}),
        ("node", None, {"own", "of-the-pod"}),
    ],
)
def test_a_pods_event_names_no_other_pod(scope: str, limit_cgroup: str | None, told: set[str]) -> None:
    """Its readers are that Pod's: below its own cgroup all is its own, but what the runtime says is another's; of one
    above only what it, or the Pod's status, says is its own. Of the node's memory it has the totals. The Node's Event
    has all."""
    one = incident(scope=scope, limit_cgroup=limit_cgroup, neighbours=NEIGHBOURS, node_memory=NODE_MEMORY)
    of_pod, *of_node = compose_all(one)
    concerns_node = scope == "node" or limit_cgroup == "/kubepods/burstable"
    assert [event.namespace for event in of_node] == ["default"] * concerns_node
    reported = decode(of_pod.body["metadata"]["annotations"][ANNOTATION])
    assert {neighbour.comm for neighbour in reported.neighbours} == told
    assert reported.node_memory == replace(NODE_MEMORY, pods=())
    assert not [word for word in (ANOTHER, "bank", "vault", "anothers") if word in str(of_pod.body)]
    for event in of_node:
        whole = decode(event.body["metadata"]["annotations"][ANNOTATION])
        assert (whole.neighbours, whole.node_memory) == (NEIGHBOURS, NODE_MEMORY)


def test_without_a_pod_all_is_told() -> None:
    """On the Node."""
    (event,) = compose_all(on_the_host(neighbours=NEIGHBOURS, node_memory=NODE_MEMORY))
    reported = decode(event.body["metadata"]["annotations"][ANNOTATION])
    assert (reported.neighbours, reported.node_memory) == (NEIGHBOURS, NODE_MEMORY)
