"""What an earlier process left: how it is taken up, and that nothing in it stops every start.

In: files, and processes that end while they have an incident in work. Out: what the next one is given.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from oomeventer.incident import ROW_BYTES
from oomeventer.incident.codec import encode
from oomeventer.journal import UNFINISHED, Journal, incidents, journal, read_history
from oomeventer.journal.journal import PROCESSES, RecordedIncident
from stores import composed, kill
from stores import opened as opened_file

POISON = kill(3).key


@asynccontextmanager
async def process(path: Path) -> AsyncIterator[Journal]:
    """One that begins a moment after the last one: ids are made of the time."""
    await asyncio.sleep(0.002)
    async with Journal(path) as opened:
        yield opened


async def finish(opened: Journal, recorded: RecordedIncident) -> None:
    await opened.describe(recorded.id, recorded.incident, composed(recorded.incident))


async def ended_by_the_poison(path: Path) -> list[str]:
    """A process that works through what there is, each incident for a moment, until it has the poison. What it was
    given."""
    given: list[str] = []
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, stop.set)

    async def work(one: RecordedIncident) -> None:
        await asyncio.sleep(0.02)
        await finish(opened, one)

    async with process(path) as opened:
        tasks = []
        async for recorded in opened.recorded(stop):
            given.append(recorded.incident.key)
            if recorded.incident.key == POISON:
                break
            tasks.append(asyncio.create_task(work(recorded)))
        else:
            await asyncio.gather(*tasks)
        for task in tasks:
            task.cancel()
    return given


async def test_a_poison_pill(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An incident that ends the agent is given up after several processes, with its reason, stays in the history, and
    no other is lost with it."""
    async with process(path) as opened:
        for number in range(1, 6):
            await opened.record(kill(number))
    runs = [await ended_by_the_poison(path) for _ in range(PROCESSES + 1)]
    assert sum(POISON in given for given in runs) == PROCESSES
    assert POISON not in runs[-1]
    async with process(path) as opened:
        totals = opened.totals
        assert (totals.seen, totals.given_up, totals.waiting) == (5, {UNFINISHED: 1}, 4)
        assert await opened.note("lost") is None
    history = {entry["key"]: entry["events"] for entry in read_history(path)}
    assert history == {kill(n).key: "given up" if n == 3 else "waiting" for n in range(1, 6)}
    assert caplog.text.count(f"is dropped: {PROCESSES} processes have ended") == 1


async def test_what_waits_is_no_poison(path: Path) -> None:
    """In an outage the API is waited for by process after process: that ends none of them, and nothing is given up."""
    async with process(path) as opened:
        await opened.record(kill(1))
    stop = asyncio.Event()
    for _ in range(2 * PROCESSES):
        async with process(path) as opened:
            async for recorded in opened.recorded(stop):
                await opened.survive(recorded.id)
                break
    stop.set()
    async with process(path) as opened:
        assert [recorded.incident async for recorded in opened.recorded(stop)] == [kill(1)]
        assert not opened.totals.given_up


async def test_a_process_counts_once(path: Path) -> None:
    """A disk that fails and is back gives again what is in work: that is no further process."""
    async with process(path) as opened:
        await opened.record(kill(1))
    async with process(path) as opened:
        ((number, _),) = await opened._store.call(journal.incidents.recorded, 0, 1)
        assert [await opened._may_take_up(number) for _ in range(3 * PROCESSES)] == [True] * 3 * PROCESSES
        assert await opened._write(journal.incidents.take_up, number) == 2


async def test_a_suspect_is_in_work_alone(path: Path) -> None:
    """With which a process has ended: the next one is given only when this one is finished. Others do not wait."""
    async with process(path) as opened:
        for number in range(1, 4):
            await opened.record(kill(number))
    stop = asyncio.Event()
    async with process(path) as opened:  # ends with the first two in work
        found = opened.recorded(stop)
        first = [await anext(found), await anext(found)]
        assert [recorded.incident for recorded in first] == [kill(1), kill(2)]
    async with process(path) as opened:
        found = opened.recorded(stop)
        suspect = await anext(found)
        assert suspect.incident == kill(1)
        following = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0.2)
        assert not following.done()
        await finish(opened, suspect)
        async with asyncio.timeout(5):
            second = await following
        following = asyncio.ensure_future(anext(found))
        await opened.survive(second.id)
        async with asyncio.timeout(5):
            assert (await following).incident == kill(3)


async def test_the_backlog_is_read_by_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait: no more of them are in memory than have so many bytes, or one."""
    monkeypatch.setattr(journal, "BATCH_BYTES", 10_000)
    large = [kill(number, notes=("x" * 6000,)) for number in range(20)]
    async with process(path) as opened:
        for one in large:
            await opened.record(one)
    stop, sizes = asyncio.Event(), []
    stop.set()
    async with process(path) as opened:
        read = journal.incidents.recorded

        def counted(*arguments: object) -> list[tuple[int, str]]:
            rows = read(*arguments)  # type: ignore[arg-type]
            sizes.append(len(rows))
            return rows

        monkeypatch.setattr(journal.incidents, "recorded", counted)
        found = [recorded.incident.key async for recorded in opened.recorded(stop)]
    assert found == [one.key for one in large]
    assert max(sizes) == 2


async def test_a_row_of_an_earlier_version_is_within_the_bounds(path: Path) -> None:
    """Which that one had not: it is cut when it is read, and then waits in queues with many others."""
    with closing(opened_file(path)) as database:
        assert incidents.record(database, kill(1).key, encode(kill(1, notes=("x" * 600_000,) * 2)))
    stop = asyncio.Event()
    stop.set()
    async with process(path) as opened:
        (found,) = [recorded.incident async for recorded in opened.recorded(stop)]
    assert len(encode(found)) < ROW_BYTES // 2
    assert (found.chosen, found.truncated) == (kill(1).chosen, True)
