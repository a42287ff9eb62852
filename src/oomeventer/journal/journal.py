"""The journal: this node's outbox and history. In: incidents, and what became of their Events. Out: what is to be done
next, also by the next process.

What was just written is handed on as it is, while few wait (handed.py); else it is read again when its turn comes.

Rules: what is written is committed when the call returns. On disk or in memory: see failover.py. The tables: see
incidents.py, outbox.py, retention.py. A caller can be cancelled at any moment.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from oomeventer.incident import ROW_BYTES, Incident, IncidentError, fitted, restored
from oomeventer.journal import budgets, database, incidents, outbox, retention
from oomeventer.journal.budgets import Spent
from oomeventer.journal.failover import Failover
from oomeventer.journal.handed import MOST, Handed, RecordedIncident
from oomeventer.journal.incidents import Compose, Described
from oomeventer.journal.outbox import State, Waiting
from oomeventer.journal.plans import Plan
from oomeventer.journal.totals import Totals

log = logging.getLogger(__name__)

#: How often it is looked over for what is too old, in seconds, if it is written; and whether it has room, in writes.
TRIM_SECONDS, _FIT_WRITES = 300.0, 50
#: Incidents are read at once that have so many bytes of JSON together, or one.
BATCH_BYTES = 256 << 10
#: So many processes may take up an incident and end before they are through with it. It may be what ends them.
PROCESSES = 5
#: One that a process had in work when it ended is in work alone: the next waits for it so long.
ALONE_SECONDS = 5.0
UNFINISHED = "not finished by several processes"

T = TypeVar("T")


class Journal:
    """Open it with `async with`. path: None for memory alone."""

    def __init__(self, path: Path | None, size_bytes: int = 64 << 20, age_seconds: float = 7 * 86400.0) -> None:
        self._store = Failover(path, size_bytes, age_seconds, self._look_again)
        self._trim_at = 0.0
        self._writes = 0
        self._tidying: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._is_stale = False
        self._recorded = Handed()
        self._resolved: asyncio.Queue[int | RecordedIncident | None] = asyncio.Queue()
        #: Ids are microseconds of UNIX time: what is older, an earlier process has left.
        self._began = time.time_ns() // 1000
        self._left: dict[int, asyncio.Event] = {}
        #: Called when the disk is back: then more may be waiting than was known.
        self.returned: Callable[[], None] = lambda: None
        #: Called when it was looked over.
        self.trimmed: Callable[[], None] = lambda: None

    async def __aenter__(self) -> "Journal":
        await self._trim()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._tidying:
            await asyncio.wait((self._tidying,))
        await self._store.close()

    @property
    def kept(self) -> str:
        """Where it is kept, for people."""
        return self._store.kept

    @property
    def trouble(self) -> str | None:
        """Why it is kept in memory though a file was named; None while all is well."""
        return self._store.trouble

    @property
    def failures(self) -> int:
        """How often the disk has failed."""
        return self._store.failures

    @property
    def totals(self) -> Totals:
        """What became of the Events, as of the last call; while the disk does not answer, with what it then had."""
        return self._store.totals

    # -- what goes in ------------------------------------------------------------------------------------------------

    async def record(self, incident: Incident) -> bool:
        """Write down an incident: they go on in the order of their ids, which is that of the calls. False where it is
        known already: it was read from the ring once before."""
        text = fitted(incident, ROW_BYTES)
        number = await self._store.call(incidents.record, incident.key, text)
        if number is not None:  # at once: what is handed on behind a later one is passed over
            self._recorded.add(RecordedIncident(number, incident, len(text)))
        self._news.set()
        self._written()
        return number is not None

    async def resolve(self, recorded: RecordedIncident, waits: bool = False) -> None:
        """The runtime has answered: the incident goes on to resolved(). It is written down where it waits, and where it
        does not go on from memory."""
        if waits or not self._is_handed(recorded):
            await self.rewrite(recorded)
        self._resolved.put_nowait(recorded if self._is_handed(recorded) else recorded.id)

    async def rewrite(self, recorded: RecordedIncident) -> None:
        """Write down what became known of an incident that waits, perhaps for long."""
        await self._write(incidents.rewrite, recorded.id, fitted(recorded.incident, ROW_BYTES))

    async def describe(
        self, number: int, incident: Incident, compose: Compose, plans_at_once: bool = False
    ) -> Described:
        """See incidents.describe(). Raises what compose() raises."""
        described = await self._write(incidents.describe, number, incident, compose, plans_at_once)
        if described.fault:
            raise described.fault
        self._finished(number)
        return described

    async def give_up(self, number: int, reason: str) -> None:
        """Write down that an incident gets no Event."""
        await self._write(incidents.give_up, number, reason)
        self._finished(number)

    async def survive(self, number: int) -> None:
        """Write down that an incident which an earlier process has left has not ended this one: it waits."""
        if number in self._left:
            await self._write(incidents.survive, number)
            self._finished(number)

    async def plan(
        self, series: str, recreate: bool = False, counted: int | None = None, spent: Spent | None = None
    ) -> Plan | None:
        """See outbox.plan()."""
        return await self._write(outbox.plan, series, recreate, counted, spent)

    async def settle(self, plan: Plan, state: State, reason: str) -> Waiting | None:
        """See outbox.settle()."""
        return await self._write(outbox.settle, plan, state, reason)

    async def note(self, name: str, value: str | None = None) -> str | None:
        """See database.note()."""
        return await self._write(database.note, name, value)

    # -- what comes out ----------------------------------------------------------------------------------------------

    async def waiting(self) -> list[Waiting]:
        """The series with Events that wait."""
        return await self._store.call(outbox.waiting)

    async def spent(self) -> list[Spent]:
        """See budgets.read()."""
        return await self._store.call(budgets.read)

    async def recorded(self, stop: asyncio.Event) -> AsyncIterator[RecordedIncident]:
        """Incidents as they are recorded, and first those that an earlier process left so; until `stop` is set and
        there is none."""
        last = 0
        self._recorded.lose()
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                if self._is_stale:
                    self._is_stale, last = False, 0
                    self._recorded.lose()
                if handed := self._recorded.take(last):
                    last = handed.id
                    yield handed
                elif self._recorded.is_behind:
                    self._recorded.is_behind = False  # what is recorded from here on is handed on, or seen below
                    found = await self._store.call(incidents.recorded, last, BATCH_BYTES)
                    for last, body in found if not self._is_stale else ():
                        self._recorded.lose()
                        if not await self._may_take_up(last):
                            continue
                        if recorded := await self._read(last, body):
                            yield recorded
                        await self._alone(last, stopping)
                elif stop.is_set():
                    return
                else:
                    await self._news.wait()
        finally:
            stopping.cancel()

    async def resolved(self, stop: asyncio.Event) -> AsyncIterator[RecordedIncident]:
        """Incidents that were given to resolve(), as they were then; until `stop` is set and there is none."""
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._resolved.put_nowait(None))
        try:
            while (found := await self._resolved.get()) is not None:
                if isinstance(found, RecordedIncident):
                    yield found
                elif (body := await self._store.call(incidents.read, found)) and (
                    recorded := await self._read(found, body)
                ):
                    yield recorded
        finally:
            stopping.cancel()

    def _is_handed(self, recorded: RecordedIncident) -> bool:
        return self._resolved.qsize() < MOST and recorded.is_small

    async def _may_take_up(self, number: int) -> bool:
        """Whether this process may take up an incident that an earlier one has left, or gives it up."""
        if number >= self._began or number in self._left:  # given again since the disk is back: it counts once
            return True
        before = await self._write(incidents.take_up, number) - 1
        if before >= PROCESSES:
            log.error("incident %d is dropped: %d processes have ended while they had it in work", number, before)
            await self.give_up(number, UNFINISHED)
            return False
        self._left[number] = asyncio.Event()
        if before == 0:
            self._left[number].set()
        return True

    async def _alone(self, number: int, stopping: asyncio.Future[Any]) -> None:
        """An incident with which a process ended is in work alone: if it ends this one, too, no other is to blame."""
        if (left := self._left.get(number)) and not left.is_set():
            finished = asyncio.ensure_future(left.wait())
            await asyncio.wait((finished, stopping), timeout=ALONE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            finished.cancel()

    def _finished(self, number: int) -> None:
        if left := self._left.pop(number, None):
            left.set()

    async def _read(self, number: int, body: str) -> RecordedIncident | None:
        try:
            return RecordedIncident(number, restored(body), len(body))
        except IncidentError as e:
            log.error("incident %d is dropped: it cannot be read: %s", number, e)
            await self.give_up(number, "written by another version")
            return None

    async def _write(self, function: Callable[..., T], *arguments: Any) -> T:
        result = await self._store.call(function, *arguments)
        self._written()
        return result

    def _written(self) -> None:
        """From time to time it is looked over, for which the writer does not wait: it would fall behind others."""
        self._writes += 1
        if self._tidying and not self._tidying.done():
            return
        if time.monotonic() > self._trim_at:
            self._tidying = asyncio.create_task(self._trim())
        elif self._writes % _FIT_WRITES == 0:
            self._tidying = asyncio.create_task(self._fit())

    async def _fit(self) -> None:
        await self._store.call(retention.fit)

    async def _trim(self) -> None:
        self._trim_at = time.monotonic() + TRIM_SECONDS
        await self._store.call(retention.trim)
        self.trimmed()

    def _look_again(self) -> None:
        """The disk is back, and may hold incidents that an earlier process left."""
        self._is_stale = True
        self._news.set()
        self.returned()
