"""Disk or memory: which of them has the journal now. In: functions of the tables. Out: their results, and the trouble.

Rules: where the disk fails (full, damaged, not to be written, hanging), memory stands in for it, with what was still to
be done if the disk gives it. It is logged once, and `trouble` is for readiness. From time to time the disk is tried
again and takes back what memory has. What waits meanwhile is done together (together.py). A caller can be cancelled at
any moment.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from oomeventer.journal import totals
from oomeventer.journal.database import MEMORY, Database, StoreError
from oomeventer.journal.disk import Disk
from oomeventer.journal.together import Call, Together, in_one_transaction
from oomeventer.journal.totals import Totals
from oomeventer.journal.transfer import export, merge, replace

log = logging.getLogger(__name__)

#: How often a disk that failed is tried again.
RETRY_SECONDS = 15.0
#: In memory it holds no more than that: some thousand incidents.
MEMORY_BYTES = 16 << 20

T = TypeVar("T")


class Failover:
    """path: None for memory alone. returned: called when the disk is back, which may also hold what an earlier process
    left."""

    def __init__(
        self, path: Path | None, size_bytes: int, age_seconds: float, returned: Callable[[], None] = lambda: None
    ) -> None:
        self._size_bytes = size_bytes
        self._age_seconds = age_seconds
        self._returned = returned
        self._disk = Disk(path, size_bytes, age_seconds) if path else None
        #: What stands in for the disk, and whether it began with all that was to be done there.
        self.memory: Database | None = None
        self._knew = False
        #: The disk's totals, when it last answered.
        self._on_disk = Totals()
        self._calls = Together(self._carry_out)
        self._retrying: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        #: Why it is memory though a file was named; None while all is well.
        self.trouble: str | None = None
        #: How often the disk has failed.
        self.failures = 0
        #: What became of the Events, as of the last call; while the disk does not answer, with what it then had.
        self.totals = Totals()

    @property
    def kept(self) -> str:
        """Where the journal is kept, for people."""
        return "memory" if self._disk is None or self.trouble else str(self._disk.path)

    @property
    def is_busy(self) -> bool:
        """Whether anything is read or written."""
        return self._calls.is_busy

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """function(database, *arguments): the disk's, or, where that fails, the memory's."""
        return await self._calls.call(function, *arguments)

    async def _carry_out(self, calls: Sequence[Call]) -> None:
        if self._disk and not self.trouble and len(calls) > 1:
            try:
                results, self._on_disk = await self._disk.call(_with_totals, in_one_transaction, calls)
            except StoreError as e:  # the disk, or one of them: each by itself shows which
                log.debug("%d calls of the journal are made one by one: %s", len(calls), e)
                if e.damaged:  # another call would begin a new file: what this one still gives is taken before
                    self._fail(e)
            else:
                self.totals = self._on_disk
                for call, result in zip(calls, results, strict=True):
                    call.give(result)
                return
        for call in calls:
            if not call.result.done():
                try:
                    call.give(await self._call(call.function, *call.arguments))
                except Exception as e:
                    call.fail(e)

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._disk and (not self.trouble or time.monotonic() >= self._retry_at):
            try:
                await self._take_back(self._disk)
                result, self._on_disk = await self._disk.call(_with_totals, function, *arguments)
            except StoreError as e:
                self._fail(e)
            else:
                self.totals = self._on_disk
                if self.trouble:
                    log.warning("journal %s is written again", self._disk.path)
                    self.trouble = None
                    self._returned()
                return result
        if self.memory is None:
            self.memory = await self._stand_in()
        result, in_memory = _with_totals(self.memory, function, *arguments)
        self.totals = in_memory if self._knew else self._on_disk + in_memory
        return result

    async def close(self) -> None:
        """The disk is tried once more if it is not the journal now; what then is in memory alone is lost and logged."""
        if self.trouble:
            self._retry_at = 0.0
            await self.call(totals.read)
        if self._retrying:
            self._retrying.cancel()
        await self._calls.ended()
        if self.memory:
            if self._disk and (lost := totals.read(self.memory).waiting):
                log.error("stopped with %d Events that were kept in memory only, and are lost", lost)
            self.memory.close()
        if self._disk:
            await self._disk.close()

    async def _stand_in(self) -> Database:
        """One in memory, with what is still to be done, if the disk still gives it."""
        memory = Database(MEMORY, min(self._size_bytes, MEMORY_BYTES), self._age_seconds)
        knew = False
        if self._disk:
            try:
                replace(memory, await self._disk.rescue(MEMORY_BYTES // 2))
                knew = True
            except StoreError as e:
                log.warning("what waits in the journal's file waits there until it can be read: %s", e)
        self._knew = knew
        return memory

    async def _take_back(self, disk: Disk) -> None:
        """What memory has goes to disk: in a call of its own, since one that is late is made again. Where there is no
        room for all, only what is still to be done."""
        if self.memory is None:
            return
        put = replace if self._knew else merge
        try:
            await disk.call(put, export(self.memory, whole=True))
        except StoreError:
            await disk.call(put, export(self.memory, whole=False))
            log.error("journal %s has no room for what was settled since: it is not in the history", disk.path)
        self.memory.close()
        self.memory = None

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
            await self.call(totals.read)
            if not self.trouble:
                return


def _with_totals(database: Database, function: Callable[..., T], *arguments: Any) -> tuple[T, Totals]:
    return function(database, *arguments), totals.read(database)
