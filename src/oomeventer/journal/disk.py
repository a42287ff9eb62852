"""The journal's file, on a disk that may hang or fail. In: calls with the Store in it. Out: their results, in time.

Rules: one thread, one call at a time, each with a deadline. A call that is late goes on in its thread, which has the
file, and until it ends every other one fails at once; what it does in the end is done, and nobody is told. A file that
is damaged is moved aside, not deleted, and a new one begun. Raises StoreError, and nothing else.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from oomeventer.journal.database import StoreError
from oomeventer.journal.store import Store
from oomeventer.journal.transfer import Held, export

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 5.0

T = TypeVar("T")
P = ParamSpec("P")


class Disk:
    """The file, opened by the first call, and again after it was damaged."""

    def __init__(self, path: Path, size_bytes: int, age_seconds: float) -> None:
        self.path = path
        self._size_bytes = size_bytes
        self._age_seconds = age_seconds
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._running: Future[Any] | None = None
        self._late = False
        # The thread's alone:
        self._store: Store | None = None
        self._damage: StoreError | None = None

    async def call(self, function: Callable[Concatenate[Store, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """function(store, *arguments). Raises StoreError."""

        def call() -> T:
            try:
                if self._store is None or self._damage:
                    self._store = self._opened()
                return function(self._store, *arguments, **named)
            except StoreError as e:
                if e.damaged:
                    self._damage = e
                raise

        return await self._in_thread(call)

    async def rescue(self, most_bytes: int) -> Held:
        """What is to be done, while the file still gives it, damaged or not, and there is not too much of it."""

        def rescue() -> Held:
            if self._store is None:
                raise StoreError(f"{self.path} was never read")
            if (size := self._store.outbox_bytes()) > most_bytes:
                raise StoreError(f"{self.path} has {size >> 20} MiB to tell, too much for memory")
            return export(self._store, whole=False)

        return await self._in_thread(rescue)

    async def close(self) -> None:
        """Without waiting for a thread that hangs."""

        def close() -> None:
            if self._store:
                self._store.close()

        with contextlib.suppress(StoreError):
            await self._in_thread(close)
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._running and not self._running.done() and not self._late:  # its caller was cancelled
            await asyncio.wait((asyncio.wrap_future(self._running),), timeout=DEADLINE_SECONDS)
        if self._running and not self._running.done():
            raise StoreError(f"{self.path}: the disk still does not answer")
        self._late = False
        self._running = self._executor.submit(_guarded, self.path, call)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                result: T = await asyncio.shield(asyncio.wrap_future(self._running))
        except TimeoutError:
            self._late = True
            raise StoreError(f"{self.path}: the disk did not answer within {DEADLINE_SECONDS:.0f} s") from None
        return result

    def _opened(self) -> Store:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._store:
            with contextlib.suppress(StoreError):
                self._store.close()
            self._store = None
        if self._damage:
            self._move_aside(self._damage)
        try:
            return self._open()
        except StoreError as e:
            if not e.damaged:
                raise
            self._move_aside(e)
            return self._open()

    def _open(self) -> Store:
        return Store(str(self.path), self._size_bytes, self._age_seconds)

    def _move_aside(self, why: StoreError) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged")
        log.error("journal %s cannot be used and is moved to %s: %s", self.path, aside, why)
        try:
            if self.path.exists():
                self.path.replace(aside)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        except OSError as e:
            raise StoreError(f"journal {self.path} cannot be moved aside: {e.strerror}") from e
        self._damage = None


def _guarded(path: Path, call: Callable[[], T]) -> T:
    """What is not foreseen is trouble with the disk, too: then memory is tried, which has no damage."""
    try:
        return call()
    except StoreError:
        raise
    except (OSError, sqlite3.Error) as e:
        raise StoreError(f"journal {path}: {e}") from e
    except Exception as e:
        log.exception("journal %s: a fault of this program", path)
        raise StoreError(f"journal {path}: a fault of this program: {e!r}") from e
