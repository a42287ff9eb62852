"""How a cgroup came to its limit, in an incident. In: an Incident. Out: the same with its trajectory.

Rules: never blocks but for the lock, which the sampler's thread holds while it writes to the store. Of the cgroup that
ran out, if that is sampled, else of the victim's container, else of its Pod. Only samples from before the kill. What
was saved and cannot be used is dropped, with a line in the log.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import asdict, replace

from oomeventer.incident import Incident, Sample, Trajectory
from oomeventer.trajectory import saved
from oomeventer.trajectory.pattern import shape
from oomeventer.trajectory.sampler import Sampler
from oomeventer.trajectory.store import DAY_SECONDS, History, Store

log = logging.getLogger(__name__)

#: As Journal.note(): remembers a text under a name, or returns it.
Note = Callable[[str, str | None], Awaitable[str | None]]
#: The name of what is saved.
NOTE = "samples"
#: Of the samples in an incident: so many fine and so many coarse ones at most.
_FINE, _COARSE = 30, 24


class Trajectories:
    """Samples while it is entered. root: the directory that the node calls "/" in the memory hierarchy, and whether
    that is cgroup v2; None where there is none. saved_text: what an earlier process's save() noted."""

    def __init__(
        self, root: tuple[Path, bool] | None, period_seconds: float, boot_id: str | None, saved_text: str | None = None
    ) -> None:
        self._boot_id = boot_id
        self._store = self._restored(saved_text) if saved_text else Store()
        self._lock = threading.Lock()
        self._sampler = Sampler(self._store, self._lock, *root, period_seconds) if root else None
        if root is None:
            log.warning("no memory hierarchy is mounted here: how a kill came about is not known (--sample-seconds)")

    def __enter__(self) -> Self:
        if self._sampler:
            self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sampler:
            self._sampler.stop()

    def __call__(self, incident: Incident, killed_ns: int) -> Incident:
        """killed_ns: when, by CLOCK_BOOTTIME."""
        identity = incident.identity
        cgroups = [path for path in (incident.limit_cgroup, identity.container_path, identity.pod_path) if path]
        with self._lock:
            found = next(self._sampled(cgroups, killed_ns / 1e9), None)
            for path in cgroups:
                self._store.disturbed(path, killed_ns / 1e9, sum(victim.held_bytes for victim in incident.victims))
        return replace(incident, trajectory=_trajectory(incident, *found, killed_ns / 1e9)) if found else incident

    def _sampled(self, cgroups: Iterable[str], until: float) -> Iterator[tuple[str, History]]:
        for path in cgroups:
            history = self._store.history(path, until)
            if history and (history.fine or history.coarse):
                yield path, history

    async def save(self, note: Note, most_bytes: int = saved.MOST_BYTES) -> None:
        """Keep all samples for the next process, if they take no more than that."""
        if self._boot_id is None or not self._store.ticks:
            return
        with self._lock:
            dumped = saved.dump(self._store, self._boot_id)
        text = await asyncio.to_thread(saved.packed, dumped)
        if len(text) <= min(most_bytes, saved.MOST_BYTES):
            await note(NOTE, text)
        else:
            log.warning("the samples of memory are not saved: they take %d bytes", len(text))

    def _restored(self, text: str) -> Store:
        try:
            return saved.load(text, self._boot_id or "", time.clock_gettime(time.CLOCK_BOOTTIME))
        except saved.UnreadableError as e:
            log.info("the samples of memory that an earlier process saved are dropped: %s", e)
            return Store()


def _trajectory(incident: Incident, cgroup: str, history: History, killed_at: float) -> Trajectory:
    ran_out = cgroup == incident.limit_cgroup
    if ran_out:
        counted = incident.memory.counted_bytes if incident.memory else None
        limit, usage = incident.limit_bytes, counted or incident.usage_bytes
    else:
        limit, usage = None, None
        if cgroup == incident.identity.container_path and incident.container_memory:
            usage = incident.container_memory.counted_bytes
    found = shape(history, killed_at, limit, usage)
    coarse = [point for point in history.coarse if killed_at - point[0] <= DAY_SECONDS]
    thinned = [*_thinned(coarse, _COARSE), *_thinned(history.fine, _FINE)]
    samples = tuple(Sample(round(killed_at - t, 1), size) for t, size in thinned)
    return Trajectory(cgroup=cgroup, samples=samples, **asdict(found))


def _thinned(points: list[tuple[float, int]], most: int) -> Iterator[tuple[float, int]]:
    """Of as many as become one the last one's time, and the highest."""
    each = -(-len(points) // most) or 1
    first = len(points) % each or each
    for end in range(first, len(points) + 1, each):
        part = points[max(0, end - each) : end]
        yield part[-1][0], max(size for _, size in part)
