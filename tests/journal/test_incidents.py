"""The table of incidents: what is known, and what is not described.

In: incidents by samples, and a time that the test moves. Out: what the file gives back, also when it is opened again.
"""

from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from moving import Time
from oomeventer.incident.story import Repeats
from oomeventer.journal import incidents, outbox
from oomeventer.journal.database import Database
from stores import composed, deliver, described, figures, kill, opened, planned, record

pytestmark = pytest.mark.usefixtures("time")


def test_an_incident_is_known_by_its_key(store: Database, path: Path) -> None:
    """It is new once, also for another process, and also once it is settled."""
    assert record(store, kill(1))
    assert not record(store, kill(1))
    assert record(store, kill(2))
    deliver(store, kill(3))
    with closing(opened(path)) as again:
        assert not record(again, kill(1))
        assert not record(again, kill(3))
        assert figures(again) == (3, 1, 0, {}, 2)


def test_recorded_in_the_order_of_arrival(store: Database, time: Time, path: Path) -> None:
    """The oldest first, from an id on, as many as have so many bytes, but one at least; also where the clock was set
    back meanwhile."""
    for number in range(1, 6):
        record(store, kill(number))
        time.now -= 3600
    with closing(opened(path)) as again:
        record(again, kill(6))
        rows = incidents.recorded(again, 0, 1 << 20)
        ids = [number for number, _ in rows]
        assert ids == sorted(set(ids))
        assert len(ids) == 6
        size = sum(len(body) for _, body in rows[2:5])
        assert incidents.recorded(again, ids[1], size) == rows[2:5]
        assert incidents.recorded(again, ids[1], size - 1) == rows[2:5]
        assert incidents.recorded(again, ids[1], size + 1) == rows[2:]
        assert incidents.recorded(again, ids[1], 1) == rows[2:3]
        assert incidents.recorded(again, ids[-1], 1) == []


def test_an_incident_is_described_once(store: Database) -> None:
    """What was found out twice, by two processes, say, makes its Events once."""
    record(store, kill(1))
    ((number, _),) = incidents.recorded(store, 0, 10)
    assert len(incidents.describe(store, number, kill(1), composed(kill(1))).waiting) == 1
    assert not incidents.describe(store, number, kill(1), composed(kill(1))).waiting
    incidents.give_up(store, number, "a fault")
    assert incidents.recorded(store, 0, 10) == []
    assert figures(store) == (1, 0, 0, {}, 1)


def test_a_fault_in_what_is_composed(store: Database) -> None:
    """Is none of the file's: it is given back, and nothing was written."""

    def breaks(_: Repeats) -> NoReturn:
        raise ZeroDivisionError

    record(store, kill(1))
    before = incidents.recorded(store, 0, 10)
    described = incidents.describe(store, before[0][0], kill(1), breaks)
    assert (type(described.fault), described.waiting) == (ZeroDivisionError, ())
    assert incidents.recorded(store, 0, 10) == before
    assert figures(store) == (1, 0, 0, {}, 1)


def test_a_request_is_planned_with_its_event(store: Database) -> None:
    """It is the one that the journal would plan. Where one of its series is planned already, and perhaps under way,
    none is."""
    plans = []
    for number in range(1, 3):
        record(store, kill(number))
        ((row, _),) = incidents.recorded(store, 0, 10)
        (waiting,) = incidents.describe(store, row, kill(number), composed(kill(number)), plans_at_once=True).waiting
        plans.append(waiting.plan)
        assert outbox.plan(store, waiting.series) == plans[0]
    assert plans[0]
    assert plans == [plans[0], None]
    (more,) = filter(None, [outbox.settle(store, plans[0], "delivered", "")])
    assert planned(store, more).count == 2


def test_an_incident_without_an_event(store: Database, path: Path) -> None:
    """It is given up with its reason, and not recorded again."""
    record(store, kill(1))
    ((number, _),) = incidents.recorded(store, 0, 10)
    incidents.give_up(store, number, "a fault")
    incidents.give_up(store, number, "a fault")
    with closing(opened(path)) as again:
        assert incidents.recorded(again, 0, 10) == []
        assert figures(again) == (1, 0, 0, {"a fault": 1}, 0)


def test_an_incident_with_two_events(store: Database) -> None:
    """Each is seen, and each waits for itself."""
    both = described(store, kill(1, scope="node"))
    assert len({waiting.series for waiting in both}) == 2
    assert figures(store) == (2, 0, 0, {}, 2)
