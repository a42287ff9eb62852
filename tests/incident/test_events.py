"""The Event of an incident: whom it is about, its name, its words, its bounds, and what counts as the same again.

In: incidents by samples. Out: compose()'s PendingEvent.
"""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from oomeventer.incident.codec import as_json, decode
from oomeventer.incident.events import ANNOTATION, compose, compose_all, message
from oomeventer.incident.incident import Incident, Neighbour, Trigger
from oomeventer.incident.memory import NodeMemory, PodUsage
from samples import (
    CGROUP,
    CONTAINER,
    CONTAINER_ID,
    KI,
    LIMIT,
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

HELD = "which held 31.4Mi (anon 31.2Mi, file 0.1Mi, shmem 0)"
HOG = f"and the kernel killed hog (pid 17 in the container), {HELD}"
LIVES = "PID 1 lives on: the container was not restarted"


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


def test_the_model_message() -> None:
    """Who ran out of what, what was killed and held how much, and whether the container goes on."""
    assert message(incident()) == (
        "Container app ran out of its 32Mi memory limit and the kernel killed hog (pid 17 in the container), which "
        "held 31.4Mi (anon 31.2Mi, file 0.1Mi, shmem 0). PID 1 lives on: the container was not restarted. "
        "Command: hog 100"
    )


ELSEWHERE = f"and the kernel killed hog (pid 17 in container app), {HELD}"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"scope": "pod", "limit_bytes": 64 * MI}, f"Pod checkout-0 ran out of its 64Mi memory limit {ELSEWHERE}"),
        ({"scope": "pod", "pod": None}, f"Pod {UID} ran out of its 32Mi memory limit {ELSEWHERE}"),
        (
            {"scope": "cgroup", "limit_cgroup": "/kubepods"},
            f"Cgroup /kubepods ran out of its 32Mi memory limit {ELSEWHERE}",
        ),
        ({"scope": "node", "limit_bytes": None}, f"Node {NODE} ran out of memory {ELSEWHERE}"),
        (
            {"scope": "unknown"},
            f"A memory limit ran out, most likely that of cgroup {CGROUP} (32Mi) {ELSEWHERE}",
        ),
        (
            {"scope": "unknown", "limit_cgroup": None, "limit_bytes": None},
            f"The memory limit of a cgroup above {CGROUP} ran out {ELSEWHERE}",
        ),
        (
            {"container": replace(CONTAINER, name=None)},
            f"Container 3f3f3f3f3f3f ran out of its 32Mi memory limit {HOG}",
        ),
    ],
)
def test_who_ran_out(fields: dict[str, Any], says: str) -> None:
    """Each scope is named as a person would; outside the container's own limit the victim's container is named."""
    assert message(incident(**fields)).startswith(says)


def test_a_process_of_the_host_is_reported_by_the_nodes_pid() -> None:
    """Where there is no container, there is no PID 1 to tell of."""
    assert message(on_the_host()) == (
        f"Node {NODE} ran out of memory and the kernel killed hog (pid 4217), {HELD}. Command: hog 100"
    )


def test_swap_is_reported_where_there_is_some() -> None:
    """What was in swap stands beside what was held, and is no part of it."""
    text = message(incident(victims=(victim(swap_bytes=3 * MI),)))
    assert "which held 31.4Mi (anon 31.2Mi, file 0.1Mi, shmem 0, swap 3Mi)." in text


@pytest.mark.parametrize(
    ("pid1", "says"),
    [
        ("lives", f". {LIVES}. "),
        ("killed", ". PID 1 was killed: the container ends with it. "),
        ("gone", ". PID 1 has ended, and the container with it. "),
        (None, "shmem 0). Command"),
    ],
)
def test_pid1(pid1: Any, says: str) -> None:
    """Whether the container goes on is reported where it is known."""
    assert says in message(incident(pid1=pid1))


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


def test_the_triggers_words() -> None:
    """A trigger that is no victim is named, since the kernel's log blames it."""
    trigger = Trigger(pid=4300, comm="curl", cgroup=CGROUP)
    says = ". The allocation that set it off was made by curl (pid 4300 on the node). "
    assert says in message(incident(trigger=trigger))
    assert "allocation" not in message(incident())
    assert "allocation" not in message(replace(group_of(3), trigger=replace(trigger, pid=5001)))


def test_a_groups_words() -> None:
    """The others of a group kill are named, the first eight of many."""
    assert ". With it went the rest of its group of 3 (memory.oom.group): w0 (20), w1 (21). PID 1" in message(
        group_of(3)
    )
    reported = message(group_of(50))
    assert "group of 50 (memory.oom.group): w0 (20), " in reported
    assert ", w7 (27) and 41 more. " in reported
    assert "group" not in message(incident(group_kill=True))


def test_the_command_is_quoted() -> None:
    """One that cannot be known apart from two is quoted; without one there is no word of it."""
    assert message(incident(victims=(victim(command=("hog", "a b", "***")),))).endswith("Command: hog 'a b' ***")
    for command in (None, ()):
        assert message(incident(victims=(victim(command=command),))).endswith(LIVES)


@pytest.mark.parametrize("letter", ["x", "ü", "界", "😀"])
def test_the_message_has_1024_bytes_at_most(letter: str) -> None:
    """However long the command, in bytes as the API counts; beginning and end stay."""
    for length in (0, 250, 900, 5000):
        text = message(incident(victims=(victim(command=("hog", letter * length)),)))
        assert len(text.encode()) <= 1024
        assert text.startswith("Container app ran out of its 32Mi memory limit")
    assert len(text.encode()) > 1020
    assert text.endswith(f"{letter}'" if letter != "x" else letter)


def hostile(text: str) -> Incident:
    """As assemble() would have it: what the victim chose is printable, and ugly."""
    path = f"/{text}"
    return incident(
        scope="cgroup",
        limit_cgroup=path,
        cgroup=path,
        trigger=Trigger(pid=1, comm=text, cgroup=path),
        victims=(victim(comm=text, command=(text, text)),),
    )


def test_the_message_stays_one_line() -> None:
    """Long multi-byte names everywhere leave one line of valid text."""
    text = message(hostile(r"\n\x1b[31m界😀" * 40))
    assert len(text.encode()) <= 1024
    assert text.isprintable()
    assert len(text.splitlines()) == 1


def annotation(sample: Incident) -> dict[str, Any]:
    text = compose(sample).body["metadata"]["annotations"][ANNOTATION]
    assert len(text.encode()) <= 128 * KI
    read: dict[str, Any] = json.loads(text)
    return read


def test_the_annotation_is_the_incident() -> None:
    """As it is, where it has room."""
    assert annotation(incident()) == as_json(incident())
    assert annotation(group_of(16)) == as_json(group_of(16))


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


def test_a_limit_of_zero_is_reported() -> None:
    """A figure of 0 is a figure."""
    assert "its 0 memory limit" in message(incident(limit_bytes=0))
    assert "its 32Mi memory limit" in message(incident(limit_bytes=LIMIT))


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
