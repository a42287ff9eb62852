"""Two journals made one, after the disk had failed: what waits, what was delivered, and what is counted.

In: a store in the disk's place and one in memory's, at each step at which the disk can have failed. Out: the figures,
and what the next requests say. Each kill is delivered once and counted once, whatever was carried out too late.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from oomeventer.journal import incidents, outbox, totals
from oomeventer.journal.database import MEMORY, Database
from oomeventer.journal.outbox import Waiting
from oomeventer.journal.plans import Plan
from oomeventer.journal.transfer import export, merge, replace
from stores import deliver, described, figures, kill, opened, planned, record


@pytest.fixture
def disk() -> Iterator[Database]:
    with closing(opened(MEMORY)) as store:
        yield store


@pytest.fixture
def memory() -> Iterator[Database]:
    with closing(opened(MEMORY)) as store:
        yield store


def deliver_all(store: Database) -> list[Plan]:
    """The requests for all that waits, which the server takes."""
    plans = []
    for waiting in outbox.waiting(store):
        plans.append(planned(store, waiting))
        assert outbox.settle(store, plans[-1], "delivered", "") is None
    return plans


def kills_of(plans: list[Plan]) -> int:
    return sum(plan.kills for plan in plans)


def one(waiting: list[Waiting]) -> Waiting:
    (waits,) = waiting
    return waits


@pytest.mark.parametrize("whole", [True, False])
def test_memory_knew_all(disk: Database, memory: Database, whole: bool) -> None:
    """What waited on disk was brought into memory and delivered from there: on disk it is settled, too, once or twice
    taken over."""
    deliver(disk, kill(1))
    described(disk, kill(2), kill(3))
    replace(memory, export(disk, False))
    described(memory, kill(4))
    for _ in range(2):
        replace(disk, export(memory, whole))
        assert figures(disk) == (4, 1, 0, {}, 3)
    (plan,) = deliver_all(memory)
    assert (plan.count, plan.kills) == (4, 3)
    replace(disk, export(memory, whole))
    assert figures(disk) == (4, 2, 2, {}, 0)
    assert outbox.waiting(disk) == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_take_over_that_came_too_late(disk: Database, memory: Database, whole: bool) -> None:
    """Memory went on meanwhile: the next take-over takes what has become of it since, and counts nothing again."""
    deliver(disk, kill(1))
    described(memory, kill(2, pod=2), kill(3, pod=2))
    record(memory, kill(4, pod=3))
    merge(disk, export(memory, whole))
    assert figures(disk) == (4, 1, 0, {}, 3)
    plans = deliver_all(memory)
    described(memory, kill(5, pod=2))
    merge(disk, export(memory, whole))
    merge(disk, export(memory, whole))
    assert figures(disk) == (5, 2, 1, {}, 2)
    (plan,) = deliver_all(disk)
    assert (plan.create, plan.name, plan.count, plan.kills) == (False, plans[0].name, 3, 1)
    there, here = ([body for _, body in incidents.recorded(one, 0, 9)] for one in (disk, memory))
    assert there == here


def test_a_plan_that_was_taken_too_late(disk: Database, memory: Database) -> None:
    """An Event's count never goes back: the plan that is carried out in memory is not made again on disk."""
    deliver(memory, kill(1))
    waits = one(described(memory, kill(2)))
    plan = planned(memory, waits)
    merge(disk, export(memory, True))
    outbox.settle(memory, plan, "delivered", "")
    deliver(memory, kill(3))
    described(memory, kill(4))
    merge(disk, export(memory, True))
    (plan,) = deliver_all(disk)
    assert (plan.create, plan.count, plan.kills) == (False, 4, 1)
    assert figures(disk) == (4, 4, 0, {}, 0)


def test_planned_in_both(disk: Database, memory: Database) -> None:
    """Both were perhaps sent: both are sent again as they were, and each of the kills is counted by one of them."""
    first = planned(disk, one(described(disk, kill(1), kill(2))[-1:]))
    second = planned(memory, one(described(memory, kill(3))))
    assert first.series == second.series
    for _ in range(2):
        merge(disk, export(memory, True))
    again = deliver_all(disk)
    assert [(plan.create, plan.name, plan.count) for plan in again] == [
        (True, first.name, 2),
        (True, second.name, 1),
    ]
    assert figures(disk) == (3, 2, 1, {}, 0)


def test_a_plan_is_for_what_it_was_made_for(disk: Database, memory: Database) -> None:
    """What waits on disk, older but not in the plan that memory has made, is not taken for delivered by it."""
    first = kill(1)
    described(disk, first)
    plan = planned(memory, one(described(memory, kill(2))))
    merge(disk, export(memory, True))
    outbox.settle(memory, plan, "delivered", "")
    plan = planned(memory, one(described(memory, kill(3))))
    for _ in range(2):
        merge(disk, export(memory, True))
    assert [(again.create, again.count, again.kills) for again in deliver_all(disk)] == [(True, 1, 1), (False, 2, 1)]
    assert figures(disk) == (3, 3, 0, {}, 0)


def test_answers_that_come_to_the_other_store(disk: Database, memory: Database) -> None:
    """They settle nothing there: the request is made again, as it was planned."""
    first = planned(disk, one(described(disk, kill(1))))
    second = planned(memory, one(described(memory, kill(2))))
    assert outbox.settle(memory, first, "delivered", "") == one(outbox.waiting(memory))
    merge(disk, export(memory, True))
    assert outbox.settle(disk, second, "delivered", "")
    assert figures(disk) == (2, 0, 0, {}, 2)
    assert outbox.settle(disk, first, "delivered", "") is None
    assert kills_of(deliver_all(disk)) == 1
    assert figures(disk) == (2, 2, 0, {}, 0)


@pytest.mark.parametrize("here", ["recorded", "waiting", "delivered", "given up"])
@pytest.mark.parametrize("there", ["recorded", "waiting", "delivered"])
def test_a_kill_that_both_were_given(disk: Database, memory: Database, here: str, there: str) -> None:
    """The kernel gives it again where the agent died before it could forget it, and the disk could not be asked."""
    for store, state in ((disk, here), (memory, there)):
        if state == "recorded":
            record(store, kill(1))
            continue
        waits = one(described(store, kill(1)))
        if state != "waiting":
            outbox.settle(store, planned(store, waits), "given up" if state == "given up" else "delivered", "")
    for _ in range(2):
        merge(disk, export(memory, True))
    found = totals.read(disk)
    assert found.seen == found.accounted == 1
    for number, _ in incidents.recorded(disk, 0, 9):
        incidents.describe(disk, number, kill(1), lambda _: (kill(1), []))
        return
    deliver_all(disk)
    found = totals.read(disk)
    assert (found.seen, found.accounted, found.waiting) == (1, 1, 0)
    assert not record(disk, kill(1))
