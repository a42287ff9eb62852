"""What the agent's wiring does when a part of it fails: a kill goes on, the process ends, losses are reported once.

In: parts that fail. Out: incidents, exit statuses.
"""

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from oomeventer.agent import Agent
from oomeventer.commands.reporting import _reported_losses
from oomeventer.cri.resolver import Resolver
from oomeventer.incident.aftermath import WATCHED, Aftermath
from oomeventer.incident.codec import decode
from oomeventer.incident.events import ANNOTATION
from oomeventer.incident.incident import Incident
from oomeventer.incident.unmasking import Unmasking
from oomeventer.journal import failover, incidents
from oomeventer.journal import journal as journal_module
from oomeventer.journal.database import Database
from oomeventer.journal.journal import Journal
from oomeventer.journal.together import Call
from oomeventer.kernel import Episode, Held, Lock, Process
from oomeventer.node import NodeCgroup, Procfs
from oomeventer.pipeline import QUEUE
from oomeventer.probes.metrics import Metrics
from oomeventer.redaction.policy import Redaction
from samples import POD, incident, kill


class Breaks:
    """In the place of a part that is asked about an incident."""

    is_unreachable = False

    async def __call__(self, _: Incident, **_named: Any) -> Incident:
        raise RuntimeError("broken")


class Api:
    """In the place of the API that describes Pods. is_unreachable: incidents wait for it, and it says so; hangs: they
    wait, and for all that is known it may answer at any moment."""

    def __init__(self) -> None:
        self.is_unreachable = self.hangs = False
        self.back = asyncio.Event()

    async def __call__(self, one: Incident, on_wait: Callable[[], Awaitable[None]]) -> Incident:
        if self.is_unreachable:
            await on_wait()
        if self.is_unreachable or self.hangs:
            await self.back.wait()
        return one


class Wired:
    """A journal, and the path through it behind the ring, with the parts that a test gives."""

    def __init__(self, journal: Journal, resolver: Any, describer: Any, aftermath: Any = None) -> None:
        self.journal, self.metrics, self.added = journal, Metrics(), []  # type: ignore[var-annotated]
        nobody: Any = SimpleNamespace()
        unmasking, aftermath = Unmasking(Redaction()), aftermath or Aftermath(Procfs())
        outbox: Any = SimpleNamespace(add=self.added.extend, is_free=lambda _about: False)
        outbox.run = asyncio.Event.wait
        self.agent = Agent(
            nobody, nobody, nobody, journal, resolver, aftermath, describer, unmasking, outbox, self.metrics, nobody
        )
        self._stop = asyncio.Event()

    async def __aenter__(self) -> "Wired":
        self._running = asyncio.create_task(self.agent.run(no_episodes(self._stop), self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._running

    @property
    def counted(self) -> float:
        """Kills, by the metrics."""
        text = self.metrics.text().decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("oomeventer_kills_total"))


async def no_episodes(stop: asyncio.Event) -> AsyncIterator[Episode]:
    await stop.wait()
    return
    yield


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_what_is_read_at_once() -> None:
    """Where the memory was is read when an episode begins, for this node's kills alone, by the paths that it sees."""
    begun: list[str] = []
    observer: Any = SimpleNamespace(glance=lambda seen: begun.append(seen.cgroup))
    nobody: Any = SimpleNamespace()
    journal: Any = SimpleNamespace(recorded=None, resolved=None)
    agent = Agent(nobody, NodeCgroup("/docker/ab"), observer, journal, *[nobody] * 5, Metrics(), nobody)
    for path in ("/docker/ab/kubepods/x", "/docker/cd/kubepods/y"):
        agent.opened(kill(cgroup=path))
    assert begun == ["/kubepods/x"]


@pytest.mark.parametrize("fits_after", [1, 3, 50])
async def test_kills_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fits_after: int) -> None:
    """What is observed at once is on disk in few transactions, and goes on in the kills' order, also where the journal
    is looked over in between; the ring keeps each kill until it is on disk."""
    kills = [kill(number) for number in range(1, 61)]
    file = tmp_path / "journal.db"
    freed: dict[Process, bool] = {}
    shared: list[int] = []
    together = failover.in_one_transaction

    def counted(database: Database, calls: Sequence[Call]) -> list[Any]:
        shared.append(len(calls))
        return together(database, calls)

    class Observing:
        observe = staticmethod(lambda _episode: None)

        async def __call__(self, episode: Episode) -> Incident:
            return incident(episode[0].process.pid)

    async def source() -> AsyncIterator[Episode]:
        for number, one in enumerate(kills):
            yield (one,)
            if number % 12 == 11:
                await asyncio.sleep(0.02)

    def free(episode: Episode) -> None:
        with closing(sqlite3.connect(file)) as db:
            on_disk = {key for (key,) in db.execute("SELECT key FROM incidents")}
        freed.update((one.process, incident(one.process.pid).key in on_disk) for one in episode)

    async def handed_on(until: asyncio.Event) -> list[str]:
        return [recorded.incident.key async for recorded in journal.recorded(until)]

    monkeypatch.setattr(failover, "in_one_transaction", counted)
    monkeypatch.setattr(journal_module, "_FIT_WRITES", fits_after)
    observer: Any = Observing()
    tracer: Any = SimpleNamespace(free=free)
    nobody: Any = SimpleNamespace(freed=lambda: None)
    recorded = asyncio.Event()
    async with Journal(file) as journal:
        handing = asyncio.create_task(handed_on(recorded))
        agent = Agent(tracer, NodeCgroup("/"), observer, journal, *[nobody] * 5, Metrics(), nobody)
        await agent.pipelines["recording"].run(agent.of_node(source()), asyncio.Event())
        recorded.set()
        assert await asyncio.wait_for(handing, 10) == [incident(one.process.pid).key for one in kills]
    assert freed == dict.fromkeys((one.process for one in kills), True)
    assert max(shared) >= 4


async def test_parts_that_break(caplog: pytest.LogCaptureFixture) -> None:
    """The incident goes on without their answers, and says so."""
    async with Journal(None) as journal, Wired(journal, Breaks(), Breaks()) as wired:
        await journal.record(incident(1))
        await until(lambda: bool(wired.added))
        assert wired.counted == 1
    assert caplog.text.count("RuntimeError: broken") == 2
    assert caplog.text.count("Container app ran out") == 1


@pytest.mark.parametrize("kept", ["on disk", "in memory"])
async def test_an_unreachable_api(caplog: pytest.LogCaptureFixture, tmp_path: Path, kept: str) -> None:
    """However many kills there are meanwhile: each is logged and counted at once, the runtime is asked about each while
    it may know, and what it says is kept, also by an agent that ends; when the API is back, all have their Events."""
    asked: list[str] = []
    many = 2 * QUEUE + 20

    async def runtime(one: Incident) -> Incident:
        asked.append(one.key)
        return replace(one, pod=POD)

    path = tmp_path / "journal.db" if kept == "on disk" else None
    api = Api()
    api.is_unreachable = True
    async with Journal(path) as journal:
        async with Wired(journal, runtime, api) as wired:
            for number in range(many):
                await journal.record(incident(number, pod=None))
            await until(lambda: wired.counted == many)
            assert len(asked) == many
            assert not wired.added
            assert caplog.text.count("Container app ran out") == many
            if path is None:
                api.back.set()
                api.is_unreachable = False
                await until(lambda: len(wired.added) == many)
                assert wired.counted == many
                assert not wired.agent._reported
        if path is None:
            return
    async with Journal(path) as journal:
        found = [recorded.incident.pod async for recorded in journal.recorded(ended())]
        assert found == [POD] * many
        async with Wired(journal, Resolver("unix:///nowhere", 1), Api()) as again:
            await until(lambda: len(again.added) == many)
            assert again.counted == many, "counters begin at 0 with each process"


async def test_which_time_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Event says it, also over a restart; a kill that the next process takes up, described by none, counts once."""
    monkeypatch.setattr("oomeventer.agent.DRAIN_SECONDS", 0.1)
    path, api = tmp_path / "journal.db", Api()
    async with Journal(path) as journal, Wired(journal, Resolver("none", 1), api) as wired:
        for number in range(2):
            await journal.record(incident(number))
        await until(lambda: len(wired.added) == 2)
        assert await told_repeats(journal, wired) == 2
        api.is_unreachable = True
        await journal.record(incident(2))
        await until(lambda: wired.counted == 3)
    async with Journal(path) as journal, Wired(journal, Resolver("none", 1), Api()) as again:
        await until(lambda: bool(again.added))
        assert await told_repeats(journal, again) == 3


async def told_repeats(journal: Journal, wired: Wired) -> int:
    """By the latest Event that waits, which is delivered then."""
    plan = await journal.plan(wired.added[-1].series)
    assert plan
    await journal.settle(plan, "delivered", "")
    told = decode(plan.body["metadata"]["annotations"][ANNOTATION]).repeats
    assert told
    return told.count


async def test_an_api_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    """Requests get no answer, and none is refused: each kill is logged and counted within two seconds all the same,
    once, and has its Event when the API is back."""
    api, many = Api(), 2 * QUEUE + 20
    api.hangs = True
    async with Journal(None) as journal, Wired(journal, Resolver("none", 1), api) as wired:
        started = time.monotonic()
        for number in range(many):
            await journal.record(incident(number))
        await until(lambda: wired.counted == many)
        assert time.monotonic() - started < 2
        assert caplog.text.count("Container app ran out") == many
        assert not wired.agent._patience
        api.hangs = False
        api.back.set()
        await until(lambda: len(wired.added) == many)
        assert wired.counted == many
        assert caplog.text.count("Container app ran out") == many
        assert not wired.agent._reported


class Refuses(Api):
    """An API server that was not known to be unreachable, and is."""

    async def __call__(self, one: Incident, on_wait: Callable[[], Awaitable[None]]) -> Incident:
        for _ in range(3):
            await on_wait()
        await self.back.wait()
        return one


@pytest.mark.parametrize("server", ["answers", "hangs", "refuses"])
async def test_what_the_runtime_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    """Is on disk once the API server has not answered for a while, or refuses, for a process that dies then; and is
    not written by itself where it answers at once."""
    hangs = server != "answers"
    monkeypatch.setattr("oomeventer.agent.PATIENCE_SECONDS", 3600 if server == "refuses" else 0.1)
    rewritten = []
    whole = incidents.rewrite
    monkeypatch.setattr(incidents, "rewrite", lambda *of: rewritten.append(of) or whole(*of))

    async def runtime(one: Incident) -> Incident:
        return replace(one, pod=POD)

    api = Refuses() if server == "refuses" else Api()
    api.hangs = hangs
    path = tmp_path / "journal.db"
    async with Journal(path) as journal, Wired(journal, runtime, api) as wired:
        await journal.record(incident(1, pod=None))
        await until(lambda: wired.counted == 1)
        await until(lambda: bool(rewritten) == hangs)
        if hangs:
            async with Journal(path) as another:
                (found,) = [recorded.incident.pod async for recorded in another.recorded(ended())]
                assert found == POD
        api.back.set()
        await until(lambda: bool(wired.added))
    assert len(rewritten) == hangs


async def test_a_fault_in_what_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The kill is logged and counted, and given up; the journal is not blamed, and the next one is told."""

    def breaks(*_: object) -> NoReturn:
        raise ZeroDivisionError

    async with Journal(None) as journal, Wired(journal, Resolver("none", 1), Api()) as wired:
        with monkeypatch.context() as patched:
            patched.setattr("oomeventer.agent.compose_all", breaks)
            await journal.record(incident(1))
            await until(lambda: wired.counted == 1)
            await until(lambda: bool(journal.totals.given_up))
        await journal.record(incident(2))
        await until(lambda: bool(wired.added))
        assert (journal.trouble, journal.failures, journal.totals.given_up.total()) == (None, 0, 1)
    assert "is dropped in stage outbox" in caplog.text


async def test_no_kill_waits_for_another_ones_pid_1() -> None:
    """However many wait until theirs is decided, one whose PID 1 was the victim is reported at once."""
    decided = asyncio.Event()

    async def watched(one: Incident) -> Incident:
        if one.pid1 == "seen":
            await decided.wait()
        return replace(one, pid1="lives" if one.pid1 == "seen" else one.pid1)

    async with Journal(None) as journal, Wired(journal, Resolver("none", 1), Api(), watched) as wired:
        for number in range(WATCHED):
            await journal.record(incident(number, pid1="seen"))
        await journal.record(incident(WATCHED, pid1="killed"))
        await until(lambda: bool(wired.added))
        assert wired.counted == 1
        decided.set()
        await until(lambda: wired.counted == WATCHED + 1)


async def test_an_api_that_is_slow(caplog: pytest.LogCaptureFixture) -> None:
    """Within a second its answer is waited for: the line has what it knows."""

    async def slow(one: Incident, on_wait: Callable[[], Awaitable[None]]) -> Incident:
        await asyncio.sleep(0.5)
        return replace(one, pod=replace(POD, namespace="from-the-api"))

    slow.is_unreachable = False  # type: ignore[attr-defined]
    async with Journal(None) as journal, Wired(journal, Resolver("none", 1), slow) as wired:
        await journal.record(incident(1, pod=None))
        await until(lambda: bool(wired.added))
    assert caplog.text.count("from-the-api/") == 1
    assert caplog.text.count("Container app ran out") == 1


def ended() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@pytest.mark.parametrize(
    ("noted", "counted", "reported"), [(None, 5, 0), ("3", 5, 3), ("5", 5, 5), ("7", 2, 2), ("x", 5, 0), ("-1", 5, 0)]
)
async def test_losses_that_were_reported(noted: str | None, counted: int, reported: int) -> None:
    """By an earlier process, of this ring: another ring, since a reboot or with another version, counts from 0."""
    async with Journal(None) as journal:
        if noted:
            await journal.note("lost", noted)
        assert await _reported_losses(journal, SimpleNamespace(lost=counted)) == reported  # type: ignore[arg-type]


def test_the_end_waits_for_no_thread() -> None:
    """One that hangs in the kernel is left behind, and the status is as it was to be."""
    program = """
        import sys, threading, time
        from oomeventer import cli, threads
        threads.CallThread(target=time.sleep, args=(60,), name="journal-0", daemon=True).start()
        threading.Thread(target=time.sleep, args=(60,), name="sample", daemon=True).start()
        sys.exit(cli._ended(3))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=30, capture_output=True, text=True)
    assert done.returncode == 3
    assert "thread journal-0 hangs, and is left behind" in done.stderr


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


async def test_what_a_kill_left_is_looked_at_before_its_turn() -> None:
    """As soon as the episode is known to be this node's; others' are not looked at."""
    begun: list[Episode] = []
    nobody: Any = SimpleNamespace(free=lambda _: None, freed=lambda: None)
    observer: Any = SimpleNamespace(observe=begun.append)
    agent = Agent(
        nobody, NodeCgroup("/kubepods"), observer, nobody, nobody, nobody, nobody, nobody, nobody, Metrics(), nobody
    )

    async def episodes() -> AsyncIterator[Episode]:
        yield (kill(1),)
        yield (kill(2, cgroup="/elsewhere"),)

    mine = agent.of_node(episodes())
    episode = await anext(mine)
    assert begun == [episode]
    assert await anext(mine, None) is None
    assert begun == [episode]
