"""Takes the samples. In: where the memory hierarchy is. Out: a tick of the store, every period.

Rules: one thread, which sleeps in between, and nothing else wakes up for it. It alone reads files; if one hangs in the
kernel, there are no more samples, and nothing waits for it, the process's end neither. The store is locked for as long
as it takes to write to it.
"""

import logging
import threading
import time
from pathlib import Path

from oomeventer.trajectory.counting import Room
from oomeventer.trajectory.hierarchy import Hierarchy
from oomeventer.trajectory.store import Store

log = logging.getLogger(__name__)


class Sampler:
    """lock: held while the store is written to."""

    def __init__(
        self,
        store: Store,
        lock: threading.Lock,
        root: Path,
        unified: bool,
        period_seconds: float,
        room: Room | None = None,
    ) -> None:
        self._store, self._lock = store, lock
        self._period_seconds = period_seconds
        self._hierarchy = Hierarchy(root, unified, room or Room())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sample", daemon=True)

    def start(self) -> None:
        """The first sample is taken at once."""
        self._thread.start()

    def stop(self) -> None:
        """Without waiting for the thread."""
        self._stop.set()

    def sample(self) -> None:
        """Once."""
        found: dict[str, tuple[str, int, int]] = {}
        ended = self._hierarchy.refresh()
        if gone := self._read(found):
            ended |= self._hierarchy.refresh(gone)
            self._read(found)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        with self._lock:
            for container in ended:
                self._store.disturbed(container.rpartition("/")[0])
            self._store.tick(now, found.values())

    def _read(self, found: dict[str, tuple[str, int, int]]) -> list[str]:
        """Those that are not found yet. Returns what could not be read."""
        gone = []
        for path, counted in self._hierarchy.counted.items():
            if path not in found:
                try:
                    found[path] = path, counted.inode, counted.read()
                except (OSError, ValueError, IndexError):
                    gone.append(path)
        return gone

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            try:
                self.sample()
            except Exception:  # the next may succeed, and kills are reported without
                log.exception("no sample of memory was taken, through a fault of this program")
            due = max(due + self._period_seconds, time.monotonic())
        self._hierarchy.close()
