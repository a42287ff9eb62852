"""How many Events the journal has seen, and what became of them. In: counts, inside others' transactions. Out: Totals.

Rules: over the journal's life, also of what retention.py has removed. seen = delivered + merged + given up + waiting.
"""

import sqlite3
from collections import Counter

from msgspec import Struct, field

from oomeventer.journal.database import Database

_WAITING = """
    (SELECT count(*) FROM incidents WHERE state = 'begun') + (SELECT count(*) FROM events WHERE state = 'waiting')
"""
_ENDS = ("seen", "delivered", "merged", "given up")
_SUMS = ", ".join(f"ifnull(sum(count) FILTER (WHERE what = '{end}'), 0)" for end in _ENDS)
# Numbers alone, for this is asked after each call: text would cost more than the query.
_READ = f"SELECT {_SUMS}, {_WAITING} FROM totals"
_GIVEN_UP = "SELECT reason, count FROM totals WHERE what = 'given up'"


class Totals(Struct):
    """Events by what became of them, over the journal's life. given_up: by reason."""

    seen: int = 0
    delivered: int = 0
    merged: int = 0
    given_up: Counter[str] = field(default_factory=Counter)
    waiting: int = 0

    @property
    def accounted(self) -> int:
        """What `seen` must be."""
        return self.delivered + self.merged + self.given_up.total() + self.waiting

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.seen + other.seen,
            self.delivered + other.delivered,
            self.merged + other.merged,
            self.given_up + other.given_up,
            self.waiting + other.waiting,
        )


def add(db: sqlite3.Connection, what: str, count: int, reason: str = "") -> None:
    """Count so many more Events, or with a negative count fewer."""
    if count:
        row = "INSERT INTO totals VALUES (?, ?, ?) ON CONFLICT (what, reason)"
        db.execute(f"{row} DO UPDATE SET count = count + excluded.count", (what, reason, count))


def read(database: Database) -> Totals:
    """What was counted, and what waits: an incident that is not described yet waits as one Event."""
    with database.errors() as db:
        seen, delivered, merged, given_up, waiting = db.execute(_READ).fetchone()
        reasons = dict(db.execute(_GIVEN_UP).fetchall()) if given_up else {}
    return Totals(seen, delivered, merged, Counter(reasons), waiting)
