"""Two journals of one node made one: the disk's, which failed, and that in memory, which stood in for it.

In: what one of them exports. Out: the other, with both. Rules: nothing is delivered twice or counted twice, also where
the disk carried out in the end what it did not answer in time, a take-over too. So it writes down in itself whose rows
it took, and what they counted. Requests that either has planned may have been sent, each with its own count: a series
that waits in both stays apart, as two. Raises StoreError.
"""

import contextlib
import json
import sqlite3
from typing import Any

from msgspec import Struct

from oomeventer.journal.database import Database
from oomeventer.journal.totals import add

#: By table.
Rows = dict[str, list[Any]]

#: By table: what of it is still to be done. What is settled stays without its incident: it must not be sent again.
_OUTBOX = {"incidents": "state = 'begun' OR id IN (SELECT incident FROM events WHERE state = 'waiting')"}
_TABLES = ("incidents", "events", "series", "totals", "notes")
#: The note that says what was taken over last.
_TAKEN = "taken"


class Held(Struct, frozen=True):
    """What a database has. origin: which one, among all that ever were."""

    origin: str
    rows: Rows


def export(source: Database, whole: bool) -> Held:
    """What is to be done, the series, the totals; with `whole` also the incidents that are settled."""
    with source.errors() as db:
        where = {} if whole else _OUTBOX
        rows = {
            table: db.execute(f"SELECT * FROM {table} WHERE {where.get(table, '1')}").fetchall() for table in _TABLES
        }
        return Held(source.origin, rows)


def replace(target: Database, held: Held) -> None:
    """Put what another one has in place of what is here, where that began with all that was to be done here. What
    waited here and is not there has been given up there, and is in its totals."""
    target.summaries.forget()
    with target.transaction() as db:
        db.execute("DELETE FROM incidents WHERE state = 'begun'")
        db.execute("DELETE FROM events WHERE state = 'waiting'")
        db.execute("DELETE FROM totals")
        for table in _TABLES:
            _insert(db, table, held.rows[table])


def merge(target: Database, held: Held) -> None:
    """Add what another database has, where each went on by itself. It may be added again, as it has become since."""
    target.summaries.forget()
    with target.transaction() as db:
        taken = _taken(db, held.origin)
        for what, reason, count in taken["totals"]:  # they are taken again, as they have become
            add(db, what, -count, reason)
        apart = set(taken["apart"])
        suffix = f" {held.origin}"
        events = [(*row[:4], row[4] + suffix, *row[5:]) if row[4] in apart else row for row in held.rows["events"]]
        series = [(row[0] + suffix, *row[1:]) if row[0] in apart else row for row in held.rows["series"]]
        for row in events:
            if row[0] > taken["last"]:
                _uncount(db, name=row[6])
        for what, reason, count in held.rows["totals"]:
            add(db, what, count, reason)
        recorded = [row for row in held.rows["incidents"] if row[3] == "begun"]
        _insert(db, "incidents", recorded, "IGNORE")  # one that the kernel gave twice may be described already, here
        _insert(db, "incidents", [row for row in held.rows["incidents"] if row[3] != "begun"])
        _insert(db, "events", events)
        _insert(db, "series", series)
        _insert(db, "notes", held.rows["notes"])
        db.execute(
            "UPDATE incidents SET state = 'described' WHERE state = 'begun' AND id IN (SELECT incident FROM events)"
        )
        known = "(SELECT ifnull(sum(count), 0) FROM totals WHERE what != 'seen')"
        waiting = "(SELECT count(*) FROM events WHERE state = 'waiting')"
        waiting += " + (SELECT count(*) FROM incidents WHERE state = 'begun')"
        db.execute(f"INSERT OR REPLACE INTO totals VALUES ('seen', '', {known} + {waiting})")
        taken |= {"totals": held.rows["totals"], "last": max((row[0] for row in events), default=0)}
        _insert(db, "notes", [(_TAKEN, json.dumps(taken))])


def _taken(db: sqlite3.Connection, origin: str) -> dict[str, Any]:
    """What was taken over from there, if that was the last: totals, the last event, and the series that stay apart."""
    row = db.execute("SELECT value FROM notes WHERE name = ?", (_TAKEN,)).fetchone()
    with contextlib.suppress(KeyError, TypeError, ValueError):  # damaged, it is of no use
        if row and (taken := json.loads(row[0]))["origin"] == origin:
            return {name: taken[name] for name in ("origin", "totals", "last", "apart")}
    query = "SELECT series FROM series WHERE plan IS NOT NULL UNION SELECT series FROM events WHERE state = 'waiting'"
    return {"origin": origin, "totals": [], "last": 0, "apart": [row[0] for row in db.execute(query)]}


def _uncount(db: sqlite3.Connection, name: str) -> None:
    """An Event that was settled here, and there too, counts once: the kernel gave its kill twice."""
    row = db.execute("SELECT state, reason FROM events WHERE name = ?", (name,)).fetchone()
    if row and row[0] != "waiting":
        add(db, row[0], -1, row[1] if row[0] == "given up" else "")


def _insert(db: sqlite3.Connection, table: str, rows: list[Any], conflict: str = "REPLACE") -> None:
    if rows:
        marks = ",".join("?" * len(rows[0]))
        db.executemany(f"INSERT OR {conflict} INTO {table} VALUES ({marks})", rows)
