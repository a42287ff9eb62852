"""The journal's tables: what is remembered, over what, and for how long.

In: incidents by samples, and a time that the test moves. Out: what the store gives back, also when it is opened again.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from moving import START, Time
from oomeventer.incident.events import COMBINED, compose, compose_all
from oomeventer.incident.incident import Incident
from oomeventer.journal import history as history_module
from oomeventer.journal import store as module
from oomeventer.journal.database import MEMORY, StoreError
from oomeventer.journal.history import read_history
from oomeventer.journal.store import Store
from oomeventer.journal.transfer import export
from stores import AGE, described, figures, kill, opened, planned, record, tell


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    moved = Time()
    monkeypatch.setattr(module, "time", moved)
    return moved


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(opened(path)) as one:
        yield one


# -- incidents ---------------------------------------------------------------------------------------------------------


def test_an_incident_is_known_by_its_key(store: Store, path: Path) -> None:
    """It is new once, also for another process, and also once all about it is done."""
    assert record(store, kill(1))
    assert not record(store, kill(1))
    assert record(store, kill(2))
    tell(store, kill(3))
    with closing(opened(path)) as again:
        assert not record(again, kill(1))
        assert not record(again, kill(3))
        assert figures(again) == (3, 1, 0, {}, 2)


def test_begun_in_the_order_of_arrival(store: Store, time: Time, path: Path) -> None:
    """The oldest first, from an id on, as many as are asked for; also where the clock was set back meanwhile."""
    for number in range(1, 6):
        record(store, kill(number))
        time.now -= 3600
    with closing(opened(path)) as again:
        record(again, kill(6))
        ids = [number for number, _ in again.recorded(0, 100)]
        assert ids == sorted(set(ids))
        assert len(ids) == 6
        assert [number for number, _ in again.recorded(ids[1], 3)] == ids[2:5]


def test_an_incident_is_described_once(store: Store) -> None:
    """What was found out twice, by two processes, say, makes its Events once."""
    record(store, kill(1))
    ((number, _),) = store.recorded(0, 10)
    assert len(store.describe(number, kill(1).as_json(), compose_all(kill(1)))) == 1
    assert store.describe(number, kill(1).as_json(), compose_all(kill(1))) == []
    store.give_up(number, "a fault")
    assert store.recorded(0, 10) == []
    assert figures(store) == (1, 0, 0, {}, 1)


def test_an_incident_without_an_event(store: Store, path: Path) -> None:
    """It is given up with its reason, and not begun again."""
    record(store, kill(1))
    ((number, _),) = store.recorded(0, 10)
    store.give_up(number, "a fault")
    store.give_up(number, "a fault")
    with closing(opened(path)) as again:
        assert again.recorded(0, 10) == []
        assert figures(again) == (1, 0, 0, {"a fault": 1}, 0)


def test_an_incident_with_two_events(store: Store) -> None:
    """Each is seen, and each waits for itself."""
    both = described(store, kill(1, scope="node"))
    assert len({waiting.series for waiting in both}) == 2
    assert figures(store) == (2, 0, 0, {}, 2)


# -- plans -------------------------------------------------------------------------------------------------------------


def test_a_plan_is_the_same_in_the_next_process(store: Store, path: Path) -> None:
    """What may have been sent is sent again as it was, whatever came meanwhile: a POST, and a PATCH."""
    (waiting,) = described(store, kill(1))
    first = planned(store, waiting)
    assert (first.create, first.name, first.count, first.kills) == (True, compose(kill(1)).name, 1, 1)
    described(store, kill(2), kill(3))
    with closing(opened(path)) as again:
        assert planned(again, waiting) == first
        more = again.settle(first, "delivered", "")
        assert more is not None
        assert more.series == waiting.series
        second = planned(again, waiting)
        assert (second.create, second.name, second.count, second.kills) == (False, first.name, 3, 2)
        described(again, kill(4))
    with closing(opened(path)) as last:
        assert planned(last, waiting) == second
        assert last.settle(second, "delivered", "") is not None
        assert planned(last, waiting).count == 4


def test_what_a_plan_says(store: Store) -> None:
    """A created Event has the first kill's name and time and the last one's words; a patch changes what is new."""
    one, two, three = kill(1), kill(2), kill(3)
    waiting, *_ = described(store, one, two)
    plan = planned(store, waiting)
    first, last = compose(one), compose(two)
    assert plan.body == last.body | {
        "metadata": last.body["metadata"] | {"name": first.name},
        "count": 2,
        "firstTimestamp": first.body["firstTimestamp"],
    }
    assert (plan.namespace, plan.killed_at, plan.seen_at) == ("shop", two.time.timestamp(), START)
    store.settle(plan, "delivered", "")
    described(store, three)
    patch = planned(store, waiting).body
    body = compose(three).body
    assert patch == {
        "count": 3,
        "lastTimestamp": body["lastTimestamp"],
        "message": body["message"],
        "metadata": {"annotations": body["metadata"]["annotations"]},
    }


def test_a_plan_anew(store: Store, path: Path) -> None:
    """The Event has expired: what the patch was to tell becomes one that begins to count, also in the next process."""
    tell(store, kill(1), kill(2))
    (waiting,) = described(store, kill(3))
    assert not planned(store, waiting).create
    described(store, kill(4))
    made = planned(store, waiting, recreate=True)
    assert (made.create, made.name, made.count, made.kills) == (True, compose(kill(3)).name, 1, 1)
    with closing(opened(path)) as again:
        assert planned(again, waiting) == made
        again.settle(made, "delivered", "")
        following = planned(again, waiting)
        assert (following.create, following.name, following.count) == (False, made.name, 2)


def test_nothing_to_plan(store: Store) -> None:
    """A series that has told all, and one that nobody knows."""
    tell(store, kill(1))
    (series,) = {compose(kill(1)).series}
    assert store.plan(str(series)) is None
    assert store.plan("unknown") is None
    assert store.waiting() == []


def test_settling(store: Store) -> None:
    """The first kill of a request is delivered, the others merged into it; those that came later still wait."""
    waiting, *_ = described(store, kill(1), kill(2), kill(3))
    plan = planned(store, waiting)
    described(store, kill(4))
    more = store.settle(plan, "delivered", "")
    assert figures(store) == (4, 1, 2, {}, 1)
    assert store.waiting() == [more]
    store.settle(plan, "delivered", "")
    assert figures(store) == (4, 1, 2, {}, 1), "the answer came twice"


def test_settling_what_is_given_up(store: Store) -> None:
    """All kills of the request are, with the reason; the next plan counts what was told, and no more."""
    tell(store, kill(1))
    waiting, *_ = described(store, kill(2), kill(3))
    plan = planned(store, waiting)
    assert plan.count == 3
    assert store.settle(plan, "given up", "invalid") is None
    assert figures(store) == (3, 1, 0, {"invalid": 2}, 0)
    (waiting,) = described(store, kill(4))
    assert planned(store, waiting).count == 2


def test_series_wait_in_the_order_of_the_kills(store: Store, time: Time) -> None:
    """Each once, with its oldest kill."""
    for number in range(1, 5):
        described(store, kill(number, pod=number % 2))
        time.now += 1
    odd, even = sorted(store.waiting(), key=lambda waiting: waiting.oldest)
    assert (odd.object, even.object) == ("shop/uid-of-1", "shop/uid-of-0")
    assert odd.oldest < even.oldest


def test_similar_series(store: Store, time: Time) -> None:
    """More than ten of one object within ten minutes are told as one; a series that is known stays itself."""
    about = [described(store, kill(number, f"p{number}"))[0].series for number in range(1, 14)]
    assert [COMBINED in series for series in about] == [False] * 10 + [True] * 3
    assert len(set(about)) == 11
    assert described(store, kill(20, "p1"))[0].series == about[0]
    assert COMBINED not in described(store, kill(21, "p99", pod=1))[0].series
    time.now += module.SIMILAR_SECONDS + 1
    assert COMBINED not in described(store, kill(22, "p98"))[0].series


# -- for how long ------------------------------------------------------------------------------------------------------


def test_what_is_old_goes(store: Store, time: Time) -> None:
    """Of what is told. What was not told stays, however old it seems: the clock may have been set."""
    tell(store, kill(1))
    described(store, kill(2, pod=1))
    record(store, kill(3))
    time.now += AGE - 1
    record(store, kill(4))
    assert store.trim() == 0
    time.now += 2
    assert store.trim() == 1
    assert figures(store) == (4, 1, 0, {}, 3)
    assert record(store, kill(1)), "it is forgotten"


def let_go(store: Store, *incidents: Incident) -> None:
    """As trim() does of what waits, where there is no room."""
    with store.transaction() as db:
        for one in incidents:
            assert store._forget(db, "key = ?", (one.key,), "no room in the journal") == 1


def test_what_is_told_goes_first(path: Path) -> None:
    """Where there is too much the oldest of what is told goes; then the oldest of what waits, given up with a reason,
    and no more of it than must."""
    with closing(opened(path, size_bytes=1 << 20)) as store:
        for number in range(1, 201):
            tell(store, large(number))
        before = figures(store)
        while store.trim():
            pass
        kept = [one["key"] for one in read_history(path)]
        assert figures(store) == before
        assert 50 < len(kept) < 150
        assert kept == [kill(number).key for number in range(201 - len(kept), 201)]
        assert used(store) <= 1 << 20
        for number in range(201, 401):
            described(store, large(number))
        while store.trim():
            pass
        seen, delivered, _, given_up, waiting = figures(store)
        assert (seen, delivered) == (400, 200)
        assert given_up == {"no room in the journal": 200 - waiting}
        assert 20 < waiting < 150
        kept = [one["key"] for one in read_history(path)]
        assert kept == [kill(number).key for number in range(401 - waiting, 401)]


def test_a_plan_whose_kills_are_gone(store: Store) -> None:
    """The next one is made of what still waits; a late answer settles nothing else."""
    (waiting,) = described(store, kill(1))
    plan = planned(store, waiting)
    described(store, kill(2))
    let_go(store, kill(1))
    assert store.settle(plan, "delivered", "") is not None
    assert figures(store) == (2, 0, 0, {"no room in the journal": 1}, 1)
    again = planned(store, waiting)
    assert again.kills == 1
    store.settle(again, "delivered", "")
    assert figures(store) == (2, 1, 0, {"no room in the journal": 1}, 0)


def test_a_plan_whose_kills_are_gone_is_made_anew(store: Store) -> None:
    """The same, where no answer came."""
    (waiting,) = described(store, kill(1))
    planned(store, waiting)
    described(store, kill(2))
    let_go(store, kill(1))
    plan = planned(store, waiting)
    assert (plan.create, plan.name, plan.count, plan.kills) == (True, compose(kill(2)).name, 1, 1)


def test_a_plan_of_which_a_kill_is_gone(store: Store) -> None:
    """It may have been sent: so it is made again as it was, name and count, and no second Event tells the others."""
    described(store, kill(1))
    described(store, kill(2))
    (waiting,) = described(store, kill(3))
    before = planned(store, waiting)
    let_go(store, kill(1))
    again = planned(store, waiting)
    assert (
        (again.create, again.name, again.count) == (before.create, before.name, before.count) == (True, before.name, 3)
    )
    assert again.body["metadata"]["name"] == before.name
    store.settle(again, "delivered", "")
    assert figures(store) == (3, 1, 1, {"no room in the journal": 1}, 0)


def test_a_bounded_number_of_series(store: Store, monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    """The series that was longest without a kill is forgotten; its next kill is a new Event. One that has something
    under way is not."""
    assert module.SERIES == 4096
    monkeypatch.setattr(module, "SERIES", 2)
    for number, pod in enumerate((1, 2, 3, 1, 4), 1):
        tell(store, kill(number, pod=pod))
        time.now += 1
    (waiting,) = described(store, kill(10, pod=2))
    planned(store, waiting)
    store.trim()
    plans = {pod: planned(store, described(store, kill(20 + pod, pod=pod))[0]).create for pod in (1, 2, 3, 4)}
    assert plans == {1: False, 2: False, 3: True, 4: False}


def test_plans_of_nothing_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A series whose kills were all let go of is forgotten as any other, though a request was planned for it."""
    monkeypatch.setattr(module, "SERIES", 2)
    for number in range(1, 6):
        (waiting,) = described(store, kill(number, pod=number))
        planned(store, waiting)
        let_go(store, kill(number, pod=number))
    store.trim()
    assert [len(rows) for rows in (export(store, True).rows["series"], store.waiting())] == [2, 0]


@pytest.mark.parametrize("how", ["told", "waiting", "begun"])
def test_no_growth(path: Path, how: str) -> None:
    """After 5,000 incidents the file is as large as was set, and a little; the totals have as few rows as ever."""
    size = 1 << 20
    with closing(opened(path, size)) as store:
        for number in range(5000):
            one = kill(number, pod=number % 50)
            match how:
                case "told":
                    tell(store, one)
                case "waiting":
                    described(store, one)
                case "begun":
                    record(store, one)
            if number % 50 == 0:
                store.trim()
        seen, *_ = figures(store)
        assert seen == 5000
        assert used(store) < size * 1.3
        (rows,) = store._db.execute("SELECT count(*) FROM totals").fetchone()
        assert rows <= 3
    assert path.stat().st_size < size * 1.5
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


# -- reading -----------------------------------------------------------------------------------------------------------


def test_history(store: Store, path: Path) -> None:
    """The oldest first, with what became of the Events, while the agent has it open; looking changes nothing."""
    tell(store, kill(1))
    waiting, *_ = described(store, kill(2, pod=1))
    store.settle(planned(store, waiting), "given up", "invalid")
    described(store, kill(3, scope="node"))
    record(store, kill(4))
    before = path.read_bytes()
    found = list(read_history(path))
    assert [one["key"] for one in found] == [kill(number).key for number in range(1, 5)]
    assert [one["events"] for one in found] == ["delivered", "given up: invalid", "waiting; waiting", "waiting"]
    assert found[0] == kill(1).as_json() | {"events": "delivered"}
    assert path.read_bytes() == before


def test_history_holds_nothing_up(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads slowly does not keep the agent's log file from beginning anew."""
    monkeypatch.setattr(history_module, "_PAGE", 2)
    tell(store, *(kill(number) for number in range(1, 6)))
    reading = read_history(path)
    assert next(reading)["key"] == kill(1).key
    for _ in range(200):
        store.note("x", "y" * 100000)
    assert path.with_name("journal.db-wal").stat().st_size < 8 << 20
    assert [one["key"] for one in reading] == [kill(number).key for number in range(2, 6)]


def test_history_of_what_is_damaged(store: Store, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is left out, and said; the others are read."""
    tell(store, kill(1), kill(2), kill(3))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE incidents SET body = CAST(x'7bff7d' AS TEXT) WHERE key = ?", (kill(2).key,))
    assert [one["key"] for one in read_history(path)] == [kill(1).key, kill(3).key]
    assert "cannot be read" in caplog.text


def test_history_of_nothing(tmp_path: Path) -> None:
    """A file that is not there, or is no journal, is said, and not made."""
    missing, other = tmp_path / "missing.db", tmp_path / "other.db"
    other.write_bytes(b"no database" * 1000)
    for file in (missing, other):
        with pytest.raises(StoreError, match=str(file)):
            list(read_history(file))
    assert not missing.exists()


def test_notes(store: Store, path: Path) -> None:
    """A word by its name, the last one, in the next process too."""
    assert store.note("lost") is None
    assert store.note("lost", "7") == "7"
    assert store.note("lost", "8") == "8"
    with closing(opened(path)) as again:
        assert again.note("lost") == "8"


# -- files that are none -----------------------------------------------------------------------------------------------


def test_a_newer_format(path: Path) -> None:
    """It is not touched, and both formats are said."""
    opened(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="has format 99, this program has 1") as caught:
        opened(path)
    assert caught.value.damaged


@pytest.mark.parametrize(
    "content",
    [b"garbage" * 4096, b"SQLite format 3\0" + b"\xff" * 8176, b"\0" * 4096],
    ids=["text", "header", "zeroes"],
)
def test_no_database(path: Path, content: bytes) -> None:
    """What is no database is told from what only cannot be read now."""
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        opened(path)
    assert caught.value.damaged


@pytest.mark.parametrize("change", ["DROP TABLE notes", "PRAGMA user_version = 0", "ALTER TABLE events ADD x TEXT"])
def test_other_tables(path: Path, change: str) -> None:
    """A database whose tables are not these is as good as damaged: it never becomes a journal again."""
    opened(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(change)
    with pytest.raises(StoreError) as caught:
        opened(path)
    assert caught.value.damaged


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    """A directory in the file's place is trouble, and no damage."""
    with pytest.raises((StoreError, sqlite3.Error)) as caught:
        opened(tmp_path)
    assert not getattr(caught.value, "damaged", False)


def test_memory_is_a_store_like_any(time: Time) -> None:
    """The same, without a file."""
    with closing(opened(MEMORY)) as store:
        tell(store, kill(1), kill(2))
        assert figures(store) == (2, 2, 0, {}, 0)


def large(number: int) -> Incident:
    """One of about 8 KiB."""
    return replace(kill(number, pod=number % 50), notes=("x" * 6000,))


def used(store: Store) -> int:
    with store.transaction() as db:
        return store._used_bytes(db)
