"""Looks under way: begun when a kill is seen, or an episode complete; taken when an incident is made of it. In: what is
to be looked at, by its first victim. Out: calls, which are futures.

Rules: a thread that hangs in the kernel costs itself alone; where all hang, nothing is begun and nobody waits. What is
begun and never taken is bounded.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from oomeventer.kernel import Process
from oomeventer.threads import Call, Threads

_THREADS = 2
#: Begun and not yet taken.
_PENDING = 256

At = TypeVar("At")
Seen = TypeVar("Seen")


class Looks(Generic[At, Seen]):
    """name: of the threads. look: called in one of them."""

    def __init__(self, name: str, look: Callable[[At], Seen]) -> None:
        self._look = look
        self._threads = Threads(name, _THREADS)
        self._begun: dict[Process, Call[Seen]] = {}
        self._hung: set[Call[Seen]] = set()

    def close(self) -> None:
        """Without waiting for threads that hang in the kernel."""
        self._threads.close()

    def begin(self, process: Process, at: At) -> None:
        """Look at once, in a thread; not where too much is pending."""
        if len(self._begun) >= _PENDING:
            oldest = next(iter(self._begun))
            if not self._begun[oldest].done():
                return
            del self._begun[oldest]
        if not self._all_hang() and not (call := self._threads.call(self._look, at)).done():
            self._begun[process] = call  # else there is no thread

    def take(self, process: Process, at: At) -> Call[Seen] | None:
        """What was begun for that victim; begun now if it was not. None: nobody looks."""
        if process not in self._begun:
            self.begin(process, at)
        call = self._begun.pop(process, None)
        if call and not call.done() and self._all_hang():
            call.cancel()
            return None
        return call

    def leave(self, call: Call[Seen]) -> None:
        """It was waited for in vain."""
        if call.begun:
            self._hung.add(call)
        else:
            call.cancel()

    def _all_hang(self) -> bool:
        self._hung = {call for call in self._hung if not call.done()}
        return len(self._hung) >= _THREADS
