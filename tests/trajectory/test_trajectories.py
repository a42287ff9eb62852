"""Real kills after a real leak, and after a real spike, sampled on the way; whose samples are taken; what is saved.

In: cgroups and processes of our own. Out: incidents with a trajectory.
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from machine import Cgroup, Victim
from machine.cgroup import hierarchy
from oomeventer.incident import Incident, Memory, Observer
from oomeventer.journal import Journal
from oomeventer.kernel import Tracer
from oomeventer.node import NodeCgroup, Procfs
from oomeventer.redaction import Redaction
from oomeventer.trajectory import NOTE, Trajectories
from samples import CGROUP, LIMIT, NODE, POD_CGROUP, incident, victim

MI = 1 << 20
#: Between samples of a leak, and of a spike: that is over within two of them, also where the machine falters.
LEAK_PERIOD, SPIKE_PERIOD = 0.1, 0.3
#: 1Mi at a time, and all at once after a while.
LEAK = f"import time\nkept = []\nwhile True: kept.append(bytearray(b'x' * {MI})); time.sleep(0.05)"
SPIKE = f"import time\ntime.sleep(4)\nkept = bytearray(b'x' * {100 * MI})"


class Pod:
    """A Pod's cgroup with a container in it, of which one has a limit."""

    def __init__(self, stack: ExitStack, pod_limit: int | None, limit: int | None) -> None:
        top = self._parent(stack, Cgroup())
        kubepods = self._parent(stack, Cgroup(name="kubepods", parent=top))
        self.pod = self._parent(stack, Cgroup(pod_limit, name=f"pod{uuid.uuid4()}", parent=kubepods))
        self.container = stack.enter_context(Cgroup(limit, name=uuid.uuid4().hex * 2, parent=self.pod))

    @staticmethod
    def _parent(stack: ExitStack, cgroup: Cgroup) -> Cgroup:
        stack.enter_context(cgroup)
        if cgroup.unified:
            (cgroup.directory / "cgroup.subtree_control").write_text("+memory")
        return cgroup


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


async def killed(pod: Pod, code: str, period: float) -> Incident:
    """The incident of a Python that runs this in the container, sampled all the while."""
    root = NodeCgroup("/").root()
    assert root == (hierarchy(), pod.container.unified)
    with Tracer() as tracer, closing(Observer(Procfs(), NODE, Redaction(), statistics=False)) as observer:
        victim = Victim(Path(sys.executable), pod.container, ["-c", code])
        with Trajectories(root, period, "boot") as trajectories, victim:
            victim.go()
            async with asyncio.timeout(30):
                async for episode in tracer.episodes():
                    tracer.free(episode)
                    if episode[0].process.pid == victim.pid:
                        return trajectories(await observer(episode), episode[0].time_ns)
    raise AssertionError("episodes() ended")


@pytest.mark.kernel
async def test_a_leak_is_steady(stack: ExitStack) -> None:
    """Of some 20 samples; at its rate, which the victim's own pauses bound."""
    pod = Pod(stack, None, 48 * MI)
    found = (await killed(pod, LEAK, LEAK_PERIOD)).trajectory
    assert found
    assert found.pattern == "steady", found
    assert found.cgroup == pod.container.path
    assert len(found.samples) >= 10
    before = [sample.seconds_before for sample in found.samples]
    assert before == sorted(before, reverse=True)
    assert before[-1] <= 1
    assert found.rate_bytes_per_hour
    assert 3600 * 4 * MI <= found.rate_bytes_per_hour <= 3600 * 30 * MI
    assert found.lasts_seconds == pytest.approx(96 * MI / found.rate_bytes_per_hour * 3600, rel=0.01)


@pytest.mark.kernel
async def test_a_spike_is_one(stack: ExitStack) -> None:
    """In a Pod whose own limit ran out: then it is the Pod's samples."""
    pod = Pod(stack, 48 * MI, None)
    found = (await killed(pod, SPIKE, SPIKE_PERIOD)).trajectory
    assert found
    assert found.pattern == "spike", found
    assert found.cgroup == pod.pod.path
    assert found.before_bytes
    assert MI < found.before_bytes < 24 * MI
    assert found.highest_bytes
    assert found.highest_bytes < 32 * MI


def sampled(trajectories: Trajectories, **cgroups: float) -> float:
    """40 samples of each, in Mi, up to now. Returns the time of a kill, right after."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME) - 100
    for number in range(40):
        trajectories._store.tick(
            now - (40 - number) * 30, [(path, 1, int(size * MI)) for path, size in cgroups.items()]
        )
    return now


def test_whose_samples() -> None:
    """Those of the cgroup that ran out; else the container's; else the Pod's; else none."""
    of = {CGROUP: 10.0, POD_CGROUP: 20.0, "/kubepods": 30.0}
    one = incident(limit_cgroup=CGROUP)
    for limit_cgroup, known, expected in (
        (CGROUP, (CGROUP, POD_CGROUP), CGROUP),
        (POD_CGROUP, (CGROUP, POD_CGROUP), POD_CGROUP),
        ("/kubepods", (CGROUP, POD_CGROUP), CGROUP),
        (None, (POD_CGROUP,), POD_CGROUP),
        (CGROUP, (), None),
    ):
        trajectories = Trajectories(None, 30.0, "boot")
        now = sampled(trajectories, **{path: of[path] for path in known})
        found = trajectories(incident(limit_cgroup=limit_cgroup, cgroup=one.cgroup), int(now * 1e9)).trajectory
        assert (found and found.cgroup) == expected
        if found:
            assert found.samples[-1].bytes == of[found.cgroup] * MI
            assert len(found.samples) <= 60


def test_samples_from_after_the_kill_are_left_out() -> None:
    """A kill that waited in the ring."""
    trajectories = Trajectories(None, 30.0, "boot")
    now = sampled(trajectories, **{CGROUP: 10.0})
    found = trajectories(incident(limit_cgroup=CGROUP), int((now - 20 * 30 + 1) * 1e9)).trajectory
    assert found
    assert [sample.seconds_before for sample in found.samples][-1] == 1.0
    assert trajectories(incident(limit_cgroup=CGROUP), int((now - 9000) * 1e9)).trajectory is None


def test_page_cache_at_the_kill_is_no_spike() -> None:
    """What counted at the kill is what memory.stat then said, if that was read; not the usage, which is the limit."""
    trajectories = Trajectories(None, 30.0, "boot")
    now = int(sampled(trajectories, **{CGROUP: 10.0}) * 1e9)
    half = Memory(anon_bytes=9 * MI, file_bytes=LIMIT - 10 * MI, shmem_bytes=0, kernel_bytes=MI)
    one = incident(limit_cgroup=CGROUP, usage_bytes=LIMIT, memory=half)
    assert trajectories(one, now).trajectory.pattern != "spike"  # type: ignore[union-attr]
    whole = incident(limit_cgroup=CGROUP, usage_bytes=LIMIT)
    assert trajectories(whole, now).trajectory.pattern == "spike"  # type: ignore[union-attr]


@pytest.mark.parametrize(("held", "pattern"), [(30, "unknown"), (2, "steady")])
def test_a_kill_right_after_another_has_no_samples(held: int, pattern: str) -> None:
    """What the first one ended has begun anew, and none of it was sampled: it did not grow by the first one's rate."""
    trajectories = Trajectories(None, 30.0, "boot")
    now = time.clock_gettime(time.CLOCK_BOOTTIME) - 100
    for number in range(60):
        trajectories._store.tick(now - (60 - number) * 30, [(CGROUP, 1, (number + 1) * MI // 2)])
    one = incident(limit_cgroup=CGROUP, victims=(victim(anon_bytes=held * MI, shmem_bytes=0),))
    first, second = (trajectories(one, int(at * 1e9)).trajectory for at in (now, now + 9))
    assert first
    assert second
    assert (first.pattern, second.pattern) == ("steady", pattern)
    assert second.samples


async def test_the_next_process_knows_what_this_one_saw(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the journal. After another boot, or where it is damaged, it begins anew, and says so."""
    caplog.set_level("INFO")
    before = Trajectories(None, 30.0, "boot")
    now = int(sampled(before, **{CGROUP: 10.0}) * 1e9)
    async with Journal(tmp_path / "journal.db") as journal:
        await before.save(journal.note)
    async with Journal(tmp_path / "journal.db") as journal:
        text = await journal.note(NOTE)
    assert text
    one = incident(limit_cgroup=CGROUP)
    assert Trajectories(None, 30.0, "boot", text)(one, now).trajectory == before(one, now).trajectory
    assert "dropped" not in caplog.text
    assert Trajectories(None, 30.0, "another", text)(one, now).trajectory is None
    assert "the machine was booted since" in caplog.text
    assert Trajectories(None, 30.0, "boot", text[:-8] + "????====")(one, now).trajectory is None
    assert "damaged" in caplog.text


async def test_too_much_is_not_saved(caplog: pytest.LogCaptureFixture) -> None:
    trajectories = Trajectories(None, 30.0, "boot")
    sampled(trajectories, **{CGROUP: 10.0})
    noted: list[str | None] = []

    async def note(_: str, value: str | None) -> None:
        noted.append(value)

    await trajectories.save(note, most_bytes=100)
    assert not noted
    assert "not saved" in caplog.text
