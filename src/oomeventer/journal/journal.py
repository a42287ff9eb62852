"""The journal: this node's outbox and history. In: incidents, and what became of their Events. Out: what is
to be done next, also after this process is gone. The tables are store.py's.

Rules: where the disk fails (full, damaged, not to be written, hanging), the journal goes on in memory, with what was
still to be done if the disk gives it; it says so once, and `trouble` tells readiness. From time to time it tries the
disk again and takes back there what it has. A caller can be cancelled at any moment.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from oomeventer.incident import Incident, PendingEvent, from_json
from oomeventer.journal.database import MEMORY, StoreError
from oomeventer.journal.disk import Disk
from oomeventer.journal.plans import Plan
from oomeventer.journal.store import State, Store, Totals, Waiting
from oomeventer.journal.transfer import export, merge, replace

log = logging.getLogger(__name__)

#: How often a disk that failed is tried again, and how often a journal is looked over for what is too old.
RETRY_SECONDS, TRIM_SECONDS = 15.0, 300.0
#: In memory it holds no more than that: some thousand incidents.
MEMORY_BYTES = 16 << 20
#: Writes after which the size is looked at.
_TRIM_WRITES = 50
#: Incidents that are taken from the store at once.
_BATCH = 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordedIncident:
    """An incident, by its id in the journal, that nobody was asked about yet."""

    id: int
    incident: Incident


class Journal:
    """Open it with `async with`. path: None for memory alone."""

    def __init__(self, path: Path | None, size_bytes: int = 64 << 20, age_seconds: float = 7 * 86400.0) -> None:
        self._size_bytes = size_bytes
        self._age_seconds = age_seconds
        self._disk = Disk(path, size_bytes, age_seconds) if path else None
        #: What stands in for the disk, and whether it began with all that was to be done there.
        self._memory: Store | None = None
        self._knew = False
        #: The disk's, when it was last asked.
        self._on_disk = Totals()
        self._turn = asyncio.Lock()
        self._retrying: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        self._trim_at = 0.0
        self._writes = 0
        self._news = asyncio.Event()
        self._is_stale = False
        self._resolved: asyncio.Queue[int | None] = asyncio.Queue()
        #: Called when the disk is back: then more may be waiting than was known.
        self.returned: Callable[[], None] = lambda: None
        #: Why it is kept in memory though a file was named; None while all is well.
        self.trouble: str | None = None
        #: How often the disk has failed.
        self.failures = 0
        #: What became of the Events, as of the last write; with a disk that is away, also what it then had.
        self.totals = Totals()

    async def __aenter__(self) -> "Journal":
        await self._do(Store.trim)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.trouble:
            self._retry_at = 0.0  # perhaps the disk is back
            await self._do(Store.totals)
        if self._retrying:
            self._retrying.cancel()
        if self._memory:
            if self._disk and (lost := self._memory.totals().waiting):
                log.error("stopped with %d Events that were kept in memory only, and are lost", lost)
            self._memory.close()
        if self._disk:
            await self._disk.close()

    # -- what goes in ------------------------------------------------------------------------------------------------

    async def record(self, incident: Incident) -> bool:
        """Write down an incident. False where it is known already: it was read from the ring once before."""
        new = await self._write(Store.record, incident.key, incident.as_json())
        self._news.set()
        return new

    async def resolve(self, recorded: RecordedIncident) -> None:
        """Write down what the runtime said. From here on the incident waits in the journal, however long."""
        await self._write(Store.rewrite, recorded.id, recorded.incident.as_json())
        self._resolved.put_nowait(recorded.id)

    async def describe(self, number: int, incident: Incident, events: list[PendingEvent]) -> list[Waiting]:
        """Write down what became known of an incident since, and the Events that tell it."""
        return await self._write(Store.describe, number, incident.as_json(), events)

    async def give_up(self, number: int, reason: str) -> None:
        """Write down that an incident gets no Event."""
        await self._write(Store.give_up, number, reason)

    async def plan(self, series: str, recreate: bool = False, told: int | None = None) -> Plan | None:
        """See Store.plan()."""
        return await self._write(Store.plan, series, recreate, told)

    async def settle(self, plan: Plan, state: State, reason: str) -> Waiting | None:
        """See Store.settle()."""
        return await self._write(Store.settle, plan, state, reason)

    async def note(self, name: str, value: str | None = None) -> str | None:
        """See Store.note()."""
        return await self._write(Store.note, name, value)

    # -- what comes out ----------------------------------------------------------------------------------------------

    async def waiting(self) -> list[Waiting]:
        """The series that have something to tell."""
        return await self._do(Store.waiting)

    async def recorded(self, stop: asyncio.Event) -> AsyncIterator[RecordedIncident]:
        """Incidents as they are begun, and first those that an earlier process left so; until `stop` is set and there
        is none."""
        last = 0
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                found = await self._do(Store.recorded, last, _BATCH)
                if self._is_stale:
                    self._is_stale, last = False, 0
                    continue
                for last, body in found:
                    if recorded := await self._read(last, body):
                        yield recorded
                if not found:
                    if stop.is_set():
                        return
                    await self._news.wait()
        finally:
            stopping.cancel()

    async def resolved(self, stop: asyncio.Event) -> AsyncIterator[RecordedIncident]:
        """Incidents that were given to resolve(), as they were then; until `stop` is set and there is none."""
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._resolved.put_nowait(None))
        try:
            while (number := await self._resolved.get()) is not None:
                body = await self._do(Store.read, number)
                if body and (recorded := await self._read(number, body)):
                    yield recorded
        finally:
            stopping.cancel()

    async def _read(self, number: int, body: str) -> RecordedIncident | None:
        try:
            return RecordedIncident(number, from_json(json.loads(body)))
        except (KeyError, TypeError, ValueError) as e:
            log.error("incident %d is of another version and not told: %s", number, e)
            await self.give_up(number, "written by another version")
            return None

    @property
    def kept(self) -> str:
        """Where it is kept, for people."""
        return "memory" if self._disk is None or self.trouble else str(self._disk.path)

    # -- disk and memory ---------------------------------------------------------------------------------------------

    async def _write(self, method: Callable[..., T], *arguments: Any) -> T:
        self._writes += 1
        result = await self._do(method, *arguments)
        if self._writes % _TRIM_WRITES == 0 or time.monotonic() > self._trim_at:
            self._trim_at = time.monotonic() + TRIM_SECONDS
            await self._do(Store.trim)
        return result

    async def _do(self, method: Callable[..., T], *arguments: Any) -> T:
        """Call a method of the store: the disk's, or, where that fails, the memory's."""
        async with self._turn:
            if self._disk and (not self.trouble or time.monotonic() >= self._retry_at):
                try:
                    await self._take_back(self._disk)
                    result, self._on_disk = await self._disk.call(_with_totals, method, *arguments)
                except StoreError as e:
                    self._fail(e)
                else:
                    self.totals = self._on_disk
                    if self.trouble:
                        self._return(self._disk)
                    return result
            if self._memory is None:
                self._memory = await self._stand_in()
            result, totals = _with_totals(self._memory, method, *arguments)
            self.totals = totals if self._knew else self._on_disk + totals
            return result

    async def _stand_in(self) -> Store:
        """A store in memory, with what is still to be done, if the disk still gives it."""
        memory = Store(MEMORY, min(self._size_bytes, MEMORY_BYTES), self._age_seconds)
        knew = False
        if self._disk:
            try:
                replace(memory, await self._disk.rescue(MEMORY_BYTES // 2))
                knew = True
            except StoreError as e:
                log.warning("what waits in the journal's file waits there until it can be had: %s", e)
        self._knew = knew
        return memory

    async def _take_back(self, disk: Disk) -> None:
        """What memory has goes to disk: in a call of its own, since one that is late is made again. Where there is no
        room for all, only what is still to be done."""
        if self._memory is None:
            return
        put = replace if self._knew else merge
        try:
            await disk.call(put, export(self._memory, whole=True))
        except StoreError:
            await disk.call(put, export(self._memory, whole=False))
            log.error("journal %s could not take what was told meanwhile: it is not in the history", disk.path)
        self._memory.close()
        self._memory = None

    def _return(self, disk: Disk) -> None:
        """The disk is back, and has what memory had; it may also hold what an earlier process left."""
        log.warning("journal %s is written again", disk.path)
        self.trouble = None
        self._is_stale = True
        self._news.set()
        self.returned()

    def _fail(self, error: StoreError) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._until_well())
        self.failures += 1
        if not self.trouble:
            log.error("%s: going on in memory", error)
        self.trouble = str(error)

    async def _until_well(self) -> None:
        """Try the disk again from time to time, also while nothing is to be written."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            await self._do(Store.totals)
            if not self.trouble:
                return


def _with_totals(store: Store, method: Callable[..., T], *arguments: Any) -> tuple[T, Totals]:
    return method(store, *arguments), store.totals()
