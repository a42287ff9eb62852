"""What the journal spares: transactions that calls share, and reading what was just written.

In: calls that wait for each other, functions that fail, incidents faster than they are taken. Out: the file, and how
often it was asked.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oomeventer.incident.codec import encode
from oomeventer.journal import Journal, StoreError, incidents
from oomeventer.journal.database import Database
from oomeventer.journal.disk import Disk
from oomeventer.journal.handed import CHARACTERS, MOST
from oomeventer.journal.together import Call, in_one_transaction
from stores import kill, opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the disk was asked, and the names of functions that were asked for alone."""
    counted: Counter[str] = Counter()
    call = Disk.call

    async def count(self: Disk, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        counted[arguments[0].__name__] += 1
        return await call(self, function, *arguments, **named)

    monkeypatch.setattr(Disk, "call", count)
    return counted


async def test_what_waits_is_written_together(path: Path, asked: Counter[str]) -> None:
    """One by itself, and what came meanwhile in one transaction; each caller has its own result."""
    async with Journal(path) as journal:
        asked.clear()
        new = await asyncio.gather(*(journal.record(kill(number % 10)) for number in range(20)))
        assert new == [True] * 10 + [False] * 10
        assert (asked["in_one_transaction"], asked["record"]) == (1, 0)
        assert journal.totals.seen == journal.totals.waiting == 10


async def test_a_caller_that_is_cancelled(path: Path) -> None:
    """Of calls that wait for their turn, that one is not made, and the others are."""
    async with Journal(path) as journal:
        first = asyncio.create_task(journal.record(kill(1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second, third = (asyncio.create_task(journal.record(kill(number))) for number in (2, 3))
        await asyncio.sleep(0)
        second.cancel()
        assert await asyncio.gather(first, third) == [True, True]
        assert journal.totals.seen == 2
        assert await journal.record(kill(2))


async def test_a_fault_is_one_caller_s(path: Path) -> None:
    """A function that fails takes no other's changes with it."""

    def broken(_: Database) -> None:
        raise ValueError("a fault")

    async with Journal(path) as journal:
        calls = (journal.record(kill(1)), journal._store.call(broken), journal.record(kill(2)))
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [results[0], results[2]] == [True, True]
        assert isinstance(results[1], ValueError)
        assert journal.totals.seen == 2


async def test_all_or_nothing(path: Path) -> None:
    """In one transaction, that fails, nothing is changed; the next one is as if there had been none."""

    def full(database: Database) -> None:
        with database.transaction():
            raise StoreError("full")

    with closing(opened(path)) as store:
        first, second = (Call(incidents.record, (one.key, encode(one))) for one in (kill(1), kill(2)))
        with pytest.raises(StoreError, match="full"):
            in_one_transaction(store, (first, Call(full, ())))
        assert incidents.recorded(store, 0, 1) == []
        ids = in_one_transaction(store, (first, second))
        assert [number for number, _ in incidents.recorded(store, 0, 1 << 20)] == ids


async def taken(journal: Journal, count: int, stop: asyncio.Event) -> list[str]:
    """The first so many, by their keys; then it stops."""
    keys = []
    async for recorded in journal.recorded(stop):
        keys.append(recorded.incident.key)
        if len(keys) == count:
            stop.set()
    return keys


@pytest.mark.parametrize("count", [1, MOST, 3 * MOST + 1])
async def test_each_comes_once_in_its_order(path: Path, count: int) -> None:
    """However many wait, from memory or read again, those of an earlier process, too."""
    async with Journal(path) as earlier:
        await earlier.record(kill(0))
    async with Journal(path) as journal:
        taking = asyncio.create_task(taken(journal, count + 1, asyncio.Event()))
        for number in range(1, count + 1):
            await journal.record(kill(number))
            if number % 7 == 0:
                await asyncio.sleep(0.002)
        assert await asyncio.wait_for(taking, 20) == [kill(number).key for number in range(count + 1)]


@pytest.mark.parametrize(("size", "reads"), [(10, 0), (CHARACTERS, 2)])
async def test_what_was_just_written_is_not_read(path: Path, asked: Counter[str], size: int, reads: int) -> None:
    """When all that was there is read; but what is large is: it is not kept in memory."""
    stop = asyncio.Event()
    async with Journal(path) as journal:
        coming = journal.recorded(stop)
        await journal.record(kill(1))
        assert (await anext(coming)).incident == kill(1)
        waiting = asyncio.ensure_future(anext(coming))
        await asyncio.sleep(0.05)
        asked.clear()
        await journal.record(kill(2, cgroup="/" + "x" * size))
        assert (await waiting).incident == kill(2, cgroup="/" + "x" * size)
        stop.set()
        with pytest.raises(StopAsyncIteration):
            await anext(coming)
        assert asked["recorded"] == reads
