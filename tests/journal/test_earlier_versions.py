"""A journal's file that 0.1.0 left: this program goes on from there.

In: tests/support/data/journal-0.1.0.sql, a dump of what the code of 0.1.0 wrote: incidents that are recorded, given up,
and described with Events that are delivered, merged, given up, planned and waiting. Out: what is done next.
"""

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moving import Time
from oomeventer.incident.codec import as_json
from oomeventer.journal.history import read_history
from oomeventer.journal.journal import Journal
from oomeventer.journal.totals import Totals
from places import DATA
from stores import composed

WRITTEN = json.loads((DATA / "incident-0.1.0.json").read_text(encoding="utf-8"))
#: Since START of tests/support/moving.py: soon after the last of its rows was written.
SECONDS = 60.0


@pytest.fixture
def path(path: Path, time: Time) -> Path:
    time.now = SECONDS
    with closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / "journal-0.1.0.sql").read_text(encoding="utf-8"))
    return path


async def test_it_is_gone_on_with(path: Path) -> None:
    """The totals are kept; what was planned is planned as it was; what was recorded is given again, and described."""
    async with Journal(path) as journal:
        assert (journal.trouble, journal.kept) == (None, str(path))
        assert journal.totals == Totals(12, 1, 1, Counter({"invalid": 1, "a fault of this program": 1}), 8)
        assert await journal.note("lost") == "3"
        plans = [await journal.plan(series.series) for series in await journal.waiting()]
        assert {(plan.create, plan.name, plan.count, plan.kills) for plan in plans if plan} == {
            (True, "lab-node.0000000000000008", 1, 1),
            (True, "checkout-0.0000000000000008", 1, 1),
            (False, "checkout-0.0000000000000065", 3, 1),
        }
        stop = asyncio.Event()
        stop.set()
        recorded = [one async for one in journal.recorded(stop)]
        by_key = {value["key"]: value for value in WRITTEN.values()}
        assert len(recorded) == 4
        for one in recorded:
            assert _known_then(as_json(one.incident), written := by_key[one.incident.key]) == written
            assert (await journal.describe(one.id, one.incident, composed(one.incident))).waiting
        for plan in plans:
            assert plan
            await journal.settle(plan, "delivered", "")
        assert journal.totals.seen == journal.totals.accounted == 12
        assert journal.totals.delivered == 4
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def _known_then(value: Any, written: Any) -> Any:
    """Without the keys that a later version added."""
    if isinstance(value, dict) and isinstance(written, dict):
        return {key: _known_then(value[key], written[key]) for key in value if key in written}
    if isinstance(value, list) and isinstance(written, list) and len(value) == len(written):
        return [_known_then(*pair) for pair in zip(value, written, strict=True)]
    return value


def test_its_history(path: Path) -> None:
    """All of it, as it was written."""
    entries = list(read_history(path))
    assert Counter(entry["events"] for entry in entries) == {
        "delivered": 1,
        "merged": 1,
        "given up: invalid": 1,
        "waiting": 6,
        "given up": 1,
        "waiting; waiting": 1,
    }
    with closing(sqlite3.connect(path)) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM incidents ORDER BY id")]
    assert [{key: value for key, value in entry.items() if key != "events"} for entry in entries] == bodies
