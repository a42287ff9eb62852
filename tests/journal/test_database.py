"""The journal's file: one that is none, another format's, and none at all.

In: files. Out: what is read again, or StoreError.
"""

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from moving import Time
from oomeventer.journal import database, outbox, transfer
from oomeventer.journal.database import MEMORY, Database, StoreError
from stores import deliver, described, figures, kill, opened, planned, record

pytestmark = pytest.mark.usefixtures("time")


def test_notes(store: Database, path: Path) -> None:
    """A text by its name, the last one, in the next process too."""
    assert database.note(store, "lost") is None
    assert database.note(store, "lost", "7") == "7"
    assert database.note(store, "lost", "8") == "8"
    with closing(opened(path)) as again:
        assert database.note(again, "lost") == "8"


def test_a_newer_format(path: Path) -> None:
    """It is not touched, and both formats are named."""
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
    """What is no database is not taken for what only cannot be read now."""
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
        deliver(store, kill(1), kill(2))
        assert figures(store) == (2, 2, 0, {}, 0)


@pytest.mark.parametrize("before", [None, 0o644])
def test_its_owner_alone_reads_it(path: Path, before: int | None) -> None:
    """Commands and Pods of all tenants are in it: also of the files that SQLite makes beside it, and of one that an
    earlier version has made for everybody."""
    if before is not None:
        opened(path).close()
        path.chmod(before)
    mask = os.umask(0)
    try:
        with closing(opened(path)) as store:
            record(store, kill(1))
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob(f"{path.name}*")}
    finally:
        os.umask(mask)
    assert modes == dict.fromkeys([path.name, f"{path.name}-wal", f"{path.name}-shm"], 0o600)


def test_no_temporary_files(store: Database) -> None:
    """The agent's Pod has no place for any: its root is read-only. So a series with many kills is settled, and a whole
    journal taken over, without one."""
    (waiting, *_) = described(store, *(kill(number) for number in range(1, 1001)))
    plan = planned(store, waiting)
    with no_file_opened():
        outbox.settle(store, plan, "delivered", "")
    described(store, *(kill(number, pod=number % 300) for number in range(2001, 3001)))
    held = transfer.export(store, whole=True)
    with no_file_opened():
        transfer.replace(store, held)
    assert figures(store)[0] == 2000


@contextmanager
def no_file_opened() -> Iterator[None]:
    """Whoever opens one meanwhile cannot."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
