"""One kill, or a series of them, as a line shows it. In: an Event, an entry of a journal, a Pod. Out: Kills.

Rules: pure; all text in one is harmless; a field that is missing or damaged is "" or None. `incident` is the JSON
text of the newest one, harmless only through reading.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from kubectl_oom.course import course
from kubectl_oom.reading import Json, at, moment, number, parsed, records, text
from kubectl_oom.why import UNKNOWN, why

ANNOTATION = "oomeventer/incident"
REASON, NODE_REASON = "OOMKilled", "ProcessOOMKilled"
#: Where it is known from.
EVENT, JOURNAL, KUBERNETES = "event", "journal", "kubernetes"
_CONTAINER = re.compile(r"spec\.\w+\{(.+)\}")
_HASH = re.compile(r"-[a-z0-9]+\Z")
_NEVER = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True)
class Kill:
    """See the module. limit, held: in bytes; held by all that were killed. source: event, journal, or kubernetes, which
    knows of containers alone."""

    source: str
    first: datetime
    last: datetime
    count: int
    namespace: str
    pod: str
    container: str
    node: str
    process: str = ""
    scope: str = ""
    limit: int | None = None
    held: int | None = None
    why: str = UNKNOWN
    pattern: str = ""
    spark: tuple[int, ...] = ()
    owner: str = ""
    image: str = ""
    message: str = ""
    uid: str = ""
    key: str = ""
    reporter: str = ""
    incident: str | None = None

    @property
    def series(self) -> tuple[str, ...]:
        """Equal for kills that a reader would call the same again."""
        return self.namespace, self.pod or self.node, self.uid, self.container, self.scope, self.process


def from_event(event: Json, keep: bool) -> Kill:
    """Of an Event with one of our reasons. keep: with its incident."""
    incident = parsed(at(event, "metadata", "annotations", ANNOTATION))
    about = "involvedObject"
    is_pod = text(event, about, "kind") == "Pod"
    found = _CONTAINER.fullmatch(text(event, about, "fieldPath"))
    last = (
        moment(event, "series", "lastObservedTime")
        or moment(event, "lastTimestamp")
        or moment(event, "eventTime")
        or moment(event, "metadata", "creationTimestamp")
        or _NEVER
    )
    return Kill(
        source=EVENT,
        first=moment(event, "firstTimestamp") or last,
        last=last,
        count=number(event, "series", "count") or number(event, "count") or 1,
        namespace=text(event, about, "namespace") if is_pod else "",
        pod=text(event, about, "name") if is_pod else "",
        container=found[1] if found else "",
        node=text(event, "source", "host") or ("" if is_pod else text(event, about, "name")),
        message=text(event, "message", limit=4096),
        uid=text(event, about, "uid"),
        reporter=text(event, "source", "component") or text(event, "reportingComponent"),
        **(_told(incident, keep) if incident else {}),
    )


def from_journal(entry: Json, keep: bool) -> Kill:
    """Of a line of `oomeventer history --json`."""
    when = moment(entry, "time") or _NEVER
    return Kill(
        source=JOURNAL,
        first=when,
        last=when,
        count=1,
        namespace=text(entry, "pod", "namespace"),
        pod=text(entry, "pod", "name"),
        container=text(entry, "container", "name") or text(entry, "container", "id")[:12],
        node=text(entry, "node"),
        message=text(entry, "message", limit=4096),
        uid=text(entry, "pod", "uid") or text(entry, "node"),
        reporter="oomeventer",
        **_told(entry, keep),
    )


def _told(incident: Json, keep: bool) -> dict[str, Any]:
    """Its fields that an incident has."""
    victims = records(incident, "victims")
    victim = victims[0] if victims else {}
    owner = at(incident, "pod", "owner")
    more = (number(incident, "victims_total") or 1) - 1
    held = [number(one, f"{kind}_bytes") or 0 for one in victims for kind in ("anon", "shmem")]
    return dict(  # noqa: C408 (fields by name)
        process=text(victim, "comm", limit=64) + (f" +{more}" if more > 0 else ""),
        scope=text(incident, "scope", limit=16),
        limit=number(incident, "limit_bytes"),
        held=sum(held) if held else None,
        why=why(incident),
        pattern=text(incident, "trajectory", "pattern", limit=16),
        spark=tuple(course(incident)[0]),
        owner=f"{text(owner, 'kind')}/{text(owner, 'name')}" if owner else "",
        image=text(incident, "container", "image"),
        key=text(incident, "key", limit=32),
        incident=json.dumps(incident) if keep else None,
    )


def from_pod(pod: Json) -> Iterator[Kill]:
    """What Kubernetes itself knows: containers whose last end was OOMKilled."""
    for status in (
        *records(pod, "status", "initContainerStatuses"),
        *records(pod, "status", "containerStatuses"),
        *records(pod, "status", "ephemeralContainerStatuses"),
    ):
        for state in ("state", "lastState"):
            ended = at(status, state, "terminated")
            if text(ended, "reason") == REASON:
                yield _of_status(pod, status, ended)
                break


def _of_status(pod: Json, status: Json, ended: Json) -> Kill:
    name = text(status, "name")
    when = moment(ended, "finishedAt") or _NEVER
    limit = None
    for container in (*records(pod, "spec", "containers"), *records(pod, "spec", "initContainers")):
        if text(container, "name") == name:
            limit = quantity(text(container, "resources", "limits", "memory"))
    return Kill(
        source=KUBERNETES,
        first=when,
        last=when,
        count=1,
        namespace=text(pod, "metadata", "namespace"),
        pod=text(pod, "metadata", "name"),
        container=name,
        node=text(pod, "spec", "nodeName"),
        scope="container" if limit is not None else "",
        limit=limit,
        owner=_owner(pod),
        image=text(status, "image"),
        message=f"Container {name} ended with reason OOMKilled, says its status; no agent told which process",
        uid=text(pod, "metadata", "uid"),
        reporter="kubelet",
    )


def _owner(pod: Json) -> str:
    """A person's name for it: of a ReplicaSet the Deployment, as its own name tells."""
    owners = records(pod, "metadata", "ownerReferences")
    owner = next((one for one in owners if at(one, "controller") is True), None)
    if owner is None:
        return ""
    kind, name = text(owner, "kind"), text(owner, "name")
    has_hash = text(pod, "metadata", "labels", "pod-template-hash")
    return f"Deployment/{_HASH.sub('', name)}" if kind == "ReplicaSet" and has_hash else f"{kind}/{name}"


_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "m": 1e-3}
_SUFFIXES.update({f"{letter}i": 1 << 10 * power for power, letter in enumerate("KMGTP", 1)})


def quantity(given: str) -> int | None:
    """Bytes of a Kubernetes quantity; None where it is none."""
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?)(?:e(\d{1,2}))?([A-Za-z]{0,2})", given)
    if not found or found[3] not in _SUFFIXES:
        return None
    return int(float(found[1]) * 10 ** int(found[2] or 0) * _SUFFIXES[found[3]])
