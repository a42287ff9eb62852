"""The records that this room hands out, and how a runtime's answer becomes one.

In: generated messages, of which nothing is believed. Out: frozen records. Pure. An answer that is not what
was asked for is a ValueError; where a field merely is not there, the record is thinner.
"""

import functools
from itertools import repeat
from typing import Any, get_args, get_origin, get_type_hints

from betterproto2 import Message
from msgspec import Struct

from oomeventer.cri._cri.runtime import v1
from oomeventer.text import printable

# Labels by which the kubelet marks what it makes (kubernetes, pkg/kubelet/types/labels.go).
POD_UID = "io.kubernetes.pod.uid"
_POD_NAME = "io.kubernetes.pod.name"
_POD_NAMESPACE = "io.kubernetes.pod.namespace"
_CONTAINER_NAME = "io.kubernetes.container.name"

#: Characters that are kept of a text. No name that Kubernetes or a registry gives is longer.
_LONGEST = 512

_STATES = ("created", "running", "exited", "unknown")


class ContainerInfo(Struct, frozen=True):
    """A container as its runtime describes it (CRI: ContainerStatus). Times are in nanoseconds since the
    epoch."""

    id: str
    name: str
    """As in the Pod's spec; empty if the runtime does not say."""
    attempt: int
    """How many containers of this name this Pod had before."""
    image: str
    """As in the Pod's spec."""
    image_ref: str
    """The image that this became, with its digest; how it is written differs between runtimes."""
    state: str
    """"created", "running", "exited" or "unknown"."""
    created_at: int
    started_at: int
    """0: not started."""
    finished_at: int
    """0: not finished."""
    exit_code: int
    """Means something once `finished_at` is not 0."""
    reason: str
    """Why it is in its state, one word: "OOMKilled", "Error", "Completed"; mostly empty while it runs."""
    pod_namespace: str | None
    """From the kubelet's labels, as the next two: None if it is not a Pod's container."""
    pod_name: str | None
    pod_uid: str | None
    """For a static Pod the hash of its manifest, which is not the uid of the API's mirror Pod."""
    memory_limit_bytes: int | None
    """As the container was made or last resized; None if it has none, or if the runtime does not say
    (cri-dockerd, and others from before CRI had the field). Not the Pod's limit."""


class SandboxInfo(Struct, frozen=True):
    """A Pod's sandbox, in whose cgroup its pause process runs (CRI: PodSandboxStatus)."""

    id: str
    namespace: str
    name: str
    uid: str
    """For a static Pod as in `ContainerInfo.pod_uid`."""


def version(answer: v1.VersionResponse) -> tuple[str, str]:
    """The runtime's name and version."""
    _refuse_wrong_types(answer)
    if not answer.runtime_name:
        raise ValueError("Version gives no runtime_name")
    return _text(answer.runtime_name), _text(answer.runtime_version)


def container(answer: v1.ContainerStatusResponse, container_id: str) -> ContainerInfo:
    """The record of the container that was asked for."""
    _refuse_wrong_types(answer)
    status = answer.status
    if status is None or status.id != container_id:
        raise ValueError("ContainerStatus is about another container")
    metadata = status.metadata or v1.ContainerMetadata()
    linux = status.resources.linux if status.resources else None
    return ContainerInfo(
        id=status.id,
        name=_text(metadata.name or status.labels.get(_CONTAINER_NAME, "")),
        attempt=metadata.attempt,
        image=_text(status.image.image) if status.image else "",
        image_ref=_text(status.image_ref),
        state=_STATES[status.state] if status.state in range(len(_STATES)) else "unknown",
        created_at=status.created_at,
        started_at=status.started_at,
        finished_at=status.finished_at,
        exit_code=status.exit_code,
        reason=_text(status.reason),
        pod_namespace=_label(status.labels, _POD_NAMESPACE),
        pod_name=_label(status.labels, _POD_NAME),
        pod_uid=_label(status.labels, POD_UID),
        memory_limit_bytes=linux.memory_limit_in_bytes if linux and linux.memory_limit_in_bytes > 0 else None,
    )


def sandbox(answer: v1.PodSandboxStatusResponse, sandbox_id: str) -> SandboxInfo:
    """The record of the sandbox that was asked for."""
    _refuse_wrong_types(answer)
    if answer.status is None or answer.status.id != sandbox_id:
        raise ValueError("PodSandboxStatus is about another sandbox")
    return _sandbox(answer.status.id, answer.status.metadata)


def sandbox_of_pod(answer: v1.ListPodSandboxResponse, pod_uid: str) -> SandboxInfo | None:
    """The Pod's sandbox: of several (a Pod gets a new one when its old one died) the ready one, else the
    latest."""
    _refuse_wrong_types(answer)
    ours = [item for item in answer.items if item.labels.get(POD_UID) == pod_uid]
    if not ours:
        return None
    ready = v1.PodSandboxState.SANDBOX_READY
    best = max(ours, key=lambda item: (item.state == ready, item.metadata.attempt if item.metadata else 0))
    return _sandbox(best.id, best.metadata)


def _sandbox(sandbox_id: str, metadata: v1.PodSandboxMetadata | None) -> SandboxInfo:
    if metadata is None:
        raise ValueError("a sandbox without metadata")
    return SandboxInfo(_text(sandbox_id), _text(metadata.namespace), _text(metadata.name), _text(metadata.uid))


def _text(text: str) -> str:
    """What a line can hold; names that Kubernetes gives stay as they are."""
    return printable(text, _LONGEST)


def _label(labels: dict[str, str], name: str) -> str | None:
    return _text(labels[name]) if name in labels else None


def _refuse_wrong_types(message: Message) -> None:
    """betterproto2 reads what its wire type makes of a field, whatever is declared: a number for a string or a message,
    None for a group. (Writing it back would tell some of these, but bytes() of a number is as many zeros.)"""
    for name, kind in _kinds(type(message)).items():
        _refuse_wrong_type(name, getattr(message, name), kind)


def _refuse_wrong_type(name: str, value: Any, kind: Any) -> None:
    inner = get_args(kind)
    if get_origin(kind) is dict:
        parts = [*zip(value.keys(), repeat(inner[0])), *zip(value.values(), repeat(inner[1]))]
    elif get_origin(kind) is list:
        parts = [*zip(value, repeat(inner[0]))]
    elif not isinstance(value, kind):
        raise ValueError(f"{name} is of another type than declared")
    else:
        parts = []
    for part, expected in parts:
        _refuse_wrong_type(name, part, expected)
    if isinstance(value, Message):
        _refuse_wrong_types(value)


@functools.cache
def _kinds(message: type[Message]) -> dict[str, Any]:
    return {name: kind for name, kind in get_type_hints(message).items() if not name.startswith("_")}
