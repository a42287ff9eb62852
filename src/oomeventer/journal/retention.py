"""For how long the journal keeps what. In: the file's bounds. Out: rows that go, and what they take of the totals.

Rules: what is settled goes by age, or for want of room. What waits goes for want of room alone, and is then given up
with a reason: a clock that was wrong and is set makes all old. Each function is one transaction. Raises StoreError.
"""

import sqlite3
import time
from typing import Any

from oomeventer.journal.database import Database
from oomeventer.journal.totals import add

#: Series that are remembered: as many as client-go's recorder has. Of a forgotten one the next kill is a new Event.
SERIES = 4096
#: Incidents that one trim removes at most, so that no transaction is long; and at once, to remove no more than must.
_TRIM, _TRIM_STEP = 512, 16


def trim(database: Database) -> int:
    """Remove what is settled and too old; and while there is too much, the oldest of what is settled, then of what
    waits. Returns how many incidents went."""
    waits = "SELECT 1 FROM events WHERE incident = incidents.id AND state = 'waiting'"
    settled = f"state = 'described' AND NOT EXISTS ({waits})"
    with database.transaction() as db:
        old = time.time() - database.age_seconds
        gone = forget(db, f"seen_at < ? AND {settled}", (old,), "")
        without = "incident NOT IN (SELECT id FROM incidents) AND state != 'waiting'"  # see transfer.py
        db.execute(f"DELETE FROM events WHERE seen_at < ? AND {without}", (old,))
        busy = "SELECT series FROM events WHERE state = 'waiting'"
        db.execute(f"UPDATE series SET plan = NULL WHERE plan IS NOT NULL AND series NOT IN ({busy})")
        latest = "SELECT series FROM series ORDER BY used_at DESC LIMIT ?"
        db.execute(f"DELETE FROM series WHERE plan IS NULL AND series NOT IN ({latest})", (SERIES,))
        before = gone
        while gone - before < _TRIM and used_bytes(db) > database.size_bytes:
            done = forget(db, settled, (), "", _TRIM_STEP)
            done = done or forget(db, "1", (), "no room in the journal", _TRIM_STEP)
            if not done:
                break
            gone += done
    return gone


def outbox_bytes(database: Database) -> int:
    """About how much is still to be done."""
    recorded = "SELECT ifnull(sum(length(body)), 0) FROM incidents WHERE state = 'begun'"
    waiting = (
        "SELECT ifnull(sum(length(draft) + length(body)), 0) FROM events "
        "JOIN incidents ON incidents.id = events.incident WHERE events.state = 'waiting'"
    )
    with database.errors() as db:
        return sum(int(db.execute(query).fetchone()[0]) for query in (recorded, waiting))


def forget(db: sqlite3.Connection, where: str, values: tuple[Any, ...], reason: str, most: int = _TRIM) -> int:
    """Inside a transaction: the oldest incidents of those go, with their Events; what waits is given up with that
    reason. Returns how many went."""
    ids = [row[0] for row in db.execute(f"SELECT id FROM incidents WHERE {where} ORDER BY id LIMIT {most}", values)]
    those = ",".join("?" * len(ids))
    recorded = f"SELECT count(*) FROM incidents WHERE id IN ({those}) AND state = 'begun'"
    waiting = f"SELECT count(*) FROM events WHERE incident IN ({those}) AND state = 'waiting'"
    add(db, "given up", sum(db.execute(query, ids).fetchone()[0] for query in (recorded, waiting)), reason)
    db.execute(f"DELETE FROM events WHERE incident IN ({those})", ids)
    db.execute(f"DELETE FROM incidents WHERE id IN ({those})", ids)
    return len(ids)


def used_bytes(db: sqlite3.Connection) -> int:
    """Of the file, without the pages that are free."""
    pages, free, page = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)
