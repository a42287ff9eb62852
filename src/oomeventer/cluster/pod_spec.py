"""A Pod as the API writes it. In: its JSON, of which nothing is believed. Out: a Spec.

Rules: pure. Who may make Pods chooses all that is in them but metadata.uid: names are bounded and printable from here
on, and a Pod stands for a static one only if it is this node's mirror of it.
"""

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from oomeventer.cluster.pod_memory import containers_limit, containers_request, memory, memory_volumes
from oomeventer.cluster.untrusted import LONGEST, at, entries, exact, shown
from oomeventer.incident import Owner, Pod
from oomeventer.text import printable
from oomeventer.unlogged import repr_without

#: As much of a container's command and args is kept, in characters (bpf/oom.h: OOM_ARGUMENTS).
WORDS_CHARACTERS = 4096
#: The annotations of a mirror Pod, both with the uid by which the kubelet knows the static Pod (kubernetes,
#: pkg/kubelet/types/constants.go).
STATIC_UID, MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"

Kind = Literal["containers", "initContainers", "ephemeralContainers"]


class ContainerSpec(Struct, frozen=True):
    """A container in the Pod's spec: the list that it is in, its memory limit and request as set there, and the words
    of its command and args, unexpanded."""

    kind: Kind
    limit_bytes: int | None
    request_bytes: int | None = None
    words: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return repr_without(self, "words")


class Spec(Struct, frozen=True):
    """What the API says of a Pod: its containers by name, and the names of those that its status knows by id.
    request_bytes: of the Pod as a whole, else its containers' together."""

    pod: Pod
    containers: dict[str, ContainerSpec]
    names: dict[str, str]
    request_bytes: int | None = None

    @property
    def limit_bytes(self) -> int | None:
        """Of the Pod as a whole, else its containers' together."""
        return self.pod.limit_bytes or self.pod.containers_limit_bytes


def read(item: Any, uid: str) -> Spec | None:
    """A Pod as JSON, with the uid by which the node knows it; None where it is none."""
    namespace, name = shown(at(item, "metadata", "namespace")), shown(at(item, "metadata", "name"))
    if not namespace or not name:
        return None
    containers = {
        container: ContainerSpec(kind, memory(entry, "limits"), memory(entry, "requests"), _words(entry))
        for kind, entry in _containers(item)
        if (container := shown(at(entry, "name")))
    }
    return Spec(
        pod=Pod(
            namespace=namespace,
            name=name,
            uid=uid,
            owner=_owner(item),
            limit_bytes=memory(at(item, "spec"), "limits"),
            restart_policy=shown(at(item, "spec", "restartPolicy")),
            containers_limit_bytes=containers_limit(item),
            memory_volumes=memory_volumes(item),
        ),
        containers=containers,
        names=dict(_names(item)),
        request_bytes=memory(at(item, "spec"), "requests") or containers_request(item),
    )


def _owner(item: Any) -> Owner | None:
    """The workload: a Deployment for its ReplicaSet, whose name ends with the Pod's pod-template-hash; else the
    controller itself. A static Pod belongs to its Node, which is no workload."""
    for reference in entries(item, "metadata", "ownerReferences"):
        kind, name = shown(at(reference, "kind")), exact(at(reference, "name"))
        if at(reference, "controller") is not True or not kind or not name or kind == "Node":
            continue
        template = exact(at(item, "metadata", "labels", "pod-template-hash"))
        if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
            kind, name = "Deployment", name.removesuffix(f"-{template}")
        return Owner(kind, printable(name, LONGEST))
    return None


def is_known_by(item: Any, uid: str, node: str) -> bool:
    """Whether that node's kubelet knows this Pod by that uid."""
    if at(item, "metadata", "uid") == uid:
        return True
    return "-" not in uid and _mirrored(item, node) == uid


def _mirrored(item: Any, node: str) -> str | None:
    """The uid of the static Pod that this one is the mirror of, as that node's kubelet makes them; None: of none."""
    uid, mirror = (exact(at(item, "metadata", "annotations", which)) for which in (STATIC_UID, MIRROR))
    is_of_node = any(
        (at(owner, "kind"), at(owner, "name"), at(owner, "controller")) == ("Node", node, True)
        for owner in entries(item, "metadata", "ownerReferences")
    )
    return uid if uid == mirror and is_of_node and at(item, "spec", "nodeName") == node else None


def _containers(item: Any) -> Iterator[tuple[Kind, Any]]:
    kinds: tuple[Kind, ...] = ("containers", "initContainers", "ephemeralContainers")
    for kind in kinds:
        yield from ((kind, entry) for entry in entries(item, "spec", kind))


def _words(entry: Any) -> tuple[str, ...]:
    """command and args, as much of them as a victim's record has of its arguments."""
    kept: list[str] = []
    room = WORDS_CHARACTERS
    for name in ("command", "args"):
        for word in entries(entry, name):
            room -= len(word) + 1 if isinstance(word, str) else WORDS_CHARACTERS
            if room < 0:
                return tuple(kept)
            kept.append(word)
    return tuple(kept)


def _names(item: Any) -> Iterator[tuple[str, str]]:
    """(container id, container name) of the containers that run, and of those that ran before them."""
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for entry in entries(item, "status", kind):
            name = shown(at(entry, "name"))
            ids = (
                at(entry, "containerID"),
                at(entry, "state", "terminated", "containerID"),
                at(entry, "lastState", "terminated", "containerID"),
            )
            yield from ((text.rpartition("//")[2], name) for id_ in ids if name and (text := exact(id_)))
