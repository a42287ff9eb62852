"""Stores with incidents in them, for tests of the journal's tables."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from oomeventer.incident.events import compose_all
from oomeventer.incident.incident import Incident
from oomeventer.journal.plans import Plan
from oomeventer.journal.store import Store, Waiting
from samples import POD, incident, victim

SIZE, AGE = 64 << 20, 7 * 86400.0


def opened(path: Path | str, size_bytes: int = SIZE, age_seconds: float = AGE) -> Store:
    return Store(str(path), size_bytes, age_seconds)


def kill(number: int = 1, program: str = "hog", pod: int = 0, **fields: Any) -> Incident:
    """The kill of that number: of one series for one program in one Pod."""
    where = replace(POD, name=f"checkout-{pod}", uid=f"uid-of-{pod}")
    return incident(number, victims=(victim(comm=program, container_pid=number),), pod=where, **fields)


def record(store: Store, one: Incident) -> bool:
    return store.record(one.key, one.as_json())


def described(store: Store, *incidents: Incident) -> list[Waiting]:
    """They are begun and described; the series that then wait for them."""
    waiting = []
    for one in incidents:
        assert record(store, one)
        (number, _), *_ = store.recorded(0, 1)
        waiting += store.describe(number, one.as_json(), compose_all(one))
    return waiting


def planned(store: Store, waiting: Waiting, recreate: bool = False) -> Plan:
    plan = store.plan(waiting.series, recreate)
    assert plan
    return plan


def tell(store: Store, *incidents: Incident) -> None:
    """They are begun, described and delivered."""
    for one in incidents:
        for waiting in described(store, one):
            store.settle(planned(store, waiting), "delivered", "")


def figures(store: Store) -> tuple[int, int, int, dict[str, int], int]:
    """(seen, delivered, merged, given up, waiting), which add up."""
    totals = store.totals()
    assert totals.seen == totals.accounted
    return totals.seen, totals.delivered, totals.merged, dict(totals.given_up), totals.waiting
