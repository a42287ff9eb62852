"""What the agent's wiring does when a part of it fails: a kill goes on, the process ends, losses are told once.

In: parts that fail. Out: incidents, exit statuses.
"""

import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oomeventer.agent import _lost, _Way
from oomeventer.incident import Incident
from oomeventer.journal import Begun, Journal
from oomeventer.lock import Held, Lock
from oomeventer.metrics import Metrics
from samples import incident


@pytest.mark.parametrize("stage", ["_resolve", "_describe"])
async def test_a_part_that_breaks(stage: str, caplog: pytest.LogCaptureFixture) -> None:
    """The incident goes on without its answer, and says so."""

    async def breaks(_: Incident) -> Incident:
        raise RuntimeError("broken")

    parts: Any = [SimpleNamespace()] * 2
    way = _Way(*parts, Journal(None), breaks, breaks, *parts[:1], Metrics(), *parts[:1])  # type: ignore[arg-type]
    result = await getattr(way, stage)(Begun(1, incident(1)))
    assert result.incident.key == incident(1).key
    assert result.incident.notes[-1] == "a fault of this program: something is missing"
    assert "RuntimeError: broken" in caplog.text


@pytest.mark.parametrize(
    ("noted", "counted", "told"), [(None, 5, 0), ("3", 5, 3), ("5", 5, 5), ("7", 2, 2), ("x", 5, 0), ("-1", 5, 0)]
)
async def test_losses_that_were_told(noted: str | None, counted: int, told: int) -> None:
    """By an earlier process, of this ring: another ring, since a reboot or with another version, counts from 0."""
    async with Journal(None) as journal:
        if noted:
            await journal.note("lost", noted)
        assert await _lost(journal, SimpleNamespace(lost=counted)) == told  # type: ignore[arg-type]


def test_the_end_waits_for_no_thread() -> None:
    """One that hangs in the kernel is left behind, and the status is as it was to be."""
    program = """
        import sys, threading, time
        from oomeventer import cli
        threading.Thread(target=time.sleep, args=(60,), name="journal_0").start()
        sys.exit(cli._ended(3))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=30, capture_output=True, text=True)
    assert done.returncode == 3
    assert "thread journal_0 hangs, and is left behind" in done.stderr


def test_a_lock_that_cannot_be(tmp_path: Path) -> None:
    """Only a lock that another process has is waited for: a file system without locks is an error."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fcntl.flock", _no_locks)
        with pytest.raises(OSError, match="No locks available"):
            Lock(tmp_path)
    first = Lock(tmp_path)
    with pytest.raises(Held):
        Lock(tmp_path)
    first.close()


def _no_locks(*_: object) -> None:
    raise OSError(37, "No locks available")
