"""Events to the API server. Flows in: Drafts. Flows out: requests, and for each Draft what became of it.

Rules: one request at a time for a series; others go on beside it. The first kill of a series is posted as an Event;
the next ones patch its count, message and time. Kills that come while a request is under way or is being retried are
told together by the next patch. So a crash loop costs as many requests as the server takes, not as many as there are
kills, and every kill is counted. A patch sends the count itself, never a difference, and a name is made of its kill:
a request whose answer was lost can be sent again.

What an answer means stands in FATES, and only there.
"""

import asyncio
import logging
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import quote

from oomeventer.api import Answer, Api, Unreachable
from oomeventer.events import ANNOTATION, Draft, Series

log = logging.getLogger(__name__)

#: Series that are remembered, as many as client-go's recorder has; of a forgotten one the next kill is a new Event.
SERIES = 4096


class Fate(Enum):
    """What follows from an answer."""

    DELIVERED = "delivered"
    RETRY = "retry"
    ANEW = "anew"  # the Event that was to be patched has expired: post one
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class _Rule:
    fate: Fate
    reason: str


#: By method and status; None stands for both methods. Statuses that are not here: see fate().
FATES: dict[tuple[str | None, int], _Rule] = {
    ("POST", 409): _Rule(Fate.DELIVERED, "it is there: the answer to an earlier try was lost"),
    ("PATCH", 409): _Rule(Fate.RETRY, "conflict"),
    ("PATCH", 404): _Rule(Fate.ANEW, "the Event has expired"),
    ("POST", 404): _Rule(Fate.GIVE_UP, "the namespace is gone"),
    (None, 400): _Rule(Fate.GIVE_UP, "malformed"),
    (None, 401): _Rule(Fate.RETRY, "the token is not valid; it is read again within a minute"),
    (None, 403): _Rule(Fate.GIVE_UP, "forbidden, or the namespace is being deleted"),
    (None, 408): _Rule(Fate.RETRY, "timed out"),
    (None, 413): _Rule(Fate.GIVE_UP, "too large"),
    (None, 422): _Rule(Fate.GIVE_UP, "invalid"),
    (None, 429): _Rule(Fate.RETRY, "too many requests"),
}


def fate(method: str, answer: Answer) -> _Rule:
    """What follows from an answer: 2xx is delivered whatever its body, 5xx is tried again, what is unknown is not."""
    if 200 <= answer.status < 300:
        return _Rule(Fate.DELIVERED, "accepted")
    rule = FATES.get((method, answer.status)) or FATES.get((None, answer.status))
    if rule:
        return rule
    return _Rule(Fate.RETRY, "server error") if answer.status >= 500 else _Rule(Fate.GIVE_UP, "not understood")


def backoff(
    first_seconds: float = 0.5, longest_seconds: float = 30.0, jitter: Callable[[], float] = random.random
) -> Iterator[float]:
    """Seconds to wait: between half and the whole of 0.5, 1, 2, 4, 8, 16, 30, 30, ..., for ever."""
    ceiling = first_seconds
    while True:
        yield ceiling * (0.5 + jitter() / 2)
        ceiling = min(ceiling * 2, longest_seconds)


@dataclass(slots=True)
class _Series:
    """An Event and the kills of its series. seen: kills so far; told: as many of them as the server knows of."""

    latest: Draft
    name: str | None = None
    seen: int = 0
    told: int = 0
    busy: bool = False


@dataclass(slots=True)
class Tally:
    """Kills by what became of them: seen = delivered + merged + given_up + waiting."""

    seen: int = 0
    delivered: int = 0
    merged: int = 0
    given_up: Counter[str] = field(default_factory=Counter)

    @property
    def waiting(self) -> int:
        """Kills whose request is under way, or will be."""
        return self.seen - self.delivered - self.merged - sum(self.given_up.values())


class Delivery:
    """Sends Drafts. give_up_seconds bounds the retries of one request; sleep and clock are there for tests' sake."""

    def __init__(
        self,
        api: Api,
        give_up_seconds: float = 900.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._give_up_seconds = give_up_seconds
        self._sleep = sleep
        self._clock = clock
        self._series: OrderedDict[Series, _Series] = OrderedDict()
        self.tally = Tally()

    async def deliver(self, draft: Draft) -> None:
        """Send a Draft, or leave it to the request of its series that is under way. Never raises for an answer."""
        self.tally.seen += 1
        series = self._series.get(draft.series)
        if series is None:
            series = self._series[draft.series] = _Series(latest=draft)
            self._forget()
        self._series.move_to_end(draft.series)
        series.seen += 1
        series.latest = draft
        if series.busy:
            return
        series.busy = True
        try:
            while series.told < series.seen:
                await self._tell(series)
        finally:
            series.busy = False

    def _forget(self) -> None:
        for key in list(self._series):
            if len(self._series) <= SERIES:
                return
            if not self._series[key].busy:
                del self._series[key]

    async def _tell(self, series: _Series) -> None:
        """One Event created or patched, with all that the series has seen when it begins."""
        draft, seen = series.latest, series.seen
        kills = seen - series.told
        rule = await self._patch(series, draft, seen) if series.name else None
        if rule is None or rule.fate is Fate.ANEW:
            rule = await self._post(draft, kills)
            if rule.fate is Fate.DELIVERED:
                series.name = draft.name
                series.seen, seen = series.seen - series.told, kills  # the count begins anew with this Event
        if rule.fate is Fate.DELIVERED:
            self.tally.delivered += 1
            self.tally.merged += kills - 1
        else:
            self.tally.given_up[rule.reason] += kills
        series.told = seen

    async def _post(self, draft: Draft, count: int) -> _Rule:
        path = f"/api/v1/namespaces/{quote(draft.namespace, safe='')}/events"
        return await self._send("POST", path, {**draft.body, "count": count}, None, draft.name)

    async def _patch(self, series: _Series, draft: Draft, count: int) -> _Rule:
        path = f"/api/v1/namespaces/{quote(draft.namespace, safe='')}/events/{quote(series.name or '', safe='')}"
        change = {
            "count": count,
            "lastTimestamp": draft.body["lastTimestamp"],
            "message": draft.body["message"],
            "metadata": {"annotations": {ANNOTATION: draft.body["metadata"]["annotations"][ANNOTATION]}},
        }
        return await self._send("PATCH", path, change, "application/strategic-merge-patch+json", draft.name)

    async def _send(self, method: str, path: str, body: dict[str, Any], content_type: str | None, name: str) -> _Rule:
        """Until there is an answer that settles it, or no time left."""
        end = self._clock() + self._give_up_seconds
        for wait in backoff():
            try:
                answer = await self._api.request(method, path, body=body, content_type=content_type)
                rule, words = fate(method, answer), answer.words
            except Unreachable as e:
                answer, rule, words = Answer(0), _Rule(Fate.RETRY, "no answer"), str(e)
            if rule.fate in (Fate.DELIVERED, Fate.ANEW):
                return rule
            if rule.fate is Fate.GIVE_UP:
                log.error("Event %s is given up: %s; the server said: %s", name, rule.reason, words)
                return rule
            wait = max(wait, answer.retry_after_seconds or 0.0)
            if self._clock() + wait > end:
                log.error("Event %s is given up after %.0f s of tries: %s", name, self._give_up_seconds, words)
                return _Rule(Fate.GIVE_UP, rule.reason)
            log.warning("Event %s: %s; next try in %.1f s", name, words, wait)
            await self._sleep(wait)
        raise AssertionError("backoff() ends never")
