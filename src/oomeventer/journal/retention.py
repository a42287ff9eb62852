"""For how long the journal keeps what. In: the file's bounds. Out: rows that go, and what they take of the totals.

Rules: what is settled goes by age, or for want of room. What waits goes for want of room alone, and is then given up
with a reason: a clock that was wrong and is set makes all old. It is taken from whom has most, so that one Pod's kills
push out no other's. Each function is one transaction, trim() two. Raises StoreError.
"""

import logging
import sqlite3
import time
from typing import Any

from oomeventer.journal import budgets, incidents
from oomeventer.journal.database import Database
from oomeventer.journal.totals import add

log = logging.getLogger(__name__)

#: Series that are remembered: as many as client-go's recorder has. Of a forgotten one the next kill is a new Event.
SERIES = 4096
_NO_ROOM = "no room in the journal"
#: About what an Event takes with its indexes of which there is neither body nor incident.
_BARE_BYTES = 512
_WAITS = "SELECT 1 FROM events WHERE incident = incidents.id AND state = 'waiting'"
_SETTLED = f"state = 'described' AND NOT EXISTS ({_WAITS})"
#: So far ahead the clock may be set back without that being mended.
_AHEAD_SECONDS = 60.0
#: Incidents that one trim removes at most, so that no transaction is long; and at once, to remove no more than must.
_TRIM, _TRIM_STEP = 512, 16


def trim(database: Database) -> int:
    """Remove what is settled and too old, and what fit() does. All rows are looked at: not for every few writes.
    Returns how many incidents went."""
    with database.transaction() as db:
        now = time.time()
        _set_right(db, now)
        old = now - database.age_seconds
        gone = forget(db, f"seen_at < ? AND {_SETTLED}", (old,), "")
        without = "incident NOT IN (SELECT id FROM incidents) AND state != 'waiting'"  # see transfer.py
        db.execute(f"DELETE FROM events WHERE seen_at < ? AND {without}", (old,))
        budgets.trim(db)
        incidents.trim(db)
    if gone:
        database.summaries.forget()
    return gone + fit(database)


def fit(database: Database) -> int:
    """While there is too much, remove the oldest of what is settled, then of what waits what is not needed, then what
    waits. It costs as much however much is kept. Returns how many incidents went."""
    with database.transaction() as db:
        busy = "SELECT series FROM events WHERE state = 'waiting'"
        db.execute(f"UPDATE series SET plan = NULL WHERE plan IS NOT NULL AND series NOT IN ({busy})")
        latest = "SELECT series FROM series ORDER BY used_at DESC LIMIT ?"
        db.execute(f"DELETE FROM series WHERE plan IS NULL AND series NOT IN ({latest})", (SERIES,))
        gone, dropped_before = 0, _dropped(db)
        while gone < _TRIM and (excess := used_bytes(db) - database.size_bytes) > 0:
            done = forget(db, _SETTLED, (), "", _TRIM_STEP) or _thin(db) or _evict(db, excess)
            if not done:
                break
            gone += done
        dropped = _dropped(db) - dropped_before
    if gone:
        database.summaries.forget()
    if dropped:
        log.error("%d Events are dropped: %s (--journal-bytes)", dropped, _NO_ROOM)
    return gone


def _dropped(db: sqlite3.Connection) -> int:
    """How many Events found no room so far."""
    row = db.execute("SELECT count FROM totals WHERE what = 'given up' AND reason = ?", (_NO_ROOM,)).fetchone()
    return int(row[0]) if row else 0


def _set_right(db: sqlite3.Connection, now: float) -> None:
    """What a clock that was ahead has put into the future is of now: else it would be new for ever."""
    for table, column in (("incidents", "seen_at"), ("events", "seen_at"), ("series", "used_at")):
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} > ?", (now, now + _AHEAD_SECONDS))


def _thin(db: sqlite3.Connection) -> int:
    """Remove incidents whose Events wait only to be counted: they are neither first nor latest (see outbox.py). The
    Events stay. Returns how many went."""
    needed = "SELECT 1 FROM events WHERE incident = incidents.id AND (state != 'waiting' OR draft IS NOT NULL)"
    waits = "SELECT incident FROM events WHERE state = 'waiting'"
    those = f"SELECT id FROM incidents WHERE id IN ({waits}) AND NOT EXISTS ({needed}) ORDER BY id LIMIT {_TRIM_STEP}"
    return db.execute(f"DELETE FROM incidents WHERE id IN ({those})").rowcount


# What waits, with whom it is about: an Event's object; of an incident that has none yet the Pod, or else the cgroup.
# is_bare: of it nothing is left but its count, so that it is missed least.
_WAITING = f"""
    SELECT id, length(body) AS bytes, 0 AS is_bare, CASE WHEN json_valid(body) THEN coalesce(
        json_extract(body, '$.pod.namespace') || '/' || json_extract(body, '$.pod.uid'), json_extract(body, '$.cgroup')
    ) END AS object FROM incidents WHERE state = 'begun'
    UNION ALL
    SELECT incident, {_BARE_BYTES} + ifnull(length(draft), 0) + ifnull(length(body), 0), draft IS NULL, object
    FROM events LEFT JOIN incidents ON incidents.id = events.incident WHERE events.state = 'waiting'
"""


def _evict(db: sqlite3.Connection, excess: int) -> int:
    """Give up so many bytes of what waits, of the object that has most: first what is only counted, then the oldest,
    but not its first and its latest, while any has more than these. Returns how many incidents went."""
    most = f"SELECT object, min(id), max(id) FROM ({_WAITING}) GROUP BY object HAVING count(DISTINCT id) > 2"
    row = db.execute(f"{most} ORDER BY sum(bytes) DESC LIMIT 1").fetchone()
    if row is None:
        return forget(db, "1", (), _NO_ROOM, _TRIM_STEP)
    those = f"SELECT id, max(bytes) FROM ({_WAITING}) WHERE object IS ? AND id NOT IN (?, ?) GROUP BY id"
    ids = []
    for number, size in db.execute(f"{those} ORDER BY min(is_bare) DESC, id LIMIT {_TRIM}", row):
        ids.append(number)
        excess -= size
        if excess <= 0:
            break
    _remove(db, ids, _NO_ROOM)
    return len(ids)


def outbox_bytes(database: Database) -> int:
    """About how much is still to be done."""
    recorded = "SELECT ifnull(sum(length(body)), 0) FROM incidents WHERE state = 'begun'"
    waiting = (
        "SELECT ifnull(sum(ifnull(length(draft), 0) + length(body)), 0) FROM events "
        "JOIN incidents ON incidents.id = events.incident WHERE events.state = 'waiting'"
    )
    with database.errors() as db:
        return sum(int(db.execute(query).fetchone()[0]) for query in (recorded, waiting))


def forget(db: sqlite3.Connection, where: str, values: tuple[Any, ...], reason: str, most: int = _TRIM) -> int:
    """Inside a transaction: the oldest incidents of those go, with their Events; what waits is given up with that
    reason. Returns how many went."""
    ids = [row[0] for row in db.execute(f"SELECT id FROM incidents WHERE {where} ORDER BY id LIMIT {most}", values)]
    _remove(db, ids, reason)
    return len(ids)


def _remove(db: sqlite3.Connection, ids: list[int], reason: str) -> None:
    """These incidents, and their Events; of some only these are left."""
    those = ",".join("?" * len(ids))
    recorded = f"SELECT count(*) FROM incidents WHERE id IN ({those}) AND state = 'begun'"
    waiting = f"SELECT count(*) FROM events WHERE incident IN ({those}) AND state = 'waiting'"
    add(db, "given up", sum(db.execute(query, ids).fetchone()[0] for query in (recorded, waiting)), reason)
    db.execute(f"DELETE FROM events WHERE incident IN ({those})", ids)
    db.execute(f"DELETE FROM incidents WHERE id IN ({those})", ids)


def used_bytes(db: sqlite3.Connection) -> int:
    """Of the file, without the pages that are free."""
    pages, free, page = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)
