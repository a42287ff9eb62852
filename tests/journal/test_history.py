"""`oomeventer history`: what it reads of a file, also one that is used or damaged.

In: a file with incidents. Out: its entries.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oomeventer.incident.codec import as_json
from oomeventer.journal import database, outbox
from oomeventer.journal import history as history_module
from oomeventer.journal.database import Database, StoreError
from oomeventer.journal.history import read_history
from stores import deliver, described, kill, planned, record

pytestmark = pytest.mark.usefixtures("time")


def test_history(store: Database, path: Path) -> None:
    """The oldest first, with what became of the Events, while the agent has it open; looking changes nothing."""
    deliver(store, kill(1))
    waiting, *_ = described(store, kill(2, pod=1))
    outbox.settle(store, planned(store, waiting), "given up", "invalid")
    described(store, kill(3, scope="node"))
    record(store, kill(4))
    before = path.read_bytes()
    found = list(read_history(path))
    assert [one["key"] for one in found] == [kill(number).key for number in range(1, 5)]
    assert [one["events"] for one in found] == ["delivered", "given up: invalid", "waiting; waiting", "waiting"]
    assert found[0] == as_json(kill(1)) | {"events": "delivered"}
    assert path.read_bytes() == before


def test_history_holds_nothing_up(store: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads slowly does not keep the agent's log file from starting over."""
    monkeypatch.setattr(history_module, "_PAGE", 2)
    deliver(store, *(kill(number) for number in range(1, 6)))
    reading = read_history(path)
    assert next(reading)["key"] == kill(1).key
    for _ in range(200):
        database.note(store, "x", "y" * 100000)
    assert path.with_name("journal.db-wal").stat().st_size < 8 << 20
    assert [one["key"] for one in reading] == [kill(number).key for number in range(2, 6)]


def test_history_of_what_is_damaged(store: Database, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is left out, and logged; the others are read."""
    deliver(store, kill(1), kill(2), kill(3))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE incidents SET body = CAST(x'7bff7d' AS TEXT) WHERE key = ?", (kill(2).key,))
    assert [one["key"] for one in read_history(path)] == [kill(1).key, kill(3).key]
    assert "cannot be read" in caplog.text


def test_history_of_nothing(tmp_path: Path) -> None:
    """A file that is not there, or is no journal, is an error, and not made."""
    missing, other = tmp_path / "missing.db", tmp_path / "other.db"
    other.write_bytes(b"no database" * 1000)
    for file in (missing, other):
        with pytest.raises(StoreError, match=str(file)):
            list(read_history(file))
    assert not missing.exists()
