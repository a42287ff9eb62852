"""Whose limit ran out, as the person who set it would say.

In: what the kernel and the cgroup's path say, and a Pod's spec. Out: the scope, and the limits as they were set.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.cluster.limits import as_set
from oomeventer.cluster.pod_spec import ContainerSpec, Spec, read
from oomeventer.incident.incident import Incident, Neighbour, Scope
from oomeventer.incident.workload import Container
from oomeventer.kernel.record import PAGE
from samples import CGROUP, CONTAINER, CONTAINER_ID, LIMIT, MI, POD, POD_CGROUP, incident


def spec(pod_limit: int | None = None, **limits: int | None) -> Spec:
    """A Pod of these containers, with these limits."""
    containers = {name: ContainerSpec("containers", limit) for name, limit in limits.items()}
    return Spec(replace(POD, limit_bytes=pod_limit), containers, {CONTAINER_ID: "app"})


def ran_out(scope: Scope, limit_bytes: int | None, **fields: Any) -> Incident:
    """As the stages before have it: the runtime named the container, nobody the spec."""
    cgroup = {"container": CGROUP, "pod": POD_CGROUP, "node": None}.get(scope, "/kubepods")
    container = replace(CONTAINER, kind=None, limit_bytes=None)
    defaults = {"scope": scope, "limit_bytes": limit_bytes, "limit_cgroup": cgroup, "container": container}
    return incident(**defaults | fields)


@pytest.mark.parametrize(
    ("kernel", "pod", "scope", "limit_bytes"),
    [
        pytest.param(
            ran_out("pod", LIMIT), spec(app=LIMIT), "container", LIMIT,
            id="one container: the kubelet gave its limit to the Pod's cgroup, which fills first",
        ),
        pytest.param(
            ran_out("container", LIMIT), spec(app=LIMIT, other=LIMIT), "container", LIMIT,
            id="two containers: the container's own limit is hit",
        ),
        pytest.param(
            ran_out("pod", 2 * LIMIT), spec(app=LIMIT, other=LIMIT), "pod", LIMIT,
            id="two containers: the sum that the kubelet made of them is hit",
        ),
        pytest.param(
            ran_out("pod", LIMIT, container=replace(CONTAINER, limit_bytes=LIMIT)), spec(app=2 * LIMIT),
            "container", 2 * LIMIT, id="one container, a resize on its way: the limit in force is hit",
        ),
        pytest.param(
            ran_out("pod", LIMIT, container=replace(CONTAINER, limit_bytes=LIMIT)), spec(2 * LIMIT, app=2 * LIMIT),
            "pod", 2 * LIMIT, id="a Pod's limit, and a resize on its way",
        ),
        pytest.param(
            ran_out("container", LIMIT), spec(LIMIT, app=None), "pod", None,
            id="a Pod's limit only: the kubelet wrote it to the container, too",
        ),
        pytest.param(
            ran_out("pod", LIMIT), spec(LIMIT, app=None), "pod", None,
            id="a Pod's limit only: it is hit itself",
        ),
        pytest.param(
            ran_out("pod", LIMIT), spec(LIMIT, app=LIMIT), "pod", LIMIT,
            id="both, of one size: the Pod's was set, and is hit",
        ),
        pytest.param(
            ran_out("container", LIMIT), spec(2 * LIMIT, app=LIMIT), "container", LIMIT,
            id="both: the container's is hit",
        ),
        pytest.param(
            ran_out("container", LIMIT), spec(app=None), "container", None,
            id="none was set in the spec: the kernel's word stays",
        ),
        pytest.param(ran_out("cgroup", LIMIT), spec(app=LIMIT), "cgroup", LIMIT, id="a slice's stays"),
        pytest.param(ran_out("node", None), spec(app=LIMIT), "node", LIMIT, id="the node's stays"),
        pytest.param(ran_out("unknown", LIMIT), spec(app=LIMIT), "unknown", LIMIT, id="what is open stays open"),
    ],
)  # fmt: skip
def test_whose_limit(kernel: Incident, pod: Spec, scope: str, limit_bytes: int | None) -> None:
    """The scope is whose limit was set; what the kernel reported stays beside it."""
    reported = as_set(kernel, pod)
    assert reported.scope == scope
    assert reported.container is not None
    assert reported.container.limit_bytes == limit_bytes
    assert (reported.limit_cgroup, reported.limit_bytes) == (kernel.limit_cgroup, kernel.limit_bytes)
    assert reported.pod == pod.pod


@pytest.mark.parametrize(
    ("set_bytes", "scope"),
    [(LIMIT, "container"), (LIMIT + PAGE - 1, "container"), (LIMIT + PAGE, "pod"), (LIMIT - 1, "pod")],
)
def test_the_kernel_rounds_limits_down(set_bytes: int, scope: str) -> None:
    """A limit such as 100M is no multiple of a page, and yet the same; one that differs by a page is another."""
    assert as_set(ran_out("pod", LIMIT), spec(app=set_bytes)).scope == scope


def test_a_request() -> None:
    """It is the spec's."""
    asked = spec(app=LIMIT)
    asked.containers["app"] = replace(asked.containers["app"], request_bytes=MI)
    reported = as_set(ran_out("container", LIMIT), asked)
    assert reported.container is not None
    assert reported.container.request_bytes == MI


def test_neighbours_that_the_runtime_did_not_name() -> None:
    """The Pod's status names those that are its own; a name that the runtime gave stays, and others stay unknown."""
    ids = CONTAINER_ID, "aa" * 32, "bb" * 32, None
    before = tuple(Neighbour(pid, "sh", MI, one) for pid, one in enumerate(ids))
    named = replace(before[1], container="by the runtime", pod_uid="another's")
    kernel = ran_out("pod", LIMIT, neighbours=(before[0], named, *before[2:]))
    pod = replace(spec(app=LIMIT), names={CONTAINER_ID: "app", "aa" * 32: "by the status"})
    first = replace(before[0], container="app", pod_uid=POD.uid)
    assert as_set(kernel, pod).neighbours == (first, named, *before[2:])


def test_a_container_that_the_runtime_forgot_gets_its_name() -> None:
    """The Pod's status still has the id."""
    reported = as_set(ran_out("container", LIMIT, container=Container(CONTAINER_ID)), spec(app=LIMIT))
    assert reported.container == Container(CONTAINER_ID, name="app", kind="containers", limit_bytes=LIMIT)


def test_the_runtimes_name_counts() -> None:
    """A name that the runtime gave is not looked up by id."""
    other = replace(spec(app=LIMIT, other=MI), names={CONTAINER_ID: "other"})
    assert as_set(ran_out("container", LIMIT), other).container == CONTAINER


def test_a_container_that_nobody_knows() -> None:
    """Without a name there is no limit of its own, and the Pod is reported nevertheless."""
    bare = Container(CONTAINER_ID)
    reported = as_set(ran_out("pod", LIMIT, container=bare), replace(spec(app=LIMIT), names={}))
    assert (reported.container, reported.scope, reported.pod) == (bare, "pod", POD)
    assert as_set(ran_out("pod", LIMIT, container=None), spec(app=LIMIT)).container is None


def test_a_container_that_is_not_in_the_spec() -> None:
    """The sandbox, say: what the runtime answered stays."""
    reported = as_set(ran_out("container", LIMIT, container=CONTAINER), spec(other=LIMIT))
    assert (reported.container, reported.scope) == (CONTAINER, "container")


def test_a_static_pod_keeps_the_nodes_uid() -> None:
    """kubectl describe asks for the uid that the kubelet uses, not for the mirror's; and a Node is no owner."""
    mirror = {
        "metadata": {
            "namespace": "kube-system",
            "name": "etcd-lab-node",
            "uid": "the-mirrors-own",
            "annotations": {"kubernetes.io/config.hash": "0123456789abcdef0123456789abcdef"},
            "ownerReferences": [{"kind": "Node", "name": "lab-node", "controller": True}],
        },
        "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "32Mi"}}}]},
    }
    static = read(mirror, "0123456789abcdef0123456789abcdef")
    assert static is not None
    reported = as_set(ran_out("pod", LIMIT, pod=None), static)
    assert reported.pod is not None
    assert (reported.pod.uid, reported.pod.name, reported.pod.owner) == (
        "0123456789abcdef0123456789abcdef",
        "etcd-lab-node",
        None,
    )
    assert reported.scope == "container"
