"""The first stage against the real /proc and the real taskstats. In: a kill of this process. Out: an incident, and what
the stage leaves behind."""

import asyncio
import os
import threading
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from oomeventer.incident import Observer
from oomeventer.incident import observer as module
from oomeventer.kernel import Process
from oomeventer.node import Procfs, Statistics, taskstats_permitted
from oomeventer.node.taskstats import Taskstats, TaskstatsError
from oomeventer.redaction.policy import Redaction
from samples import NODE, kill


def open_files() -> set[str]:
    """What the open file descriptors of this process are."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:  # the listing's own
            continue
    return found


@pytest.mark.skipif(not taskstats_permitted(), reason="needs CAP_NET_ADMIN: taskstats")
async def test_statistics_leave_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket and its event loop are closed with the observer: what is left to the interpreter's end would write its
    traceback between the log's lines."""
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 30)
    before = open_files()
    observer = Observer(Procfs(), NODE, Redaction(), statistics=True)
    one = (replace(kill(), process=Process(os.getpid(), 0)),)
    for _ in range(3):
        incident = await observer(one)
        assert incident.chosen.statistics is not None
    observer.close()
    observer._observations._threads.join(5)
    assert open_files() - before == set()


@pytest.mark.skipif(not taskstats_permitted(), reason="needs CAP_NET_ADMIN: taskstats")
async def test_statistics_that_are_late_hold_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the first ones are on a busy machine: PID 1 and the neighbours are there nevertheless. What waits behind them
    is not asked, so that it waits for nothing."""
    answers = threading.Event()

    class Late(Taskstats):
        def read(self, tid: int) -> Statistics | None:
            answers.wait(30)
            return super().read(tid)

    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr("oomeventer.node.asker.Taskstats", Late)
    one = (replace(kill(), process=Process(os.getpid(), 0)),)
    with closing(Observer(Procfs(), NODE, Redaction(), statistics=True)) as observer:
        for _ in range(4):
            incident = await observer(one)
            assert incident.chosen.statistics is None
            assert not any("in time" in note for note in incident.notes)
        monkeypatch.setattr(module, "DEADLINE_SECONDS", 600)
        async with asyncio.timeout(20):
            assert (await observer(one)).chosen.statistics is None
        answers.set()


class Refused:
    """Where taskstats is not to be had."""

    def __init__(self) -> None:
        raise TaskstatsError("no taskstats: refused")


class Broken(Taskstats):
    """A fault of pyroute2's."""

    def read(self, tid: int) -> Statistics | None:
        raise RuntimeError("broken")


@pytest.mark.skipif(not taskstats_permitted(), reason="needs CAP_NET_ADMIN: taskstats")
@pytest.mark.parametrize(("which", "why"), [(Refused, "no taskstats: refused"), (Broken, "broken")])
async def test_without_taskstats_incidents_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, which: type, why: str
) -> None:
    """That is logged once, and nobody waits for it."""
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 600)
    monkeypatch.setattr("oomeventer.node.asker.Taskstats", which)
    with closing(Observer(Procfs(), NODE, Redaction(), statistics=True)) as observer:
        async with asyncio.timeout(20):
            for _ in range(3):
                assert (await observer((kill(),))).chosen.statistics is None
    assert caplog.text.count(f"{why}; incidents go on without it") == 1


async def test_a_proc_that_hangs_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The incident goes on, and says what it lacks."""
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.2)
    (tmp_path / "4217").mkdir()
    os.mkfifo(tmp_path / "4217/cmdline")
    observer = Observer(Procfs(tmp_path), NODE, Redaction(), statistics=False)
    incident = await observer((kill(arguments=None),))
    assert "PID 1 and other processes: /proc did not answer in time" in incident.notes
    observer.close()
    hung = (tmp_path / "4217/cmdline").rename(tmp_path / "hung")
    os.close(os.open(hung, os.O_WRONLY))  # the thread is let go
