"""What of each object's budget of requests is spent. In: it, when a request is planned. Out: it, for the next process.

Rules: an agent that is killed and started again does not begin with a full budget. Kept by the wall clock, which may be
set meanwhile: a step back gives nothing back, and what is owed is never more than was written. Inside others'
transactions, but for read().
"""

import contextlib
import json
import sqlite3
import time

from msgspec import Struct

from oomeventer.journal.database import Database

#: The notes' names begin so.
_NOTE = "budget "


class Spent(Struct, frozen=True):
    """object: whom the requests are about. seconds: how long it takes until its budget is full again."""

    object: str
    seconds: float


def write(db: sqlite3.Connection, spent: Spent) -> None:
    """It is as of now."""
    value = json.dumps([spent.seconds, time.time()])
    db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (f"{_NOTE}{spent.object}", value))


def read(database: Database) -> list[Spent]:
    """What is still spent of each."""
    with database.errors() as db:
        rows = db.execute(f"SELECT name, value FROM notes WHERE name LIKE '{_NOTE}%'").fetchall()
    found = [Spent(name.removeprefix(_NOTE), _left(value)) for name, value in rows]
    return [spent for spent in found if spent.seconds > 0]


def trim(db: sqlite3.Connection) -> None:
    """Remove those that are full again."""
    rows = db.execute(f"SELECT name, value FROM notes WHERE name LIKE '{_NOTE}%'").fetchall()
    db.executemany("DELETE FROM notes WHERE name = ?", [(name,) for name, value in rows if _left(value) <= 0])


def _left(value: str) -> float:
    with contextlib.suppress(TypeError, ValueError):
        seconds, at = json.loads(value)
        return float(seconds) - max(0.0, time.time() - float(at))
    return 0.0  # damaged
