"""The Pod, as the API knows it. In: its uid, and its name where that is known. Out: a Spec.

Rules: one GET for a Pod; without a name one list of this node's Pods, since Pods cannot be listed by uid. What was
found is kept a while, so that a storm in one Pod is one request. Gone is None; an API that is broken or refuses is
PodsError. A Pod of the same name with another uid (a StatefulSet's next one) is not this Pod: then it is gone. Who may
make Pods chooses all that is in them but metadata.uid: names are bounded and printable from here on, and a Pod stands
for a static one only if it is this node's mirror of it.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote

from oomeventer.cluster.api import Answer, Api, Unreachable
from oomeventer.errors import OomeventerError
from oomeventer.incident import Owner, Pod
from oomeventer.text import printable

#: How long a Pod's spec is believed, and of how many Pods it is kept. A node runs 110 Pods by default.
KEEP_SECONDS, KEEP = 30.0, 256
#: A list comes in pages of so many Pods, of which so many are read: a node has 110 Pods by default, and seldom 500.
PAGE, PAGES = 50, 40
#: As much of a container's command and args is kept, in characters (bpf/oom.h: OOM_ARGUMENTS).
WORDS_CHARACTERS = 4096
#: The annotations of a mirror Pod, both with the uid by which the kubelet knows the static Pod (kubernetes,
#: pkg/kubelet/types/constants.go).
STATIC_UID, MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"
#: Characters that are kept of a name. No valid one is longer (DNS subdomain, RFC 1123), but an owner's is not checked.
_LONGEST = 253

#: No valid token, timed out, too many requests: transient, and not about the Pod.
_TRANSIENT = (401, 408, 429)

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


class PodsError(OomeventerError):
    """The API could not be asked, or refused to say. transient: it may answer in a moment."""

    def __init__(self, words: str, transient: bool = False) -> None:
        super().__init__(words)
        self.transient = transient


class MayNotList(PodsError):
    """The Pod's name is not known, and this account may not list Pods: that is how the chart is set (rbac.listPods)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A container in the Pod's spec: the list that it is in, its memory limit as set there, and the words of its
    command and args, unexpanded."""

    kind: Kind
    limit_bytes: int | None
    words: tuple[str, ...] = field(default=(), repr=False)  # no log shows them


@dataclass(frozen=True, slots=True)
class Spec:
    """What the API says of a Pod: its containers by name, and the names of those that its status knows by id."""

    pod: Pod
    containers: dict[str, Limit]
    names: dict[str, str]


class Pods:
    """Looks Pods up through `api`, for the node of that name."""

    def __init__(self, api: Api, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._node = node
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, asyncio.Task[Spec | None]]] = OrderedDict()

    async def find(self, uid: str, namespace: str | None, name: str | None) -> Spec | None:
        """The Pod with that uid (the CRI's), or None where it is gone. Raises PodsError."""
        known = self._kept.get(uid)
        if known is None or known[0] + KEEP_SECONDS < self._clock():
            known = (self._clock(), asyncio.ensure_future(self._look(uid, namespace, name)))
            self._kept[uid] = known
            if len(self._kept) > KEEP:
                self._kept.popitem(last=False)
        try:
            return await asyncio.shield(known[1])
        except Exception:
            self._kept.pop(uid, None)  # only answers are kept
            raise

    async def _look(self, uid: str, namespace: str | None, name: str | None) -> Spec | None:
        if namespace and name:
            path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
            answer = await self._get(path, {})
            if answer.status == 404:
                return None
            return self._with_uid([answer.body], uid)
        query = {"fieldSelector": f"spec.nodeName={self._node}", "limit": str(PAGE)}
        for _ in range(PAGES):
            answer = await self._get("/api/v1/pods", query, MayNotList)
            items = answer.body.get("items")
            if spec := self._with_uid(items if isinstance(items, list) else [], uid):
                return spec
            following = _exact(_at(answer.body, "metadata", "continue"))
            if following is None:
                return None
            query = {**query, "continue": following}
        return None

    def _with_uid(self, items: list[Any], uid: str) -> Spec | None:
        return next((spec for item in items if self._is_it(item, uid) and (spec := read(item, uid))), None)

    def _is_it(self, item: Any, uid: str) -> bool:
        """Whether the kubelet knows this Pod by that uid."""
        if _at(item, "metadata", "uid") == uid:
            return True
        return "-" not in uid and _mirrored(item, self._node) == uid

    async def _get(self, path: str, query: dict[str, str], forbidden: type[PodsError] = PodsError) -> Answer:
        try:
            answer = await self._api.request("GET", path, query=query)
        except Unreachable as e:
            raise PodsError(str(e), transient=True) from e
        if answer.status not in (200, 404) or answer.garbage:
            transient = answer.garbage or answer.status in _TRANSIENT or answer.status >= 500
            words = f"GET {path}: {'no JSON object, ' if answer.garbage else ''}{answer.words}"
            raise (forbidden if answer.status == 403 and answer.is_status else PodsError)(words, transient)
        return answer


def read(item: Any, uid: str) -> Spec | None:
    """A Pod as JSON, with the uid by which the node knows it; None where it is none."""
    namespace, name = _text(_at(item, "metadata", "namespace")), _text(_at(item, "metadata", "name"))
    if not namespace or not name:
        return None
    containers = {
        container: Limit(kind, memory_limit(_at(entry, "resources")), _words(entry))
        for kind, entry in _containers(item)
        if (container := _text(_at(entry, "name")))
    }
    return Spec(
        pod=Pod(
            namespace=namespace,
            name=name,
            uid=uid,
            owner=_owner(item),
            limit_bytes=memory_limit(_at(item, "spec", "resources")),
            restart_policy=_text(_at(item, "spec", "restartPolicy")),
        ),
        containers=containers,
        names=dict(_names(item)),
    )


def memory_limit(resources: Any) -> int | None:
    """limits.memory of a ResourceRequirements in bytes, a quantity of any form; None where there is none."""
    found = _QUANTITY.fullmatch(_exact(_at(resources, "limits", "memory")) or "")
    if found is None:
        return None
    value = Decimal(found["number"]) * _SUFFIXES[found["suffix"] or ""] * Decimal(10) ** int(found["exponent"] or 0)
    return int(value) or None


def _owner(item: Any) -> Owner | None:
    """The workload: a Deployment for its ReplicaSet, whose name ends with the Pod's pod-template-hash; else the
    controller itself. A static Pod belongs to its Node, which is no workload."""
    references = _at(item, "metadata", "ownerReferences")
    for reference in references if isinstance(references, list) else ():
        kind, name = _text(_at(reference, "kind")), _exact(_at(reference, "name"))
        if _at(reference, "controller") is not True or not kind or not name or kind == "Node":
            continue
        template = _exact(_at(item, "metadata", "labels", "pod-template-hash"))
        if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
            kind, name = "Deployment", name.removesuffix(f"-{template}")
        return Owner(kind, printable(name, _LONGEST))
    return None


def _mirrored(item: Any, node: str) -> str | None:
    """The uid of the static Pod that this one is the mirror of, as that node's kubelet makes them; None: of none."""
    uid, mirror = (_exact(_at(item, "metadata", "annotations", which)) for which in (STATIC_UID, MIRROR))
    owners = _at(item, "metadata", "ownerReferences")
    is_of_node = any(
        (_at(owner, "kind"), _at(owner, "name"), _at(owner, "controller")) == ("Node", node, True)
        for owner in (owners if isinstance(owners, list) else ())
    )
    return uid if uid == mirror and is_of_node and _at(item, "spec", "nodeName") == node else None


def _containers(item: Any) -> Iterator[tuple[Kind, Any]]:
    kinds: tuple[Kind, ...] = ("containers", "initContainers", "ephemeralContainers")
    for kind in kinds:
        entries = _at(item, "spec", kind)
        yield from ((kind, entry) for entry in (entries if isinstance(entries, list) else ()))


def _words(entry: Any) -> tuple[str, ...]:
    """command and args, as much of them as a victim's record has of its arguments."""
    kept: list[str] = []
    room = WORDS_CHARACTERS
    for name in ("command", "args"):
        words = _at(entry, name)
        for word in words if isinstance(words, list) else ():
            room -= len(word) + 1 if isinstance(word, str) else WORDS_CHARACTERS
            if room < 0:
                return tuple(kept)
            kept.append(word)
    return tuple(kept)


def _names(item: Any) -> Iterator[tuple[str, str]]:
    """(container id, container name) of the containers that run, and of those that ran before them."""
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        entries = _at(item, "status", kind)
        for entry in entries if isinstance(entries, list) else ():
            name = _text(_at(entry, "name"))
            ids = (
                _at(entry, "containerID"),
                _at(entry, "state", "terminated", "containerID"),
                _at(entry, "lastState", "terminated", "containerID"),
            )
            yield from ((text.rpartition("//")[2], name) for id_ in ids if name and (text := _exact(id_)))


def _at(value: Any, *path: str) -> Any:
    """What lies at that path of JSON objects, None where something is in the way."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    """What people read: printable and bounded. A valid name stays as it is."""
    return printable(value, _LONGEST) if isinstance(value, str) and value else None


def _exact(value: Any) -> str | None:
    """What is compared or sent back."""
    return value if isinstance(value, str) and value else None
