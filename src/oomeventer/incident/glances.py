"""Glances under way: begun when a kill is seen, taken when its episode is complete. In: Kills. Out: futures of Glances.

Rules: a thread that hangs in the kernel costs itself alone; where all hang, nothing is begun and nobody waits. What is
begun and never taken is bounded.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from oomeventer.kernel import Kill, Process
from oomeventer.node import Glance, Procfs

log = logging.getLogger(__name__)

_THREADS = 2
#: Begun and not yet taken.
_PENDING = 256


class Glances:
    """Made of what reads."""

    def __init__(self, procfs: Procfs) -> None:
        self._procfs = procfs
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="glance")
        self._begun: dict[Process, Future[Glance]] = {}
        self._hung: set[Future[Glance]] = set()

    def close(self) -> None:
        """Without waiting for threads that hang in the kernel."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def begin(self, kill: Kill) -> None:
        """Read at once, in a thread; not where too much is pending."""
        if len(self._begun) >= _PENDING:
            oldest = next(iter(self._begun))
            if not self._begun[oldest].done():
                return
            del self._begun[oldest]
        if not self._all_hang():
            self._begun[kill.process] = self._executor.submit(self._read, kill)

    def take(self, kill: Kill) -> Future[Glance] | None:
        """That of an episode's first kill; begun now if it was not. None: nobody reads."""
        if kill.process not in self._begun:
            self.begin(kill)
        future = self._begun.pop(kill.process, None)
        if future and not future.done() and self._all_hang():
            future.cancel()
            return None
        return future

    def leave(self, future: Future[Glance]) -> None:
        """It was waited for in vain."""
        if not future.cancel():
            self._hung.add(future)

    def _read(self, kill: Kill) -> Glance:
        try:
            return self._procfs.glance(kill)
        except Exception:  # an incident that says less is better than none
            log.exception("where the memory was is not known, through a fault of this program")
            return Glance(unseen="a fault of this program")

    def _all_hang(self) -> bool:
        self._hung = {future for future in self._hung if not future.done()}
        return len(self._hung) >= _THREADS
