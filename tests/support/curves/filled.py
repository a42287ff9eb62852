"""A journal with a past. In: a journal of a few incidents, all delivered. Out: the same with so many, by
copies of these."""

import sqlite3
from contextlib import closing
from pathlib import Path

_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies})"
_INCIDENTS = f"""{_NUMBERS} INSERT INTO incidents
    SELECT id - i * 1000000, key || '-' || i, seen_at - i, state, body FROM n CROSS JOIN incidents"""
_EVENTS = f"""{_NUMBERS} INSERT INTO events
    SELECT id - i * 1000000, incident - i * 1000000, seen_at - i, object, series, namespace, name || '-' || i,
    killed_at - i, state, reason, draft FROM n CROSS JOIN events"""


def fill(path: Path, incidents: int) -> None:
    """So many, each a second older than the one that it is a copy of."""
    with closing(sqlite3.connect(path)) as db, db:
        (there,) = db.execute("SELECT count(*) FROM incidents").fetchone()
        copies = max(incidents // there - 1, 0)
        if not copies:
            return
        (last,) = db.execute("SELECT max(id) - min(id) FROM events").fetchone()
        assert last < 10**9
        db.execute(_INCIDENTS.format(copies=copies))
        db.execute(_EVENTS.format(copies=copies))
        db.execute("UPDATE totals SET count = count * (1 + ?)", (copies,))
