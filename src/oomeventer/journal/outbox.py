"""The outbox: Events that wait to be delivered, by series. In: pending Events. Out: plans, and what became of each.

A request is planned here before it is sent, and settled after its answer. So wherever the process dies, what was not
sent is sent by the next one, and what may have been sent is sent again, with the same name and the same count.

Rules: each function but put() is one transaction. Raises StoreError.
"""

import json
import logging
import sqlite3
import time
from dataclasses import dataclass
from typing import Literal

from oomeventer.incident import PendingEvent, combine
from oomeventer.journal import plans
from oomeventer.journal.database import Database, new_id
from oomeventer.journal.plans import Pending, Plan
from oomeventer.journal.totals import add

log = logging.getLogger(__name__)

#: So many series of one object within that time stay apart; further ones share one. As client-go's aggregator.
SIMILAR, SIMILAR_SECONDS = 10, 600.0
#: Why an Event is given up whose body cannot be read.
_DAMAGED = "damaged in the journal"

State = Literal["delivered", "given up"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A series with Events that wait. oldest: the id of the one that has waited longest."""

    series: str
    object: str
    oldest: int


def put(db: sqlite3.Connection, incident: int, event: PendingEvent) -> Waiting | None:
    """An Event of that incident waits from now on, once the caller's transaction is committed. None where one of its
    name is known."""
    now = time.time()
    series = json.dumps(event.series)
    if _is_crowded(db, event.object, series, now):
        event = combine(event)
        series = json.dumps(event.series)
    number = new_id(db)
    text = json.dumps(event.body, ensure_ascii=False)
    new = db.execute(
        "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', NULL, ?)",
        (number, incident, now, event.object, series, event.namespace, event.name, event.killed_at, text),
    )
    return Waiting(series, event.object, number) if new.rowcount else None


def waiting(database: Database) -> list[Waiting]:
    """The series with Events that wait."""
    query = "SELECT series, object, min(id) FROM events WHERE state = 'waiting' GROUP BY series"
    with database.errors() as db:
        return [Waiting(*row) for row in db.execute(query)]


def plan(database: Database, series: str, recreate: bool = False, counted: int | None = None) -> Plan | None:
    """The series' next request: the one that was planned and perhaps sent, else a new one for all that waits.
    recreate: its Event has expired, so that another one is to be created. counted: so many kills the Event counts
    without those that wait, whatever is known here. None where nothing waits."""
    with database.transaction() as db:
        known = db.execute("SELECT name, told, plan FROM series WHERE series = ?", (series,)).fetchone()
        name, counted_here, planned = known or (None, 0, None)
        decided = plans.decision(planned)
        span = _span(db, series, decided.upto) if decided else None
        if span is None:  # nothing was planned, or that has been removed since: see retention.trim()
            decided, span = None, _span(db, series, None)
        if span is None:
            return None
        first, last, kills = span
        if decided is None or recreate or counted is not None:
            if recreate or name is None:
                decided = plans.Decision(True, kills, last.id, first.name)
            else:
                count = (counted_here if counted is None else counted) + kills
                decided = plans.Decision(False, count, last.id, name)
            db.execute(
                "INSERT INTO series VALUES (?, ?, ?, ?, ?) ON CONFLICT (series) DO UPDATE SET plan = excluded.plan",
                (series, name, counted_here, time.time(), decided.text),
            )
    return plans.plan(series, decided, first, last, kills)


def settle(database: Database, plan: Plan, state: State, reason: str) -> Waiting | None:
    """Write down what became of a request. Returns the series, where more of it waits. A plan that is not this file's
    (a disk failed, or is back) is not known to have been carried out, and stays."""
    those = "series = ? AND state = 'waiting'"
    settled = f"UPDATE events SET state = ?, reason = ?, draft = NULL WHERE {those} AND id <= ?"
    with database.transaction() as db:
        query = f"SELECT min(id) FROM events WHERE {those} AND id <= ?"
        (first,) = db.execute(query, (plan.series, plan.upto)).fetchone()
        planned = db.execute("SELECT plan FROM series WHERE series = ?", (plan.series,)).fetchone()
        if planned is None or plans.decision(planned[0]) != plan.decision:
            log.info("series %.200s is to be sent again: it was planned elsewhere", plan.series)
        elif state == "delivered":
            add(db, "delivered", db.execute(settled, (state, reason, plan.series, first)).rowcount)
            add(db, "merged", db.execute(settled, ("merged", reason, plan.series, plan.upto)).rowcount)
            change = "UPDATE series SET name = ?, told = ?, used_at = ?, plan = NULL WHERE series = ?"
            db.execute(change, (plan.name, plan.count, time.time(), plan.series))
        else:
            add(db, state, db.execute(settled, (state, reason, plan.series, plan.upto)).rowcount, reason)
            db.execute("UPDATE series SET plan = NULL WHERE series = ?", (plan.series,))
        query = f"SELECT series, object, min(id) FROM events WHERE {those} GROUP BY series"
        row = db.execute(query, (plan.series,)).fetchone()
    return Waiting(*row) if row else None


def _is_crowded(db: sqlite3.Connection, about: str, series: str, now: float) -> bool:
    recent = "SELECT DISTINCT series FROM events WHERE object = ? AND seen_at > ? LIMIT ?"
    found = {row[0] for row in db.execute(recent, (about, now - SIMILAR_SECONDS, SIMILAR + 1))}
    return series not in found and len(found) >= SIMILAR


def _span(db: sqlite3.Connection, series: str, upto: int | None) -> tuple[Pending, Pending, int] | None:
    """The first and the last of what waits, and how many they are. What is damaged at either end is given up."""
    query = "SELECT min(id), max(id), count(*) FROM events WHERE series = ? AND state = 'waiting'"
    query += " AND id <= ifnull(?, id)"
    while True:
        first, last, kills = db.execute(query, (series, upto)).fetchone()
        if not kills:
            return None
        row = "SELECT id, namespace, name, seen_at, killed_at, draft FROM events WHERE id = ?"
        ends = {number: plans.pending(*db.execute(row, (number,)).fetchone()) for number in (first, last)}
        if (begin := ends[first]) and (end := ends[last]):
            return begin, end, kills
        gone = [number for number, pending in ends.items() if pending is None]
        change = "UPDATE events SET state = 'given up', reason = ?, draft = NULL WHERE id = ?"
        db.executemany(change, [(_DAMAGED, number) for number in gone])
        add(db, "given up", len(gone), _DAMAGED)
        log.error("series %.200s: %d pending Events are damaged, and given up", series, len(gone))
