"""Events to the API server. Flows in: what the journal's outbox holds. Flows out: requests, and to the journal what
became of each.

Rules: one request at a time for a series; others go on beside it, the oldest first. The first kill of a series is
posted as an Event; the next ones patch its count, message and time. Kills that come while a request is under way, or
while the budget is used up, are told together by the next patch. So a crash loop costs as many requests as the budget
has, not as many as there are kills, and every kill is counted. A patch sends the count itself, never a difference, and
a name is made of its kill: a request whose answer was lost can be sent again, by another process, too.

A request that fails is tried again later, and its series waits; while the server fails for everybody, everybody waits.
An Event that the server will not have is given up with its reason, and stops no other. What an answer means stands in
posting.py.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from oomeventer.cluster.api import Api
from oomeventer.cluster.posting import Outcome, Poster
from oomeventer.cluster.rate_limit import Budget, Budgets
from oomeventer.cluster.retry import Verdict, backoff
from oomeventer.journal import Journal, Plan, Waiting

log = logging.getLogger(__name__)

#: Requests under way at once. The API answers in milliseconds; more would only crowd it.
REQUESTS = 8
#: How long a stop waits for requests; what then still waits is the next process's.
DRAIN_SECONDS = 5.0
#: A server that asks to be left alone for longer (Retry-After) is asked again nevertheless.
ASKED_SECONDS = 600.0
#: A fault of this program in one series: it is looked at again so much later.
FAULT_SECONDS = 60.0


@dataclass(slots=True)
class _Series:
    """A series that has something to tell. not_before: when it may next be tried, by the clock."""

    waiting: Waiting
    more: Waiting | None = None  # came while a request was under way, which may not have seen it
    not_before: float = 0.0
    tries: int = 0  # that failed
    refusals: int = 0  # in a row, that may end by themselves
    since: float | None = None  # by the clock, when the first one failed
    busy: bool = False
    waits: Iterator[float] = field(default_factory=backoff)


@dataclass(frozen=True, slots=True)
class Limits:
    """What this node may ask of the server: of each object `object_burst` requests at once and then one every
    `object_seconds` (client-go's spam filter has 25 and 300 s); of all together `burst`, and then so many a second.
    give_up_seconds: how long one process tries an Event."""

    object_burst: int = 25
    object_seconds: float = 300.0
    burst: int = 50
    per_second: float = 5.0
    give_up_seconds: float = 86400.0


class Delivery:
    """Sends what the outbox holds. delivered: called with each Plan that the server accepts. clock, sleep: of tests."""

    def __init__(
        self,
        api: Api,
        journal: Journal,
        limits: Limits | None = None,
        delivered: Callable[[Plan], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    ) -> None:
        self._poster = Poster(api)
        self._journal = journal
        self._delivered = delivered
        self._clock = clock
        self._sleep = sleep
        self._limits = limits = limits or Limits()
        self._budget = Budget(limits.burst, 1 / limits.per_second)
        self._budgets = Budgets(limits.object_burst, limits.object_seconds)
        self._series: dict[str, _Series] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._stale = True  # the journal may hold more than we were told of
        self._pauses = backoff()
        self._paused_until = 0.0
        self.retries = 0
        #: Why the server does not take anything at present; None while it does, and until the first request.
        self.trouble: str | None = None
        self._trouble_since = 0.0

    @property
    def troubled_seconds(self) -> float:
        """For how long the server has taken nothing."""
        return self._clock() - self._trouble_since if self.trouble else 0.0

    @property
    def series(self) -> int:
        """Series that have something to tell."""
        return len(self._series)

    def add(self, waiting: Iterable[Waiting]) -> None:
        """Series that have something to tell, by the journal's word."""
        for one in waiting:
            if known := self._series.get(one.series):
                known.more = one
            else:
                self._series[one.series] = _Series(one)
        self._news.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send, until `stop` is set and what can be sent is sent."""
        self._journal.returned = self._look_again
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stopping.done():
                self._news.clear()
                if self._stale:
                    self._stale = False
                    self.add(await self._journal.waiting())
                soonest = self._start()
                await self._wait(soonest, stopping)
            async with asyncio.timeout(DRAIN_SECONDS):
                self._start()
                while self._sending:
                    await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
                    self._start()
        except TimeoutError:
            log.warning("stopped with requests under way")
        finally:
            stopping.cancel()
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    def _look_again(self) -> None:
        self._stale = True
        self._news.set()

    def _start(self) -> float | None:
        """Begin all requests that may be made now. Returns when the next one may be; None: when there is news."""
        soonest: float | None = None
        for series in sorted(self._series.values(), key=self._rank):
            if len(self._sending) >= REQUESTS:
                return None
            if self.trouble and self._sending:  # one request says whether the server is back
                return None
            if series.busy:
                continue
            now, about = self._clock(), series.waiting.object
            free = (series.not_before, self._paused_until, self._budgets.free_at(about, now), self._budget.free_at(now))
            if (due := max(free)) > now:
                soonest = due if soonest is None else min(soonest, due)
                continue
            self._budgets.take(about, now)
            self._budget.take(now)
            series.busy = True
            task = asyncio.create_task(self._tell(series))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return soonest

    def _rank(self, series: _Series) -> tuple[int, int]:
        """The oldest first; while requests fail, what was tried least, as it may be the series that fails."""
        return series.tries if self.trouble else 0, series.waiting.oldest

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._news.set()

    async def _wait(self, until: float | None, stopping: asyncio.Future[Any]) -> None:
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._news.wait())]
        if until is not None:
            waits.append(asyncio.ensure_future(self._sleep(max(0.0, until - self._clock()))))
        try:
            await asyncio.wait((*waits, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _tell(self, series: _Series) -> None:
        """One Event created or patched, with all that the series has to tell when it begins."""
        name = series.waiting.series
        series.more = None
        try:
            plan = await self._journal.plan(name)
            while plan is not None:
                outcome = await self._send(series, plan)
                if outcome.verdict is Verdict.RECREATE:
                    plan = await self._journal.plan(name, recreate=True)
                elif outcome.verdict is Verdict.COUNT_AHEAD:
                    log.warning("Event %s tells %d kills already, more than is known here", plan.name, outcome.told)
                    plan = await self._journal.plan(name, told=outcome.told)
                else:
                    break
            if plan is None:
                self._go_on(series, None)
            elif outcome.verdict is Verdict.RETRY and not self._is_over(series, outcome):
                self._try_later(series, plan, outcome)
            else:
                await self._settle(series, plan, outcome)
        except Exception:
            log.exception("series %.200s: a fault of this program", name)
            series.not_before = self._clock() + FAULT_SECONDS
        finally:
            series.busy = False

    def _is_over(self, series: _Series, outcome: Outcome) -> bool:
        """Whether it was tried for long enough, or refused often enough."""
        most = outcome.rule.refusals
        series.refusals = series.refusals + 1 if most else 0
        # Not by when the kill was seen: the machine's clock may have been wrong then, and been set since.
        if series.since is None:
            series.since = self._clock()
        is_old = self._clock() - series.since >= self._limits.give_up_seconds
        return is_old or (most is not None and series.refusals >= most)

    async def _settle(self, series: _Series, plan: Plan, outcome: Outcome) -> None:
        if outcome.verdict is Verdict.DELIVERED:
            more = await self._journal.settle(plan, "delivered", "")
            self._delivered(plan)
        else:
            log.error("Event %s is given up: %s; the server said: %s", plan.name, outcome.rule.reason, outcome.words)
            more = await self._journal.settle(plan, "given up", outcome.rule.reason)
        self._go_on(series, more)

    def _go_on(self, series: _Series, more: Waiting | None) -> None:
        """All that was planned is settled: is there more to tell?"""
        del self._series[series.waiting.series]
        if following := more or series.more:
            self.add((following,))

    def _try_later(self, series: _Series, plan: Plan, outcome: Outcome) -> None:
        self.retries += 1
        series.tries += 1
        now = self._clock()
        self._budgets.give_back(series.waiting.object)
        asked = min(outcome.retry_after_seconds, ASKED_SECONDS)
        wait = max(next(series.waits), asked)
        series.not_before = now + wait
        if now >= self._paused_until:  # and not for each of several that failed together
            self._paused_until = now + max(next(self._pauses), asked)
        if not self.trouble:
            self._trouble_since = now
            log.warning("Event %s: %s; next try in %.1f s", plan.name, outcome.words, wait)
        self.trouble = outcome.words

    async def _send(self, series: _Series, plan: Plan) -> Outcome:
        outcome = await self._poster.send(plan)
        if outcome.verdict is not Verdict.RETRY:
            for _ in range(1, outcome.requests):  # for the first one it was taken before
                self._budgets.take(series.waiting.object, self._clock())
                self._budget.take(self._clock())
            if self.trouble:
                log.info("the API server takes Events again")
            self.trouble, self._pauses, self._paused_until = None, backoff(), 0.0
        return outcome
