"""Where the memory was at a real kill: what was taken is what is told, and the parts add up to the usage.

In: kills in cgroups of the test's own, of victims that hold tmpfs, page cache, shared and anonymous memory. Out: the
incidents of an Observer that begins to read when the record is.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from machine import Cgroup, Victim
from oomeventer.incident import Incident
from oomeventer.incident.memory import Memory
from oomeventer.incident.observer import Observer
from oomeventer.kernel import Tracer
from oomeventer.node import Glance, Procfs
from oomeventer.redaction.policy import Redaction
from samples import MI, NODE, UID

pytestmark = pytest.mark.kernel

SECONDS = 20
LIMIT = 32 * MI


class Noted(Procfs):
    """The glances that it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Glance] = []

    def glance(self, kill: object) -> Glance:
        self.given.append(super().glance(kill))  # type: ignore[arg-type]
        return self.given[-1]


class Watch:
    """An Observer at a Tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self.procfs = Noted()
        self._tracer = tracer
        self.observer = Observer(self.procfs, NODE, Redaction(), statistics=False)

    async def incident(self, cgroup: Cgroup) -> Incident:
        """Of the next kill in or below that cgroup."""
        async with asyncio.timeout(SECONDS):
            async for episode in self._tracer.episodes(opened=self.observer.glance):
                self._tracer.free(episode)
                if f"{episode[0].cgroup}/".startswith(f"{cgroup.path}/"):
                    assert episode[0].process in self.observer._glances._begun, "begun with the first record"
                    return await self.observer(episode)
        raise AssertionError("episodes() ended")


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    with Tracer() as tracer:
        made = Watch(tracer)
        with contextlib.closing(made.observer):
            yield made


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory, of the test's own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.fixture
def node() -> Iterator[Cgroup]:
    """A cgroup for a tree of cgroups."""
    with Cgroup() as made:
        if made.unified:
            pytest.skip("on cgroup v2 the controllers are not delegated to what a test makes below it: see the guests")
        yield made


def fill(cgroup: Cgroup, file: Path, size: int) -> None:
    """A process in that cgroup writes a file there, and ends: the file's pages stay charged."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            (cgroup.directory / "cgroup.procs").write_text("0")
            with file.open("wb") as out:
                for _ in range(size // MI):
                    out.write(bytes(MI))
        os._exit(0)
    os.waitpid(child, 0)


def add_up(memory: Memory | None, usage: int | None) -> Memory:
    """Within 2% or 1 MiB."""
    assert memory
    assert usage
    parts = memory.anon_bytes + memory.file_bytes + memory.shmem_bytes + (memory.kernel_bytes or 0)
    assert abs(parts - usage) <= max(usage // 50, MI)
    return memory


async def test_anonymous_memory(watch: Watch, program: Path) -> None:
    """A victim that took all: it is anonymous, whether or not it has begun to give it back."""
    for _ in range(5):
        with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["hog", "100"]) as victim:
            victim.go()
            incident = await watch.incident(cgroup)
        memory = add_up(incident.memory, incident.usage_bytes)
        assert memory.anon_bytes > 30 * MI
        assert memory.shmem_bytes < MI
        assert incident.cgroup_events
        assert incident.cgroup_events.max
        assert incident.cgroup_events.oom_kill == 1
    print("ms after the mark:", sorted(round(one.after_seconds * 1e3, 2) for one in watch.procfs.given))


async def test_tmpfs(watch: Watch, program: Path, tmpfs: Path) -> None:
    """A file in memory that an earlier process left: it is most of what ran out."""
    with Cgroup(LIMIT) as cgroup:
        fill(cgroup, tmpfs / "kept", 24 * MI)
        with Victim(program, cgroup, ["hog", "100"]) as victim:
            victim.go()
            incident = await watch.incident(cgroup)
        (tmpfs / "kept").unlink()
    memory = add_up(incident.memory, incident.usage_bytes)
    assert abs(memory.shmem_bytes - 24 * MI) < MI
    assert abs(memory.anon_bytes - 8 * MI) < MI


async def test_left_behind_in_a_pod(watch: Watch, program: Path, tmpfs: Path, node: Cgroup) -> None:
    """The Pod's limit; an earlier container, gone with its cgroup, has left a file in memory."""
    with Cgroup(name="kubepods", parent=node) as kubepods, Cgroup(LIMIT, f"pod{UID}", kubepods) as pod:
        with Cgroup(name="5a" * 32, parent=pod) as earlier:
            fill(earlier, tmpfs / "kept", 20 * MI)
        with Cgroup(name="3f" * 32, parent=pod) as container:
            fill(container, tmpfs / "own", 4 * MI)
            with Victim(program, container, ["hog", "100"]) as victim:
                victim.go()
                incident = await watch.incident(container)
    memory, own = add_up(incident.memory, incident.usage_bytes), incident.container_memory
    assert own
    assert incident.limit_cgroup == pod.path
    assert abs(memory.shmem_bytes - 24 * MI) < MI
    assert abs(own.shmem_bytes - 4 * MI) < MI
    assert abs((memory.left_behind_bytes or 0) - 20 * MI) < MI
    assert abs(own.anon_bytes - 8 * MI) < MI


async def test_a_sibling_sets_it_off(watch: Watch, program: Path) -> None:
    """The victim is another process than the one that allocates: its arguments come later, the memory is read at once;
    the one that lives on is a neighbour, with what it holds."""
    with contextlib.ExitStack() as stack:
        cgroup = stack.enter_context(Cgroup(LIMIT))
        prey = stack.enter_context(Victim(program, cgroup, ["prey", "16"]))
        prey.go()
        while int(cgroup.read("memory.current" if cgroup.unified else "memory.usage_in_bytes")) < 16 * MI:
            await asyncio.sleep(0.01)
        hog = stack.enter_context(Victim(program, cgroup, ["hog", "20"]))
        hog.go()
        incident = await watch.incident(cgroup)
    assert incident.chosen.pid == prey.pid
    memory = add_up(incident.memory, incident.usage_bytes)
    assert memory.anon_bytes > 30 * MI
    print("ms after the mark:", round(watch.procfs.given[0].after_seconds * 1e3, 2))


async def test_neighbours_below_what_ran_out(watch: Watch, program: Path, node: Cgroup) -> None:
    """Those of the Pod's other containers, with their container, and what all hold."""
    with Cgroup(name="kubepods", parent=node) as kubepods, contextlib.ExitStack() as stack:
        pod = stack.enter_context(Cgroup(LIMIT, f"pod{UID}", kubepods))
        other = stack.enter_context(Cgroup(name="5a" * 32, parent=pod))
        container = stack.enter_context(Cgroup(name="3f" * 32, parent=pod))
        beside = stack.enter_context(Victim(program, other, ["hog", "12"]))
        beside.go()
        while int(pod.read("memory.usage_in_bytes")) < 12 * MI:
            await asyncio.sleep(0.01)
        victim = stack.enter_context(Victim(program, container, ["prey", "100"]))
        victim.go()
        incident = await watch.incident(pod)
    (neighbour,) = incident.neighbours
    assert (neighbour.pid, neighbour.container_id) == (beside.pid, "5a" * 32)
    assert incident.neighbours_total == 1
    assert incident.neighbours_bytes == neighbour.rss_bytes
    assert 12 * MI <= neighbour.rss_bytes < 14 * MI
