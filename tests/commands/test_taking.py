"""How an agent takes its node. In: locks, directories. Out: what is held, and what is not."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oomeventer.commands import taking as module
from oomeventer.commands.taking import hold
from oomeventer.kernel import PinsError
from oomeventer.kernel.lock import Held, Lock
from oomeventer.settings import Settings
from reading import read


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Settings]:
    """Settings, with a journal."""

    def settings(*flags: str) -> Settings:
        return read(["--journal", str(tmp_path / "journal.db"), "--pins", "none", *flags], {})

    return settings


async def test_one_agent_at_a_time(
    configured: Callable[..., Settings],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second waits until the first one ends, says so once, and then has the node."""
    monkeypatch.setattr(module, "HELD_SECONDS", 0.02)
    first = Lock(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        taking = asyncio.create_task(hold(configured(), stack, asyncio.Event()))
        await asyncio.sleep(0.2)
        assert not taking.done()
        first.close()
        async with asyncio.timeout(5):
            assert await taking is None
        with pytest.raises(Held):
            Lock(tmp_path)
    Lock(tmp_path).close()
    assert caplog.text.count("is held by another agent on this machine; waiting for it to end") == 1


async def test_a_stop_while_waiting(configured: Callable[..., Settings], tmp_path: Path) -> None:
    """An agent that waits for another one's end can be stopped."""
    first, stop = Lock(tmp_path), asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        taking = asyncio.create_task(hold(configured(), stack, stop))
        await asyncio.sleep(0.05)
        stop.set()
        async with asyncio.timeout(5):
            assert await taking is None
    first.close()


async def test_pins_that_cannot_be(
    configured: Callable[..., Settings], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where somebody asked for them the agent does not begin; else it goes on without, and says what that costs."""
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(PinsError, match="is not in a BPF file system"):
            await hold(configured("--pins", str(tmp_path / "pins")), stack, asyncio.Event())
    async with contextlib.AsyncExitStack() as stack:
        assert await hold(configured("--pins", f"auto:{tmp_path}/pins"), stack, asyncio.Event()) is None
    assert "kills are not recorded while no agent runs" in caplog.text


@pytest.mark.parametrize("others", [[], ["journal.db", "journal.db-wal"], ["something"], ["journal.db", "something"]])
async def test_the_journals_directory_is_closed_to_others(tmp_path: Path, others: list[str]) -> None:
    """The kubelet makes it for everybody to read. One with other files in it is somebody else's, and stays."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o755)
    for name in others:
        (directory / name).touch()
    async with contextlib.AsyncExitStack() as stack:
        settings = read(["--journal", str(directory / "journal.db"), "--pins", "none"], {})
        await hold(settings, stack, asyncio.Event())
    assert directory.stat().st_mode & 0o777 == (0o755 if "something" in others else 0o700)


async def test_a_journal_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """It is made; where that cannot be, the journal will say so."""
    (tmp_path / "file").touch()
    for parent in ("new/er", "file"):
        settings = read(["--pins", "none", "--journal", str(tmp_path / parent / "journal.db")], {})
        async with contextlib.AsyncExitStack() as stack:
            await hold(settings, stack, asyncio.Event())
    assert (tmp_path / "new" / "er").is_dir()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """However that ended."""
    program = f"""
import os, sys, time
from pathlib import Path
from oomeventer.kernel.lock import Lock
lock = Lock(Path({str(tmp_path)!r}))
print(flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(Held):
            Lock(tmp_path)
        holder.kill()
    Lock(tmp_path).close()


def test_a_lock_leaves_nothing(tmp_path: Path) -> None:
    """No file, and no descriptor: not of a lock that was had, nor of one that was not."""

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    lock = Lock(tmp_path)
    for _ in range(3):
        with pytest.raises(Held):
            Lock(tmp_path)
    assert descriptors() == before + 1
    lock.close()
    assert (descriptors(), list(tmp_path.iterdir())) == (before, [])
    with pytest.raises(OSError, match="No such file"):
        Lock(tmp_path / "nowhere")
