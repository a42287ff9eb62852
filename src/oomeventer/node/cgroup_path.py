"""Whose memory cgroup a path is: which Pod, which container.

In: the path of a cgroup in its hierarchy, v1 or v2, as the kernel or /proc/PID/cgroup tells it. Out: an
`Identity`, read from the path alone; the runtime and the API server are asked elsewhere, and what they
answer counts for more.

Rules:

- Components are read from the root downwards, and the *outermost* Pod component wins. A process can make
  cgroups only below its own, so a `kubepods/pod<somebody else>/…` that a container makes inside itself lies
  below the real one and loses.
- So a path whose beginning is not known (it does not begin with "/") tells nothing; one whose end is not known does.
- What stands before that Pod component does not matter: `--cgroup-root`, the `/docker/<id>` of a kind node,
  a k3s service. The price: in a container outside any Pod with a cgroup tree of its own to write to, a
  false kubepods looks the same as kind and is believed. So a Pod found here is a claim to be checked with
  the runtime, never a proof.
- The path is the node's: of an agent whose node is a container, also one in another cluster's Pod, own_cgroup.py takes
  the node's own off before.
- The first container component below the Pod is the container; what follows is the container's own affair
  (systemd or Docker inside it) and only sets `nested`. But not the cgroup that the OCI runtime puts into the
  container's and the processes into that (crun: `…-<id>.scope/container`): both are the container.
- A container ID is 64 hex digits, no fewer. All runtimes of Kubernetes write it in full, a prefix would be
  ambiguous where it is looked up, and `deadbeefcafe` may be anybody's directory.
"""

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

_UID = r"[0-9a-f]{8}(?P<dash>[-_])[0-9a-f]{4}(?P=dash)[0-9a-f]{4}(?P=dash)[0-9a-f]{4}(?P=dash)[0-9a-f]{12}"
# The kubelet gives a static Pod the hash of its manifest: 32 digits without dashes.
_POD_UID = rf"pod(?P<uid>{_UID}|[0-9a-f]{{32}})"
_CONTAINER_ID = r"(?P<id>[0-9a-f]{64})"
_RUNTIME = r"(?P<runtime>cri-containerd|crio|docker|libpod|nerdctl)"

# systemd driver: the name holds all its parents, those before kubepods too (kind: kubelet-kubepods-…), and
# has the uid's dashes as underscores. containerd set to cgroupfs under a kubelet set to systemd takes
# "slice:prefix:id", meant for systemd, as the name of one directory: Pod and container in one.
_POD_SLICE = re.compile(
    rf"(?:.+-)?kubepods(?:-(?P<qos>burstable|besteffort))?-{_POD_UID}\.slice(?::{_RUNTIME}:{_CONTAINER_ID})?"
)
# cgroupfs driver: …/kubepods/pod<uid> or …/kubepods/burstable/pod<uid>, matched on up to three components.
_POD_DIRECTORY = re.compile(rf"(?:[^/]+/)?kubepods(?:/(?P<qos>burstable|besteffort))?/{_POD_UID}")
# "crio-conmon-<id>.scope" and "libpod-conmon-<id>.scope" hold the container's monitor and do not match. Podman in a
# systemd unit (--cgroups=split) writes "libpod-payload-<id>"; Kata "kata_<id>" for a Pod's VM, by its sandbox's ID.
_CONTAINER = re.compile(rf"(?:{_RUNTIME}-(?:payload-)?|kata_)?{_CONTAINER_ID}(?:\.scope)?")
# crun under systemd; Podman's first versions under cgroupfs.
_INNER = re.compile(r".+\.scope/container|libpod-[0-9a-f]{64}/ctr")
# Podman's own Pods under cgroupfs: ".../libpod_parent/<pod's id>/libpod-<id>".
_PODMAN_PARENT = "libpod_parent"
# The kubelet's own cgroups above all Pods, and above those of a class, on which it sets node allocatable.
_ALLOCATABLE = re.compile(
    r"(?:.*/)?(?:(?:[^/]+-)?kubepods(?:-(?P<slice>burstable|besteffort))?\.slice|kubepods(?:/(?P<directory>burstable|besteffort))?)"
)

_COMPONENT = re.compile(r"[^/]+")
_DELETED = " (deleted)"  # /proc/PID/cgroup says this of a cgroup v2 that is gone before its process

_RUNTIMES = {
    "cri-containerd": "containerd",
    "crio": "cri-o",
    "docker": "docker",
    "libpod": "podman",
    "nerdctl": "containerd",
}
Allocatable = Literal["node", "burstable", "besteffort"]

_QOS = {None: "Guaranteed", "burstable": "Burstable", "besteffort": "BestEffort"}


class Identity(Struct, frozen=True):
    """What a cgroup's path tells; None is "the path does not say".

    `pod_uid`: with dashes, or the 32 digits of a static Pod (the CRI label's uid, not the mirror Pod's own).
    `qos`: `Guaranteed`, `Burstable` or `BestEffort`.
    `runtime`: `containerd`, `cri-o`, `docker` or `podman`.
    `pod_path`, `container_path`: their cgroups, beginnings of the path that was given; there is no `pod_path`
    where Pod and container are one component.
    `nested`: the path goes on below the container.
    """

    pod_uid: str | None = None
    qos: str | None = None
    container_id: str | None = None
    runtime: str | None = None
    pod_path: str | None = None
    container_path: str | None = None
    nested: bool = False


@lru_cache(128)
def identify(path: str) -> Identity:
    """Read `path` by the module's rules; any text will do, `Identity()` is "neither Pod nor container"."""
    if not path.startswith("/"):
        return Identity()
    steps = [(found.group(), found.end()) for found in _COMPONENT.finditer(path.removesuffix(_DELETED))]
    names = [name for name, _ in steps]
    for index, (name, end) in enumerate(steps):
        last_three = "/".join(names[max(index - 2, 0) : index + 1])
        pod = _POD_SLICE.fullmatch(name) or _POD_DIRECTORY.fullmatch(last_three)
        if pod is None:
            continue
        uid, qos = pod["uid"].replace("_", "-"), _QOS[pod["qos"]]
        if pod.groupdict().get("id"):
            return Identity(
                pod_uid=uid,
                qos=qos,
                container_id=pod["id"],
                runtime=_RUNTIMES[pod["runtime"]],
                container_path=path[:end],
                nested=index + 1 < len(steps),
            )
        return replace(_container(path, steps, index + 1), pod_uid=uid, qos=qos, pod_path=path[:end])
    return _container(path, steps, 0)


def allocatable(path: str) -> Allocatable | None:
    """Whether a cgroup is the kubelet's for all Pods, or for all of a class: one that is full is the node's affair.
    None: it is another, or one that a Pod or container has made."""
    found = None if identify(path) != Identity() else _ALLOCATABLE.fullmatch(path.removesuffix(_DELETED))
    if found is None:
        return None
    match found["slice"] or found["directory"]:
        case "burstable":
            return "burstable"
        case "besteffort":
            return "besteffort"
        case _:
            return "node"


def unit(path: str) -> str | None:
    """The systemd service or scope whose cgroup it is or lies in; None within a container, and where there is none."""
    if identify(path) != Identity():
        return None
    names = [found.group() for found in _COMPONENT.finditer(path)]
    return next((name for name in reversed(names) if name.endswith((".service", ".scope"))), None)


def ancestors(path: str) -> list[str]:
    """The cgroup `path` and all above it, innermost first, without the root: `/a/b` gives `/a/b` and `/a`."""
    return [path[: found.end()] for found in _COMPONENT.finditer(path)][::-1]


def _container(path: str, steps: list[tuple[str, int]], start: int) -> Identity:
    """The first container at or below component `start`, without a Pod."""
    for index in range(start, len(steps)):
        name, end = steps[index]
        found = _CONTAINER.fullmatch(name)
        above = steps[index - 1][0] if index > 0 else None
        if found is None or (above == _PODMAN_PARENT and found["runtime"] is None):
            continue
        # Docker's cgroupfs driver puts containers below "/docker"; the ID alone names no runtime.
        runtime = _RUNTIMES.get(found["runtime"] or ("docker" if above == "docker" else ""))
        inner = index + 1 < len(steps) and _INNER.fullmatch(f"{name}/{steps[index + 1][0]}")
        nested = index + (2 if inner else 1) < len(steps)
        return Identity(container_id=found["id"], runtime=runtime, container_path=path[:end], nested=nested)
    return Identity()
