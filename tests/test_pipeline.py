"""Order, bounds, faults and the end of a pipeline.

In: sources and stages of numbers, held up by events and never by time. Out: what arrived, and how far was read.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from oomeventer.kernel import KernelError
from oomeventer.pipeline import QUEUE, Pipeline, Stage


class Source:
    """Numbers; counts how many were taken of it. `then_waits`: after the last one it waits for ever."""

    def __init__(self, numbers: Iterable[int], then_waits: bool = False) -> None:
        self._numbers = numbers
        self._then_waits = then_waits
        self.read = 0
        self.exhausted = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in self._numbers:
            self.read += 1
            yield number
        self.exhausted.set()
        if self._then_waits:
            await asyncio.Event().wait()


class Gate:
    """A stage that lets nothing through until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered: list[int] = []

    async def __call__(self, item: int) -> int:
        self.entered.append(item)
        await self.open.wait()
        return item


class Sink:
    """The last stage."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    async def __call__(self, item: Any) -> None:
        await asyncio.sleep(0)
        self.items.append(item)


async def passed(item: int) -> int:
    return item


async def run(pipeline: Pipeline, source: Source, stop: asyncio.Event | None = None) -> None:
    await pipeline.run(aiter(source), stop or asyncio.Event())


async def settled() -> None:
    """All that can happen without anything from outside has happened: there is no I/O here, and no timer."""
    for _ in range(20 * QUEUE):
        await asyncio.sleep(0)


async def test_the_end_of_the_source_is_the_end() -> None:
    """Everything passes all stages, in order where each has one worker; then run() returns."""
    sink = Sink()
    pipeline = Pipeline([Stage("a", passed), Stage("b", passed), Stage("sink", sink)])
    await run(pipeline, Source(range(3 * QUEUE)))
    assert sink.items == list(range(3 * QUEUE))
    assert pipeline.broken == 0


async def test_an_empty_source() -> None:
    """Nothing to do is done."""
    await run(Pipeline([Stage("sink", Sink())]), Source([]))


async def test_workers_work_side_by_side() -> None:
    """As many items are in work as there are workers, and no more."""
    gate = Gate()
    running = asyncio.create_task(run(Pipeline([Stage("gate", gate, workers=3)]), Source(range(10))))
    await settled()
    assert gate.entered == [0, 1, 2]
    gate.open.set()
    await running
    assert sorted(gate.entered) == list(range(10))


async def test_the_source_is_not_read_ahead() -> None:
    """Behind a stage that stands still the queues fill; then the source waits, and nothing is lost when it goes on."""
    gate, sink = Gate(), Sink()
    source = Source(range(10 * QUEUE))
    stages = [Stage("a", passed), Stage("gate", gate), Stage("sink", sink)]
    running = asyncio.create_task(run(Pipeline(stages), source))
    await settled()
    # Two full queues, one item in each of the two stages, and one in the reader's hand.
    assert source.read == 2 * QUEUE + 3
    assert gate.entered == [0]
    gate.open.set()
    await running
    assert sink.items == list(range(10 * QUEUE))


async def test_none_ends_the_pipeline() -> None:
    """A stage that returns None has dealt with the item; 0 and the empty text are items."""
    sink = Sink()
    results: dict[int, Any] = {0: None, 1: 0, 2: ""}

    async def choose(item: int) -> Any:
        return results[item]

    await run(Pipeline([Stage("choose", choose), Stage("sink", sink)]), Source(range(3)))
    assert sink.items == [0, ""]


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_fault_ends_its_item_only(caplog: pytest.LogCaptureFixture, workers: int) -> None:
    """A stage that raises loses that item; it is counted, and the log has the stage, the item and where it was."""
    sink = Sink()

    async def fragile(item: int) -> int:
        if item % 4 == 1:
            raise ZeroDivisionError
        return item

    pipeline = Pipeline([Stage("fragile", fragile, workers), Stage("sink", sink)])
    with caplog.at_level(logging.ERROR):
        await run(pipeline, Source(range(10)))
    assert sorted(sink.items) == [0, 2, 3, 4, 6, 7, 8]
    assert pipeline.broken == 3
    assert "dropped in stage fragile" in caplog.text
    assert "by a fault of this program: 9" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("stage", ["first", "second"])
async def test_what_a_fault_ends_is_abandoned(stage: str) -> None:
    """Whoever is to know is reported which item it was, as that stage had it, and of no other."""
    abandoned: list[Any] = []
    sink = Sink()

    async def fragile(item: int) -> int:
        if item % 4 == 1:
            raise ZeroDivisionError
        return item

    async def abandon(item: Any) -> None:
        await asyncio.sleep(0)
        abandoned.append(item)

    async def tenfold(item: int) -> int:
        return 10 * item + 1

    stages = {"first": [fragile, tenfold, sink], "second": [tenfold, fragile, sink]}[stage]
    pipeline = Pipeline([Stage(str(number), work) for number, work in enumerate(stages)], abandon=abandon)
    await run(pipeline, Source(range(6)))
    assert abandoned == {"first": [1, 5], "second": [1, 21, 41]}[stage]
    assert sink.items == {"first": [1, 21, 31, 41], "second": [11, 31, 51]}[stage]
    assert pipeline.broken == len(abandoned)


async def test_a_stop_waits_for_what_is_being_abandoned() -> None:
    """What an item's end still needs is part of the pipeline."""
    done: list[int] = []

    async def fragile(_: int) -> None:
        raise ZeroDivisionError

    async def abandon(item: int) -> None:
        await asyncio.sleep(0.05)
        done.append(item)

    await run(Pipeline([Stage("fragile", fragile)], abandon=abandon), Source(range(3)))
    assert done == [0, 1, 2]


async def test_how_long_each_stage_took() -> None:
    """For each item and stage that it passed, in seconds; the wait in a queue is not counted."""
    timed: list[tuple[str, float]] = []

    async def slow(item: int) -> int:
        await asyncio.sleep(0.05)
        if item == 2:
            raise ZeroDivisionError
        return item

    pipeline = Pipeline([Stage("slow", slow), Stage("sink", Sink())], timed=lambda *one: timed.append(one))
    await run(pipeline, Source(range(3)))
    assert [name for name, _ in timed] == ["slow", "sink", "slow", "sink"]
    for name, seconds in timed:
        assert (0.05 if name == "slow" else 0.0) <= seconds < (0.15 if name == "slow" else 0.05)


async def test_how_many_wait() -> None:
    """Before each stage, by its name; those in work are not among them."""
    gate = Gate()
    pipeline = Pipeline([Stage("a", passed), Stage("gate", gate, workers=2), Stage("sink", Sink())])
    assert pipeline.queued == {"a": 0, "gate": 0, "sink": 0}
    running = asyncio.create_task(run(pipeline, Source(range(7))))
    await settled()
    assert pipeline.queued == {"a": 0, "gate": 5, "sink": 0}
    gate.open.set()
    await running
    assert pipeline.queued == {"a": 0, "gate": 0, "sink": 0}


async def test_a_stop_drains_what_is_under_way() -> None:
    """What was read goes to its end; the source is read no further."""
    gate, sink, stop = Gate(), Sink(), asyncio.Event()
    source = Source(range(20), then_waits=True)
    running = asyncio.create_task(run(Pipeline([Stage("gate", gate), Stage("sink", sink)]), source, stop))
    await source.exhausted.wait()
    stop.set()
    await settled()
    assert not running.done()
    gate.open.set()
    await running
    assert sink.items == list(range(20))


async def test_a_stop_with_full_queues_loses_nothing() -> None:
    """The item for which there was no room yet is out of the source, and so under way too."""
    gate, sink, stop = Gate(), Sink(), asyncio.Event()
    source = Source(range(10 * QUEUE))
    running = asyncio.create_task(run(Pipeline([Stage("gate", gate), Stage("sink", sink)]), source, stop))
    await settled()
    stop.set()
    await settled()
    gate.open.set()
    await running
    assert sink.items == list(range(source.read))
    assert source.read >= QUEUE + 2


async def test_a_stop_before_anything_came() -> None:
    """A source that never gives anything does not hold up the end."""
    stop = asyncio.Event()
    stop.set()
    await run(Pipeline([Stage("sink", Sink())]), Source([], then_waits=True), stop)


async def test_the_drain_has_a_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """What hangs is left after it, cancelled, and the log says what waited where."""
    gate, stop = Gate(), asyncio.Event()
    source = Source(range(5), then_waits=True)
    pipeline = Pipeline([Stage("gate", gate), Stage("sink", Sink())], drain_seconds=0.05)
    running = asyncio.create_task(run(pipeline, source, stop))
    await source.exhausted.wait()
    stop.set()
    with caplog.at_level(logging.WARNING):
        await running
    assert "stopped with kills under way, waiting in queues: {'gate': 4, 'sink': 0}" in caplog.text
    assert gate.entered == [0]
    assert pipeline.broken == 0


async def test_a_cancellation_that_is_lost() -> None:
    """A stage that takes the first one for a timeout, as a request of aiohttp's may, holds up no stop."""
    lost: list[int] = []

    async def stubborn(item: int) -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            lost.append(item)
        return item

    stop = asyncio.Event()
    pipeline = Pipeline([Stage("stubborn", stubborn)], drain_seconds=0.05)
    running = asyncio.create_task(run(pipeline, Source([1]), stop))
    await settled()
    stop.set()
    async with asyncio.timeout(5):
        await running
    assert lost == [1]


async def test_a_drain_in_time_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """An orderly end logs nothing."""
    with caplog.at_level(logging.WARNING):
        await run(Pipeline([Stage("sink", Sink())]), Source(range(5)))
    assert caplog.records == []


async def test_what_the_source_raises_is_raised() -> None:
    """A source that breaks ends the run with its own exception, after what it gave was finished."""
    done: list[int] = []

    async def work(item: int) -> None:
        done.append(item)

    async def source() -> AsyncIterator[int]:
        yield 1
        raise KernelError("the ring is gone")

    with pytest.raises(KernelError, match="the ring is gone"):
        await Pipeline([Stage("work", work)]).run(source(), asyncio.Event())
    assert done == [1]
