"""Which time a kill is, by the journal. In: kills, told and not yet told. Out: Repeats."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moving import Time
from oomeventer.incident.events import PendingEvent, compose_all
from oomeventer.incident.incident import Incident
from oomeventer.incident.story import Repeats
from oomeventer.incident.subjects import subject
from oomeventer.journal import incidents, outbox, repeats, retention
from oomeventer.journal.database import MEMORY, Database, StoreError
from oomeventer.journal.journal import Journal
from oomeventer.journal.transfer import export, merge, replace
from stores import composed, deliver, described, kill, opened, record

START = datetime(2026, 11, 22, 10, 2, tzinfo=UTC)


def at(minute: float, number: int, **fields: object) -> Incident:
    """A kill of that minute."""
    return kill(number, time=START + timedelta(minutes=minute), **fields)  # type: ignore[arg-type]


def asked(store: Database, one: Incident) -> Repeats:
    return outbox.repeated(store, subject(one), one.time.timestamp())


def again(path: Path, one: Incident) -> Repeats:
    """By a process that begins with the file."""
    with closing(opened(path)) as store:
        return asked(store, one)


def told(count: int, minute: float, every: float | None = None) -> Repeats:
    return Repeats(count, START + timedelta(minutes=minute), every)


def test_which_time(store: Database) -> None:
    """The first has nothing before it; of two there is no rhythm; then the median counts, not the mean. Asking counts
    nothing."""
    minutes = (0, 40, 80, 120, 500)
    expected = (told(1, 0), told(2, 0), told(3, 0, 2400.0), told(4, 0, 2400.0), told(5, 0, 2400.0))
    for number, (minute, repeats_) in enumerate(zip(minutes, expected, strict=True)):
        one = at(minute, number)
        assert asked(store, one) == asked(store, one) == repeats_
        deliver(store, one)


def test_others_do_not_count(store: Database) -> None:
    """Another Pod, container, program or scope is another series; the container's next id is not."""
    deliver(store, at(0, 1))
    for number, fields in enumerate(({"pod": 1}, {"program": "java"}, {"scope": "pod"}, {"container": None}), 2):
        assert asked(store, at(9, number, **fields)).count == 1
    assert asked(store, at(9, 9, cgroup="/kubepods/another")).count == 2


def test_whatever_became_of_them(store: Database, path: Path) -> None:
    """Delivered, merged into another's request, given up, waiting: each was a kill, also for the next process."""
    deliver(store, at(0, 1))
    waiting = [*described(store, at(1, 2)), *described(store, at(2, 3))]
    plan = outbox.plan(store, waiting[-1].series)
    assert plan
    outbox.settle(store, plan, "delivered", "")
    (last,) = described(store, at(3, 4))
    plan = outbox.plan(store, last.series)
    assert plan
    outbox.settle(store, plan, "given up", "invalid")
    described(store, at(4, 5))
    assert asked(store, at(5, 6)) == again(path, at(5, 6)) == told(6, 0, 60.0)


def test_a_kill_counts_once(store: Database, path: Path) -> None:
    """One that is given again, by the kernel or since the disk is back, is among those that are counted."""
    for number in range(3):
        described(store, at(number, number))
    assert asked(store, at(2, 2)) == again(path, at(2, 2)) == told(3, 0, 60.0)


def test_an_older_kill_that_comes_late(store: Database, path: Path) -> None:
    """It waited for the API server longer than later ones."""
    described(store, at(10, 1), at(20, 2))
    assert asked(store, at(0, 3)) == told(3, 0, 600.0)
    described(store, at(0, 3))
    assert asked(store, at(30, 4)) == again(path, at(30, 4)) == told(4, 0, 600.0)


def test_as_far_as_the_journal_goes_back(store: Database, path: Path, time: Time) -> None:
    """What retention has removed is not counted, and the first is the first that is left."""
    deliver(store, at(0, 1), at(1, 2))
    assert asked(store, at(2, 3)).count == 3
    time.now += store.age_seconds - 60
    deliver(store, at(2, 3))
    time.now += 120
    retention.trim(store)
    assert asked(store, at(9, 4)) == again(path, at(9, 4)) == told(2, 2)


def test_a_transaction_that_fails(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is rolled back does not count."""
    described(store, at(0, 1))
    assert asked(store, at(1, 2)).count == 2
    record(store, at(1, 2))
    (number, _), *_ = incidents.recorded(store, 0, 1)
    monkeypatch.setattr(outbox, "_keep_ends", lambda *_: _fail())
    with pytest.raises(StoreError):
        incidents.describe(store, number, at(1, 2), composed(at(1, 2)))
    assert asked(store, at(1, 2)).count == 2


def _fail() -> None:
    raise StoreError("the disk is full")


@pytest.mark.parametrize("take_over", [replace, merge])
def test_what_was_taken_over(store: Database, path: Path, time: Time, take_over: object) -> None:
    """A series that waits in both files stays apart, and is one all the same."""
    described(store, at(0, 1), at(1, 2))
    assert asked(store, at(2, 3)).count == 3
    with closing(Database(MEMORY, store.size_bytes, store.age_seconds)) as memory:
        if take_over is replace:
            replace(memory, export(store, whole=False))
            assert asked(memory, at(2, 3)).count == 3
        time.now += 1
        described(memory, at(2, 3))
        take_over(store, export(memory, whole=True))  # type: ignore[operator]
    assert asked(store, at(3, 4)) == again(path, at(3, 4)) == told(4, 0, 60.0)


def test_more_series_than_stay_apart(store: Database, path: Path) -> None:
    """Further ones are told in one Event, and counted as this counts them."""
    described(store, *(at(number, number, program=f"p{number}") for number in range(outbox.SIMILAR)))
    for number in range(outbox.SIMILAR, outbox.SIMILAR + 3):
        one = at(number, number, program=f"p{number}")
        assert asked(store, one).count == number - outbox.SIMILAR + 1
        assert again(path, one) == asked(store, one)
        described(store, one)
    assert asked(store, at(99, 99, program="p0")).count == 2


def test_a_damaged_row(store: Database, path: Path) -> None:
    """A time that is none is not counted, and breaks nothing."""
    described(store, at(0, 1), at(1, 2), at(2, 3))
    with store.transaction() as db:
        db.execute("UPDATE events SET killed_at = 'x' WHERE name LIKE '%1'")
        db.execute("UPDATE events SET killed_at = 9e99 WHERE name LIKE '%2'")
    assert again(path, at(3, 4)) == told(2, 2)


def test_summaries_are_bounded(store: Database) -> None:
    """Of each series the latest times, and the latest series; what was forgotten is read again."""
    for number in range(repeats.LATEST + 9):
        described(store, at(number, number))
    described(store, *(at(number, 1000 + number, pod=number) for number in range(1, repeats.SERIES + 2)))
    for number in range(1, repeats.SERIES + 2):
        assert asked(store, at(999, 9999, pod=number)).count == 2
    assert len(store.summaries._kept) == repeats.SERIES
    found = asked(store, at(repeats.LATEST + 9, 9999))
    assert (found.count, found.every_seconds) == (repeats.LATEST + 10, 60.0)
    assert all(len(one.latest) <= repeats.LATEST for one in store.summaries._kept.values())


def test_a_storm_costs_the_same_with_each_kill(path: Path) -> None:
    """The file is read once for the series: what is done for the last kills is what was done for the first."""
    with closing(Database(MEMORY, 1 << 30, 1e9)) as store:
        steps: list[int] = []
        spent = [_steps(store, number, steps) for number in range(600)]
    assert max(spent[-100:]) <= max(spent[100:200]) * 1.2


def _steps(store: Database, number: int, steps: list[int]) -> int:
    """Hundreds of SQLite's instructions that asking takes."""
    described(store, at(number, number))
    steps.clear()
    with store.errors() as db:
        db.set_progress_handler(lambda: steps.append(1), 10)
        asked(store, at(number + 1, number + 1))
        db.set_progress_handler(None, 10)
    return len(steps)


@pytest.mark.parametrize("kept", ["on disk", "in memory"])
async def test_a_journal(tmp_path: Path, kept: str) -> None:
    """It counts wherever it is kept, and on disk over a restart."""
    path = tmp_path / "journal.db" if kept == "on disk" else None
    counts = []
    for numbers in (range(3), range(3, 6)):
        async with Journal(path) as journal:
            for number in numbers:
                one = at(number, number)
                await journal.record(one)
                recorded = await anext(journal.recorded(asyncio.Event()))

                def noted(repeats: Repeats, one: Incident = one) -> tuple[Incident, list[PendingEvent]]:
                    counts.append(repeats.count)
                    return one, compose_all(one)

                await journal.describe(recorded.id, one, noted)
    assert counts == ([1, 2, 3, 4, 5, 6] if path else [1, 2, 3, 1, 2, 3])
