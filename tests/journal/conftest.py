"""A journal's file that is open, and a time that the test moves."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from moving import Time
from oomeventer.journal.database import Database
from stores import opened, set_time


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    moved = Time()
    set_time(monkeypatch, moved)
    return moved


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def store(path: Path, time: Time) -> Iterator[Database]:
    with closing(opened(path)) as one:
        yield one
