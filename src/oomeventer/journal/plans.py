"""One request, as the journal plans it. In: what was decided, and the Events that wait. Out: a Plan.

Rules: pure. What was decided is kept as text, and so a request that was perhaps sent is made again as it was. What the
journal's file has damaged is None.
"""

import contextlib
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from oomeventer.incident import ANNOTATION


class Plan(Struct, frozen=True):
    """An Event is created, or else the one of that name patched. kills: how many of them are new to it,
    up to the event with the id `upto`. count: how many it then counts in all. killed_at: the latest of them, in seconds
    of UNIX time; seen_at: since when the first one waits."""

    series: str
    create: bool
    namespace: str
    name: str
    count: int
    upto: int
    kills: int
    killed_at: float
    seen_at: float
    body: dict[str, Any]

    @property
    def decision(self) -> "Decision":
        """What it was made of."""
        return Decision(self.create, self.count, self.upto, self.name)


class Decision(Struct, frozen=True):
    """Of a Plan, what neither later kills change, nor that some of its own are removed (retention.trim)."""

    create: bool
    count: int
    upto: int
    name: str

    @property
    def text(self) -> str:
        """For the journal."""
        return msgspec.json.encode(self).decode()


class Pending(Struct, frozen=True):
    """A pending Event: one that waits. body: as it would be created if it were alone; None where it was dropped, since
    of several that wait only the first and the latest are needed."""

    id: int
    namespace: str
    name: str
    seen_at: float
    killed_at: float
    body: dict[str, Any] | None


class Span(Struct, frozen=True):
    """Pending Events of a series, from `first` to `last`, so many. body: what they say, by the latest that has it."""

    first: Pending
    last: Pending
    kills: int
    body: dict[str, Any]


def decision(text: str | None) -> Decision | None:
    """Of a text of Decision's; None where it is another version's: then it is decided again."""
    with contextlib.suppress(ValueError):
        return msgspec.json.decode(text or "null", type=Decision)
    return None


def pending(
    number: int, namespace: str, name: str, seen_at: float, killed_at: float, body: str | None
) -> Pending | None:
    """Of a row. None where its body is damaged, or lacks what every request takes from it."""
    if body is None:
        return Pending(number, namespace, name, seen_at, killed_at, None)
    with contextlib.suppress(KeyError, TypeError, ValueError):
        found = msgspec.json.decode(body)
        _created(found, "", "", name, 0), _patched(found, "", 0)
        return Pending(number, namespace, name, seen_at, killed_at, found)
    return None


def plan(series: str, decided: Decision, span: Span) -> Plan:
    """The request for the kills of that span."""
    first, last, event = span.first, span.last, span.body
    begin, end = _timestamp(first.killed_at), _timestamp(last.killed_at)
    if decided.create:
        body = _created(event, begin, end, decided.name, decided.count)
    else:
        body = _patched(event, end, decided.count)
    return Plan(
        series=series,
        create=decided.create,
        namespace=first.namespace,
        name=decided.name,
        count=decided.count,
        upto=decided.upto,
        kills=span.kills,
        killed_at=last.killed_at,
        seen_at=first.seen_at,
        body=body,
    )


def _created(event: dict[str, Any], begin: str, end: str, name: str, count: int) -> dict[str, Any]:
    """The Event for several kills: the first one's name and time, the last one's message."""
    metadata = event["metadata"] | {"name": name}
    return event | {"metadata": metadata, "count": count, "firstTimestamp": begin, "lastTimestamp": end}


def _patched(event: dict[str, Any], end: str, count: int) -> dict[str, Any]:
    """What a further kill changes of an Event."""
    return {
        "count": count,
        "lastTimestamp": end,
        "message": event["message"],
        "metadata": {"annotations": {ANNOTATION: event["metadata"]["annotations"][ANNOTATION]}},
    }


def _timestamp(seconds: float) -> str:
    """Of UNIX time, as metav1.Time has it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
