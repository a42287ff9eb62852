"""Two journals made one, after the disk was away: what waits, what was told, and what is counted.

In: a store in the disk's place and one in memory's, at each step at which the disk can have failed. Out: the figures,
and what the next requests say. Each kill is told once and counted once, whatever was carried out too late.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from oomeventer.journal.database import MEMORY
from oomeventer.journal.plans import Plan
from oomeventer.journal.store import Store, Waiting
from oomeventer.journal.transfer import export, merge, replace
from stores import described, figures, kill, opened, planned, record, tell


@pytest.fixture
def disk() -> Iterator[Store]:
    with closing(opened(MEMORY)) as store:
        yield store


@pytest.fixture
def memory() -> Iterator[Store]:
    with closing(opened(MEMORY)) as store:
        yield store


def tell_all(store: Store) -> list[Plan]:
    """The requests for all that waits, which the server takes."""
    plans = []
    for waiting in store.waiting():
        plans.append(planned(store, waiting))
        assert store.settle(plans[-1], "delivered", "") is None
    return plans


def told(plans: list[Plan]) -> int:
    return sum(plan.kills for plan in plans)


def one(waiting: list[Waiting]) -> Waiting:
    (waits,) = waiting
    return waits


@pytest.mark.parametrize("whole", [True, False])
def test_memory_knew_all(disk: Store, memory: Store, whole: bool) -> None:
    """What waited on disk was brought into memory and told there: on disk it is told, too; once or twice taken over."""
    tell(disk, kill(1))
    described(disk, kill(2), kill(3))
    replace(memory, export(disk, False))
    described(memory, kill(4))
    for _ in range(2):
        replace(disk, export(memory, whole))
        assert figures(disk) == (4, 1, 0, {}, 3)
    (plan,) = tell_all(memory)
    assert (plan.count, plan.kills) == (4, 3)
    replace(disk, export(memory, whole))
    assert figures(disk) == (4, 2, 2, {}, 0)
    assert disk.waiting() == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_take_over_that_came_too_late(disk: Store, memory: Store, whole: bool) -> None:
    """Memory went on meanwhile: the next take-over takes what has become of it since, and counts nothing again."""
    tell(disk, kill(1))
    described(memory, kill(2, pod=2), kill(3, pod=2))
    record(memory, kill(4, pod=3))
    merge(disk, export(memory, whole))
    assert figures(disk) == (4, 1, 0, {}, 3)
    plans = tell_all(memory)
    described(memory, kill(5, pod=2))
    merge(disk, export(memory, whole))
    merge(disk, export(memory, whole))
    assert figures(disk) == (5, 2, 1, {}, 2)
    (plan,) = tell_all(disk)
    assert (plan.create, plan.name, plan.count, plan.kills) == (False, plans[0].name, 3, 1)
    assert [body for _, body in disk.recorded(0, 9)] == [body for _, body in memory.recorded(0, 9)]


def test_a_plan_that_was_taken_too_late(disk: Store, memory: Store) -> None:
    """An Event's count never goes back: the plan that is carried out in memory is not made again on disk."""
    tell(memory, kill(1))
    waits = one(described(memory, kill(2)))
    plan = planned(memory, waits)
    merge(disk, export(memory, True))
    memory.settle(plan, "delivered", "")
    tell(memory, kill(3))
    described(memory, kill(4))
    merge(disk, export(memory, True))
    (plan,) = tell_all(disk)
    assert (plan.create, plan.count, plan.kills) == (False, 4, 1)
    assert figures(disk) == (4, 4, 0, {}, 0)


def test_planned_in_both(disk: Store, memory: Store) -> None:
    """Both were perhaps sent: both are sent again as they were, and each of the kills is told by one of them."""
    first = planned(disk, one(described(disk, kill(1), kill(2))[-1:]))
    second = planned(memory, one(described(memory, kill(3))))
    assert first.series == second.series
    for _ in range(2):
        merge(disk, export(memory, True))
    again = tell_all(disk)
    assert [(plan.create, plan.name, plan.count) for plan in again] == [
        (True, first.name, 2),
        (True, second.name, 1),
    ]
    assert figures(disk) == (3, 2, 1, {}, 0)


def test_a_plan_is_for_what_it_was_made_for(disk: Store, memory: Store) -> None:
    """What waits on disk, older but not in the plan that memory has made, is not taken for told by it."""
    first = kill(1)
    described(disk, first)
    plan = planned(memory, one(described(memory, kill(2))))
    merge(disk, export(memory, True))
    memory.settle(plan, "delivered", "")
    plan = planned(memory, one(described(memory, kill(3))))
    for _ in range(2):
        merge(disk, export(memory, True))
    assert [(again.create, again.count, again.kills) for again in tell_all(disk)] == [(True, 1, 1), (False, 2, 1)]
    assert figures(disk) == (3, 3, 0, {}, 0)


def test_answers_that_come_to_the_other_store(disk: Store, memory: Store) -> None:
    """They settle nothing there: the request is made again, as it was planned."""
    first = planned(disk, one(described(disk, kill(1))))
    second = planned(memory, one(described(memory, kill(2))))
    assert memory.settle(first, "delivered", "") == one(memory.waiting())
    merge(disk, export(memory, True))
    assert disk.settle(second, "delivered", "")
    assert figures(disk) == (2, 0, 0, {}, 2)
    assert disk.settle(first, "delivered", "") is None
    assert told(tell_all(disk)) == 1
    assert figures(disk) == (2, 2, 0, {}, 0)


@pytest.mark.parametrize("here", ["begun", "waiting", "told", "given up"])
@pytest.mark.parametrize("there", ["begun", "waiting", "told"])
def test_a_kill_that_both_were_given(disk: Store, memory: Store, here: str, there: str) -> None:
    """The kernel gives it again where the agent died before it could forget it, and the disk could not be asked."""
    for store, state in ((disk, here), (memory, there)):
        if state == "begun":
            record(store, kill(1))
            continue
        waits = one(described(store, kill(1)))
        if state != "waiting":
            store.settle(planned(store, waits), "delivered" if state == "told" else "given up", "")
    for _ in range(2):
        merge(disk, export(memory, True))
    totals = disk.totals()
    assert totals.seen == totals.accounted == 1
    for number, _ in disk.recorded(0, 9):
        disk.describe(number, kill(1).as_json(), [])
        return
    tell_all(disk)
    totals = disk.totals()
    assert (totals.seen, totals.accounted, totals.waiting) == (1, 1, 0)
    assert not record(disk, kill(1))
