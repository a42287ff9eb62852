"""Calls in threads. In: functions, some of which hang. Out: results, in time."""

import asyncio
import contextlib
import gc
import threading
import time
import weakref

import pytest

from oomeventer.threads import NoThread, Threads


async def test_results_and_errors() -> None:
    """Each caller has its own."""
    threads = Threads("test", 2)

    def divide(what: int, by: int) -> float:
        return what / by

    calls = [threads.call(divide, number, 2) for number in range(20)]
    assert await asyncio.gather(*calls) == [number / 2 for number in range(20)]
    with pytest.raises(ZeroDivisionError):
        await threads.call(divide, 1, 0)
    threads.close()
    threads.join(5)


async def test_one_that_hangs() -> None:
    """Who gives it up goes on; another thread goes on with the rest; what has not begun is cancelled, and not made."""
    go, made = threading.Event(), []
    threads = Threads("test", 2)
    hung = [threads.call(go.wait, 20) for _ in range(2)]
    waiting = threads.call(made.append, 1)
    await asyncio.wait(hung, timeout=0.05)
    assert [call.begun for call in (*hung, waiting)] == [True, True, False]
    waiting.cancel()
    later = threads.call(made.append, 2)
    go.set()
    await later
    assert made == [2]
    threads.close()
    threads.join(5)


async def test_threads_start_when_they_are_needed() -> None:
    """One after another takes one."""

    def running() -> int:
        return sum(thread.name.startswith("as needed") for thread in threading.enumerate())

    threads = Threads("as needed", 2)
    assert running() == 0
    for _ in range(10):
        await threads.call(int)
    assert running() == 1
    go = threading.Event()
    both = [threads.call(go.wait, 20), threads.call(int)]
    assert await asyncio.wait_for(both[1], 5) == 0
    assert running() == 2
    go.set()
    assert await both[0]
    threads.close()
    threads.join(5)
    assert running() == 0


async def test_the_end() -> None:
    """What is under way is left behind, and what waits is cancelled."""
    go = threading.Event()
    threads = Threads("test")
    under_way, waiting = threads.call(go.wait, 20), threads.call(int)
    began = time.monotonic()
    while not under_way.begun:
        await asyncio.sleep(0.001)
    threads.close()
    threads.join(0.01)
    assert time.monotonic() - began < 5
    assert waiting.cancelled()
    assert not under_way.done()
    go.set()
    threads.join(5)


def test_a_loop_that_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    """A thread that was left behind comes back into nothing, without a word."""
    go = threading.Event()
    threads = Threads("test")

    async def main() -> None:
        await asyncio.wait((threads.call(go.wait, 20),), timeout=0.01)

    asyncio.run(main())
    go.set()
    threads.close()
    threads.join(5)
    assert not caplog.text


async def test_an_error_that_nobody_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    """It is no news."""
    threads = Threads("test")
    threads.call(int, "x")
    await threads.call(int)
    gc.collect()
    await asyncio.sleep(0)
    assert not caplog.text
    threads.close()


async def test_nothing_outlives_its_call() -> None:
    """What a call was given, and gave, is freed while its thread waits for the next one, without a look for cycles; of
    one that failed, too."""
    threads = Threads("test")
    freed: list[str] = []

    class Large:
        def __init__(self, name: str) -> None:
            weakref.finalize(self, freed.append, name)

    def fail(_: Large) -> None:
        raise ValueError("no")

    gc.disable()
    try:
        await threads.call(lambda _: None, Large("given"))
        await threads.call(Large, "result")
        with contextlib.suppress(ValueError):
            await threads.call(fail, Large("of an error"))
        async with asyncio.timeout(5):
            while len(freed) < 3:
                await asyncio.sleep(0.001)
    finally:
        gc.enable()
    threads.close()


async def test_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit: the call is answered at once, and the next one tries again."""
    threads = Threads("test", 2)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(NoThread, match=r"test: no thread: can't start new thread"):
            await threads.call(int)
    assert await threads.call(int) == 0
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert await asyncio.wait_for(asyncio.gather(*(threads.call(int) for _ in range(5))), 5) == [0] * 5
    threads.close()
    threads.join(5)
    with pytest.raises(NoThread, match="closed"):
        await threads.call(int)
