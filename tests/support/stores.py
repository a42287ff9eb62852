"""Journal files with incidents in them, for tests of the tables; and a time that the test moves for all of them."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from moving import Time
from oomeventer.incident.codec import encode
from oomeventer.incident.events import compose_all
from oomeventer.incident.incident import Incident
from oomeventer.journal import budgets, database, incidents, outbox, retention, totals
from oomeventer.journal.database import Database
from oomeventer.journal.incidents import Compose
from oomeventer.journal.outbox import Waiting
from oomeventer.journal.plans import Plan
from samples import POD, incident, victim

SIZE, AGE = 64 << 20, 7 * 86400.0


def set_time(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    """By which the tables write down when something was."""
    for module in (budgets, database, incidents, outbox, retention):
        monkeypatch.setattr(module, "time", time)


def opened(path: Path | str, size_bytes: int = SIZE, age_seconds: float = AGE) -> Database:
    return Database(str(path), size_bytes, age_seconds)


def kill(number: int = 1, program: str = "hog", pod: int = 0, **fields: Any) -> Incident:
    """The kill of that number: of one series for one program in one Pod."""
    where = replace(POD, name=f"checkout-{pod}", uid=f"uid-of-{pod}")
    return incident(number, victims=(victim(comm=program, container_pid=number),), pod=where, **fields)


def composed(one: Incident) -> Compose:
    """Its Events, and nothing that becomes known with them."""
    return lambda _: (one, compose_all(one))


def record(store: Database, one: Incident) -> bool:
    return incidents.record(store, one.key, encode(one)) is not None


def described(store: Database, *those: Incident) -> list[Waiting]:
    """They are recorded and described; the series that then wait for them."""
    waiting = []
    for one in those:
        assert record(store, one)
        (number, _), *_ = incidents.recorded(store, 0, 1)
        waiting += incidents.describe(store, number, one, composed(one)).waiting
    return waiting


def planned(store: Database, waiting: Waiting, recreate: bool = False) -> Plan:
    plan = outbox.plan(store, waiting.series, recreate)
    assert plan
    return plan


def deliver(store: Database, *those: Incident) -> None:
    """They are recorded, described and delivered."""
    for one in those:
        for waiting in described(store, one):
            outbox.settle(store, planned(store, waiting), "delivered", "")


def figures(store: Database) -> tuple[int, int, int, dict[str, int], int]:
    """(seen, delivered, merged, given up, waiting), which add up."""
    found = totals.read(store)
    assert found.seen == found.accounted
    return found.seen, found.delivered, found.merged, dict(found.given_up), found.waiting
