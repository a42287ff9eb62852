"""`oomeventer history`, by main(). In: a journal. Out: rows, or lines of JSON."""

import json
from pathlib import Path

import pytest

from oomeventer.cli import main
from oomeventer.incident.codec import as_json
from stores import kill, opened, record


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal's file, with two kills."""
    path = tmp_path / "journal.db"
    store = opened(path)
    for number in (1, 2):
        record(store, kill(number))
    store.close()
    return path


def test_as_json(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, the oldest first, with what became of its Events."""
    assert main(["history", "--json", f"--journal={journal}"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [as_json(kill(number)) | {"events": "waiting"} for number in (1, 2)]


def test_for_people(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each kill names its Pod and what was killed."""
    assert main(["history", "--jour", str(journal)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "hog" in line]
    assert len(rows) == 2
    assert all("checkout-0" in row for row in rows)


@pytest.mark.parametrize("where", ["none", "/nowhere/journal.db"])
def test_no_journal(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, and status 1."""
    assert main(["history", "--journal", where]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("oomeventer: ")
    assert "--journal" in err or where in err
