"""The outbox: series, plans, and what became of them.

In: described incidents, and a time that the test moves. Out: plans, also of the next process, and the totals.
"""

from contextlib import closing
from pathlib import Path

import pytest

from moving import START, Time
from oomeventer.incident.events import COMBINED, compose
from oomeventer.journal import budgets, outbox, retention
from oomeventer.journal.budgets import Spent
from oomeventer.journal.database import Database
from stores import deliver, described, figures, kill, opened, planned

pytestmark = pytest.mark.usefixtures("time")


def test_a_plan_is_the_same_in_the_next_process(store: Database, path: Path) -> None:
    """What may have been sent is sent again as it was, whatever came meanwhile: a POST, and a PATCH."""
    (waiting,) = described(store, kill(1))
    first = planned(store, waiting)
    assert (first.create, first.name, first.count, first.kills) == (True, compose(kill(1)).name, 1, 1)
    described(store, kill(2), kill(3))
    with closing(opened(path)) as again:
        assert planned(again, waiting) == first
        more = outbox.settle(again, first, "delivered", "")
        assert more is not None
        assert more.series == waiting.series
        second = planned(again, waiting)
        assert (second.create, second.name, second.count, second.kills) == (False, first.name, 3, 2)
        described(again, kill(4))
    with closing(opened(path)) as last:
        assert planned(last, waiting) == second
        assert outbox.settle(last, second, "delivered", "") is not None
        assert planned(last, waiting).count == 4


def test_what_a_plan_says(store: Database) -> None:
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
    outbox.settle(store, plan, "delivered", "")
    described(store, three)
    patch = planned(store, waiting).body
    body = compose(three).body
    assert patch == {
        "count": 3,
        "lastTimestamp": body["lastTimestamp"],
        "message": body["message"],
        "metadata": {"annotations": body["metadata"]["annotations"]},
    }


def test_a_plan_to_create_it_again(store: Database, path: Path) -> None:
    """The Event has expired: what the patch was to add becomes one that begins to count, also in the next process."""
    deliver(store, kill(1), kill(2))
    (waiting,) = described(store, kill(3))
    assert not planned(store, waiting).create
    described(store, kill(4))
    made = planned(store, waiting, recreate=True)
    assert (made.create, made.name, made.count, made.kills) == (True, compose(kill(3)).name, 1, 1)
    with closing(opened(path)) as again:
        assert planned(again, waiting) == made
        outbox.settle(again, made, "delivered", "")
        following = planned(again, waiting)
        assert (following.create, following.name, following.count) == (False, made.name, 2)


def test_nothing_to_plan(store: Database) -> None:
    """A series that has nothing left, and one that nobody knows."""
    deliver(store, kill(1))
    (series,) = {compose(kill(1)).series}
    assert outbox.plan(store, str(series)) is None
    assert outbox.plan(store, "unknown") is None
    assert outbox.waiting(store) == []


def test_settling(store: Database) -> None:
    """The first kill of a request is delivered, the others merged into it; those that came later still wait."""
    waiting, *_ = described(store, kill(1), kill(2), kill(3))
    plan = planned(store, waiting)
    described(store, kill(4))
    more = outbox.settle(store, plan, "delivered", "")
    assert figures(store) == (4, 1, 2, {}, 1)
    assert outbox.waiting(store) == [more]
    outbox.settle(store, plan, "delivered", "")
    assert figures(store) == (4, 1, 2, {}, 1), "the answer came twice"


def test_settling_what_is_given_up(store: Database) -> None:
    """All kills of the request are, with the reason; the next plan counts what was delivered, and no more."""
    deliver(store, kill(1))
    waiting, *_ = described(store, kill(2), kill(3))
    plan = planned(store, waiting)
    assert plan.count == 3
    assert outbox.settle(store, plan, "given up", "invalid") is None
    assert figures(store) == (3, 1, 0, {"invalid": 2}, 0)
    (waiting,) = described(store, kill(4))
    assert planned(store, waiting).count == 2


def test_series_wait_in_the_order_of_the_kills(store: Database, time: Time) -> None:
    """Each once, with its oldest kill."""
    for number in range(1, 5):
        described(store, kill(number, pod=number % 2))
        time.now += 1
    odd, even = sorted(outbox.waiting(store), key=lambda waiting: waiting.oldest)
    assert (odd.object, even.object) == ("shop/uid-of-1", "shop/uid-of-0")
    assert odd.oldest < even.oldest


def test_similar_series(store: Database, time: Time) -> None:
    """More than ten of one object within ten minutes share one; a series that is known stays itself."""
    about = [described(store, kill(number, f"p{number}"))[0].series for number in range(1, 14)]
    assert [COMBINED in series for series in about] == [False] * 10 + [True] * 3
    assert len(set(about)) == 11
    assert described(store, kill(20, "p1"))[0].series == about[0]
    assert COMBINED not in described(store, kill(21, "p99", pod=1))[0].series
    time.now += outbox.SIMILAR_SECONDS + 1
    assert COMBINED not in described(store, kill(22, "p98"))[0].series


def with_body(store: Database) -> list[bool]:
    """Whether the Events that wait have their bodies, the oldest first."""
    with store.errors() as db:
        query = "SELECT draft IS NOT NULL FROM events WHERE state = 'waiting' ORDER BY id"
        return [bool(row[0]) for row in db.execute(query)]


def test_of_many_that_wait_the_ends_are_kept(store: Database) -> None:
    """The first, the latest and a count are enough. What was planned, and may have been sent, keeps its body."""
    (waiting,) = described(store, kill(1))
    for number in range(2, 6):
        described(store, kill(number))
    assert with_body(store) == [True, False, False, False, True]
    plan = planned(store, waiting)
    assert (plan.name, plan.count, plan.kills) == (compose(kill(1)).name, 5, 5)
    assert plan.body["message"] == compose(kill(5)).body["message"]
    assert plan.body["firstTimestamp"] == compose(kill(1)).body["firstTimestamp"]
    for number in range(6, 9):
        described(store, kill(number))
    assert with_body(store) == [True, False, False, False, True, False, False, True]
    assert planned(store, waiting) == plan, "again, as it was"
    assert outbox.settle(store, plan, "delivered", "")
    following = planned(store, waiting)
    assert (following.create, following.count, following.kills) == (False, 8, 3)
    assert following.body["message"] == compose(kill(8)).body["message"]
    assert outbox.settle(store, following, "delivered", "") is None
    assert figures(store) == (8, 2, 6, {}, 0)


@pytest.mark.parametrize("damaged", [1, 6])
def test_damage_at_the_end_of_many(store: Database, damaged: int) -> None:
    """What cannot be read is given up; the others are counted, and say what can be read."""
    (waiting,) = described(store, kill(1))
    for number in range(2, 7):
        described(store, kill(number))
    with store.transaction() as db:
        ids = [row[0] for row in db.execute("SELECT id FROM events ORDER BY id")]
        db.execute("UPDATE events SET draft = 'damaged' WHERE id = ?", (ids[damaged - 1],))
    plan = planned(store, waiting)
    assert plan.kills == 5
    latest = kill(6 if damaged != 6 else 1)
    assert plan.body["message"] == compose(latest).body["message"]
    last = kill(5 if damaged == 6 else 6)
    assert plan.body["lastTimestamp"] == compose(last).body["lastTimestamp"]
    assert figures(store) == (6, 0, 0, {"damaged in the journal": 1}, 5)


def test_damage_everywhere(store: Database) -> None:
    """Where nothing says what to report, all is given up."""
    (waiting,) = described(store, kill(1))
    for number in range(2, 5):
        described(store, kill(number))
    with store.transaction() as db:
        db.execute("UPDATE events SET draft = 'damaged' WHERE draft IS NOT NULL")
    assert outbox.plan(store, waiting.series) is None
    assert figures(store) == (4, 0, 0, {"damaged in the journal": 4}, 0)


def test_budgets_outlive_the_process(store: Database, path: Path, time: Time) -> None:
    """What of an object's is spent is written down with the request, and is less as time passes; a clock that is set
    back gives nothing back."""
    (waiting,) = described(store, kill(1))
    outbox.plan(store, waiting.series, spent=Spent("shop/a", 900.0))
    outbox.plan(store, waiting.series, spent=Spent("shop/b", 100.0))
    with closing(opened(path)) as again:
        assert budgets.read(again) == [Spent("shop/a", 900.0), Spent("shop/b", 100.0)]
        time.now += 200
        assert budgets.read(again) == [Spent("shop/a", 700.0)]
        time.now -= 3600
        assert budgets.read(again) == [Spent("shop/a", 900.0), Spent("shop/b", 100.0)]
        time.now += 3600
        retention.trim(again)
        assert [row for row in notes(again) if row.startswith("budget")] == ["budget shop/a"]


def notes(store: Database) -> list[str]:
    with store.errors() as db:
        return [row[0] for row in db.execute("SELECT name FROM notes")]
