"""The kernel's side of the agent: attaches the BPF object, or goes on with what an earlier agent left attached, and
reads episodes from its ring.

In: kills on this machine; which episodes are on disk. Out: episodes, through an async iterator.

Rules: no thread, no timer while nothing is open. A record stays in the ring until its episode is given to free(): so
what the next process reads is just what this one had not freed. While nobody frees, records stay in the
ring; a full ring is counted.
"""

import asyncio
import contextlib
import logging
import math
import select
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from oomeventer.kernel.attachment import Attachment, adopt, code, is_whole, load
from oomeventer.kernel.episodes import Episode, Episodes
from oomeventer.kernel.kill import Arguments, Kill, Process, ran_out_here
from oomeventer.kernel.libbpf import KernelError, Library
from oomeventer.kernel.pace import Pace
from oomeventer.kernel.pins import Pins
from oomeventer.kernel.record import RecordError, parse
from oomeventer.kernel.ring import Ring

log = logging.getLogger(__name__)

#: A record takes 1.5 to 3 KiB, at most 22: this holds a storm of a thousand kills and more while no agent is running.
RING_BYTES = 4 << 20
RING_BYTES_LEAST = 1 << 16
#: Cgroups whose path is kept for an account of losses: those killed last.
NAMED = 1024


class Tracer:
    """The attached object. A context manager: entering attaches, leaving detaches, but for what is pinned.

    ring_bytes: from 64 KiB on, a power of two. pins: where the attached object is left for the next agent, None to
    leave nothing. Raises LibraryError or KernelError.
    """

    def __init__(self, ring_bytes: int = RING_BYTES, pins: Pins | None = None) -> None:
        if ring_bytes < RING_BYTES_LEAST:
            raise KernelError(
                f"a ring of {ring_bytes} bytes is too small: one record can take 22 KiB; "
                f"give it {RING_BYTES_LEAST} or more (--ring-bytes)"
            )
        self._ring_bytes = ring_bytes
        self._pins = pins
        self._library = Library()
        self._current: Attachment
        self._earlier: list[Attachment] = []
        self._episodes = Episodes(ran_out_here)
        self._pace = Pace()
        self._positions: dict[Process, list[tuple[Ring, int]]] = {}
        self._seen_earlier: set[Process] = set()
        self._paths: OrderedDict[int, str] = OrderedDict()
        self._lost_earlier = 0
        self._wake: select.epoll
        #: Records that this program cannot read: of another format, or damaged.
        self.unreadable = 0

    def __enter__(self) -> Self:
        self._wake = select.epoll()
        try:
            self._attach()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything; what is pinned stays attached."""
        for attachment in self._attachments():
            attachment.close()
        self._earlier = []
        self._wake.close()

    @property
    def knows_what_ran_out(self) -> bool:
        """Whether the kernel lets us know which memcg ran out; else it is inferred (kill.what_ran_out)."""
        return self._current.knows_what_ran_out

    @property
    def lost(self) -> int:
        """Records that found the ring full, as the kernel counts them now, while no agent was running, too."""
        return self._lost_earlier + sum(attachment.lost for attachment in self._attachments())

    def take_losses(self) -> dict[str | None, int]:
        """Whose records were lost since this was last asked, by the cgroup's path; None stands for cgroups of which no
        record was read. The kernel knows the latest 1024 cgroups; `lost` counts all."""
        found: Counter[str | None] = Counter()
        for attachment in self._attachments():
            for inode, count in attachment.take_losses().items():
                found[self._paths.get(inode)] += count
        return dict(found)

    @property
    def used_bytes(self) -> int:
        """What waits in the ring to be read, or to be freed."""
        return sum(attachment.ring.used_bytes for attachment in self._attachments())

    def _attachments(self) -> list[Attachment]:
        return [*self._earlier, *([self._current] if hasattr(self, "_current") else [])]

    def _attach(self) -> None:
        """Go on with what is attached, or attach. Then end what other versions left attached, and keep their rings."""
        earlier, current = [], None
        mine = code(self._ring_bytes)
        for generation in self._pins.generations() if self._pins else ():
            if generation.code == mine and current is None and is_whole(generation):
                current = generation
            elif generation.has("ring", "counters"):
                earlier.append(generation)
            else:
                generation.remove()
        if current:
            self._current = adopt(self._library, current)
        else:
            self._current = load(self._library, self._ring_bytes, self._pins.new(mine) if self._pins else None)
        for generation in earlier:  # now that this one is attached
            generation.unpin("link_")
            attachment = adopt(self._library, generation)
            log.info("taking over %d bytes of records from another version", attachment.ring.used_bytes)
            self._earlier.append(attachment)
        # Edge-triggered: records that are read and not yet freed leave the fd readable. The kernel wakes us for each.
        self._wake.register(self._current.ring.fd, select.EPOLLIN | select.EPOLLET)

    # -- records -----------------------------------------------------------------------------------------------------

    def _read(self, now: float, opened: Callable[[Kill], None]) -> None:
        """Feed what is in the rings, of earlier versions first."""
        for attachment in self._earlier:
            self._feed(attachment.ring, now, opened, is_earlier=True)
        self._end_earlier()
        self._feed(self._current.ring, now, opened, is_earlier=False)

    def _feed(self, ring: Ring, now: float, opened: Callable[[Kill], None], is_earlier: bool) -> None:
        needless = []
        for position, raw in ring.read():
            try:
                record = parse(raw)
            except RecordError as e:
                self.unreadable += 1
                log.error("a record was not readable, its kill is not reported: %s", e)
                needless.append(position)
                continue
            if is_earlier:
                self._seen_earlier.add(record.process)
            elif record.process in self._seen_earlier:  # both were attached when it was killed
                needless.append(position)
                continue
            if self._episodes.feed(record, now) and isinstance(record, Kill):
                opened(record)
            if isinstance(record, Kill) and record.levels:
                self._remember(record.levels[0].inode, record.cgroup)
            if isinstance(record, Arguments) and record.process not in self._positions:
                needless.append(position)  # no mark was read for it, and an episode is not lost without it
            else:
                self._positions.setdefault(record.process, []).append((ring, position))
        if needless:
            ring.free(needless)

    def _remember(self, inode: int, path: str) -> None:
        self._paths[inode] = path
        self._paths.move_to_end(inode)
        if len(self._paths) > NAMED:
            self._paths.popitem(last=False)

    def free(self, episode: Episode) -> None:
        """The episode is on disk, or not wanted: the ring may forget it."""
        positions = [place for kill in episode for place in self._positions.pop(kill.process, ())]
        for ring in {ring for ring, _ in positions}:
            ring.free(position for of, position in positions if of is ring)
        self._end_earlier()

    def _end_earlier(self) -> None:
        """Remove what other versions left, once nothing of it is left to report."""
        for attachment in [a for a in self._earlier if a.ring.is_empty]:
            self._lost_earlier += attachment.lost
            self._earlier.remove(attachment)
            attachment.close()
            if attachment.generation:
                attachment.generation.remove()

    async def episodes(
        self, stop: asyncio.Event | None = None, opened: Callable[[Kill], None] = lambda _kill: None
    ) -> AsyncIterator[Episode]:
        """The episodes as they are completed, until `stop` is set; then what is open, as it is. See episodes.py, and
        for a storm pace.py. Each is to be given to free(). opened: called with an episode's first kill as soon as that
        is read."""
        loop = asyncio.get_running_loop()
        stopping = loop.create_task((stop or asyncio.Event()).wait())
        try:
            while True:
                with contextlib.suppress(InterruptedError):
                    self._wake.poll(0)  # before reading: what comes after it wakes us again
                now = loop.time()
                self._read(now, opened)
                ends = stopping.done()
                if ends or now >= self._pace.due():
                    # By the time before reading: of what was overdue then all had been read that was in the ring.
                    complete = self._episodes.take(math.inf if ends else now)
                    self._pace.handed_on(len(complete), now)
                    for episode in complete:
                        yield episode
                if ends:
                    return
                due = self._episodes.due()
                await self._readable(None if due is None else max(due, self._pace.due()), stopping)
        finally:
            stopping.cancel()

    async def _readable(self, until: float | None, stopping: asyncio.Task[bool]) -> None:
        """Wait until the ring has more records, until that loop time, or until we are to stop."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(self._wake.fileno(), _settle, ready)
        try:
            timeout = None if until is None else max(0.0, until - loop.time())
            await asyncio.wait((ready, stopping), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(self._wake.fileno())


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
