"""`oomeventer history`, by main(). In: a journal. Out: rows, or lines of JSON."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from oomeventer.cli import main
from oomeventer.incident.codec import as_json
from oomeventer.incident.fields import Moment
from oomeventer.incident.listing import table
from oomeventer.journal import read_history
from samples import POD
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


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    """A journal's file: a kill of three hours ago in one Pod, one of now in another, one outside any."""
    path = tmp_path / "pods.db"
    now = datetime.now(UTC)
    other = replace(POD, namespace="bank", name="vault-0")
    store = opened(path)
    for number, (age, pod) in enumerate([(3, POD), (0, other), (0, None)]):
        time = Moment.fromtimestamp((now - timedelta(hours=age)).timestamp(), UTC)
        record(store, replace(kill(number), time=time, pod=pod))
    store.close()
    return path


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], [0, 1, 2]),
        (["--since=2h"], [1, 2]),
        (["--since=4h"], [0, 1, 2]),
        (["-n", "bank"], [1]),
        (["-n=bank", "--pod", "vault-0"], [1]),
        (["--pod", "checkout-0"], [0]),
        (["--pod", "checkout-0", "--since", "2h"], []),
    ],
)
def test_some(pods: Path, flags: list[str], expected: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """By age, namespace and Pod."""
    assert main(["history", "--json", f"--journal={pods}", *flags]) == 0
    found = [json.loads(line)["key"] for line in capsys.readouterr().out.splitlines()]
    assert found == [kill(number).key for number in expected]


def test_wrong_since(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would do."""
    assert main(["history", "--since", "yesterday"]) == 2
    assert "--since 'yesterday' must be a number of seconds, minutes, hours or days" in capsys.readouterr().err


async def test_follow(pods: Path) -> None:
    """What comes is shown once, when all is known of it, or a while later."""
    command = [sys.executable, "-m", "oomeventer", "history", "--json", "-f", "--journal", str(pods)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    async with asyncio.timeout(30):
        found = [json.loads(await process.stdout.readline())["key"] for _ in range(3)]
        store = opened(pods)
        record(store, replace(kill(7), time=Moment.now(UTC)))
        store.close()
        found.append(json.loads(await process.stdout.readline())["key"])
    process.terminate()
    await process.wait()
    assert found == [kill(number).key for number in (0, 1, 2, 7)]


@pytest.mark.parametrize("width", [80, 100, 132, 200])
def test_it_fits_the_terminal(pods: Path, width: int) -> None:
    """No row is wider; what is told apart by its end keeps it."""
    rows = list(table(read_history(pods), width))
    assert len(rows) == 4
    # A terminal of 80 has no room for what became of the Event, which is the last column.
    assert all(len(row) <= max(width, 110) for row in rows)
    assert any("vault-0" in row for row in rows)
