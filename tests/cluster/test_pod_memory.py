"""The memory in a Pod's spec: what its containers have together, and the volumes whose files are memory.

In: Pods as JSON, hostile ones too. Out: bytes and volumes.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from oomeventer.cluster.pod_memory import containers_limit, containers_request, memory_volumes
from oomeventer.cluster.pod_spec import read
from oomeventer.incident.workload import MemoryVolume
from samples import MI


def entry(limit: str | None = None, request: str | None = None, **fields: Any) -> dict[str, Any]:
    """A container."""
    resources = {"limits": {"memory": limit} if limit else {}, "requests": {"memory": request} if request else {}}
    return {"name": "app", "resources": resources, **fields}


def sidecar(limit: str | None = None, **fields: Any) -> dict[str, Any]:
    return entry(limit, restartPolicy="Always", **fields)


def pod(*containers: Any, init: Any = (), **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), "initContainers": list(init), **spec}}


@pytest.mark.parametrize(
    ("item", "mib"),
    [
        pytest.param(pod(entry("512Mi"), entry("128Mi")), 640, id="the sum"),
        pytest.param(pod(entry("512Mi"), entry()), None, id="one has none: the Pod's cgroup has none"),
        pytest.param(pod(entry("512Mi"), init=[sidecar("128Mi")]), 640, id="a sidecar counts"),
        pytest.param(pod(entry("512Mi"), init=[sidecar()]), None, id="a sidecar without one"),
        pytest.param(pod(entry("512Mi"), init=[entry("128Mi")]), 512, id="what an init container has is free again"),
        pytest.param(pod(entry("512Mi"), init=[entry()]), 512, id="an init container without one"),
        pytest.param(pod(entry("64Mi"), init=[entry("128Mi"), entry("96Mi")]), 128, id="the largest init container"),
        pytest.param(
            pod(entry("64Mi"), init=[sidecar("16Mi"), entry("128Mi"), sidecar("32Mi")]), 144,
            id="an init container runs with the sidecars before it",
        ),
        pytest.param(pod(entry("64Mi"), overhead={"memory": "120Mi"}), 184, id="a VM's overhead"),
        pytest.param(pod(entry(), overhead={"memory": "120Mi"}), None, id="an overhead alone limits nothing"),
        pytest.param(pod(), None, id="no containers"),
        pytest.param({"spec": {"containers": {"a": 1}, "initContainers": "x", "overhead": 3}}, None, id="hostile"),
        pytest.param(pod(entry("512Mi"), 3, None), None, id="what is no container has no limit"),
    ],
)  # fmt: skip
def test_what_containers_have_together(item: Any, mib: int | None) -> None:
    """As the kubelet writes it to the Pod's cgroup (ResourceConfigForPod)."""
    assert containers_limit(item) == (mib and mib * MI)


def test_requests_together() -> None:
    """Who has none asks for nothing; where nobody has any there is none."""
    assert containers_request(pod(entry(request="32Mi"), entry())) == 32 * MI
    assert containers_request(pod(entry("32Mi"), entry())) is None


def test_a_limit_of_the_pod_counts_first() -> None:
    """Of a Pod as a whole; both are told."""
    resources = {"limits": {"memory": "1Gi"}, "requests": {"memory": "768Mi"}}
    item = pod(entry("512Mi", "512Mi"), entry("128Mi"), resources=resources)
    found = read(item | {"metadata": {"namespace": "shop", "name": "checkout-0"}}, "uid")
    assert found is not None
    assert (found.limit_bytes, found.pod.containers_limit_bytes, found.request_bytes) == (1024 * MI, 640 * MI, 768 * MI)
    bare = read(pod(entry("512Mi", "64Mi")) | {"metadata": {"namespace": "shop", "name": "checkout-0"}}, "uid")
    assert bare is not None
    assert (bare.limit_bytes, bare.pod.limit_bytes, bare.request_bytes) == (512 * MI, None, 64 * MI)
    assert bare.containers["app"].request_bytes == 64 * MI


def test_volumes_that_are_memory() -> None:
    """By name, with their bounds and who mounts them; others are left out."""
    volumes = [
        {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": "disk", "emptyDir": {}},
        {"name": "config", "configMap": {"name": "x"}},
    ]
    item = pod(
        {"name": "app", "volumeMounts": [{"name": "cache"}, {"name": "disk"}, {"name": "shm"}]},
        init=[{"name": "warm", "volumeMounts": [{"name": "cache"}]}],
        volumes=volumes,
    )
    assert memory_volumes(item) == (
        MemoryVolume("cache", 64 * MI, ("app", "warm")),
        MemoryVolume("shm", None, ("app",)),
    )


class Mounts(list[Any]):
    """How often they are gone through."""

    times = 0

    def __iter__(self) -> Iterator[Any]:
        self.times += 1
        return super().__iter__()


def test_hostile_volumes() -> None:
    """Bounded in number and length, and printable, whatever the spec has."""
    memory = {"medium": "Memory", "sizeLimit": "1" * 99}
    names = [f"{n:02}" * 500 for n in range(99)]
    mounts = Mounts([*({"name": name} for name in names), 3])
    mounting = [{"name": f"c{n}", "volumeMounts": mounts} for n in range(99)]
    found = memory_volumes(pod(*mounting, volumes=[3, *({"name": name, "emptyDir": memory} for name in names)]))
    assert mounts.times == len(mounting)  # not for each of the volumes
    assert len(found) == 8
    assert all(len(v.name) <= 253 and v.size_limit_bytes is None and len(v.containers) == 8 for v in found)
    assert memory_volumes(pod(volumes=[{"name": "a\nb", "emptyDir": {"medium": "Memory"}}]))[0].name == r"a\nb"
    assert memory_volumes({"spec": {"volumes": {"name": "x"}}}) == ()
    assert memory_volumes(pod(volumes=[{"emptyDir": memory}, {"name": 3, "emptyDir": memory}])) == ()
