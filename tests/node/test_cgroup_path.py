"""Whose cgroup a path is, for the drivers and runtimes that are in use, and for paths that lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomeventer.node.cgroup_path import Identity, allocatable, ancestors, identify, unit

UID = "0c4a7c5e-52f3-4b0e-9d3a-8f1b2c3d4e5f"
SLICE_UID = UID.replace("-", "_")
OTHER_UID = "ffffffff-0000-4000-8000-ffffffffffff"
STATIC_UID = "8a3f0d6b1c2e4f5a9b7c6d5e4f3a2b1c"
ID = "4f1e" * 16
OTHER_ID = "9b0c" * 16

BURSTABLE_POD = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE_UID}.slice"


def in_pod(pod_path: str | None, container: str | None, runtime: str | None, **more: object) -> Identity:
    """The Identity for UID, Burstable, and for ID where a container is named."""
    fields = {
        "pod_uid": UID,
        "qos": "Burstable",
        "container_id": ID if container else None,
        "runtime": runtime,
        "pod_path": pod_path,
        "container_path": f"{pod_path or ''}/{container}" if container else None,
    }
    return Identity(**{**fields, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pod", "container", "runtime"),
    [
        pytest.param(f"/kubepods/burstable/pod{UID}", ID, None, id="cgroupfs"),
        pytest.param(f"/kubepods/burstable/pod{UID}", f"crio-{ID}", "cri-o", id="cgroupfs-crio"),
        pytest.param(BURSTABLE_POD, f"cri-containerd-{ID}.scope", "containerd", id="systemd-containerd"),
        pytest.param(BURSTABLE_POD, f"crio-{ID}.scope", "cri-o", id="systemd-crio"),
        pytest.param(BURSTABLE_POD, f"docker-{ID}.scope", "docker", id="systemd-cri-dockerd"),
        pytest.param(BURSTABLE_POD, f"libpod-{ID}.scope", "podman", id="podman"),
        pytest.param(BURSTABLE_POD, f"nerdctl-{ID}.scope", "containerd", id="nerdctl"),
        pytest.param(f"/kubepods/burstable/pod{UID}", f"kata_{ID}", None, id="kata"),
        pytest.param(f"/kata_overhead/kubepods/burstable/pod{UID}", ID, None, id="kata-overhead"),
        pytest.param(f"/docker/{OTHER_ID}/kubelet/kubepods/burstable/pod{UID}", ID, None, id="kind-cgroupfs"),
        pytest.param(
            f"/docker/{OTHER_ID}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice"
            f"/kubelet-kubepods-burstable-pod{SLICE_UID}.slice",
            f"cri-containerd-{ID}.scope",
            "containerd",
            id="kind-systemd",
        ),
        pytest.param(f"/system.slice/k3s.service/kubepods/burstable/pod{UID}", ID, None, id="k3s"),
        pytest.param(f"/../../kubepods/burstable/pod{UID}", ID, None, id="seen-from-another-namespace"),
    ],
)
def test_container_of_a_pod(pod: str, container: str, runtime: str | None) -> None:
    """Pod and container are found for each driver and runtime, below whatever the node is in."""
    assert identify(f"{pod}/{container}") == in_pod(pod, container, runtime)
    assert identify(pod) == in_pod(pod, None, None)
    assert identify(f"{pod}/{container}/init.scope") == in_pod(pod, container, runtime, nested=True)


@pytest.mark.parametrize(
    ("runtime", "name"), [("crio", "cri-o"), ("cri-containerd", "containerd"), ("docker", "docker")]
)
def test_the_runtimes_inner_cgroup(runtime: str, name: str) -> None:
    """crun puts the processes into a cgroup within the container's: that is the container, and no cgroup of its own."""
    container = f"{runtime}-{ID}.scope"
    assert identify(f"{BURSTABLE_POD}/{container}/container") == in_pod(BURSTABLE_POD, container, name)
    deeper = f"{BURSTABLE_POD}/{container}/container/system.slice"
    assert identify(deeper) == in_pod(BURSTABLE_POD, container, name, nested=True)


def test_pod_and_container_in_one_component() -> None:
    """containerd on cgroupfs under a systemd kubelet makes one directory: the Pod has no cgroup there."""
    name = f"kubepods-burstable-pod{SLICE_UID}.slice:cri-containerd:{ID}"
    path = f"/system.slice/containerd.service/{name}"
    expected = in_pod(None, name, "containerd", container_path=path)
    assert identify(path) == expected
    assert identify(f"{path}/docker/{OTHER_ID}") == in_pod(None, name, "containerd", container_path=path, nested=True)


@pytest.mark.parametrize(
    ("pod", "qos"),
    [
        (f"/kubepods/pod{UID}", "Guaranteed"),
        (f"/kubepods/besteffort/pod{UID}", "BestEffort"),
        (f"/kubepods.slice/kubepods-pod{SLICE_UID}.slice", "Guaranteed"),
        (
            f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{SLICE_UID}.slice",
            "BestEffort",
        ),
    ],
)
def test_quality_of_service(pod: str, qos: str) -> None:
    """The class is in the path, and a Guaranteed Pod lies directly below kubepods."""
    found = identify(f"{pod}/{ID}")
    assert (found.pod_uid, found.qos, found.pod_path, found.container_id) == (UID, qos, pod, ID)


@pytest.mark.parametrize(
    "pod",
    [
        f"/kubepods/burstable/pod{STATIC_UID}",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC_UID}.slice",
    ],
)
def test_static_pod(pod: str) -> None:
    """A static Pod's uid is a hash without dashes and is kept so."""
    assert identify(f"{pod}/{ID}").pod_uid == STATIC_UID


@pytest.mark.parametrize("monitor", [f"crio-conmon-{ID}.scope", f"libpod-conmon-{ID}.scope", f"crio-conmon-{ID}"])
def test_monitor_is_not_the_container(monitor: str) -> None:
    """The kill of a container's monitor belongs to the Pod, and is not the container's."""
    assert identify(f"{BURSTABLE_POD}/{monitor}") == in_pod(BURSTABLE_POD, None, None)


@pytest.mark.parametrize(
    ("path", "container_path", "runtime", "nested"),
    [
        (f"/docker/{ID}", f"/docker/{ID}", "docker", False),
        (f"/system.slice/docker-{ID}.scope", f"/system.slice/docker-{ID}.scope", "docker", False),
        (f"/docker/{ID}/system.slice/containerd.service", f"/docker/{ID}", "docker", True),
        (f"/machine.slice/libpod-{ID}.scope/container", f"/machine.slice/libpod-{ID}.scope", "podman", False),
        (f"/machine.slice/libpod-{ID}.scope/container/init.scope", f"/machine.slice/libpod-{ID}.scope", "podman", True),
        (f"/machine.slice/libpod-{ID}.scope/containers", f"/machine.slice/libpod-{ID}.scope", "podman", True),
        (f"/machine.slice/libpod-{ID}.scope/x/container", f"/machine.slice/libpod-{ID}.scope", "podman", True),
        (f"/docker/{ID}/container", f"/docker/{ID}", "docker", True),
        (f"/libpod_parent/libpod-{ID}/ctr", f"/libpod_parent/libpod-{ID}", "podman", False),
        (f"/libpod_parent/libpod-{ID}/supervisor", f"/libpod_parent/libpod-{ID}", "podman", True),
        (f"/libpod_parent/{OTHER_ID}/libpod-{ID}", f"/libpod_parent/{OTHER_ID}/libpod-{ID}", "podman", False),
        (
            f"/system.slice/web.service/libpod-payload-{ID}",
            f"/system.slice/web.service/libpod-payload-{ID}",
            "podman",
            False,
        ),
        (f"/system.slice/nerdctl-{ID}.scope", f"/system.slice/nerdctl-{ID}.scope", "containerd", False),
        (f"/kata_overhead/{ID}", f"/kata_overhead/{ID}", None, False),
        (f"/libpod_parent/libpod-{ID}", f"/libpod_parent/libpod-{ID}", "podman", False),
        (f"/actions_job/{ID}", f"/actions_job/{ID}", None, False),
        (f"/{ID}/docker", f"/{ID}", None, True),
    ],
)
def test_container_without_a_pod(path: str, container_path: str, runtime: str | None, nested: bool) -> None:
    """A container that Kubernetes does not know is still reported from a host process."""
    expected = Identity(container_id=ID, runtime=runtime, container_path=container_path, nested=nested)
    assert identify(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/init.scope",
        "/system.slice/ssh.service",
        "/user.slice/user-1000.slice/session-3.scope",
        "/kubepods.slice",
        "/kubepods/burstable",
        f"/pod{UID}",
        f"/elsewhere/pod{UID}",
        f"/kubepods/frozen/pod{UID}",
        f"/burstable/pod{UID}",
        f"/notkubepods/pod{UID}",
        "/kubepods/burstable/podshort",
        f"/kubepods/burstable/pod{UID}extra",
        f"/kubepods/burstable/pod{UID[:9]}{SLICE_UID[9:14]}{UID[14:]}",
        f"/kubepods/burstable/pod{UID.upper()}",
        f"/kubepods-burstable-pod{SLICE_UID}.service",
        f"/notkubepods-burstable-pod{SLICE_UID}.slice",
        f"/docker/{ID[:12]}",
        f"/docker/{ID}0",
        f"/system.slice/frobnicate-{ID}.scope",
        f"/libpod_parent/{ID}",
        "/libpod_parent/conmon",
    ],
)
def test_neither_pod_nor_container(path: str) -> None:
    """What only resembles a Pod or container is neither."""
    assert identify(path) == Identity()


@pytest.mark.parametrize(
    "inner",
    [
        f"kubepods/burstable/pod{OTHER_UID}/{OTHER_ID}",
        f"kubepods.slice/kubepods-pod{OTHER_UID.replace('-', '_')}.slice/cri-containerd-{OTHER_ID}.scope",
        f"kubepods-pod{OTHER_UID.replace('-', '_')}.slice:cri-containerd:{OTHER_ID}",
        f"docker/{OTHER_ID}",
        f"docker/{OTHER_ID}/kubelet/kubepods/pod{OTHER_UID}/{OTHER_ID}",
    ],
)
def test_a_false_pod_inside_a_container_loses(inner: str) -> None:
    """Cgroups that a container makes for itself, named like another Pod's, change nothing but `nested`."""
    container = f"cri-containerd-{ID}.scope"
    expected = in_pod(BURSTABLE_POD, container, "containerd", nested=True)
    assert identify(f"{BURSTABLE_POD}/{container}/{inner}") == expected


def test_a_cgroup_that_is_gone() -> None:
    """The mark that /proc/PID/cgroup gives a removed cgroup is no part of its name."""
    path = f"{BURSTABLE_POD}/cri-containerd-{ID}.scope"
    assert identify(f"{path} (deleted)") == identify(path)
    assert identify(path).container_id == ID


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("/kubepods", "node"),
        ("/kubepods.slice", "node"),
        ("/kubelet/kubepods", "node"),
        ("/kubelet.slice/kubelet-kubepods.slice", "node"),
        ("/system.slice/k3s.service/kubepods", "node"),
        ("/kubepods/burstable", "burstable"),
        ("/kubepods/besteffort", "besteffort"),
        ("/kubepods.slice/kubepods-burstable.slice", "burstable"),
        ("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice", "besteffort"),
        ("/", None),
        ("/kubepods/guaranteed", None),
        ("/notkubepods.slice", None),
        ("/notkubepods", None),
        ("/kubepods.slicer", None),
        ("/kubepods-frozen.slice", None),
        ("/system.slice", None),
        (BURSTABLE_POD, None),
        (f"{BURSTABLE_POD}/kubepods.slice", None),
        (f"{BURSTABLE_POD}/crio-{ID}.scope/kubepods.slice", None),
        (f"/docker/{ID}/kubepods", None),
    ],
)
def test_allocatable(path: str, whose: str | None) -> None:
    """The kubelet's own cgroups above the Pods, by either driver; not one that a container has named so."""
    assert allocatable(path) == whose


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", []),
        ("", []),
        ("/a", ["/a"]),
        ("/a/b/c", ["/a/b/c", "/a/b", "/a"]),
        ("/a/b/", ["/a/b", "/a"]),
    ],
)
def test_ancestors(path: str, expected: list[str]) -> None:
    """A cgroup's own path comes first and the root, which has no limit, not at all."""
    assert ancestors(path) == expected


PIECES = [
    "kubepods", "kubepods.slice", "burstable", "besteffort", f"pod{UID}", f"pod{STATIC_UID}", ID, "docker",
    f"kubepods-burstable-pod{SLICE_UID}.slice", f"kubepods-pod{SLICE_UID}.slice:cri-containerd:{ID}",
    f"cri-containerd-{OTHER_ID}.scope", f"crio-conmon-{ID}.scope", "", "..", "x (deleted)",
]  # fmt: skip
paths = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=9).map("/".join)


@given(paths)
def test_whatever_is_found_stands_in_the_path(path: str) -> None:
    """No path raises, and nothing is read that the path does not hold."""
    found = identify(path)
    assert (found.pod_uid or "") in path or (found.pod_uid or "").replace("-", "_") in path
    assert (found.pod_uid is None) == (found.qos is None)
    assert path.startswith(found.pod_path or "")
    assert path.startswith(found.container_path or "")
    assert (found.container_id is None) == (found.container_path is None)
    assert (found.container_id or "") in (found.container_path or "")
    assert found.container_id is not None or (found.runtime is None and not found.nested)
    if found.pod_path and found.container_path:
        assert found.container_path.startswith(found.pod_path + "/")


@given(paths, paths)
def test_nothing_below_a_container_changes_it(path: str, below: str) -> None:
    """Once a Pod's container is met, no name below it has any say."""
    found = identify(path)
    if found.pod_uid and found.container_path:
        deeper = identify(f"{found.container_path}/{below}")
        assert (deeper.pod_uid, deeper.container_id, deeper.container_path) == (
            found.pod_uid,
            found.container_id,
            found.container_path,
        )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/system.slice/postgresql.service", "postgresql.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope/inner", "app-x.scope"),
        ("/oomeventer-demo-1", None),
        (f"/system.slice/docker-{'ab' * 32}.scope", None),
        ("/", None),
    ],
)
def test_unit(path: str, expected: str | None) -> None:
    """The innermost of systemd; a container is one by its own name."""
    assert unit(path) == expected
