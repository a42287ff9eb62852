"""The table of incidents. In: incidents as JSON. Out: those that are recorded and not yet described.

An incident is a row from the moment it is known: recorded, which the file calls 'begun'. What the runtime adds rewrites
it. With what the API server adds it is described, and in the same transaction its Events are in the outbox. So wherever
the process dies, the next one goes on from there.

Rules: each function is one transaction. Raises StoreError.
"""

import time

from oomeventer.incident import PendingEvent
from oomeventer.journal import outbox
from oomeventer.journal.database import Database, new_id
from oomeventer.journal.outbox import Waiting
from oomeventer.journal.totals import add


def record(database: Database, key: str, body: str) -> bool:
    """Write an incident down. False where it is known."""
    with database.transaction() as db:
        row = (new_id(db), key, time.time(), body)
        new = db.execute("INSERT OR IGNORE INTO incidents VALUES (?, ?, ?, 'begun', ?)", row).rowcount == 1
        if new:
            add(db, "seen", 1)
        return new


def recorded(database: Database, after: int, most: int) -> list[tuple[int, str]]:
    """Incidents that are not described, by id and as JSON, the oldest first, from behind that id on."""
    query = "SELECT id, body FROM incidents WHERE state = 'begun' AND id > ? ORDER BY id LIMIT ?"
    with database.errors() as db:
        return db.execute(query, (after, most)).fetchall()


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


def describe(database: Database, incident: int, body: str, events: list[PendingEvent]) -> list[Waiting]:
    """Write down all that became known of an incident, and its Events into the outbox. Returns the series that wait for
    them; none where it is described already."""
    with database.transaction() as db:
        change = "UPDATE incidents SET state = 'described', body = ? WHERE id = ? AND state = 'begun'"
        if db.execute(change, (body, incident)).rowcount == 0:
            return []
        waiting = [one for event in events if (one := outbox.put(db, incident, event))]
        add(db, "seen", len(waiting) - 1)
        return waiting


def give_up(database: Database, incident: int, reason: str) -> None:
    """Write down that an incident gets no Event, and why."""
    with database.transaction() as db:
        change = "UPDATE incidents SET state = 'described' WHERE id = ? AND state = 'begun'"
        add(db, "given up", db.execute(change, (incident,)).rowcount, reason)
