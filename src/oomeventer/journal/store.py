"""What the journal's tables mean. In: incidents, then the Events that tell them, then what became of these.
Out: what is still to be done, and what was.

An incident is in it from the moment it is known; with what the runtime and the API say of it come the drafts of its
Events; a request is planned in it before it is sent. So wherever the process dies, the next one goes on from here: what
was not sent is sent, and what may have been sent is sent again, with the same name and the same count.

Rules: each method is one transaction. Ids grow with time, and are not used again, in another file neither. Raises
StoreError.
"""

import json
import logging
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from oomeventer.incident import PendingEvent, combine
from oomeventer.journal import plans
from oomeventer.journal.database import Database, add
from oomeventer.journal.plans import Pending, Plan

log = logging.getLogger(__name__)

#: As many series of an object within that time stay apart; further ones are told as one. As client-go's aggregator.
SIMILAR, SIMILAR_SECONDS = 10, 600.0
#: Series that are remembered: as many as client-go's recorder has. Of a forgotten one the next kill is a new Event.
SERIES = 4096
#: Incidents that one trim takes away at most, so that no transaction is long; and at once, to take no more than must.
_TRIM, _TRIM_STEP = 512, 16
#: Why an Event is given up whose draft cannot be read.
_DAMAGED = "damaged in the journal"

State = Literal["delivered", "given up"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A series that has something to tell. oldest: the id of the Event that has waited longest."""

    series: str
    object: str
    oldest: int


@dataclass(slots=True)
class Totals:
    """Events by what became of them, over the journal's life: seen = delivered + merged + given up + waiting."""

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


class Store(Database):
    """An open file, or MEMORY. size_bytes: how large it may grow before the oldest goes."""

    def __init__(self, path: str, size_bytes: int, age_seconds: float) -> None:
        super().__init__(path)
        self._size_bytes = size_bytes
        self._age_seconds = age_seconds

    # -- incidents -------------------------------------------------------------------------------------------------

    def record(self, key: str, body: dict[str, Any]) -> bool:
        """Write an incident down. False where it is known."""
        with self.transaction() as db:
            now = time.time()
            row = (self._new_id(db), key, now, json.dumps(body, ensure_ascii=False))
            new = db.execute("INSERT OR IGNORE INTO incidents VALUES (?, ?, ?, 'begun', ?)", row).rowcount == 1
            if new:
                add(db, "seen", 1)
            return new

    def recorded(self, after: int, most: int) -> list[tuple[int, str]]:
        """Incidents whose Events are not drafted, by id and as JSON, the oldest first, from behind that id on."""
        query = "SELECT id, body FROM incidents WHERE state = 'begun' AND id > ? ORDER BY id LIMIT ?"
        with self.errors() as db:
            return db.execute(query, (after, most)).fetchall()

    def rewrite(self, incident: int, body: dict[str, Any]) -> None:
        """Write down what became known meanwhile of an incident whose Events are not drafted."""
        with self.transaction() as db:
            change = "UPDATE incidents SET body = ? WHERE id = ? AND state = 'begun'"
            db.execute(change, (json.dumps(body, ensure_ascii=False), incident))

    def read(self, incident: int) -> str | None:
        """An incident whose Events are not drafted, as JSON."""
        with self.errors() as db:
            query = "SELECT body FROM incidents WHERE id = ? AND state = 'begun'"
            row = db.execute(query, (incident,)).fetchone()
            return row[0] if row else None

    def describe(self, incident: int, body: dict[str, Any], events: list[PendingEvent]) -> list[Waiting]:
        """Write down all that became known of an incident, and the Events that are to tell it."""
        waiting = []
        with self.transaction() as db:
            now = time.time()
            change = "UPDATE incidents SET state = 'described', body = ? WHERE id = ? AND state = 'begun'"
            if db.execute(change, (json.dumps(body, ensure_ascii=False), incident)).rowcount == 0:
                return []
            for event in events:
                series = json.dumps(event.series)
                if self._is_crowded(db, event.object, series, now):
                    event = combine(event)
                    series = json.dumps(event.series)
                number = self._new_id(db)
                text = json.dumps(event.body, ensure_ascii=False)
                new = db.execute(
                    "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', NULL, ?)",
                    (number, incident, now, event.object, series, event.namespace, event.name, event.killed_at, text),
                )
                if new.rowcount:
                    waiting.append(Waiting(series, event.object, number))
            add(db, "seen", len(waiting) - 1)
        return waiting

    def give_up(self, incident: int, reason: str) -> None:
        """Write down that an incident gets no Event, and why."""
        with self.transaction() as db:
            change = "UPDATE incidents SET state = 'described' WHERE id = ? AND state = 'begun'"
            add(db, "given up", db.execute(change, (incident,)).rowcount, reason)

    def _is_crowded(self, db: sqlite3.Connection, about: str, series: str, now: float) -> bool:
        recent = "SELECT DISTINCT series FROM events WHERE object = ? AND seen_at > ? LIMIT ?"
        found = {row[0] for row in db.execute(recent, (about, now - SIMILAR_SECONDS, SIMILAR + 1))}
        return series not in found and len(found) >= SIMILAR

    # -- the outbox ------------------------------------------------------------------------------------------------

    def waiting(self) -> list[Waiting]:
        """The series that have something to tell."""
        query = "SELECT series, object, min(id) FROM events WHERE state = 'waiting' GROUP BY series"
        with self.errors() as db:
            return [Waiting(*row) for row in db.execute(query)]

    def plan(self, series: str, recreate: bool = False, told: int | None = None) -> Plan | None:
        """The series' next request: the one that was planned and perhaps sent, else a new one for all that waits.
        recreate: its Event has expired, so that another one is to be created. told: it tells so many kills without
        those that wait, whatever is known here. None where nothing waits."""
        with self.transaction() as db:
            known = db.execute("SELECT name, told, plan FROM series WHERE series = ?", (series,)).fetchone()
            name, told_before, planned = known or (None, 0, None)
            decided = plans.decision(planned)
            span = self._span(db, series, decided.upto) if decided else None
            if span is None:  # nothing was planned, or that has been let go of since: see trim()
                decided, span = None, self._span(db, series, None)
            if span is None:
                return None
            first, last, kills = span
            if decided is None or recreate or told is not None:
                if recreate or name is None:
                    decided = plans.Decision(True, kills, last.id, first.name)
                else:
                    decided = plans.Decision(False, (told_before if told is None else told) + kills, last.id, name)
                db.execute(
                    "INSERT INTO series VALUES (?, ?, ?, ?, ?) ON CONFLICT (series) DO UPDATE SET plan = excluded.plan",
                    (series, name, told_before, time.time(), decided.text),
                )
        return plans.plan(series, decided, first, last, kills)

    def _span(self, db: sqlite3.Connection, series: str, upto: int | None) -> tuple[Pending, Pending, int] | None:
        """The first and the last of what waits, and how many they are. A draft that is damaged is given up."""
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
            log.error("series %.200s: %d drafts of Events are damaged, and not told", series, len(gone))

    def settle(self, plan: Plan, state: State, reason: str) -> Waiting | None:
        """Write down what became of a request. Returns the series, where it has more to tell. A plan that is not this
        store's (a disk failed, or is back) is not known to have been carried out, and stays."""
        those = "series = ? AND state = 'waiting'"
        told = f"UPDATE events SET state = ?, reason = ?, draft = NULL WHERE {those} AND id <= ?"
        with self.transaction() as db:
            query = f"SELECT min(id) FROM events WHERE {those} AND id <= ?"
            (first,) = db.execute(query, (plan.series, plan.upto)).fetchone()
            planned = db.execute("SELECT plan FROM series WHERE series = ?", (plan.series,)).fetchone()
            if planned is None or plans.decision(planned[0]) != plan.decision:
                log.info("series %.200s is to be told again: it was planned elsewhere", plan.series)
            elif state == "delivered":
                add(db, "delivered", db.execute(told, (state, reason, plan.series, first)).rowcount)
                add(db, "merged", db.execute(told, ("merged", reason, plan.series, plan.upto)).rowcount)
                change = "UPDATE series SET name = ?, told = ?, used_at = ?, plan = NULL WHERE series = ?"
                db.execute(change, (plan.name, plan.count, time.time(), plan.series))
            else:
                add(db, state, db.execute(told, (state, reason, plan.series, plan.upto)).rowcount, reason)
                db.execute("UPDATE series SET plan = NULL WHERE series = ?", (plan.series,))
            query = f"SELECT series, object, min(id) FROM events WHERE {those} GROUP BY series"
            row = db.execute(query, (plan.series,)).fetchone()
        return Waiting(*row) if row else None

    # -- what was --------------------------------------------------------------------------------------------------

    def totals(self) -> Totals:
        """How many Events were seen, and what became of them."""
        totals = Totals()
        with self.errors() as db:
            for what, reason, count in db.execute("SELECT what, reason, count FROM totals"):
                if what == "given up":
                    totals.given_up[reason] = count
                else:
                    setattr(totals, what, count)
            (begun,) = db.execute("SELECT count(*) FROM incidents WHERE state = 'begun'").fetchone()
            (waiting,) = db.execute("SELECT count(*) FROM events WHERE state = 'waiting'").fetchone()
        totals.waiting = begun + waiting
        return totals

    def note(self, name: str, value: str | None = None) -> str | None:
        """Remember a word under a name, or, without one, tell what is remembered."""
        with self.transaction() as db:
            if value is not None:
                db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))
            row = db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def outbox_bytes(self) -> int:
        """About how much is still to be done."""
        begun = "SELECT ifnull(sum(length(body)), 0) FROM incidents WHERE state = 'begun'"
        waiting = (
            "SELECT ifnull(sum(length(draft) + length(body)), 0) FROM events "
            "JOIN incidents ON incidents.id = events.incident WHERE events.state = 'waiting'"
        )
        with self.errors() as db:
            return sum(int(db.execute(query).fetchone()[0]) for query in (begun, waiting))

    def trim(self) -> int:
        """Let go of what is told and too old, and of the oldest while there is too much: first of what is told, then of
        what waits, which is given up with a reason. Not for its age: a clock that was wrong and is set makes all old.
        Returns how many incidents went."""
        waits = "SELECT 1 FROM events WHERE incident = incidents.id AND state = 'waiting'"
        told = f"state = 'described' AND NOT EXISTS ({waits})"
        with self.transaction() as db:
            old = time.time() - self._age_seconds
            gone = self._forget(db, f"seen_at < ? AND {told}", (old,), "")
            without = "incident NOT IN (SELECT id FROM incidents) AND state != 'waiting'"  # see transfer.py
            db.execute(f"DELETE FROM events WHERE seen_at < ? AND {without}", (old,))
            busy = "SELECT series FROM events WHERE state = 'waiting'"
            db.execute(f"UPDATE series SET plan = NULL WHERE plan IS NOT NULL AND series NOT IN ({busy})")
            latest = "SELECT series FROM series ORDER BY used_at DESC LIMIT ?"
            db.execute(f"DELETE FROM series WHERE plan IS NULL AND series NOT IN ({latest})", (SERIES,))
            before = gone
            while gone - before < _TRIM and self._used_bytes(db) > self._size_bytes:
                done = self._forget(db, told, (), "", _TRIM_STEP)
                done = done or self._forget(db, "1", (), "no room in the journal", _TRIM_STEP)
                if not done:
                    break
                gone += done
        return gone

    def _forget(
        self, db: sqlite3.Connection, where: str, values: tuple[Any, ...], reason: str, most: int = _TRIM
    ) -> int:
        ids = [row[0] for row in db.execute(f"SELECT id FROM incidents WHERE {where} ORDER BY id LIMIT {most}", values)]
        marks = ",".join("?" * len(ids))
        (begun,) = db.execute(
            f"SELECT count(*) FROM incidents WHERE id IN ({marks}) AND state = 'begun'", ids
        ).fetchone()
        (waiting,) = db.execute(
            f"SELECT count(*) FROM events WHERE incident IN ({marks}) AND state = 'waiting'", ids
        ).fetchone()
        add(db, "given up", begun + waiting, reason)
        db.execute(f"DELETE FROM events WHERE incident IN ({marks})", ids)
        db.execute(f"DELETE FROM incidents WHERE id IN ({marks})", ids)
        return len(ids)

    def _used_bytes(self, db: sqlite3.Connection) -> int:
        pages, free, page = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page)

    def _new_id(self, db: sqlite3.Connection) -> int:
        """Microseconds of UNIX time, or one more than the last: also unique among files that are merged later."""
        query = "SELECT max(ifnull((SELECT max(id) FROM incidents), 0), ifnull((SELECT max(id) FROM events), 0))"
        (last,) = db.execute(query).fetchone()
        return max(int(last) + 1, time.time_ns() // 1000)
