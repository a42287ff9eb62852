"""The journal: this node's outbox and history. Flows in: incidents, and what became of their Events. Flows out: what is
to be done next, also after this process is gone. The tables are store.py's.

Rules: the disk is asked in a thread of its own, with a deadline. Where it fails (full, damaged, not to be written,
hanging), the journal goes on in memory with all that was still to be done, says so once, and `trouble` tells readiness.
From time to time it tries the disk again and takes back there what it has. A file that is damaged is moved aside.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from oomeventer.database import MEMORY, StoreError
from oomeventer.events import Draft
from oomeventer.incident import Incident, from_json
from oomeventer.store import Plan, State, Store, Totals, Waiting
from oomeventer.transfer import Held, export, take_over

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 5.0
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
class Begun:
    """An incident, by its id in the journal, that nobody was asked about yet."""

    id: int
    incident: Incident


class Journal:
    """Open it with `async with`. path: None for memory alone."""

    def __init__(self, path: Path | None, size_bytes: int = 64 << 20, age_seconds: float = 7 * 86400.0) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._age_seconds = age_seconds
        self._memory: Store | None = None
        self._disk: Store | None = None
        self._knew = True
        self._damaged = False
        self._retrying: asyncio.Task[None] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._running: Future[Any] | None = None
        self._turn = asyncio.Lock()
        self._retry_at = 0.0
        self._trim_at = 0.0
        self._writes = 0
        self._news = asyncio.Event()
        self._is_stale = False
        #: Called when the disk is back: then more may be waiting than was known.
        self.returned: Callable[[], None] = lambda: None
        #: Why it is kept in memory though a file was named; None while all is well.
        self.trouble: str | None = None
        #: How often the disk has failed.
        self.failures = 0
        #: What became of the Events, as of the last write.
        self.totals = Totals()

    async def __aenter__(self) -> "Journal":
        if self._path is None:
            self._memory = self._new_memory()
        await self._do(Store.trim)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._retrying:
            self._retrying.cancel()
        if self.trouble and self.totals.waiting:
            self._retry_at = 0.0  # perhaps the disk is back
            await self._do(Store.totals)
        if self.trouble and self.totals.waiting:
            log.error("stopped with %d Events that were kept in memory only, and are lost", self.totals.waiting)
        hangs = self._running is not None and not self._running.done()
        if not hangs:
            for store in (self._disk, self._memory):
                if store:
                    with contextlib.suppress(StoreError):
                        store.close()
        self._executor.shutdown(wait=not hangs, cancel_futures=True)

    # -- what goes in ------------------------------------------------------------------------------------------------

    async def begin(self, incident: Incident) -> bool:
        """Write down an incident. False where it is known already: it was read from the ring once before."""
        new = await self._write(Store.begin, incident.key, incident.as_json())
        self._news.set()
        return new

    async def describe(self, begun: int, incident: Incident, drafts: list[Draft]) -> list[Waiting]:
        """Write down what became known of an incident since, and the Events that tell it."""
        return await self._write(Store.describe, begun, incident.as_json(), drafts)

    async def give_up(self, begun: int, reason: str) -> None:
        """Write down that an incident gets no Event."""
        await self._write(Store.give_up, begun, reason)

    async def plan(self, series: str, anew: bool = False) -> Plan | None:
        """See Store.plan()."""
        return await self._write(Store.plan, series, anew)

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

    async def begun(self, stop: asyncio.Event) -> AsyncIterator[Begun]:
        """Incidents as they are begun, and first those that an earlier process left so; until `stop` is set and there
        is none."""
        last = 0
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                found = await self._do(Store.begun, last, _BATCH)
                if self._is_stale:
                    self._is_stale, last = False, 0
                    continue
                for last, body in found:
                    try:
                        yield Begun(last, from_json(json.loads(body)))
                    except (KeyError, TypeError, ValueError) as e:
                        log.error("incident %d is of another version and not told: %s", last, e)
                        await self.give_up(last, "written by another version")
                if not found:
                    if stop.is_set():
                        return
                    await self._news.wait()
        finally:
            stopping.cancel()

    @property
    def kept(self) -> str:
        """Where it is kept, for people."""
        return "memory" if self._path is None or self.trouble else str(self._path)

    # -- the disk ----------------------------------------------------------------------------------------------------

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
            if self._path and (not self.trouble or time.monotonic() >= self._retry_at):
                try:
                    await self._take_back()
                    done: tuple[T, Totals] = await self._in_thread(self._on_disk, method, *arguments)
                    self.totals = done[1]
                    if self.trouble:
                        self._return()
                    return done[0]
                except StoreError as e:
                    self._fail(e)
                except TimeoutError:
                    self._fail(StoreError(f"{self._path}: the disk did not answer within {DEADLINE_SECONDS:.0f} s"))
            if self._memory is None:
                self._memory = self._new_memory()
                self._knew = await self._saved()
            if self._damaged and self._disk and self._running and self._running.done():
                self._disk.close()
                self._disk = None
            return self._in_memory(method, *arguments)

    async def _in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        if self._running and not self._running.done():  # it still hangs
            raise TimeoutError
        self._running = self._executor.submit(call, *arguments)
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await asyncio.shield(asyncio.wrap_future(self._running))

    def _on_disk(self, method: Callable[..., T], *arguments: Any) -> tuple[T, Totals]:
        """In the thread. It may end long after its deadline, and so changes nothing here but the disk."""
        if self._disk is None:
            self._disk = self._open()
        return method(self._disk, *arguments), self._disk.totals()

    async def _take_back(self) -> None:
        """What memory has goes to disk: in a call of its own, as one that ends too late is made again. Where there is
        little room, only what is still to be done."""
        if self._memory is None:
            return
        whole, outbox = export(self._memory, True), export(self._memory, False)

        def take(disk: Store, held: Held) -> None:
            take_over(disk, held, self._knew)

        try:
            await self._in_thread(self._on_disk, take, whole)
        except StoreError:
            await self._in_thread(self._on_disk, take, outbox)
            log.error("journal %s has no room for what was told meanwhile: it is not in the history", self._path)
        self._memory.close()
        self._memory = None

    def _in_memory(self, method: Callable[..., T], *arguments: Any) -> T:
        assert self._memory
        result = method(self._memory, *arguments)
        self.totals = self._memory.totals()
        return result

    def _open(self) -> Store:
        assert self._path
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._damaged:
                self._move_aside(self.trouble)
                self._damaged = False
            try:
                return Store(str(self._path), self._size_bytes, self._age_seconds)
            except StoreError as e:
                if not e.damaged:
                    raise
                self._move_aside(e)
            return Store(str(self._path), self._size_bytes, self._age_seconds)
        except (OSError, sqlite3.Error) as e:
            raise StoreError(f"journal {self._path}: {e}") from e

    def _move_aside(self, why: object) -> None:
        assert self._path
        aside = self._path.with_name(f"{self._path.name}.damaged")
        log.error("journal %s cannot be used and is moved to %s: %s", self._path, aside, why)
        try:
            self._path.replace(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError as e:
            raise StoreError(f"journal {self._path} cannot be moved aside: {e.strerror}") from e

    def _new_memory(self) -> Store:
        return Store(MEMORY, min(self._size_bytes, MEMORY_BYTES), self._age_seconds)

    async def _saved(self) -> bool:
        """Bring into memory what is still to be done, if the disk still gives it. False where it does not."""
        disk, memory = self._disk, self._memory
        if disk is None or memory is None:
            return False
        try:
            take_over(memory, await self._in_thread(export, disk, False), True)
        except (StoreError, TimeoutError) as e:
            log.error("what the journal held and was not sent cannot be read: %s", e or "it hangs")
            return False
        return True

    def _return(self) -> None:
        """The disk is back, and has what memory had; it may also hold what an earlier process left."""
        log.warning("journal %s is written again", self._path)
        self.trouble = None
        self._is_stale = True
        self._news.set()
        self.returned()

    async def _until_well(self) -> None:
        """Try the disk again from time to time, also while nothing is to be written."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            await self._do(Store.totals)
            if not self.trouble:
                return

    def _fail(self, error: StoreError) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._until_well())
        self.failures += 1
        if not self.trouble:
            log.error("%s: going on in memory", error)
        self.trouble = str(error)
        self._damaged |= error.damaged
