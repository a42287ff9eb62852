"""Pods looked up at the API server's stand-in: how often, by what, and what is made of answers, hostile ones too.

In: Pods in the stand-in, faults, a clock of the test's own. Out: Specs, and the requests that came.
"""

import asyncio
import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from machine import kubeconfig
from oomeventer.cluster.api import Api
from oomeventer.cluster.connection import connect
from oomeventer.cluster.pod_memory import memory
from oomeventer.cluster.pod_spec import MIRROR, STATIC_UID, ContainerSpec, Spec, read
from oomeventer.cluster.pods import KEEP, KEEP_SECONDS, PAGE, Pods, PodsError
from oomeventer.incident.workload import Owner
from samples import CONTAINER_ID, MI, NODE, POD, UID
from standin import Answer, ApiServer, Fault, Garbage, Hang, Reset, Truncated

MEMORY = {"resources": {"limits": {"memory": "32Mi"}}}
REPLICA_SET = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-5d4f", "controller": True}
HASH = "0123456789abcdef0123456789abcdef"


def pod(uid: str = UID, name: str = "checkout-0", **metadata: Any) -> dict[str, Any]:
    """A Pod as the API has it."""
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": uid,
            "labels": {"pod-template-hash": "5d4f"},
            "ownerReferences": [REPLICA_SET],
            **metadata,
        },
        "spec": {
            "nodeName": NODE,
            "restartPolicy": "Always",
            "containers": [
                {"name": "app", **MEMORY, "command": ["hog"], "args": ["--size", "$(SIZE)", ""]},
                {"name": "free", "resources": {}},
            ],
            "initContainers": [{"name": "setup", **MEMORY, "args": ["once"]}],
            "ephemeralContainers": [{"name": "debug", "command": ["sh"]}],
        },
        "status": {
            "containerStatuses": [
                {
                    "name": "app",
                    "containerID": f"containerd://{CONTAINER_ID}",
                    "state": {"terminated": {"containerID": "containerd://now"}},
                    "lastState": {"terminated": {"containerID": "containerd://before"}},
                }
            ],
            "initContainerStatuses": [{"name": "setup", "containerID": "cri-o://init"}],
            "ephemeralContainerStatuses": [{"name": "debug", "containerID": "containerd://debug"}],
        },
    }


SPEC = Spec(
    POD,
    {
        "app": ContainerSpec("containers", 32 * MI, words=("hog", "--size", "$(SIZE)", "")),
        "free": ContainerSpec("containers", None),
        "setup": ContainerSpec("initContainers", 32 * MI, words=("once",)),
        "debug": ContainerSpec("ephemeralContainers", None, words=("sh",)),
    },
    {CONTAINER_ID: "app", "now": "app", "before": "app", "init": "setup", "debug": "debug"},
)


def reference(kind: str, name: str, controller: bool = True) -> dict[str, Any]:
    return {"kind": kind, "name": name, "controller": controller}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_one_get(api: ApiServer, cluster: Api) -> None:
    """With its name known a Pod is one GET, and comes with all that is known of it."""
    api.put_pod(pod())
    assert await Pods(cluster, NODE).find(UID, "shop", "checkout-0") == SPEC
    (request,) = api.requests
    assert (request.method, request.path, request.query) == ("GET", "/api/v1/namespaces/shop/pods/checkout-0", {})


async def test_what_was_found_is_kept(api: ApiServer, cluster: Api) -> None:
    """A storm in one Pod is one request in 30 s, whether it asks at once or again; another Pod is another request."""
    api.put_pod(pod())
    clock = Clock()
    pods = Pods(cluster, NODE, clock)
    await asyncio.gather(*(pods.find(UID, "shop", "checkout-0") for _ in range(5)))
    clock.now += KEEP_SECONDS
    assert await pods.find(UID, "shop", "checkout-0") == SPEC
    assert len(api.requests) == 1
    assert await pods.find("another", "shop", "checkout-1") is None
    assert len(api.requests) == 2
    clock.now += 0.001
    assert await pods.find(UID, "shop", "checkout-0") == SPEC
    assert len(api.requests) == 3
    assert KEEP_SECONDS == 30


async def test_gone_is_kept_too(api: ApiServer, cluster: Api) -> None:
    """That a Pod is gone is an answer like any other."""
    pods = Pods(cluster, NODE, Clock())
    assert [await pods.find(UID, "shop", "checkout-0") for _ in range(3)] == [None] * 3
    assert len(api.requests) == 1


async def test_what_is_kept_is_bounded(api: ApiServer, cluster: Api) -> None:
    """Of more Pods than a node runs the oldest is forgotten."""
    pods = Pods(cluster, NODE, Clock())
    uids = [f"uid-{number}" for number in range(KEEP + 1)]
    for uid in (*uids, *uids[1:], uids[0]):
        await pods.find(uid, "shop", uid)
    assert len(api.requests) == KEEP + 2


async def test_without_a_name_the_nodes_pods_are_listed(api: ApiServer, cluster: Api) -> None:
    """The API finds no Pod by uid, so those of this node are looked through; one of another node is not found."""
    api.put_pod(pod("another", "checkout-1"))
    api.put_pod(pod())
    elsewhere = pod("elsewhere", "checkout-2")
    elsewhere["spec"]["nodeName"] = "another-node"
    api.put_pod(elsewhere)
    pods = Pods(cluster, NODE)
    assert await pods.find(UID, None, None) == SPEC
    (request,) = api.requests
    selector = {"fieldSelector": f"spec.nodeName={NODE}", "limit": str(PAGE)}
    assert (request.path, request.query) == ("/api/v1/pods", selector)
    assert await pods.find("elsewhere", None, None) is None


async def test_the_nodes_pods_are_listed_in_pages(api: ApiServer, cluster: Api) -> None:
    """A node with many Pods is looked through page by page, and no further than to the Pod."""
    for number in range(PAGE * 2):
        api.put_pod(pod(f"uid-{number:03}", f"pod-{number:03}"))
    pods = Pods(cluster, NODE)
    found = await pods.find(f"uid-{PAGE + 1:03}", None, None)
    assert found is not None
    assert found.pod.name == f"pod-{PAGE + 1:03}"
    assert len(api.requests) == 2
    assert await pods.find("uid-gone", None, None) is None


async def test_another_uid_is_another_pod(api: ApiServer, cluster: Api) -> None:
    """A StatefulSet's next Pod has the name of the one that was killed, and is not it."""
    api.put_pod(pod("its-successor"))
    assert await Pods(cluster, NODE).find(UID, "shop", "checkout-0") is None


def mirror(**changed: Any) -> dict[str, Any]:
    """The Pod that the kubelet makes in the API for a static one, some of its metadata changed."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": NODE, "controller": True}
    annotations = {"kubernetes.io/config.hash": HASH, "kubernetes.io/config.mirror": HASH}
    metadata = {"annotations": annotations, "ownerReferences": [owner]} | changed
    return pod("the-mirrors-own", "etcd-lab-node", **metadata)


@pytest.mark.parametrize("name", ["etcd-lab-node", None])
async def test_a_static_pod_is_known_by_its_annotation(api: ApiServer, cluster: Api, name: str | None) -> None:
    """The node has the manifest's hash for its uid, the mirror another; a Node is no owner."""
    api.put_pod(mirror())
    found = await Pods(cluster, NODE).find(HASH, "shop" if name else None, name)
    assert found is not None
    assert (found.pod.uid, found.pod.name, found.pod.owner) == (HASH, "etcd-lab-node", None)


@pytest.mark.parametrize(
    ("uid", "liar"),
    [
        pytest.param(UID, mirror(annotations=dict.fromkeys([STATIC_UID, MIRROR], UID)), id="an ordinary Pod's uid"),
        pytest.param(HASH, mirror(annotations={STATIC_UID: HASH}), id="no mirror"),
        pytest.param(HASH, mirror(annotations={STATIC_UID: HASH, MIRROR: "f" * 32}), id="of another"),
        pytest.param(HASH, mirror(ownerReferences=[]), id="not the node's"),
        pytest.param(HASH, mirror(ownerReferences=[reference("Node", "another-node")]), id="another node's"),
        pytest.param(HASH, mirror(ownerReferences=[reference("Node", NODE, controller=False)]), id="not controlled"),
        pytest.param(HASH, mirror() | {"spec": mirror()["spec"] | {"nodeName": "another-node"}}, id="elsewhere"),
    ],
)
@pytest.mark.parametrize("by_name", [True, False])
async def test_no_pod_stands_for_another(
    api: ApiServer, cluster: Api, uid: str, liar: dict[str, Any], by_name: bool
) -> None:
    """Annotations are the tenant's to choose; metadata.uid is not. The kill of another is not reported in its
    namespace, whether its Pod comes before the true one or is the only one there is."""
    api.put_pod(liar)
    name = ("shop", liar["metadata"]["name"]) if by_name else (None, None)
    assert await Pods(cluster, NODE).find(uid, *name) is None
    if uid == UID and not by_name:
        api.put_pod(pod())
        assert await Pods(cluster, NODE).find(UID, None, None) == SPEC


async def test_names_are_escaped(api: ApiServer, cluster: Api) -> None:
    """What the runtime says goes into a path as one segment, whatever it holds."""
    with pytest.raises(PodsError, match="501"):  # no such path at the stand-in
        await Pods(cluster, NODE).find(UID, "a/b", "../x?y#z")
    (request,) = api.requests
    assert (request.path, request.query) == ("/api/v1/namespaces/a/b/pods/../x?y#z", {})


def owned(*references: Any, **metadata: Any) -> Owner | None:
    spec = read(pod(ownerReferences=list(references), **metadata), UID)
    assert spec is not None
    return spec.pod.owner


@pytest.mark.parametrize(
    ("references", "owner"),
    [
        ([REPLICA_SET], Owner("Deployment", "checkout")),
        ([reference("ReplicaSet", "by-hand")], Owner("ReplicaSet", "by-hand")),
        ([reference("ReplicaSet", "checkout5d4f")], Owner("ReplicaSet", "checkout5d4f")),
        ([reference("Job", "nightly-5d4f")], Owner("Job", "nightly-5d4f")),
        ([reference("StatefulSet", "db")], Owner("StatefulSet", "db")),
        ([reference("DaemonSet", "agent")], Owner("DaemonSet", "agent")),
        ([reference("Node", NODE)], None),
        ([reference("Job", "not-its-controller", controller=False)], None),
        ([reference("Job", "other", controller=False), reference("StatefulSet", "db")], Owner("StatefulSet", "db")),
        ([], None),
    ],
)
def test_owner(references: list[Any], owner: Owner | None) -> None:
    """The workload that a person would name: the controller, and the Deployment for its ReplicaSet."""
    assert owned(*references) == owner


def test_names_that_nobody_checks() -> None:
    """The API server takes 900,000 characters of any kind for an owner's kind and name: they are cut, and printable."""
    hostile = "\x1b[2J\n\u202e" + "x" * 900_000
    found = owned(reference(hostile, hostile))
    assert found is not None
    for text in (found.kind, found.name):
        assert len(text) <= 253
        assert text.isprintable()
    long = owned(reference("ReplicaSet", f"{hostile}-{HASH}"), labels={"pod-template-hash": HASH})
    assert long is not None
    assert (long.kind, long.name) == ("Deployment", found.name)


def test_owner_without_a_template_hash() -> None:
    """A ReplicaSet of no Deployment names itself."""
    assert owned(REPLICA_SET, labels={}) == Owner("ReplicaSet", "checkout-5d4f")


@pytest.mark.parametrize(
    ("text", "limit_bytes"),
    [
        ("64Mi", 64 << 20),
        ("1.5Gi", 3 << 29),
        ("1Ki", 1024),
        ("2Ti", 2 << 40),
        ("1Pi", 1 << 50),
        ("1Ei", 1 << 60),
        ("129M", 129_000_000),
        ("123456k", 123_456_000),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1e9", 10**9),
        ("1E9", 10**9),
        ("12e+3", 12_000),
        ("1500e-3", 1),
        ("1E", 10**18),
        ("128974848", 128974848),
        ("+5Mi", 5 << 20),
        (".5Gi", 1 << 29),
        ("5.Mi", 5 << 20),
        ("128974848000m", 128974848),
        ("1500000000u", 1500),
        ("9223372036854775807", 2**63 - 1),
        ("100m", None),
        ("0", None),
        ("", None),
        ("-5Mi", None),
        ("5 Mi", None),
        ("5MB", None),
        ("5mi", None),
        ("1e999999999", None),
        ("9" * 400, None),
        ("\u0665Mi", None),
        ("nan", None),
        ("0x10", None),
        ("5Mi\n", None),
        (64, None),
        (None, None),
        (["64Mi"], None),
    ],
)
def test_quantities(text: Any, limit_bytes: int | None) -> None:
    """All forms of a quantity that the API lets through are bytes; less than one, and what is none, is no limit."""
    assert memory({"resources": {"limits": {"memory": text}}}, "limits") == limit_bytes


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"command": ["x" * 4095]}, ("x" * 4095,)),
        ({"command": ["a"], "args": ["x" * 4094]}, ("a",)),
        ({"args": [""] * 5000}, ("",) * 4096),
        ({"command": "sh", "args": {"a": 1}}, ()),
        ({"command": ["a", 1, "b"], "args": ["c"]}, ("a",)),
    ],
)
def test_the_words_of_a_container_are_bounded(entry: dict[str, Any], words: tuple[str, ...]) -> None:
    """As much of them as is recorded of a victim's arguments; and no log shows them."""
    spec = read(pod() | {"spec": {"containers": [{"name": "app", **entry}]}}, UID)
    assert spec
    assert spec.containers["app"].words == words
    assert "words" not in repr(spec)


def test_a_pods_own_limit() -> None:
    """spec.resources is of the Pod as a whole."""
    item = pod()
    item["spec"]["resources"] = {"limits": {"memory": "1Gi"}}
    spec = read(item, UID)
    assert spec is not None
    assert spec.pod.limit_bytes == 1 << 30


BROKEN: list[Fault] = [
    Answer(500),
    Answer(503),
    Answer(403),
    Answer(401),
    Answer(429, {"Retry-After": "1"}),
    Answer(302, {"Location": "/elsewhere"}),
    Garbage(),
    Garbage(b""),
    Garbage(b"[]"),
    Garbage(b"null"),
    Garbage(b"\xff\xfe"),
    Garbage(b"[" * 100_000),
    Garbage(b'{"metadata": "' + b"x" * (10 << 20) + b'"}'),
    Truncated(),
    Answer(404, body=b"not found"),
]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: repr(fault)[:40])
async def test_no_answer_that_can_be_used(api: ApiServer, cluster: Api, fault: Fault) -> None:
    """A refusal, an error and garbage are PodsError, and are not kept: the next look-up asks again and finds."""
    api.put_pod(pod())
    twice = 2 if isinstance(fault, Answer) and fault.status == 401 else 1  # then credentials are read again
    api.faults += [fault] * twice
    pods = Pods(cluster, NODE, Clock())
    with pytest.raises(PodsError, match="GET "):
        await pods.find(UID, "shop", "checkout-0")
    assert await pods.find(UID, "shop", "checkout-0") == SPEC


async def test_no_answer_at_all(api: ApiServer, cluster: Api) -> None:
    """A connection that breaks, now and again, is PodsError, and is not kept."""
    api.put_pod(pod())
    pods = Pods(cluster, NODE, Clock())
    for fault in (Reset(), Hang(0)):
        api.faults = [fault] * 3
        with pytest.raises(PodsError):
            await pods.find(UID, "shop", "checkout-0")
        api.faults.clear()
        assert await pods.find(UID, "shop", "checkout-0") == SPEC
        pods = Pods(cluster, NODE, Clock())


async def test_a_failure_is_reported_to_all_who_wait(api: ApiServer, cluster: Api) -> None:
    """Those who asked together share the failure as they would the answer."""
    api.faults.append(Answer(500))
    pods = Pods(cluster, NODE, Clock())
    reported = await asyncio.gather(*(pods.find(UID, "shop", "x") for _ in range(3)), return_exceptions=True)
    assert [type(failure) for failure in reported] == [PodsError] * 3
    assert len(api.requests) == 1


async def test_a_fault_is_not_kept(api: ApiServer, cluster: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever went wrong, the next one asks again."""
    api.put_pod(pod())
    pods = Pods(cluster, NODE)
    with monkeypatch.context() as patched:
        patched.setattr(Pods, "_get", None)
        with pytest.raises(TypeError):
            await pods.find(UID, "shop", "checkout-0")
    assert await pods.find(UID, "shop", "checkout-0") == SPEC


async def test_one_who_gives_up_waiting_spoils_nothing(api: ApiServer, cluster: Api) -> None:
    """A look-up that is cancelled goes on for the others."""
    api.put_pod(pod())
    pods = Pods(cluster, NODE, Clock())
    impatient = asyncio.create_task(pods.find(UID, "shop", "checkout-0"))
    patient = asyncio.create_task(pods.find(UID, "shop", "checkout-0"))
    await api.until(lambda: len(api.requests) == 1)
    impatient.cancel()
    assert await patient == SPEC
    with pytest.raises(asyncio.CancelledError):
        await impatient


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything in a JSON value, itself included."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """A Pod with JSON of any type in up to three places."""
    item: Any = {"root": copy.deepcopy(pod())}
    for path in draw(st.lists(st.sampled_from(places(item)[1:]), min_size=1, max_size=3)):
        if path in places(item):  # and not in what was put in place of something above it
            place = item
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = draw(JUNK)
    return item["root"]


def well_typed(found: Spec | None) -> None:
    if found is None:
        return
    assert found.pod.uid == UID
    assert isinstance(found.pod.name, str)
    assert isinstance(found.pod.namespace, str)
    assert found.pod.name
    assert found.pod.namespace
    assert isinstance(found.pod.restart_policy, (str, type(None)))
    assert isinstance(found.pod.owner, (Owner, type(None)))
    assert all(isinstance(text, str) for pair in found.names.items() for text in pair)
    for name, limit in found.containers.items():
        assert isinstance(name, str)
        assert limit.limit_bytes is None or (type(limit.limit_bytes) is int and limit.limit_bytes > 0)


@settings(max_examples=300)
@given(spoilt())
def test_any_types_will_do(item: Any) -> None:
    """Wrong types at any place make a Pod thinner, or none, and never an exception."""
    well_typed(read(item, UID))


def is_object(text: str) -> bool:
    """By RFC 8259, which has no infinite numbers and no half of a character."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except ValueError:
        return False


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(spoilt() | JUNK, st.booleans())
def test_any_answer_will_do(tmp_path_factory: pytest.TempPathFactory, body: Any, listed: bool) -> None:
    """At the wire: any JSON is a Spec, gone or PodsError, whether it answers a GET or a list."""

    directory = tmp_path_factory.getbasetemp()

    async def ask() -> None:
        async with ApiServer() as api:
            answer = {"items": body if isinstance(body, list) else [body, pod()]} if listed else body
            api.faults.append(Garbage(json.dumps(answer).encode()))
            async with await connect(str(kubeconfig(directory, api.url, api.token))) as cluster:
                name = None if listed else "checkout-0"
                try:
                    well_typed(await Pods(cluster, NODE).find(UID, name and "shop", name))
                except PodsError:
                    assert not is_object(json.dumps(answer))

    asyncio.run(ask())
