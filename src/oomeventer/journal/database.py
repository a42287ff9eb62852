"""The journal's file: its tables, in SQLite, and its transactions. In: statements. Out: rows, or StoreError.

Rules: one connection, used by one thread at a time. WAL with synchronous=NORMAL: a commit survives the death of the
process; a power failure may cost the last ones, and never the file. Text that was damaged is read with a mark in place
of what was lost (U+FFFD): one bad row is one bad incident, and not the end of the others. Ids grow with time, and are
not used again, in another file neither.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

from oomeventer.errors import OomeventerError
from oomeventer.journal.repeats import Summaries

FORMAT = 1
MEMORY = ":memory:"

#: Some names are an earlier version's, and stay, so that its file can be read: state 'begun' is recorded, draft is a
#: pending Event's body, told is the count that a series' Event has.
_TABLES = """
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, seen_at REAL NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX begun ON incidents (id) WHERE state = 'begun';
CREATE TABLE events (
    id INTEGER PRIMARY KEY, incident INTEGER NOT NULL, seen_at REAL NOT NULL, object TEXT NOT NULL,
    series TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL UNIQUE,
    killed_at REAL NOT NULL, state TEXT NOT NULL, reason TEXT, draft TEXT
);
CREATE INDEX waiting ON events (series, id) WHERE state = 'waiting';
CREATE INDEX objects ON events (object, seen_at, series);
CREATE INDEX of_incident ON events (incident);
CREATE TABLE series (series TEXT PRIMARY KEY, name TEXT, told INTEGER NOT NULL, used_at REAL NOT NULL, plan TEXT);
CREATE TABLE totals (what TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, reason));
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class StoreError(OomeventerError):
    """The file cannot be read or written. damaged: it is no journal that this program can use, now or later."""

    def __init__(self, words: str, damaged: bool = False) -> None:
        super().__init__(words)
        self.damaged = damaged


class Database:
    """An open file, or MEMORY. size_bytes, age_seconds: what retention.py keeps. origin: no other has it, nor has the
    same file when it is opened again. summaries: of what its events table has."""

    def __init__(self, path: str, size_bytes: int, age_seconds: float) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.age_seconds = age_seconds
        self.origin = uuid4().hex
        self.summaries = Summaries()
        self._within = False
        if path != MEMORY:
            _close_to_others(path)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
        self._db.text_factory = text
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        with self.errors():
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA journal_size_limit = 1048576")
            # What SQLite would put into temporary files: the agent's Pod has no place for any, its root is read-only.
            self._db.execute("PRAGMA temp_store = MEMORY")
            # In KiB. A kill changes two dozen pages of 4; SQLite would keep 2 MiB of those that it has read.
            self._db.execute("PRAGMA cache_size = -512")
            (found,) = self._db.execute("PRAGMA user_version").fetchone()
            if found not in (0, FORMAT):
                raise StoreError(f"{self.path} has format {found}, this program has {FORMAT}", damaged=True)
            tables = _tables(self._db)
            if tables != (_tables_expected() if found else set()):
                raise StoreError(f"{self.path} has other tables than format {found} has", damaged=True)
            if (damage := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise StoreError(f"{self.path} is damaged: {damage}", damaged=True)
        if found == 0:
            with self.transaction() as db:
                for statement in filter(str.strip, _TABLES.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {FORMAT}")

    def close(self) -> None:
        """Close the file."""
        with self.errors():
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it is written, or nothing; within another one as a part of that."""
        with self.errors():
            if self._within:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            self._within = True
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self.summaries.forget()
                if self._db.in_transaction:  # SQLite itself may have rolled it back
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._within = False

    @contextmanager
    def errors(self) -> Iterator[sqlite3.Connection]:
        """To look: without a transaction. SQLite's errors are StoreError here."""
        try:
            yield self._db
        except sqlite3.Error as e:
            damaged = getattr(e, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            raise StoreError(f"{self.path}: {e} ({getattr(e, 'sqlite_errorname', 'no code')})", damaged) from e


def _close_to_others(path: str) -> None:
    """Make the file, for its owner alone, or make it so: what tenants run is in it. SQLite gives its other files the
    same mode."""
    with contextlib.suppress(OSError):  # what is wrong, SQLite will say
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(file):
            os.fchmod(file, 0o600)


def note(database: Database, name: str, value: str | None = None) -> str | None:
    """Remember a text under a name, or, without one, return what is remembered. One transaction."""
    with database.transaction() as db:
        if value is not None:
            db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))
        row = db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def new_id(db: sqlite3.Connection) -> int:
    """Microseconds of UNIX time, or one more than the last: also unique among files that are merged later."""
    query = "SELECT max(ifnull((SELECT max(id) FROM incidents), 0), ifnull((SELECT max(id) FROM events), 0))"
    (last,) = db.execute(query).fetchone()
    return max(int(last) + 1, time.time_ns() // 1000)


def text(found: bytes) -> str:
    """A column's text, with U+FFFD for what is none."""
    return found.decode(errors="replace")


def _tables(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    return set(db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall())


def _tables_expected() -> set[tuple[str, ...]]:
    with closing(sqlite3.connect(MEMORY)) as db:
        db.executescript(_TABLES)
        return _tables(db)
