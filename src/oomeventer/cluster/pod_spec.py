"""A Pod as the API writes it. In: its JSON, of which nothing is believed. Out: a Spec.

Rules: pure. Who may make Pods chooses all that is in them but metadata.uid: names are bounded and printable from here
on, and a Pod stands for a static one only if it is this node's mirror of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from oomeventer.incident import Owner, Pod
from oomeventer.text import printable

#: As much of a container's command and args is kept, in characters (bpf/oom.h: OOM_ARGUMENTS).
WORDS_CHARACTERS = 4096
#: The annotations of a mirror Pod, both with the uid by which the kubelet knows the static Pod (kubernetes,
#: pkg/kubelet/types/constants.go).
STATIC_UID, MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"
#: Characters that are kept of a name. No valid one is longer (DNS subdomain, RFC 1123), but an owner's is not checked.
_LONGEST = 253


Kind = Literal["containers", "initContainers", "ephemeralContainers"]

# A Quantity (apimachinery, pkg/api/resource): a decimal number, then a binary or decimal suffix or an exponent. More
# digits than an int64 has are nobody's limit.
_SUFFIXES = {"": Decimal(1), "n": Decimal(10) ** -9, "u": Decimal(10) ** -6, "m": Decimal(10) ** -3}
_SUFFIXES |= {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)}
_SUFFIXES |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
_QUANTITY = re.compile(
    r"\+?(?P<number>[0-9]{1,19}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,2}))?"
)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container in the Pod's spec: the list that it is in, its memory limit as set there, and the words of its
    command and args, unexpanded."""

    kind: Kind
    limit_bytes: int | None
    words: tuple[str, ...] = field(default=(), repr=False)  # no log shows them


@dataclass(frozen=True, slots=True)
class Spec:
    """What the API says of a Pod: its containers by name, and the names of those that its status knows by id."""

    pod: Pod
    containers: dict[str, ContainerSpec]
    names: dict[str, str]


def read(item: Any, uid: str) -> Spec | None:
    """A Pod as JSON, with the uid by which the node knows it; None where it is none."""
    namespace, name = _text(at(item, "metadata", "namespace")), _text(at(item, "metadata", "name"))
    if not namespace or not name:
        return None
    containers = {
        container: ContainerSpec(kind, memory_limit(at(entry, "resources")), _words(entry))
        for kind, entry in _containers(item)
        if (container := _text(at(entry, "name")))
    }
    return Spec(
        pod=Pod(
            namespace=namespace,
            name=name,
            uid=uid,
            owner=_owner(item),
            limit_bytes=memory_limit(at(item, "spec", "resources")),
            restart_policy=_text(at(item, "spec", "restartPolicy")),
        ),
        containers=containers,
        names=dict(_names(item)),
    )


def memory_limit(resources: Any) -> int | None:
    """limits.memory of a ResourceRequirements in bytes, a quantity of any form; None where there is none."""
    found = _QUANTITY.fullmatch(exact(at(resources, "limits", "memory")) or "")
    if found is None:
        return None
    value = Decimal(found["number"]) * _SUFFIXES[found["suffix"] or ""] * Decimal(10) ** int(found["exponent"] or 0)
    return int(value) or None


def _owner(item: Any) -> Owner | None:
    """The workload: a Deployment for its ReplicaSet, whose name ends with the Pod's pod-template-hash; else the
    controller itself. A static Pod belongs to its Node, which is no workload."""
    references = at(item, "metadata", "ownerReferences")
    for reference in references if isinstance(references, list) else ():
        kind, name = _text(at(reference, "kind")), exact(at(reference, "name"))
        if at(reference, "controller") is not True or not kind or not name or kind == "Node":
            continue
        template = exact(at(item, "metadata", "labels", "pod-template-hash"))
        if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
            kind, name = "Deployment", name.removesuffix(f"-{template}")
        return Owner(kind, printable(name, _LONGEST))
    return None


def is_known_by(item: Any, uid: str, node: str) -> bool:
    """Whether that node's kubelet knows this Pod by that uid."""
    if at(item, "metadata", "uid") == uid:
        return True
    return "-" not in uid and _mirrored(item, node) == uid


def _mirrored(item: Any, node: str) -> str | None:
    """The uid of the static Pod that this one is the mirror of, as that node's kubelet makes them; None: of none."""
    uid, mirror = (exact(at(item, "metadata", "annotations", which)) for which in (STATIC_UID, MIRROR))
    owners = at(item, "metadata", "ownerReferences")
    is_of_node = any(
        (at(owner, "kind"), at(owner, "name"), at(owner, "controller")) == ("Node", node, True)
        for owner in (owners if isinstance(owners, list) else ())
    )
    return uid if uid == mirror and is_of_node and at(item, "spec", "nodeName") == node else None


def _containers(item: Any) -> Iterator[tuple[Kind, Any]]:
    kinds: tuple[Kind, ...] = ("containers", "initContainers", "ephemeralContainers")
    for kind in kinds:
        entries = at(item, "spec", kind)
        yield from ((kind, entry) for entry in (entries if isinstance(entries, list) else ()))


def _words(entry: Any) -> tuple[str, ...]:
    """command and args, as much of them as a victim's record has of its arguments."""
    kept: list[str] = []
    room = WORDS_CHARACTERS
    for name in ("command", "args"):
        words = at(entry, name)
        for word in words if isinstance(words, list) else ():
            room -= len(word) + 1 if isinstance(word, str) else WORDS_CHARACTERS
            if room < 0:
                return tuple(kept)
            kept.append(word)
    return tuple(kept)


def _names(item: Any) -> Iterator[tuple[str, str]]:
    """(container id, container name) of the containers that run, and of those that ran before them."""
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        entries = at(item, "status", kind)
        for entry in entries if isinstance(entries, list) else ():
            name = _text(at(entry, "name"))
            ids = (
                at(entry, "containerID"),
                at(entry, "state", "terminated", "containerID"),
                at(entry, "lastState", "terminated", "containerID"),
            )
            yield from ((text.rpartition("//")[2], name) for id_ in ids if name and (text := exact(id_)))


def at(value: Any, *path: str) -> Any:
    """What lies at that path of JSON objects, None where something is in the way."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    """What people read: printable and bounded. A valid name stays as it is."""
    return printable(value, _LONGEST) if isinstance(value, str) and value else None


def exact(value: Any) -> str | None:
    """What is compared or sent back."""
    return value if isinstance(value, str) and value else None
