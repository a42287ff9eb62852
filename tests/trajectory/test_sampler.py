"""The sampler on real memory cgroups: what it finds, what it counts, what it leaves alone.

In: cgroups of our own, named as a kubelet's. Out: the store.
"""

import os
import resource
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from machine import Cgroup, Victim
from oomeventer.node import NodeCgroup
from oomeventer.trajectory import counting, hierarchy
from oomeventer.trajectory.counting import Room
from oomeventer.trajectory.sampler import Sampler
from oomeventer.trajectory.store import History, Store
from places import REPOSITORY

pytestmark = pytest.mark.kernel

MI = 1 << 20


class Node:
    """A hierarchy below a cgroup of our own, and what samples it."""

    def __init__(self, stack: ExitStack, room: Room | None = None) -> None:
        self.stack = stack
        self.top = self.cgroup("kubepods", self.cgroup(f"oomeventer-test-{uuid.uuid4()}"))
        self.root = self.top.directory.parent
        self.store = Store()
        self.sampler = Sampler(self.store, threading.Lock(), self.root, self.top.unified, 30.0, room)
        stack.callback(self.sampler._hierarchy.close)

    def cgroup(self, name: str, parent: Cgroup | None = None) -> Cgroup:
        made = self.stack.enter_context(Cgroup(name=name, parent=parent))
        if made.unified:
            (made.directory / "cgroup.subtree_control").write_text("+memory")
        return made

    def pod(self) -> Cgroup:
        return self.cgroup(f"pod{uuid.uuid4()}", self.top)

    @staticmethod
    def container(pod: Cgroup) -> Cgroup:
        return Cgroup(name=uuid.uuid4().hex * 2, parent=pod)

    def path(self, cgroup: Cgroup) -> str:
        return f"/{cgroup.directory.relative_to(self.root)}"

    def sampled(self) -> set[str]:
        return set(self.sampler._hierarchy.counted)

    def history(self, cgroup: Cgroup) -> History:
        found = self.store.history(self.path(cgroup), time.clock_gettime(time.CLOCK_BOOTTIME) + 1)
        assert found
        return found

    def latest(self, cgroup: Cgroup) -> int:
        return self.history(cgroup).fine[-1][1]


@pytest.fixture
def node() -> Iterator[Node]:
    with ExitStack() as stack:
        yield Node(stack)


def test_pods_and_containers_as_they_come_and_go(node: Node) -> None:
    """Those that come, and those that go. Not what a container makes within itself."""
    pod = node.pod()
    node.sampler.sample()
    assert node.sampled() == {node.path(pod)}
    with (
        node.container(pod) as container,
        Cgroup(name="kubepods", parent=container) as inner,
        Cgroup(name=f"pod{uuid.uuid4()}", parent=inner),
    ):
        other = node.pod()
        node.sampler.sample()
        assert node.sampled() == {node.path(pod), node.path(container), node.path(other)}
        assert node.path(inner) not in node.sampler._hierarchy._watched
    node.sampler.sample()
    assert node.sampled() == {node.path(pod), node.path(other)}


def test_one_goes_while_another_comes(node: Node) -> None:
    """As a container that is restarted between two samples: the number of links stays, a read fails."""
    pod = node.pod()
    with node.container(pod) as first:
        node.sampler.sample()
        assert node.path(first) in node.sampled()
    with node.container(pod) as second:
        node.sampler.sample()
        assert node.sampled() == {node.path(pod), node.path(second)}


def test_what_comes_elsewhere_is_found_by_and_by(node: Node) -> None:
    """A container of no Pod, in a directory that had none."""
    with Cgroup(name="system", parent=Cgroup(name=node.root.name)) as system, Cgroup(name="a", parent=system) as a:
        node.sampler.sample()
        with Cgroup(name="docker", parent=a) as docker, node.container(docker) as container:
            for _ in range(hierarchy.WHOLE):
                node.sampler.sample()
            assert node.path(container) in node.sampled()


def test_what_counts(node: Node, program: Path) -> None:
    """Anonymous memory and shared memory do, in the container and in its Pod."""
    pod = node.pod()
    with node.container(pod) as container, ExitStack() as victims:
        for action in ("hog", "shmem"):
            victims.enter_context(Victim(program, container, [action, "24"])).go()
        grown(container, 48 * MI)
        node.sampler.sample()
        for one in (container, pod):
            assert 48 * MI <= node.latest(one) <= 54 * MI


def test_page_cache_does_not_count(node: Node) -> None:
    """64Mi of a file, written from within the container."""
    file = REPOSITORY / ".cache" / f"page-cache-{os.getpid()}"  # not in /tmp, which can be in memory
    file.parent.mkdir(exist_ok=True)
    write = [f"echo 0 >$0/cgroup.procs && head -c {64 * MI} /dev/zero >{file} && sync {file}"]
    with node.container(node.pod()) as container:
        subprocess.run(["/bin/sh", "-c", *write, container.directory], check=True)
        grown(container, 64 * MI)
        node.sampler.sample()
        counted = node.sampler._hierarchy.counted[node.path(container)]
        assert counted.read() < 16 * MI
        file.unlink()


def grown(container: Cgroup, least: int) -> None:
    """Wait until it holds that much."""
    usage = "memory.current" if container.unified else "memory.usage_in_bytes"
    until = time.monotonic() + 10
    while int(container.read(usage)) < least:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_has_not_changed_is_not_read_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """But every so often: at the limit its sum stays while its parts change."""
    node.stack.enter_context(node.container(node.pod()))
    read: list[str] = []
    plain = counting.File.read

    def counts(file: counting.File) -> bytes:
        read.append(Path(file._path).name)
        return plain(file)

    monkeypatch.setattr(counting.File, "read", counts)
    for _ in range(1 + counting.SKIPS + 1):
        node.sampler.sample()
    assert read.count("memory.stat") == 2 * 2
    assert len(read) >= 2 * (2 + counting.SKIPS)


@pytest.mark.parametrize("most", [0, 3])
def test_with_few_file_descriptors(most: int, program: Path) -> None:
    """It opens and closes what it cannot keep, and takes the same samples."""
    with ExitStack() as stack:
        node = Node(stack, room := Room(most))
        with node.container(node.pod()) as container, Victim(program, container, ["hog", "24"]) as victim:
            victim.go()
            grown(container, 24 * MI)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                node.sampler.sample()
            assert len(os.listdir("/proc/self/fd")) - before == room.kept == most
            assert node.latest(container) >= 24 * MI


def test_its_files_are_closed(node: Node) -> None:
    """Those of what went, and all at the end."""
    before = len(os.listdir("/proc/self/fd"))
    with node.container(node.pod()):
        node.sampler.sample()
        most = len(os.listdir("/proc/self/fd"))
    node.sampler.sample()
    assert before < len(os.listdir("/proc/self/fd")) < most
    node.sampler._hierarchy.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert node.sampler._hierarchy._room.kept == 0


def test_the_soft_limit_is_raised() -> None:
    """To the hard one, of which the rest of the agent keeps its part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
        room = Room()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert room.take() == (hard > 512)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thread_that_hangs_costs_only_samples(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it: neither who asks the store, nor the end."""
    hangs, release = threading.Event(), threading.Event()

    def hang(_: Any) -> bytes:
        hangs.set()
        release.wait(20)
        return b"0"

    node.pod()
    monkeypatch.setattr(counting.File, "read", hang)
    started = time.monotonic()
    node.sampler.start()
    assert hangs.wait(5)
    with node.sampler._lock:
        node.sampler.stop()
    assert time.monotonic() - started < 4
    assert node.sampler._thread.daemon
    release.set()
    node.sampler._thread.join(5)
    assert not node.sampler._thread.is_alive()


def test_a_container_that_is_restarted_begins_its_pod_anew(node: Node, program: Path) -> None:
    """By any end, not only a kill: its Pod's memory falls, and what leaks in the next one is judged alone."""
    pod = node.pod()
    with node.container(pod) as container, Victim(program, container, ["hog", "24"]) as victim:
        victim.go()
        grown(container, 24 * MI)
        node.sampler.sample()
    assert node.history(pod).since == 0.0
    node.sampler.sample()
    assert node.history(pod).since > 0.0


def test_where_a_node_that_is_a_container_has_its_root(node: Node) -> None:
    """As its path was given: its cgroups are named from there. Where that is not to be seen, from the mount."""
    assert NodeCgroup(f"/{node.root.name}").root() == (node.root, node.top.unified)
    assert NodeCgroup("/not/here").root() == NodeCgroup("/").root() == (node.root.parent, node.top.unified)
    assert NodeCgroup("/", cgroups=Path("/not/mounted")).root() is None
