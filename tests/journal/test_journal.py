"""The journal on a disk that fails: what is logged, what goes on, and what is delivered in the end.

In: kills, real small file systems that are full or not to be written, files that are damaged, and calls that hang. Out:
the Events at the API server's stand-in, the totals, and the trouble in words. Time is real here, and retries come soon.
"""

import asyncio
import contextlib
import logging
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec.structs import replace

from direct import Direct, counts
from oomeventer.cluster.delivery import Delivery
from oomeventer.cluster.schedule import Limits
from oomeventer.incident.events import compose
from oomeventer.incident.incident import Incident
from oomeventer.journal import disk as disk_module
from oomeventer.journal import failover as module
from oomeventer.journal import incidents, outbox, totals
from oomeventer.journal import journal as journal_module
from oomeventer.journal.database import Database, StoreError
from oomeventer.journal.disk import Disk
from oomeventer.journal.failover import Failover
from oomeventer.journal.history import read_history
from oomeventer.journal.journal import Journal
from samples import POD, incident, victim
from stores import composed

#: A deadline of the test's own.
SECONDS = 20
RETRY, DEADLINE = 0.2, 0.2
QUICK = Limits(object_burst=10000, burst=10000, per_second=1000)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", RETRY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "journal.db"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    directory = tmp_path / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "oomeventer-test", directory], check=True)
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


class Agent:
    """Journal, pending Events and delivery, as in the agent, until the context is left. kills: what was given to it."""

    def __init__(self, path: Path | None, api: Direct, size_bytes: int = 64 << 20) -> None:
        self.journal = Journal(path, size_bytes)
        self.delivery = Delivery(api, self.journal, QUICK)  # type: ignore[arg-type]
        self._stop = asyncio.Event()
        self._described = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.journal.__aenter__()
        self._tasks = [asyncio.create_task(self._describe()), asyncio.create_task(self.delivery.run(self._described))]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        try:
            async with asyncio.timeout(SECONDS):
                await asyncio.gather(*self._tasks)
        finally:
            await self.journal.__aexit__()

    async def _describe(self) -> None:
        async for recorded in self.journal.recorded(self._stop):
            described = await self.journal.describe(recorded.id, recorded.incident, composed(recorded.incident))
            self.delivery.add(described.waiting)
        self._described.set()

    async def kill(self, *numbers: int) -> None:
        for number in numbers:
            await self.kill_of(kill(number))

    async def kill_of(self, one: Incident) -> None:
        await self.journal.record(one)

    def check(self) -> None:
        assert self.journal.totals.seen == self.journal.totals.accounted


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def kill(number: int = 1, **fields: Any) -> Incident:
    """One of its own series for each number modulo 7."""
    where = replace(POD, name=f"checkout-{number % 7}", uid=f"uid-of-{number % 7}")
    return incident(number, victims=(victim(container_pid=number),), pod=where, **fields)


def fill(directory: Path) -> Path:
    """Take all the room that is left."""
    file = directory / "filler"
    with file.open("wb", buffering=0) as taken, contextlib.suppress(OSError):
        while taken.write(b"x" * 4096):
            pass
    return file


async def until_full(agent: Agent, directory: Path) -> tuple[Path, int]:
    """Ten kills while there is room, and then so many until there is none: what took it, and the last kill's number."""
    await agent.kill(*range(1, 11))
    filler = fill(directory)
    number = 10
    async with asyncio.timeout(SECONDS):
        while not agent.journal.trouble:
            number += 1
            await agent.kill(number)
    return filler, number


async def left_by_an_earlier_process(path: Path) -> int:
    """A journal with incidents that are delivered, described, and recorded. How many there are."""
    async with Agent(path, Direct()) as agent:
        await agent.kill(*range(1, 11))
        await until(lambda: agent.journal.totals.delivered + agent.journal.totals.merged == 10)
    async with Journal(path) as journal:
        stop = asyncio.Event()
        for number in range(11, 21):
            await journal.record(kill(number))
        async for recorded in journal.recorded(stop):
            await journal.describe(recorded.id, recorded.incident, composed(recorded.incident))
            if journal.totals.waiting == 10 and recorded.incident.key == kill(15).key:
                break
        assert (journal.totals.seen, journal.totals.waiting) == (20, 10)
    return 20


# -- all is well -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["memory", "disk"])
async def test_the_path_of_an_incident(path: Path, where: str) -> None:
    """It is recorded, described, delivered and counted, in memory and on disk alike; where it is kept is shown."""
    api = Direct()
    async with Agent(path if where == "disk" else None, api) as agent:
        assert agent.journal.kept == (str(path) if where == "disk" else "memory")
        await agent.kill(1, 2, 8)
        assert not await agent.journal.record(kill(1))
        await until(lambda: not agent.journal.totals.waiting)
        agent.check()
        assert (agent.journal.totals.seen, agent.journal.trouble, agent.journal.failures) == (3, None, 0)
    assert counts(api) == {compose(kill(1)).name: 2, compose(kill(2)).name: 1}
    assert path.exists() == (where == "disk")


async def test_recorded_gives_what_an_earlier_process_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, more than one batch, in its order; then what comes; and it ends when it is to stop, with none left."""
    monkeypatch.setattr(journal_module, "BATCH_BYTES", 30_000)
    several = 50
    async with Journal(path) as first:
        for number in range(several):
            await first.record(kill(number))
    found = []
    stop = asyncio.Event()
    async with Journal(path) as journal:

        async def take() -> None:
            async for recorded in journal.recorded(stop):
                found.append(recorded.incident)
                await journal.describe(recorded.id, recorded.incident, composed(recorded.incident))

        taking = asyncio.create_task(take())
        await until(lambda: len(found) == several)
        assert found == [kill(number) for number in range(several)]
        await journal.record(kill(1000))
        await journal.record(kill(1001))
        stop.set()
        async with asyncio.timeout(SECONDS):
            await taking
    assert found[several:] == [kill(1000), kill(1001)]


async def test_what_was_recorded_and_is_in_work_is_given_once(path: Path) -> None:
    """An incident that waits for the runtime, say, is not given again by news of another."""
    async with Journal(path) as journal:
        await journal.record(kill(1))
        stop = asyncio.Event()
        found = []
        async for recorded in journal.recorded(stop):
            found.append(recorded.incident)
            if len(found) < 3:
                await journal.record(kill(len(found) + 1))
            else:
                stop.set()
    assert found == [kill(1), kill(2), kill(3)]


@pytest.mark.parametrize("body", ['{"schema": "oomeventer/v9"}', "{}", "[]", "null", "no JSON", '{"schema": 1'])
async def test_an_incident_that_cannot_be_read(path: Path, caplog: pytest.LogCaptureFixture, body: str) -> None:
    """Another version's, or a damaged one, is given up and logged; those after it are delivered."""
    async with Journal(path) as journal:
        await journal.record(kill(1))
        await journal.record(kill(2))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE incidents SET body = ? WHERE key = ?", (body, kill(1).key))
    api = Direct()
    with caplog.at_level(logging.ERROR):
        async with Agent(path, api) as agent:
            await until(lambda: not agent.journal.totals.waiting)
            assert agent.journal.totals.given_up.total() == 1
            agent.check()
    assert "is dropped: it cannot be read" in caplog.text
    assert counts(api) == {compose(kill(2)).name: 1}


async def test_nothing_is_done_while_nothing_is_killed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While all is well, the disk is not touched."""
    async with Agent(path, Direct()) as agent:
        await agent.kill(1)
        await until(lambda: agent.journal.totals.delivered)
        await asyncio.sleep(0.1)
        before = sorted((file.name, file.stat().st_mtime_ns) for file in path.parent.iterdir())
        calls: list[object] = []
        whole = Failover.call

        async def counted(store: Failover, method: Any, *arguments: Any) -> Any:
            calls.append(method)
            return await whole(store, method, *arguments)

        monkeypatch.setattr(Failover, "call", counted)
        await asyncio.sleep(3 * RETRY)
        assert calls == []
        assert sorted((file.name, file.stat().st_mtime_ns) for file in path.parent.iterdir()) == before
        monkeypatch.undo()


async def test_no_growth(path: Path) -> None:
    """Thousands of incidents, through all of it: the file stays within its size, and so do the tables of figures."""
    size = 1 << 20
    api = Direct()
    async with Agent(path, api, size_bytes=size) as agent:
        for number in range(1500):
            await agent.journal.record(kill(number, notes=("x" * 3000,)))
            if number % 100 == 99:
                await until(lambda: not agent.journal.totals.waiting)
        agent.check()
        assert agent.journal.totals.seen == 1500
        assert sum(file.stat().st_size for file in path.parent.iterdir()) < size * 1.5 + (5 << 20)
    assert sum(counts(api).values()) == 1500
    assert path.stat().st_size < size * 1.5


async def test_memory_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a disk and without a server: the oldest is given up, with the reason, before memory runs out."""
    monkeypatch.setattr(module, "MEMORY_BYTES", 1 << 20)
    async with Journal(None) as journal:
        for number in range(1000):
            await journal.record(kill(number, notes=("x" * 6000,)))
        totals = journal.totals
        assert totals.seen == totals.accounted == 1000
        assert totals.given_up.keys() == {"no room in the journal"}
        assert 50 < totals.waiting < 400


# -- a disk that fails -------------------------------------------------------------------------------------------------


async def test_a_full_disk(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While it is full all goes on in memory, and is logged once; when there is room again, all is on disk."""
    api, path = Direct(), small / "journal.db"
    async with Agent(path, api) as agent:
        filler, number = await until_full(agent, small)
        assert "full" in agent.journal.trouble or "I/O" in agent.journal.trouble
        assert agent.journal.kept == "memory"
        for _ in range(5):
            number += 1
            await agent.kill(number)
            await asyncio.sleep(RETRY / 2)
            agent.check()
        await until(lambda: not agent.journal.totals.waiting)
        assert agent.journal.trouble
        filler.unlink()
        number += 1
        await agent.kill(number)
        await until(lambda: not agent.journal.trouble and not agent.journal.totals.waiting)
        agent.check()
        assert agent.journal.totals.seen == number
        assert agent.journal.kept == str(path)
        assert agent.journal.failures >= 1
    assert api.reported == number
    assert {one["key"] for one in read_history(path)} == {kill(number).key for number in range(1, number + 1)}
    assert caplog.text.count("going on in memory") == 1
    assert caplog.text.count("is written again") == 1


async def test_a_full_disk_and_an_unreachable_server(small: Path) -> None:
    """What is in memory alone comes to disk with room, and is the next process's."""
    api, path = Direct(), small / "journal.db"
    api.answers = [503] * 100000
    async with Agent(path, api) as agent:
        filler, number = await until_full(agent, small)
        await agent.kill(*range(number + 1, number + 6))
        number += 5
        assert agent.journal.totals.waiting == number
        filler.unlink()
        await asyncio.sleep(RETRY)
        await until(lambda: not agent.journal.trouble)
        agent.check()
        assert agent.journal.totals.waiting == number
    api.answers = []
    async with Agent(path, api) as agent:
        await until(lambda: not agent.journal.totals.waiting)
        assert agent.journal.totals.seen == number
        agent.check()
    assert api.reported == number


async def test_a_disk_that_is_full_at_the_end(
    small: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What then is in memory only is lost, and that is logged; with room at the last moment it is not."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 3600)
    path = small / "journal.db"
    async with Journal(path) as journal:
        filler = fill(small)
        number = 0
        while not journal.trouble:
            number += 1
            await journal.record(kill(number))
        filler.unlink()
    assert "are lost" not in caplog.text
    async with Journal(path) as journal:
        assert journal.totals.waiting == number
        fill(small)
        while not journal.trouble:
            number += 1
            await journal.record(kill(number))
    assert f"stopped with {number} Events that were kept in memory only, and are lost" in caplog.text


@pytest.mark.parametrize("kills", [0, 5])
async def test_a_disk_that_cannot_be_written_at_first(
    small: Path, caplog: pytest.LogCaptureFixture, kills: int
) -> None:
    """Mounted read-only: logged, and gone on without. When it can be written, what an earlier process left is delivered
    as well, though nobody is killed any more."""
    path = small / "journal.db"
    before = await left_by_an_earlier_process(path)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    api = Direct()
    async with Agent(path, api) as agent:
        assert agent.journal.trouble
        assert str(path) in agent.journal.trouble
        await agent.kill(*range(101, 101 + kills))
        await until(lambda: api.reported == kills)
        await until(lambda: not agent.journal.totals.waiting)
        agent.check()
        subprocess.run(["mount", "-o", "remount,rw", small], check=True)
        await until(lambda: not agent.journal.trouble and not agent.journal.totals.waiting)
        agent.check()
        assert agent.journal.totals.seen == before + kills
    assert api.reported == 10 + kills
    assert caplog.text.count("going on in memory") == 1
    assert len(list(read_history(path))) == before + kills


async def test_a_file_in_the_directorys_place(tmp_path: Path) -> None:
    """A place that cannot be is logged, and the agent lives."""
    (tmp_path / "file").touch()
    api = Direct()
    async with Agent(tmp_path / "file" / "journal.db", api) as agent:
        await agent.kill(1, 2, 3)
        await until(lambda: api.reported == 3)
        assert agent.journal.trouble
        assert "Not a directory" in agent.journal.trouble or "File exists" in agent.journal.trouble
        agent.check()


# -- a disk that hangs -------------------------------------------------------------------------------------------------


#: By what it does: where the function is that is called with the disk's file.
CALLS: dict[str, tuple[Any, str]] = {
    "record": (incidents, "record"),
    "recorded": (incidents, "recorded"),
    "describe": (incidents, "describe"),
    "waiting": (outbox, "waiting"),
    "plan": (outbox, "plan"),
    "settle": (outbox, "settle"),
    "totals": (totals, "read"),
    "_open": (Database, "_open"),
}


class Hanging:
    """A disk whose next calls of those methods do not return until release(); then they are carried out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *methods: str) -> None:
        self.hangs = 0
        self._released = False
        monkeypatch.setattr(disk_module, "DEADLINE_SECONDS", DEADLINE)
        for name in methods:
            owner, attribute = CALLS[name]
            monkeypatch.setattr(owner, attribute, self._slow(getattr(owner, attribute)))

    def _slow(self, method: Any) -> Any:
        def slow(store: Database, *arguments: Any, **named: Any) -> Any:
            if store.path != ":memory:" and not self._released:
                self.hangs += 1
                while not self._released:
                    time.sleep(0.01)
            return method(store, *arguments, **named)

        return slow

    def release(self) -> None:
        self._released = True


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hanging]]:
    """Makes a Hanging of those methods, which is released at the end at the latest."""
    disks: list[Hanging] = []

    def hang(*methods: str) -> Hanging:
        disks.append(Hanging(monkeypatch, *methods))
        return disks[-1]

    yield hang
    for disk in disks:
        disk.release()


@pytest.mark.parametrize("method", ["record", "describe", "plan", "settle", "totals", "recorded", "_open"])
async def test_a_disk_that_hangs(
    path: Path, hanging: Callable[..., Hanging], caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """Wherever it does: kills are delivered meanwhile; what it answers too late is no harm; and at the end each is
    delivered, is counted once, and is on disk."""
    await left_by_an_earlier_process(path)
    api = Direct()
    agent = Agent(path, api)
    at_first = method in ("_open", "recorded")  # what is recorded later is handed on, and not read
    if not at_first:
        await agent.__aenter__()
        await agent.kill(101, 102, 103)
        await until(lambda: not agent.journal.totals.waiting)
    disk = hanging(method)
    if at_first:
        await agent.__aenter__()
    for number in range(104, 111):
        await agent.kill(number)
    await until(lambda: agent.journal.trouble and api.reported >= 6)
    assert "not answer" in agent.journal.trouble, "it did not, or still does not"
    await asyncio.sleep(3 * RETRY)
    agent.check()
    disk.release()
    assert disk.hangs == 1, "one thread, and it waits"
    await agent.kill(111)
    await until(lambda: not agent.journal.trouble and not agent.journal.totals.waiting)
    first = 104 if at_first else 101
    await until(lambda: api.reported == 10 + 112 - first)
    agent.check()
    assert agent.journal.totals.seen == 20 + 112 - first
    await agent.__aexit__()
    assert api.reported == 10 + 112 - first
    assert {one["key"] for one in read_history(path)} == {
        kill(number).key for number in [*range(1, 21), *range(first, 112)]
    }
    assert all(one["events"] in ("delivered", "merged") for one in read_history(path))
    assert caplog.text.count("going on in memory") == 1


class Held(Direct):
    """Requests wait until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.waiting = 0

    async def request(self, method: str, path: str, body: Any = None, content_type: str | None = None) -> Any:
        self.waiting += 1
        await self.open.wait()
        return await super().request(method, path, body, content_type)


@pytest.mark.parametrize("answered", ["while the disk hangs", "when it is back"])
async def test_a_disk_that_hangs_during_a_request(path: Path, hanging: Callable[..., Hanging], answered: str) -> None:
    """What was planned on disk is answered when the journal is in memory, and a kill of that series is delivered from
    there: when the disk is back, what was perhaps sent is sent as it was, and each kill counts once."""
    api = Held()
    async with Agent(path, api) as agent:
        await agent.kill(1)
        await until(lambda: api.waiting == 1)
        disk = hanging("record")
        await agent.kill(8)
        assert agent.journal.trouble
        if answered == "while the disk hangs":
            api.open.set()
            await until(lambda: api.reported == 2)
        disk.release()
        await until(lambda: not agent.journal.trouble)
        api.open.set()
        await until(lambda: not agent.journal.totals.waiting)
        await agent.kill(15)
        await until(lambda: not agent.journal.totals.waiting)
        agent.check()
        assert agent.journal.totals.seen == 3
    assert api.reported == 3


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_disk_that_hangs_again_and_again(path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """At random calls, for random times: in the end every kill is delivered once and counted once."""
    monkeypatch.setattr(disk_module, "DEADLINE_SECONDS", 0.05)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    rng = random.Random(seed)
    well = False

    def sometimes_slow(method: Any) -> Any:
        def slow(store: Database, *arguments: Any, **named: Any) -> Any:
            hangs = store.path != ":memory:" and not well and rng.random() < 0.05
            early = rng.random() < 0.5
            if hangs and early:
                time.sleep(rng.uniform(0.02, 0.3))
            result = method(store, *arguments, **named)
            if hangs and not early:
                time.sleep(rng.uniform(0.02, 0.3))
            return result

        return slow

    for name in ("record", "describe", "plan", "settle", "totals", "recorded", "waiting"):
        owner, attribute = CALLS[name]
        monkeypatch.setattr(owner, attribute, sometimes_slow(getattr(owner, attribute)))
    api = Direct()
    async with Agent(path, api) as agent:
        for number in range(1, 201):
            await agent.kill(number)
            await asyncio.sleep(0.01)
        assert agent.journal.failures > 3
        well = True
        await agent.kill(201)
        await until(lambda: not agent.journal.trouble and not agent.journal.totals.waiting)
        agent.check()
        assert agent.journal.totals.seen == 201
    assert api.reported == 201


async def test_a_cancelled_fail_over(
    path: Path, hanging: Callable[..., Hanging], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has changed nothing: what waited on disk waits there."""
    await left_by_an_earlier_process(path)
    async with Journal(path) as journal:
        rescuing = asyncio.Event()

        async def rescue(disk: Disk, most_bytes: int) -> None:
            rescuing.set()
            await asyncio.sleep(SECONDS)

        monkeypatch.setattr(Disk, "rescue", rescue)
        monkeypatch.setattr(incidents, "record", fails)
        beginning = asyncio.create_task(journal.record(kill(101)))
        await rescuing.wait()
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        monkeypatch.undo()
    async with Journal(path) as journal:
        assert (journal.totals.seen, journal.totals.waiting) == (20, 10)


_RECORD = incidents.record


def fails(store: Database, *arguments: Any) -> bool:
    """incidents.record on a disk that is full."""
    if store.path != ":memory:":
        raise StoreError("full")
    return _RECORD(store, *arguments)


async def test_delivered_from_memory_and_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What memory delivered comes to disk at the end, though nothing waits: counts go on from there, and never back."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 3600)
    api = Direct()
    async with Agent(path, api) as agent:
        await agent.kill(1, 8)
        await until(lambda: not agent.journal.totals.waiting)
        with monkeypatch.context() as patched:
            patched.setattr(incidents, "record", fails)
            await agent.kill(15, 22)
            await until(lambda: not agent.journal.totals.waiting)
            assert agent.journal.trouble
    async with Agent(path, api) as agent:
        await agent.kill(29)
        await until(lambda: not agent.journal.totals.waiting)
        assert agent.journal.totals.seen == 5
    assert counts(api) == {compose(kill(1)).name: 5}


async def test_a_cancelled_caller(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is not blamed for what its thread does for one who does not wait any more."""
    whole = incidents.record

    def slow(store: Database, *arguments: Any) -> bool:
        time.sleep(0.3)
        return whole(store, *arguments)

    monkeypatch.setattr(incidents, "record", slow)
    async with Journal(path) as journal:
        beginning = asyncio.create_task(journal.record(kill(1)))
        await asyncio.sleep(0.1)
        beginning.cancel()
        await journal.note("x", "y")
        assert (journal.trouble, journal.failures, journal.totals.seen) == (None, 0, 1)


async def test_more_than_memory_takes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits on disk waits there, while the agent goes on in memory; none of it is given up, and all is counted."""
    monkeypatch.setattr(module, "MEMORY_BYTES", 1 << 20)
    monkeypatch.setattr(module, "RETRY_SECONDS", 3600)
    api = Direct()
    api.answers = [503] * 100000
    async with Agent(path, api) as agent:
        for number in range(1, 101):
            await agent.kill_of(kill(number, notes=("x" * 8000,)))
        await until(lambda: agent.delivery.series == 7)
        with monkeypatch.context() as patched:
            patched.setattr(incidents, "record", fails)
            await agent.kill(*range(101, 111))
            assert agent.journal.trouble
            await until(lambda: agent.journal.totals.waiting == 110)
            agent.check()
    api.answers = []
    async with Agent(path, api) as agent:
        await until(lambda: not agent.journal.totals.waiting)
        assert agent.journal.totals.given_up == {}
        assert agent.journal.totals.seen == 110
    assert api.reported == 110


async def test_a_disk_that_hangs_at_the_end(
    path: Path, hanging: Callable[..., Hanging], caplog: pytest.LogCaptureFixture
) -> None:
    """It does not hold up the agent's end."""
    async with Journal(path) as journal:
        await journal.record(kill(1))
        disk = hanging("record")
        start = time.monotonic()
        await journal.record(kill(2))
    assert time.monotonic() - start < 5
    assert "kept in memory only, and are lost" in caplog.text
    disk.release()


# -- a file that is damaged --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["garbage", "half", "a page", "nothing left", "zeroes in the middle"])
async def test_a_damaged_file(path: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    """It is moved aside and logged, not used and not deleted; the journal goes on in a new one, on disk."""
    await left_by_an_earlier_process(path)
    whole = path.read_bytes()
    match damage:
        case "garbage":
            path.write_bytes(b"garbage" * 10000)
        case "half":
            path.write_bytes(whole[: len(whole) // 2])
        case "a page":
            path.write_bytes(whole[:4096])
        case "nothing left":
            path.write_bytes(b"")
        case "zeroes in the middle":
            path.write_bytes(whole[:8192] + b"\0" * 16384 + whole[24576:])
    api = Direct()
    async with Agent(path, api) as agent:
        await agent.kill(*range(201, 206))
        await until(lambda: api.reported >= 5)
        await until(lambda: not agent.journal.totals.waiting)
        assert agent.journal.trouble is None
        agent.check()
    aside = path.with_name("journal.db.damaged")
    if damage != "nothing left":
        assert aside.exists()
        assert f"is moved to {aside}" in caplog.text
    assert {file.name for file in path.parent.iterdir()} <= {path.name, aside.name}
    assert {kill(number).key for number in range(201, 206)} <= {one["key"] for one in read_history(path)}


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_bits_that_flip(path: Path, when: str) -> None:
    """Of 40 files with a few bits flipped, before an agent begins or while it runs: whatever they held, the kills of
    other Pods are delivered, and the agent lives and ends."""
    await left_by_an_earlier_process(path)
    whole = path.read_bytes()
    rng = random.Random(2)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 3, 30])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(damaged if when == "before" else whole)
        await delivers_others(path, damaged if when == "meanwhile" else None)


async def delivers_others(path: Path, damaged: bytes | None) -> None:
    """An agent lives with that file, and with what it becomes."""
    api = Direct()
    others = {f"other-{number}" for number in range(5)}
    async with asyncio.timeout(SECONDS), Agent(path, api) as agent:
        if damaged:
            with path.open("r+b") as file:
                file.write(damaged)
        for number, name in enumerate(sorted(others), 200):
            await agent.journal.record(replace(kill(number), pod=replace(POD, name=name, uid=f"uid-of-{name}")))
        await until(lambda: others <= {name.rpartition(".")[0] for name in counts(api)})


def delivers(api: Direct, number: int) -> bool:
    """Whether some Event is about that kill's Pod."""
    where = f"checkout-{number % 7}."
    return any(name.startswith(where) for name in counts(api))


async def test_a_file_that_is_damaged_while_it_is_used(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What can still be read of it is delivered from memory, it is moved aside, and the journal is on disk again."""
    api = Direct()
    api.answers = [503] * 100000
    async with Agent(path, api) as agent:
        await agent.kill(*range(1, 200))
        await until(lambda: agent.delivery.series == 7)
        await agent.journal.note("x", "y")
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (path.stat().st_size - 4096))
        api.answers = []
        await agent.kill(*range(300, 310))
        await until(lambda: not agent.journal.trouble and not agent.journal.totals.waiting)
        agent.check()
        await until(lambda: all(delivers(api, number) for number in range(300, 307)))
    assert "is moved to" in caplog.text or "going on in memory" in caplog.text
    assert {kill(number).key for number in range(303, 310)} <= {one["key"] for one in read_history(path)}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET draft = substr(draft, 1, 50) WHERE state = 'waiting'",
        "UPDATE events SET draft = '[]' WHERE state = 'waiting'",
        "UPDATE events SET draft = NULL WHERE state = 'waiting'",
        "INSERT OR REPLACE INTO series SELECT DISTINCT series, NULL, 0, 0, '{\"create\"' FROM events",
        "INSERT OR REPLACE INTO series SELECT DISTINCT series, NULL, 0, 0, '[1]' FROM events",
        "INSERT INTO notes VALUES ('taken', '{')",
        "INSERT INTO notes VALUES ('taken', '[]')",
        "INSERT INTO notes VALUES ('taken', '{\"origin\": 1}')",
    ],
)
async def test_words_that_are_damaged(path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """What SQLite finds whole and we do not: nothing waits for ever, others are delivered, the disk is used again."""
    await left_by_an_earlier_process(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(change)
    api = Direct()
    async with Agent(path, api) as agent:
        with monkeypatch.context() as patched:
            patched.setattr(incidents, "record", fails)
            await agent.kill(101)
        await until(lambda: not agent.journal.trouble)
        await agent.kill(102)
        await until(lambda: not agent.journal.totals.waiting)
        agent.check()
        given_up = agent.journal.totals.given_up
        assert set(given_up) <= {"damaged in the journal"}
        assert bool(given_up) == ("draft" in change)
        assert agent.journal.totals.seen == 22
    assert api.reported == 12 - given_up.total()


async def test_a_newer_format(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A journal of a later version stays as it is, aside; this one begins its own, and both formats are logged."""
    await left_by_an_earlier_process(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    api = Direct()
    async with Agent(path, api) as agent:
        await agent.kill(1)
        await until(lambda: api.reported == 1)
        assert agent.journal.trouble is None
        assert agent.journal.kept == str(path)
    assert "has format 99, this program has 1" in caplog.text
    aside = path.with_name("journal.db.damaged")
    with closing(sqlite3.connect(aside)) as db:
        assert db.execute("SELECT count(*) FROM incidents").fetchone() == (20,)


async def test_two_damaged_files(path: Path) -> None:
    """The second takes the first one's place: they do not pile up."""
    for content in (b"first" * 1000, b"second" * 1000):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        async with Journal(path) as journal:
            await journal.record(kill(1))
            assert journal.trouble is None
    assert path.with_name("journal.db.damaged").read_bytes() == b"second" * 1000
    assert sorted(file.name for file in path.parent.iterdir()) == ["journal.db", "journal.db.damaged"]


async def test_it_says_when_it_was_looked_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each write that comes so late: then the C library gives back to the kernel what was freed since."""
    monkeypatch.setattr("oomeventer.journal.journal.TRIM_SECONDS", 0.0)
    trimmed: list[float] = []
    async with Journal(path) as journal:
        journal.trimmed = lambda: trimmed.append(time.monotonic())
        await journal.note("a", "b")
    assert len(trimmed) == 1
