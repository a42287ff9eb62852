"""Stages, one after another, with queues between. In: an async iterator. Out: calls of the stages.

Each stage is a coroutine function with some workers; before each lies a bounded queue. A full queue makes the stage
before it wait, and at last the source: the kernel's ring then holds what comes, and counts what it cannot hold. So a
slow part costs memory up to the bounds, and nothing is dropped here.

Rules: a stage takes one item and returns the next stage's, or None where the pipeline ends. It handles what it expects
to fail; what it does not expect ends the item, with a log, its count in `broken` and a call of `abandon`, and never the
agent. When the source ends, or is cancelled by `stop`, what is under way is finished within the deadline.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

log = logging.getLogger(__name__)

#: Items that wait before a stage. An incident has a few KiB, and up to 100 where a tenant wants it so.
QUEUE = 32
#: How often a worker that is to end is cancelled.
CANCEL_SECONDS = 0.1
#: How long the source has to end by itself once `stop` is set; it may have items left.
SOURCE_SECONDS = 1.0


class Stage(Struct, frozen=True):
    """workers: how many items are in work at once; only a stage with one keeps their order."""

    name: str
    work: Callable[[Any], Awaitable[Any]]
    workers: int = 1


async def _forget(_item: Any) -> None:
    pass


async def _cancelled(workers: Sequence[asyncio.Task[None]]) -> None:
    """All of them have ended. One cancellation can be lost: a request of aiohttp's whose timeout is due in the same
    turn of the loop ends as timed out, and the worker goes on."""
    while pending := [worker for worker in workers if not worker.done()]:
        for worker in pending:
            worker.cancel()
        await asyncio.wait(pending, timeout=CANCEL_SECONDS)


class Pipeline:
    """The stages and their queues. drain_seconds: how long a stop waits for what is under way. abandon: called with an
    item that a fault of this program has ended. timed: called with a stage's name and the seconds that an item took."""

    def __init__(
        self,
        stages: Sequence[Stage],
        drain_seconds: float = 10.0,
        abandon: Callable[[Any], Awaitable[None]] = _forget,
        timed: Callable[[str, float], None] = lambda _stage, _seconds: None,
    ) -> None:
        self._stages = tuple(stages)
        self._queues: list[asyncio.Queue[Any]] = [asyncio.Queue(QUEUE) for _ in stages]
        self._drain_seconds = drain_seconds
        self._abandon = abandon
        self._timed = timed
        self._unqueued: list[Any] = []
        self.broken = 0

    @property
    def queued(self) -> dict[str, int]:
        """How many items wait before each stage."""
        return {stage.name: queue.qsize() for stage, queue in zip(self._stages, self._queues, strict=True)}

    async def run(self, source: AsyncIterator[Any], stop: asyncio.Event) -> None:
        """Until the source ends or `stop` is set. What the source raises is raised, once the stages are done."""
        reading = asyncio.ensure_future(self._read(source))
        async with asyncio.TaskGroup() as group:
            workers = [
                group.create_task(self._work(index), name=f"{stage.name}-{worker}")
                for index, stage in enumerate(self._stages)
                for worker in range(stage.workers)
            ]
            stopping = group.create_task(stop.wait(), name="stop")
            try:
                await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait((reading,), timeout=SOURCE_SECONDS)
            finally:
                ended = reading.done()
                reading.cancel()
                stopping.cancel()
            await self._drain()
            await _cancelled(workers)
        if ended:
            reading.result()

    async def _read(self, source: AsyncIterator[Any]) -> None:
        async for item in source:
            self._unqueued = [item]  # a stop can come before there is room for it
            await self._queues[0].put(item)
            self._unqueued = []

    async def _work(self, index: int) -> None:
        stage, queue = self._stages[index], self._queues[index]
        following = self._queues[index + 1] if index + 1 < len(self._queues) else None
        while True:
            item = await queue.get()
            started = time.monotonic()
            try:
                result = await stage.work(item)
                self._timed(stage.name, time.monotonic() - started)
                if result is not None and following is not None:
                    await following.put(result)
            except Exception:
                self.broken += 1
                log.exception("a kill is dropped in stage %s, by a fault of this program: %.500r", stage.name, item)
                await self._abandon(item)
            finally:
                queue.task_done()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._drain_seconds):
                for item in self._unqueued:
                    await self._queues[0].put(item)
                for queue in self._queues:
                    await queue.join()
        except TimeoutError:
            log.warning("stopped with kills under way, waiting in queues: %s", self.queued)
