"""The outbox: Events that wait to be delivered, by series. In: pending Events. Out: plans, and what became of each.

A request is planned here before it is sent, and settled after its answer. So wherever the process dies, what was not
sent is sent by the next one, and what may have been sent is sent again, with the same name and the same count. Of a
series that waits the first and the latest have their bodies, and those between are counted: a Pod with many kills takes
no more room than one with few.

Rules: each function but put() is one transaction. Raises StoreError.
"""

import logging
import sqlite3
import sys
import time
from typing import Literal

import msgspec
from msgspec import Struct

from oomeventer.incident import PendingEvent, Repeats, Subject, combine
from oomeventer.journal import budgets, plans, repeats
from oomeventer.journal.budgets import Spent
from oomeventer.journal.database import Database, StoreError, new_id
from oomeventer.journal.plans import Pending, Plan, Span
from oomeventer.journal.totals import add

log = logging.getLogger(__name__)

#: So many series of one object within that time stay apart; further ones share one. As client-go's aggregator.
SIMILAR, SIMILAR_SECONDS = 10, 600.0
#: Why an Event is given up whose body cannot be read.
_DAMAGED = "damaged in the journal"

State = Literal["delivered", "given up"]


class Waiting(Struct, frozen=True):
    """A series with Events that wait. oldest: the id of the one that has waited longest. plan: its next request, where
    that was planned already, and is not made yet."""

    series: str
    object: str
    oldest: int
    plan: Plan | None = None


def put(database: Database, db: sqlite3.Connection, incident: int, event: PendingEvent) -> Waiting | None:
    """An Event of that incident waits from now on, once the caller's transaction is committed. None where one of its
    name is known."""
    now = time.time()
    series = repeats.text(event.series)
    if _is_crowded(db, event.object, series, now):
        event = combine(event)
        series = repeats.text(event.series)
    number = new_id(db)
    text = msgspec.json.encode(event.body).decode()
    new = db.execute(
        "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', NULL, ?)",
        (number, incident, now, event.object, series, event.namespace, event.name, event.killed_at, text),
    )
    if not new.rowcount:
        return None
    database.summaries.add(series, event.killed_at)
    _keep_ends(db, series, number)
    return Waiting(series, event.object, number)


def repeated(database: Database, subject: Subject, killed_at: float) -> Repeats:
    """Which time it is that an Event about that is to be put."""
    with database.errors() as db:
        series = repeats.text(subject.series)
        if _is_crowded(db, subject.object, series, time.time()):
            series = repeats.text(subject.combined)
        summary = database.summaries.look(db, subject.object, series)
        known = "SELECT 1 FROM events WHERE name = ?"  # it was given twice, and is among those that are counted
        return summary.repeats(None if db.execute(known, (subject.name,)).fetchone() else killed_at)


def waiting(database: Database) -> list[Waiting]:
    """The series with Events that wait."""
    query = "SELECT series, object, min(id) FROM events WHERE state = 'waiting' GROUP BY series"
    with database.errors() as db:
        return [Waiting(*row) for row in db.execute(query)]


def plan(
    database: Database,
    series: str,
    recreate: bool = False,
    counted: int | None = None,
    spent: Spent | None = None,
    first_only: bool = False,
) -> Plan | None:
    """The series' next request: the one that was planned and perhaps sent, else a new one for all that waits.
    recreate: its Event has expired, so that another one is to be created. counted: so many kills the Event counts
    without those that wait, whatever is known here. spent: written down with it, since the request is made now.
    first_only: None where one was planned. None where nothing waits."""
    with database.transaction() as db:
        if spent:
            budgets.write(db, spent)
        known = db.execute("SELECT name, told, plan FROM series WHERE series = ?", (series,)).fetchone()
        name, counted_here, planned = known or (None, 0, None)
        decided = plans.decision(planned)
        if decided and first_only:
            return None
        span = _span(db, series, decided.upto) if decided else None
        if span is None:  # nothing was planned, or that has been removed since: see retention.trim()
            decided, span = None, _span(db, series, None)
        if span is None:
            return None
        if decided is None or recreate or counted is not None:
            if recreate or name is None:
                decided = plans.Decision(True, span.kills, span.last.id, span.first.name)
            else:
                count = (counted_here if counted is None else counted) + span.kills
                decided = plans.Decision(False, count, span.last.id, name)
            db.execute(
                "INSERT INTO series VALUES (?, ?, ?, ?, ?) ON CONFLICT (series) DO UPDATE SET plan = excluded.plan",
                (series, name, counted_here, time.time(), decided.text),
            )
        return plans.plan(series, decided, span)


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


def _keep_ends(db: sqlite3.Connection, series: str, latest: int) -> None:
    """What was the latest until now, and is neither the first nor planned, needs no body any more."""
    those = "FROM events WHERE series = ? AND state = 'waiting'"
    (before,) = db.execute(f"SELECT max(id) {those} AND id < ?", (series, latest)).fetchone()
    (first,) = db.execute(f"SELECT min(id) {those}", (series,)).fetchone()
    planned = db.execute("SELECT plan FROM series WHERE series = ?", (series,)).fetchone()
    decided = plans.decision(planned[0]) if planned else None
    if before is not None and before != first and not (decided and decided.upto == before):
        _drop_body(db, before)


def _drop_body(db: sqlite3.Connection, number: int) -> None:
    """That Event needs no body any more. A row that becomes smaller keeps its page to itself; one that is removed, and
    written again, does not (sqlite3BtreeInsert() balances what is too full, and only a deletion what is too empty)."""
    row = db.execute("SELECT * FROM events WHERE id = ?", (number,)).fetchone()
    db.execute("DELETE FROM events WHERE id = ?", (number,))
    db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", row[:-1])


def _is_crowded(db: sqlite3.Connection, about: str, series: str, now: float) -> bool:
    """By what was seen lately; what a clock that was ahead has put into the future was not."""
    lately = "series FROM events WHERE object = ? AND seen_at BETWEEN ? AND ?"
    values = about, now - SIMILAR_SECONDS, now
    latest = db.execute(f"SELECT {lately} ORDER BY seen_at DESC LIMIT {SIMILAR}", values)  # of a storm these tell
    if (series,) in latest.fetchall():
        return False
    found = {row[0] for row in db.execute(f"SELECT DISTINCT {lately} LIMIT ?", (*values, SIMILAR + 1))}
    return series not in found and len(found) >= SIMILAR


def _span(db: sqlite3.Connection, series: str, upto: int | None) -> Span | None:
    """Of what waits, all up to that id. What is damaged is given up, and so is the rest where none has its body. Where
    that waits all the same, the index is another one's than the rows', and the file of no use: StoreError."""
    those = "FROM events WHERE series = ? AND state = 'waiting'"
    upto = sys.maxsize if upto is None else upto
    given_up: list[list[int]] = []
    while True:
        query = f"SELECT min(id), max(id), count(*) {those} AND id <= ?"
        first, last, kills = db.execute(query, (series, upto)).fetchone()
        if not kills:
            return None
        (other,) = db.execute(f"SELECT max(id) {those} AND draft IS NOT NULL", (series,)).fetchone()
        found = {number: _pending(db, number) for number in (first, last, other) if number is not None}
        gone = [number for number, pending in found.items() if pending is None]
        if not gone and (body := found[last].body or (other and found[other].body)):  # type: ignore[union-attr]
            return Span(found[first], found[last], kills, body)  # type: ignore[arg-type]
        if gone in given_up:
            raise StoreError("the journal's index is damaged", damaged=True)
        given_up.append(gone)
        where, values = (f"id IN ({','.join('?' * len(gone))})", gone) if gone else ("series = ?", [series])
        change = f"UPDATE events SET state = 'given up', reason = ?, draft = NULL WHERE {where} AND state = 'waiting'"
        damaged = db.execute(change, (_DAMAGED, *values)).rowcount
        add(db, "given up", damaged, _DAMAGED)
        log.error("series %.200s: %d pending Events are dropped: %s", series, damaged, _DAMAGED)


def _pending(db: sqlite3.Connection, number: int) -> Pending | None:
    row = "SELECT id, namespace, name, seen_at, killed_at, draft FROM events WHERE id = ?"
    return plans.pending(*db.execute(row, (number,)).fetchone())
