"""The table of incidents. In: incidents as JSON. Out: those that are recorded and not yet described.

An incident is a row from the moment it is known: recorded ('begun' in the file: see database.py). What the runtime adds
rewrites it where it waits. With what the API server adds it is described, and in the same transaction its Events are in
the outbox. So wherever the process dies, the next one goes on from there.

Rules: each function is one transaction. Raises StoreError.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from msgspec import Struct
from msgspec.structs import replace

from oomeventer.incident import ROW_BYTES, Incident, PendingEvent, Repeats, fitted, subject
from oomeventer.journal import outbox
from oomeventer.journal.database import Database, new_id
from oomeventer.journal.outbox import Waiting
from oomeventer.journal.totals import add

#: An incident with all that is told of it, and its Events.
Compose = Callable[[Repeats], tuple[Incident, Sequence[PendingEvent]]]

#: The notes' names begin so that say how many processes have taken up an incident.
_TAKEN_UP = "taken up "


def record(database: Database, key: str, body: str) -> int | None:
    """Write an incident down. Its id; None where it is known."""
    with database.transaction() as db:
        number = new_id(db)
        row = (number, key, time.time(), body)
        if db.execute("INSERT OR IGNORE INTO incidents VALUES (?, ?, ?, 'begun', ?)", row).rowcount == 0:
            return None
        add(db, "seen", 1)
        return number


def recorded(database: Database, after: int, most_bytes: int) -> list[tuple[int, str]]:
    """Incidents that are not described, by id and as JSON, the oldest first, from behind that id on: one, and as many
    as have so many bytes together."""
    query = "SELECT id, body FROM incidents WHERE state = 'begun' AND id > ? ORDER BY id"
    found: list[tuple[int, str]] = []
    with database.errors() as db, closing(db.execute(query, (after,))) as rows:
        for number, body in rows:
            found.append((number, body))
            most_bytes -= len(body)
            if most_bytes <= 0:
                break
    return found


def take_up(database: Database, incident: int) -> int:
    """Another process takes up an incident that an earlier one has left. Returns how many have."""
    with database.transaction() as db:
        add_one = "INSERT INTO notes VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
        db.execute(add_one, (_taken_up(incident),))
        (count,) = db.execute(
            "SELECT CAST(value AS INTEGER) FROM notes WHERE name = ?", (_taken_up(incident),)
        ).fetchone()
        return int(count)


def survive(database: Database, incident: int) -> None:
    """This process has not ended of an incident that it took up."""
    with database.transaction() as db:
        db.execute("DELETE FROM notes WHERE name = ?", (_taken_up(incident),))


def _taken_up(incident: int) -> str:
    return f"{_TAKEN_UP}{incident}"


def trim(db: sqlite3.Connection) -> None:
    """Inside a transaction: forget who took up what is finished."""
    open_ = "SELECT ? || id FROM incidents WHERE state = 'begun'"
    db.execute(f"DELETE FROM notes WHERE name LIKE '{_TAKEN_UP}%' AND name NOT IN ({open_})", (_TAKEN_UP,))


def rewrite(database: Database, incident: int, body: str) -> None:
    """Write down what became known since of an incident that is not described."""
    with database.transaction() as db:
        change = "UPDATE incidents SET body = ? WHERE id = ? AND state = 'begun'"
        db.execute(change, (body, incident))


def read(database: Database, incident: int) -> str | None:
    """An incident that is not described, as JSON; None where it is, or is not known."""
    with database.errors() as db:
        query = "SELECT body FROM incidents WHERE id = ? AND state = 'begun'"
        row = db.execute(query, (incident,)).fetchone()
        return row[0] if row else None


class Described(Struct, frozen=True):
    """An incident as it is now, and the series that wait for its Events; none where it was described before. fault:
    what compose() raised; then nothing was written."""

    incident: Incident
    waiting: Sequence[Waiting] = ()
    fault: Exception | None = None


def describe(
    database: Database, number: int, incident: Incident, compose: Compose, plans_at_once: bool = False
) -> Described:
    """Write down all that became known of an incident, and its Events into the outbox. compose: makes both, told which
    time it is; it can be called twice. plans_at_once: with the requests for them, where nothing else of their series is
    under way."""
    with database.transaction() as db:
        if db.execute("SELECT 1 FROM incidents WHERE id = ? AND state = 'begun'", (number,)).fetchone() is None:
            return Described(incident)
        repeats = outbox.repeated(database, subject(incident), incident.time.timestamp())
        try:
            incident, events = compose(repeats)
            body = fitted(incident, ROW_BYTES)
        except Exception as e:  # of this program, and none of the file's
            return Described(incident, fault=e)
        db.execute("UPDATE incidents SET state = 'described', body = ? WHERE id = ?", (body, number))
        db.execute("DELETE FROM notes WHERE name = ?", (_taken_up(number),))
        waiting = [one for event in events if (one := outbox.put(database, db, number, event))]
        add(db, "seen", len(waiting) - 1)
        if plans_at_once:
            waiting = [replace(one, plan=outbox.plan(database, one.series, first_only=True)) for one in waiting]
        return Described(incident, waiting)


def give_up(database: Database, incident: int, reason: str) -> None:
    """Write down that an incident gets no Event, and why."""
    with database.transaction() as db:
        db.execute("DELETE FROM notes WHERE name = ?", (_taken_up(incident),))
        change = "UPDATE incidents SET state = 'described' WHERE id = ? AND state = 'begun'"
        add(db, "given up", db.execute(change, (incident,)).rowcount, reason)
