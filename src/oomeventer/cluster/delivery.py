"""Events to the API server. In: what the journal's outbox holds. Out: requests, and to the journal what became of each.

Rules: the first kill of a series is posted as an Event; the next ones patch its count, message and time. Kills that
come while a request is under way, or while the budget is used up, are merged into the next patch. So a crash loop costs
as many requests as the budget has, not as many as there are kills, and every kill is counted. A patch sends the count
itself, never a difference, and a name is made of its kill: a request whose answer was lost can be sent again, by
another process, too.

A request that fails is retried, and its series waits. An Event that the server will not have is given up with its
reason, and stops no other. Which series is next stands in schedule.py, what an answer means in retry.py.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from oomeventer.cluster.api import Api
from oomeventer.cluster.posting import Outcome, Poster
from oomeventer.cluster.retry import Verdict
from oomeventer.cluster.schedule import Limits, Schedule, Series
from oomeventer.journal import Journal, Plan, Waiting

log = logging.getLogger(__name__)

#: Requests under way at once. The API answers in milliseconds; more would only crowd it.
REQUESTS = 8
#: How long a stop waits for requests; what then still waits is the next process's.
DRAIN_SECONDS = 5.0
#: A fault of this program in one series: it is looked at again so much later.
FAULT_SECONDS = 60.0


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
        self._schedule = Schedule(limits)
        self._sending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._stale = True  # the outbox may hold more than was added here
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
        """Series that have Events pending."""
        return len(self._schedule)

    def add(self, waiting: Iterable[Waiting]) -> None:
        """Series that have Events pending in the outbox."""
        self._schedule.add(waiting)
        self._news.set()

    def is_free(self, about: str) -> bool:
        """Whether a request about that object would be made at once."""
        has_room = not (self._stale or self.trouble) and len(self._sending) < REQUESTS
        return has_room and self._schedule.is_free(about, self._clock())

    async def run(self, stop: asyncio.Event) -> None:
        """Send, until `stop` is set and what can be sent is sent."""
        self._journal.returned = self._look_again
        self._schedule.restore(await self._journal.spent(), self._clock())
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._news.set())
        try:
            while not stopping.done():
                self._news.clear()
                if self._stale:
                    self._stale = False
                    self.add(await self._journal.waiting())
                soonest = self._start()
                await self._wait(soonest)
            async with asyncio.timeout(DRAIN_SECONDS):
                self._start()
                while self._sending:
                    await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
                    self._start()
        except TimeoutError:
            log.warning("stopped with requests under way; the next agent sends them again")
        finally:
            stopping.cancel()
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    def _look_again(self) -> None:
        self._stale = True
        self._news.set()

    def _start(self) -> float | None:
        """Begin all requests that may be made now. Returns when the next one may be; None: not before there is news."""
        room = REQUESTS - len(self._sending)
        if self.trouble:  # one request finds out whether the server is back
            room = 0 if self._sending else 1
        series, soonest = self._schedule.take(room, self._clock(), is_failing=bool(self.trouble))
        for one in series:
            task = asyncio.create_task(self._deliver(one))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return soonest

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._news.set()

    async def _wait(self, until: float | None) -> None:
        """For news, until then."""
        if until is None:
            await self._news.wait()
            return
        waits = [
            asyncio.ensure_future(one) for one in (self._news.wait(), self._sleep(max(0.0, until - self._clock())))
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # -- one series ----------------------------------------------------------------------------------------------------

    async def _deliver(self, series: Series) -> None:
        """One Event created or patched, with all that the series has pending when this begins."""
        name = series.waiting.series
        series.more = None
        try:
            plan = series.take_plan()
            if plan is None:
                plan = await self._journal.plan(name, spent=self._schedule.spent(series, self._clock()))
            while plan is not None:
                outcome = await self._send(series, plan)
                if outcome.verdict is Verdict.RECREATE:
                    plan = await self._journal.plan(name, recreate=True)
                elif outcome.verdict is Verdict.RECOUNT:
                    log.warning("Event %s counts %d kills already, more than the journal", plan.name, outcome.counted)
                    plan = await self._journal.plan(name, counted=outcome.counted)
                else:
                    break
            if plan is None:
                self._go_on(series, None)
            elif outcome.verdict is Verdict.RETRY and not self._is_over(series, outcome):
                self._retry(series, plan, outcome)
            else:
                await self._settle(series, plan, outcome)
        except Exception:
            log.exception("series %.200s: a fault of this program", name)
            series.not_before = self._clock() + FAULT_SECONDS
        finally:
            series.busy = False

    async def _send(self, series: Series, plan: Plan) -> Outcome:
        outcome = await self._poster.send(plan)
        if outcome.verdict is not Verdict.RETRY:
            self._schedule.charge(series, self._clock(), outcome.requests - 1)  # the first one was charged before
            if self.trouble:
                log.info("the API server is back: it takes Events again")
            self.trouble = None
            self._schedule.resume()
        return outcome

    def _is_over(self, series: Series, outcome: Outcome) -> bool:
        """Whether it was tried for long enough, or refused often enough."""
        most = outcome.rule.refusals
        series.refusals = series.refusals + 1 if most else 0
        # Not by when the kill was seen: the machine's clock may have been wrong then, and been set since.
        if series.failing_since is None:
            series.failing_since = self._clock()
        is_old = self._clock() - series.failing_since >= self._limits.give_up_seconds
        return is_old or (most is not None and series.refusals >= most)

    def _retry(self, series: Series, plan: Plan, outcome: Outcome) -> None:
        self.retries += 1
        now = self._clock()
        wait = self._schedule.retry(series, now, outcome.retry_after_seconds)
        if not self.trouble:
            self._trouble_since = now
            log.warning("Event %s was not delivered: %s; next retry in %.1f s", plan.name, outcome.words, wait)
        self.trouble = outcome.words

    async def _settle(self, series: Series, plan: Plan, outcome: Outcome) -> None:
        if outcome.verdict is Verdict.DELIVERED:
            more = await self._journal.settle(plan, "delivered", "")
            log.info("Event %s is delivered, count %d", plan.name, plan.count)
            self._delivered(plan)
        else:
            reason = outcome.rule.reason
            log.error("Event %s is dropped: %s; the last answer: %s", plan.name, reason, outcome.words)
            more = await self._journal.settle(plan, "given up", reason)
        self._go_on(series, more)

    def _go_on(self, series: Series, more: Waiting | None) -> None:
        """All that was planned is settled: is more pending?"""
        self._schedule.remove(series)
        if following := more or series.more:
            self.add((following,))
