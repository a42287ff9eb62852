"""For how long the journal keeps what: by age, by room, by number of series.

In: a file with incidents of every state, and a time that the test moves. Out: what is still in it, and the totals.
"""

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from moving import Time
from oomeventer.incident.events import compose
from oomeventer.incident.incident import Incident
from oomeventer.journal import outbox, retention
from oomeventer.journal.database import Database
from oomeventer.journal.history import read_history
from oomeventer.journal.transfer import export
from stores import AGE, deliver, described, figures, kill, opened, planned, record

pytestmark = pytest.mark.usefixtures("time")


def test_what_is_old_goes(store: Database, time: Time) -> None:
    """Of what is settled. What waits stays, however old it seems: the clock may have been set."""
    deliver(store, kill(1))
    described(store, kill(2, pod=1))
    record(store, kill(3))
    time.now += AGE - 1
    record(store, kill(4))
    assert retention.trim(store) == 0
    time.now += 2
    assert retention.trim(store) == 1
    assert figures(store) == (4, 1, 0, {}, 3)
    assert record(store, kill(1)), "it is forgotten"


def test_writes_cost_as_much_however_much_is_kept(store: Database) -> None:
    """What is done every few writes looks at no row of incidents or Events that is to stay: SQLite's own count of what
    it does is the same for 2,000 as for 20."""
    deliver(store, *(kill(number, pod=number) for number in range(20)))
    few = steps(store)
    copies(store, 100)
    assert steps(store) < 2 * few


def copies(store: Database, count: int) -> None:
    """Of all incidents and Events, so many more."""
    number = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) INSERT INTO"
    with store.transaction() as db:
        db.execute(
            f"{number} incidents SELECT id - i * 1000000, key || i, seen_at, state, body FROM n CROSS JOIN incidents"
        )
        db.execute(
            f"{number} events SELECT id - i * 1000000, incident - i * 1000000, seen_at, object, series, namespace,"
            " name || i, killed_at, state, reason, draft FROM n CROSS JOIN events"
        )


def steps(store: Database) -> int:
    """How many instructions of SQLite's machine one fit() takes."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    with store.errors() as db:
        db.set_progress_handler(step, 1)
        try:
            retention.fit(store)
        finally:
            db.set_progress_handler(None, 1)
    return count


def remove(store: Database, *those: Incident) -> None:
    """As trim() does of what waits, where there is no room."""
    with store.transaction() as db:
        for one in those:
            assert retention.forget(db, "key = ?", (one.key,), "no room in the journal") == 1


def test_what_is_settled_goes_first(path: Path) -> None:
    """Where there is too much the oldest of what is settled goes, and no more of it than must; then of what waits that
    which is only to be counted, and is."""
    with closing(opened(path, size_bytes=1 << 20)) as store:
        for number in range(1, 201):
            deliver(store, large(number))
        before = figures(store)
        while retention.trim(store):
            pass
        kept = [one["key"] for one in read_history(path)]
        assert figures(store) == before
        assert 50 < len(kept) < 150
        assert kept == [kill(number).key for number in range(201 - len(kept), 201)]
        assert used(store) <= 1 << 20
        for number in range(201, 401):
            described(store, large(number, pod=1))
        while retention.trim(store):
            pass
        assert figures(store) == (400, 200, 0, {}, 200)
        kept = [one["key"] for one in read_history(path)]
        assert 20 < len(kept) < 150
        assert kept == [kill(201).key, *(kill(number).key for number in range(402 - len(kept), 401))]
        (waiting,) = outbox.waiting(store)
        plan = planned(store, waiting)
        assert (plan.name, plan.count, plan.kills) == (compose(large(201, pod=1)).name, 200, 200)
        assert plan.body["message"] == compose(large(400, pod=1)).body["message"]


@pytest.mark.parametrize("is_described", [False, True])
def test_one_pods_kills_push_out_no_others(path: Path, is_described: bool) -> None:
    """While the API is unreachable 1,100 of one Pod, of a program each, come after one of another: what there is no
    room for is taken from the Pod that has most, but for its first and latest, and is given up with a reason."""
    put = described if is_described else record
    with closing(opened(path, size_bytes=1 << 20)) as store:
        put(store, large(1, pod=1))
        for number in range(2, 1102):
            put(store, large(number, program=f"program-{number}"))
            if number % 50 == 0:
                retention.trim(store)
        retention.trim(store)
        assert used(store) <= 1 << 20
        kept = [one["key"] for one in read_history(path)]
        assert kept[:2] == [kill(1).key, kill(2).key]
        assert kept[-1] == kill(1101).key
        seen, delivered, merged, given_up, waiting = figures(store)
        assert (seen, delivered, merged) == (1101, 0, 0)
        if is_described:  # beyond ten series they are one, of which the others are but counted
            assert (given_up, waiting) == ({}, 1101)
        else:
            assert given_up == {"no room in the journal": 1101 - waiting}
            assert 20 < waiting < 200


@pytest.mark.parametrize(("count", "has_room"), [(1100, True), (4000, False)])
def test_what_is_only_counted_pushes_out_nothing(path: Path, count: int, has_room: bool) -> None:
    """Of one Pod's kills that wait those between the first and the latest take little, and where there is no room for
    so many, they go before any that is more than a count: of each series the first and the latest stay."""
    with closing(opened(path, size_bytes=1 << 20)) as store:
        (quiet,) = described(store, kill(1, pod=1))
        (once,) = described(store, kill(2, program="once"))
        for number in range(3, count + 3):
            (loud,) = described(store, kill(number))
            if number % 50 == 0:
                retention.trim(store)
        while retention.trim(store):
            pass
        assert used(store) <= 1 << 20
        assert planned(store, quiet).count == planned(store, once).count == 1
        seen, delivered, merged, given_up, waiting = figures(store)
        assert (seen, delivered, merged) == (count + 2, 0, 0)
        assert given_up == ({} if has_room else {"no room in the journal": seen - waiting})
        plan = planned(store, loud)
        assert (plan.create, plan.name, plan.count) == (True, compose(kill(3)).name, waiting - 2)
        assert plan.body["message"] == compose(kill(count + 2)).body["message"]
        assert waiting > 1000


def test_an_event_that_is_only_counted_is_small(store: Database) -> None:
    """Of 400 that wait all but two have lost their bodies of 2 KiB: they take less than a page each."""
    described(store, *(kill(number) for number in range(400)))
    with store.transaction() as db:
        db.execute("DELETE FROM incidents")
        assert retention.used_bytes(db) < 400 * 1024


def test_no_room_for_the_first_of_many(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody has more than its first and its latest the oldest of all goes; the log has how many are dropped."""
    with closing(opened(path, size_bytes=1 << 20)) as store:
        for number in range(1, 301):
            record(store, large(number, pod=number))
        while retention.trim(store):
            pass
        kept = [one["key"] for one in read_history(path)]
        assert used(store) <= 1 << 20
        assert 20 < len(kept) < 200
        assert kept == [kill(number).key for number in range(301 - len(kept), 301)]
    logged = [int(record.message.split()[0]) for record in caplog.records if "are dropped: no room" in record.message]
    assert sum(logged) == 300 - len(kept)


def test_a_clock_that_was_ahead(store: Database, time: Time) -> None:
    """What it has put into the future is of now once it is set: it is trimmed in its time, and a Pod that had many
    series is no longer one with too many."""
    year = 365 * 86400.0
    time.now += year
    for number in range(outbox.SIMILAR):
        deliver(store, kill(number, program=f"program-{number}"))
    time.now -= year
    (waiting,) = described(store, kill(100, program="another"))
    assert "another" in waiting.series, "not combined"
    retention.trim(store)
    time.now += AGE + 1
    assert retention.trim(store) == outbox.SIMILAR


def test_a_plan_whose_kills_are_gone(store: Database) -> None:
    """The next one is made of what still waits; a late answer settles nothing else."""
    (waiting,) = described(store, kill(1))
    plan = planned(store, waiting)
    described(store, kill(2))
    remove(store, kill(1))
    assert outbox.settle(store, plan, "delivered", "") is not None
    assert figures(store) == (2, 0, 0, {"no room in the journal": 1}, 1)
    again = planned(store, waiting)
    assert again.kills == 1
    outbox.settle(store, again, "delivered", "")
    assert figures(store) == (2, 1, 0, {"no room in the journal": 1}, 0)


def test_a_plan_whose_kills_are_gone_is_made_again(store: Database) -> None:
    """The same, where no answer came."""
    (waiting,) = described(store, kill(1))
    planned(store, waiting)
    described(store, kill(2))
    remove(store, kill(1))
    plan = planned(store, waiting)
    assert (plan.create, plan.name, plan.count, plan.kills) == (True, compose(kill(2)).name, 1, 1)


def test_a_plan_of_which_a_kill_is_gone(store: Database) -> None:
    """It may have been sent: so it is made again as it was, name and count, and no second Event counts the others."""
    described(store, kill(1))
    described(store, kill(2))
    (waiting,) = described(store, kill(3))
    before = planned(store, waiting)
    remove(store, kill(1))
    again = planned(store, waiting)
    assert (
        (again.create, again.name, again.count) == (before.create, before.name, before.count) == (True, before.name, 3)
    )
    assert again.body["metadata"]["name"] == before.name
    outbox.settle(store, again, "delivered", "")
    assert figures(store) == (3, 1, 1, {"no room in the journal": 1}, 0)


def test_a_bounded_number_of_series(store: Database, monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    """The series that was longest without a kill is forgotten; its next kill is a new Event. One that has something
    planned is not."""
    assert retention.SERIES == 4096
    monkeypatch.setattr(retention, "SERIES", 2)
    for number, pod in enumerate((1, 2, 3, 1, 4), 1):
        deliver(store, kill(number, pod=pod))
        time.now += 1
    (waiting,) = described(store, kill(10, pod=2))
    planned(store, waiting)
    retention.trim(store)
    plans = {pod: planned(store, described(store, kill(20 + pod, pod=pod))[0]).create for pod in (1, 2, 3, 4)}
    assert plans == {1: False, 2: False, 3: True, 4: False}


def test_plans_of_nothing_go(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A series whose kills were all removed is forgotten as any other, though a request was planned for it."""
    monkeypatch.setattr(retention, "SERIES", 2)
    for number in range(1, 6):
        (waiting,) = described(store, kill(number, pod=number))
        planned(store, waiting)
        remove(store, kill(number, pod=number))
    retention.trim(store)
    assert [len(rows) for rows in (export(store, True).rows["series"], outbox.waiting(store))] == [2, 0]


@pytest.mark.parametrize("how", ["delivered", "waiting", "recorded"])
def test_no_growth(path: Path, how: str) -> None:
    """After 5,000 incidents the file is as large as was set, and a little; the totals have as few rows as ever."""
    size = 1 << 20
    with closing(opened(path, size)) as store:
        for number in range(5000):
            one = kill(number, pod=number % 50)
            match how:
                case "delivered":
                    deliver(store, one)
                case "waiting":
                    described(store, one)
                case "recorded":
                    record(store, one)
            if number % 50 == 0:
                retention.trim(store)
        seen, *_ = figures(store)
        assert seen == 5000
        assert used(store) < size * 1.3
        (rows,) = store._db.execute("SELECT count(*) FROM totals").fetchone()
        assert rows <= 3
    assert path.stat().st_size < size * 1.5
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


def large(number: int, pod: int = 0, program: str = "hog") -> Incident:
    """One of about 8 KiB."""
    return replace(kill(number, program, pod), notes=("x" * 6000,))


def used(store: Database) -> int:
    with store.transaction() as db:
        return retention.used_bytes(db)
