"""What is looked at when a kill is seen, and when its episode is complete: in threads that may hang.

In: a Procfs that the test holds up. Out: incidents, and how long they took.
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from oomeventer.incident import looks as module
from oomeventer.incident import observer as observer_module
from oomeventer.incident.observer import Observer
from oomeventer.kernel import Kill
from oomeventer.node import Glance, MemoryStat, Observation, Procfs
from oomeventer.redaction.policy import Redaction
from samples import MI, NODE, kill

FOUND = Glance(memory=MemoryStat(MI, 0, 0))


class Held(Procfs):
    """Its glances are answered when the test says so; `asked` by pid."""

    def __init__(self, proc: Path) -> None:
        super().__init__(proc)
        self.go = threading.Event()
        self.asked: list[int] = []

    def glance(self, kill: Kill) -> Glance:
        self.asked.append(kill.process.pid)
        self.go.wait(10)
        return FOUND


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    made = Held(tmp_path)
    yield made
    made.go.set()


def observer(procfs: Procfs) -> Observer:
    return Observer(procfs, NODE, Redaction(), statistics=False)


async def test_begun_before_the_episode_is_complete(held: Held) -> None:
    """What was begun at the first record is what the incident has; it is not read again."""
    observe = observer(held)
    held.go.set()
    observe.glance(kill())
    while not held.asked:
        time.sleep(0.001)
    incident = await observe((kill(), kill(2)))
    assert incident.memory
    assert held.asked == [4217]
    assert (await observe((kill(3),))).memory, "begun by the incident itself, where nobody did before"
    assert held.asked == [4217, 3]
    observe.close()


async def test_the_rest_begun_ahead(tmp_path: Path) -> None:
    """What was begun when the episode was complete is what the incident has, whatever has changed since."""
    seen: list[int] = []

    class Counted(Procfs):
        def observe(self, kills: Iterable[Kill]) -> Observation:
            seen.extend(kill.process.pid for kill in kills)
            return Observation(pid1="seen")

    observe = observer(Counted(tmp_path))
    observe.observe((kill(1),))
    observe.observe((kill(2),))
    while len(seen) < 2:
        time.sleep(0.001)
    for pid in (1, 2, 3):
        assert (await observe((kill(pid),))).pid1 == "seen"
    assert sorted(seen) == [1, 2, 3]
    observe.close()


async def test_a_thread_that_hangs(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hanging one costs its own incident the deadline; where all hang, nobody waits. Then it is as before."""
    monkeypatch.setattr(observer_module, "DEADLINE_SECONDS", 0.2)
    observe = observer(held)
    for pid in (1, 2):
        incident = await observe((kill(pid),))
        assert incident.memory is None
        assert incident.notes == ("memory: its files did not answer in time",)
        assert incident.neighbours_total is None
    observe.glance(kill(3))
    began = time.monotonic()
    for pid in (3, 4):
        assert (await observe((kill(pid),))).notes == ("memory: too much was to be read at once",)
    assert time.monotonic() - began < 0.2
    held.go.set()
    while observe._glances._all_hang():
        await asyncio.sleep(0.001)
    assert (await observe((kill(5),))).memory
    assert held.asked == [1, 2, 5]
    observe.close()


async def test_what_is_pending_is_bounded(held: Held) -> None:
    """What is begun and never taken makes room once it is read; before that nothing more is begun."""
    observe = observer(held)
    for pid in range(module._PENDING + 5):
        observe.glance(kill(pid))
    assert len(observe._glances._begun) == module._PENDING
    held.go.set()
    assert (await observe((kill(module._PENDING - 1),))).memory
    for pid in range(1000, 1010):
        observe.glance(kill(pid))
    assert len(observe._glances._begun) == module._PENDING
    observe.close()


async def test_a_fault_costs_the_memory_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The kill is reported without it, and the fault is in the log."""

    class Faulty(Procfs):
        def glance(self, kill: Kill) -> Glance:
            raise ValueError("hostile")

    observe = observer(Faulty(tmp_path))
    assert (await observe((kill(),))).notes == ("memory: a fault of this program",)
    assert "hostile" in caplog.text
    observe.close()
