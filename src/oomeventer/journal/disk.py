"""The journal's file, on a disk that may hang or fail. In: functions of its tables. Out: their results, in time.

Rules: one thread, one call at a time, each with a deadline. A call that is late goes on in its thread, which has the
file, and until it ends every other one fails at once; what it does in the end is done, and its result dropped. A file
that is damaged is moved aside, not deleted, and a new one made. Raises StoreError, and nothing else.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from oomeventer.journal.database import Database, StoreError
from oomeventer.journal.retention import outbox_bytes
from oomeventer.journal.transfer import Held, export
from oomeventer.threads import Call, NoThread, Threads

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
        self._thread = Threads("journal")
        self._running: Call[Any] | None = None
        self._late = False
        # The thread's alone:
        self._database: Database | None = None
        self._damage: StoreError | None = None

    async def call(self, function: Callable[Concatenate[Database, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """function(database, *arguments). Raises StoreError."""

        def call() -> T:
            try:
                if self._database is None or self._damage:
                    self._database = self._opened()
                return function(self._database, *arguments, **named)
            except StoreError as e:
                if e.damaged:
                    self._damage = e
                raise

        return await self._in_thread(call)

    async def rescue(self, most_bytes: int) -> Held:
        """What is to be done, while the file still gives it, damaged or not, and there is not too much of it."""

        def rescue() -> Held:
            if self._database is None:
                raise StoreError(f"{self.path} was never read")
            if (size := outbox_bytes(self._database)) > most_bytes:
                raise StoreError(f"{self.path} has {size >> 20} MiB in its outbox, too much for memory")
            return export(self._database, whole=False)

        return await self._in_thread(rescue)

    async def close(self) -> None:
        """Without waiting for a thread that hangs."""

        def close() -> None:
            if self._database:
                self._database.close()

        with contextlib.suppress(StoreError):
            await self._in_thread(close)
        self._thread.close()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._running and not self._running.done() and not self._late:  # its caller was cancelled
            await asyncio.wait((self._running,), timeout=DEADLINE_SECONDS)
        if self._running and not self._running.done():
            raise StoreError(f"{self.path}: the disk still does not answer")
        self._late = False
        running: Call[T] = self._thread.call(_guarded, self.path, call)
        self._running = running
        await asyncio.wait((running,), timeout=DEADLINE_SECONDS)
        if not running.done():
            self._late = True
            raise StoreError(f"{self.path}: the disk did not answer within {DEADLINE_SECONDS:.0f} s")
        try:
            return running.result()
        except NoThread as e:
            raise StoreError(f"{self.path}: {e}") from e

    def _opened(self) -> Database:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._database:
            with contextlib.suppress(StoreError):
                self._database.close()
            self._database = None
        if self._damage:
            self._move_aside(self._damage)
        try:
            return self._open()
        except StoreError as e:
            if not e.damaged:
                raise
            self._move_aside(e)
            return self._open()

    def _open(self) -> Database:
        return Database(str(self.path), self._size_bytes, self._age_seconds)

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
