"""Calls that may hang, in threads of their own. In: functions. Out: their results, as futures of the event loop.

A thread that hangs in the kernel (a disk, /proc) cannot be ended: who waits for it gives up, and the process ends
without it. concurrent.futures, which each of a kill's five calls went through, took about a tenth of the kill's CPU:
two futures for each, one copied to the other in a turn of the loop of its own.

Rules: the event loop calls. A call that is cancelled before a thread has taken it is not made; later its result is
dropped. Where no thread can be started, or all is closed, a call is answered with NoThread; the next one tries again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from oomeventer.errors import OomeventerError

T = TypeVar("T")


class NoThread(OomeventerError):
    """There is none to make the call."""


class CallThread(Thread):
    """One of Threads'. At the process's end it is waited for, since its call may have a file, but not for ever."""


class Call(asyncio.Future[T]):
    """A result, or what the function raised. begun: a thread has taken it."""

    begun = False


class Threads:
    """name: of the threads. most: so many at once; each starts when it is needed first."""

    def __init__(self, name: str, most: int = 1) -> None:
        self._name = name
        self._most = most
        self._threads: list[Thread] = []
        self._calls: SimpleQueue[tuple[Call[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._open = 0
        self._closed = False

    def call(self, function: Callable[..., T], *arguments: Any) -> Call[T]:
        """function(*arguments), in a thread."""
        call: Call[T] = Call(loop=asyncio.get_running_loop())
        if why := self._lacks_thread():
            call.set_exception(NoThread(f"{self._name}: no thread: {why}"))
            call.exception()
        else:
            self._open += 1
            self._calls.put((call, function, arguments))
        return call

    def _lacks_thread(self) -> str | None:
        """Why there is no thread at all. One more is started where all have something to do, if it can be."""
        if self._closed:
            return "closed"
        if len(self._threads) >= min(self._open + 1, self._most):
            return None
        thread = CallThread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as e:  # of threads, or of memory, there is a limit
            return None if self._threads else str(e)
        self._threads.append(thread)
        return None

    def close(self) -> None:
        """What no thread has taken is cancelled, and the threads end: each when it is through with what it has."""
        self._closed = True
        with contextlib.suppress(Empty):
            while waiting := self._calls.get_nowait():
                waiting[0].cancel()
        for _ in self._threads:
            self._calls.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the threads, so long for each."""
        for thread in self._threads:
            thread.join(seconds)

    # -- in a thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while taken := self._calls.get():
            self._make(*taken)
            del taken  # it is not to live until the next one comes

    def _make(self, call: Call[T], function: Callable[..., T], arguments: tuple[Any, ...]) -> None:
        result: T | None = None
        error: BaseException | None = None
        call.begun = True
        if not call.cancelled():
            try:
                result = function(*arguments)
            except BaseException as e:
                error = e
        with contextlib.suppress(RuntimeError):  # the loop has ended
            call.get_loop().call_soon_threadsafe(self._end, call, result, error)
        del call, arguments, error  # an error's traceback has this frame

    # -- in the event loop -------------------------------------------------------------------------------------------

    def _end(self, call: Call[Any], result: object, error: BaseException | None) -> None:
        self._open -= 1
        if call.done():
            return
        if error is None:
            call.set_result(result)
        else:
            call.set_exception(error)
            call.exception()  # whoever still waits for it has it: it is no news that nobody does
