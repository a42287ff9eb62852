"""What is read at once: which cgroups are found, whose memory is left behind, who holds the node's.

In: a cgroup v2 hierarchy made by hand, with kills whose levels have its inodes. Out: Glances.
"""

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.kernel.kill import Kill
from oomeventer.node import Glance, Procfs
from oomeventer.node.cgroups import Cgroup
from oomeventer.node.glance import CHILDREN, FRESH_SECONDS, NODE_FRESH_SECONDS
from oomeventer.node.node_memory import LARGEST, PODS
from samples import CGROUP, LIMIT, MI, POD_CGROUP, kill, level

DOCKER = "/docker/" + "ab" * 32
SHOP = "pod00000000-0000-4000-8000-00000000000"


class Machine:
    """A hierarchy, and a /proc beside it."""

    def __init__(self, directory: Path) -> None:
        self.proc, self.root = directory / "proc", directory / "cgroup"
        for made in (self.proc, self.root):
            made.mkdir()
        self.procfs = Procfs(self.proc, self.root)

    def cgroup(self, path: str, anon: int = 0, file: int = 0, shmem: int = 0) -> int:
        """Its inode."""
        directory = self.root / path.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        stat = f"anon {anon}\nfile {file + shmem}\nshmem {shmem}\nkernel 0\n"
        (directory / "memory.stat").write_text(stat)
        (directory / "memory.current").write_text(f"{anon + file + shmem}\n")
        return directory.stat().st_ino

    def kill(self, path: str = CGROUP, full: int | None = 0, above: int = 0, **fields: Any) -> Kill:
        """Just now, in that cgroup, of which level `full` ran out. above: levels that are not mounted here."""
        here = self.root / path.lstrip("/")
        inodes = [p.stat().st_ino if p.exists() else 1 for p in (here, *here.parents)][: path.count("/") + 1]
        levels = [level(inode=inode) for inode in (*inodes, *range(7, 7 + above))]
        if full is not None:
            levels[full] = replace(levels[full], limit_bytes=LIMIT, usage_bytes=LIMIT, ooms=1)
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        domain = 0 if full is None else levels[full].inode
        return kill(time_ns=now, cgroup=path, levels=tuple(levels), domain_inode=domain, **fields)

    def glance(self, *args: Any, **fields: Any) -> Glance:
        return self.procfs.glance(self.kill(*args, **fields))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_container_ran_out(machine: Machine) -> None:
    """It is both: the cgroup that ran out, and the victim's container."""
    machine.cgroup(CGROUP, anon=5)
    found = machine.glance()
    assert found.memory
    assert found.memory.anon_bytes == 5
    assert found.container == found.memory
    assert (found.unseen, found.left_behind_bytes, found.node) == (None, None, None)
    assert 0 < found.after_seconds < FRESH_SECONDS


def test_the_pod_ran_out(machine: Machine) -> None:
    """Of its files in memory and page cache, what none of its containers has was left behind."""
    machine.cgroup(POD_CGROUP, anon=9, file=100, shmem=30)
    machine.cgroup(CGROUP, anon=9, file=10, shmem=5)
    machine.cgroup(f"{POD_CGROUP}/{'5a' * 32}", file=1)
    found = machine.glance(full=1)
    assert found.memory
    assert found.container
    assert (found.memory.file_bytes, found.container.file_bytes) == (100, 10)
    assert found.left_behind_bytes == 130 - 16
    for number in range(CHILDREN):
        machine.cgroup(f"{POD_CGROUP}/{number:064x}")
    assert machine.glance(full=1).left_behind_bytes is None


def test_a_kernel_that_does_not_sum_its_own(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 5.18 what a victim gives back leaves memory.stat before the usage: that is read once more at the end."""
    directories = [machine.root / path.lstrip("/") for path in (CGROUP, POD_CGROUP)]
    machine.cgroup(CGROUP)

    def later(cgroup: Cgroup) -> None:
        for directory in directories:
            (directory / "memory.current").write_text("3\n")

    monkeypatch.setattr("oomeventer.node.glance.stalled", later)
    for full, kernel, usage in ((0, "kernel 0\n", 5), (0, "", 3), (1, "kernel 0\n", 5), (1, "", 3)):
        for directory in directories:
            (directory / "memory.stat").write_text(f"anon 5\nfile 0\nshmem 0\n{kernel}")
            (directory / "memory.current").write_text("5\n")
        found = machine.glance(full=full)
        assert found.memory
        assert found.container
        assert (found.memory.usage_bytes, found.container.usage_bytes) == (usage, usage)


def test_a_victim_in_a_cgroup_within_the_container(machine: Machine) -> None:
    """The container's own counts."""
    machine.cgroup(CGROUP, anon=5)
    machine.cgroup(f"{CGROUP}/inner", anon=1)
    found = machine.glance(f"{CGROUP}/inner", full=0)
    assert found.memory
    assert found.container
    assert (found.memory.anon_bytes, found.container.anon_bytes) == (1, 5)


def test_paths_that_begin_above_what_is_mounted(machine: Machine) -> None:
    """In a node that is a container (kind) a kill's path is the machine's, or was cut: both find the same cgroup."""
    machine.cgroup(CGROUP, anon=5)
    cut = machine.kill(above=2)
    for path in (CGROUP, DOCKER + CGROUP):
        found = machine.procfs.glance(replace(cut, cgroup=path))
        assert found.memory
        assert found.memory.anon_bytes == 5


def test_why_there_is_nothing(machine: Machine) -> None:
    """Gone, another by its name, no hierarchy here, and seen too late: each is told, and nothing is read."""
    machine.cgroup(POD_CGROUP, anon=5)
    found = machine.glance(full=1)
    assert (found.memory is None, found.unseen) == (False, None)
    assert found.container_unseen == "the cgroup was gone before it was read"
    assert machine.glance().unseen == "the cgroup was gone before it was read"
    machine.cgroup(CGROUP, anon=5)
    one = machine.kill()
    other = replace(one.levels[0], inode=one.levels[0].inode + 1000)
    another = replace(one, levels=(other, *one.levels[1:]), domain_inode=other.inode)
    found = machine.procfs.glance(another)
    assert (found.memory, found.container, found.unseen) == (None, None, "another cgroup was found at its path")
    cut = replace(one, cgroup=CGROUP.removeprefix("/kubepods"))
    assert machine.procfs.glance(cut).unseen == "where its cgroup is below what is mounted here is not known"
    assert Procfs(machine.proc).glance(one).unseen == "no cgroup files are mounted here"
    for seconds in (FRESH_SECONDS + 1, -60):
        late = replace(one, time_ns=one.time_ns - int(seconds * 1e9))
        found = machine.procfs.glance(late)
        assert (found.memory, found.container, found.unseen) == (None, None, "it was seen too long after the kill")


@pytest.mark.parametrize(
    ("kubepods", "burstable", "pod"),
    [
        ("/kubepods", "/burstable", "/" + SHOP),
        ("/kubepods.slice", "/kubepods-burstable.slice", "/kubepods-burstable-" + SHOP.replace("-", "_")),
        ("/kubelet/kubepods", "/burstable", "/" + SHOP),
        (
            "/kubelet.slice/kubelet-kubepods.slice",
            "/kubelet-kubepods-burstable.slice",
            "/kubelet-kubepods-burstable-" + SHOP.replace("-", "_"),
        ),
    ],
)
def test_the_node_ran_out(machine: Machine, kubepods: str, burstable: str, pod: str) -> None:
    """Both cgroup drivers, and a root above: the largest Pods, how many there are, what all hold."""
    end = ".slice" if "slice" in kubepods else ""
    for number in range(LARGEST + 1):
        machine.cgroup(f"{kubepods}{burstable}{pod}{number:01x}{end}", anon=100 + number)
    guaranteed = pod.replace("burstable-", "")
    machine.cgroup(f"{kubepods}{guaranteed}f{end}", anon=7)
    machine.cgroup(f"{kubepods}{burstable}{pod}0{end}/{SHOP}e", anon=99999)  # made within a container: no Pod
    machine.cgroup(kubepods, anon=5000)
    (machine.proc / "meminfo").write_text("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:   20 kB\n")
    found = machine.glance(f"{kubepods}{burstable}{pod}0{end}", full=None)
    assert found.memory is None
    assert found.unseen is None
    node = found.node
    assert node
    assert (node.total_bytes, node.available_bytes, node.pods_bytes, node.pods_total) == (
        1000 << 10,
        20 << 10,
        5000,
        LARGEST + 2,
    )
    assert node.pods == tuple((f"{SHOP[3:]}{number:01x}", 100 + number) for number in range(LARGEST, 0, -1))


def test_the_node_ran_out_and_the_agent_was_slow(machine: Machine) -> None:
    """Who holds it is told some time later, too, but not what was free."""
    pod = f"/kubepods/burstable/{SHOP}0"
    machine.cgroup(pod, anon=100)
    machine.cgroup("/kubepods", anon=5000)
    (machine.proc / "meminfo").write_text("MemTotal:       1000 kB\nMemAvailable:   20 kB\n")
    one = machine.kill(pod, full=None)
    for seconds, is_told in ((NODE_FRESH_SECONDS / 2, True), (NODE_FRESH_SECONDS + 1, False)):
        found = machine.procfs.glance(replace(one, time_ns=one.time_ns - int(seconds * 1e9)))
        assert found.unseen == "it was seen too long after the kill"
        assert (found.node is not None) == is_told
        assert not found.node or (found.node.pods_bytes, found.node.available_bytes) == (5000, None)


@pytest.mark.parametrize(("full", "is_node"), [(2, True), (1, True), (0, False)])
def test_what_the_node_has_for_its_pods_ran_out(machine: Machine, full: int, is_node: bool) -> None:
    """Or for those of a class: who holds it is the same question."""
    (machine.proc / "meminfo").write_text("MemTotal:       1000 kB\n")
    pod = f"/kubepods/burstable/{SHOP}0"
    for path in ("/kubepods", "/kubepods/burstable", pod):
        machine.cgroup(path, anon=4096)
    found = machine.glance(pod, full=full)
    assert (found.node is not None) == is_node
    assert not found.node or found.node.pods == ((f"{SHOP[3:]}0", 4096),)


def test_a_node_without_pods_or_meminfo(machine: Machine) -> None:
    """What is not to be read is unknown."""
    machine.cgroup("/system.slice", anon=MI)
    assert machine.glance("/system.slice", full=None).node is None
    (machine.proc / "meminfo").write_text("MemTotal: 1000 kB\n")
    node = machine.glance("/system.slice", full=None).node
    assert node
    assert (node.available_bytes, node.pods_bytes, node.pods_total, node.pods) == (None, None, 0, ())


def test_very_many_pods(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are read; all are counted."""
    read: list[str] = []
    monkeypatch.setattr("oomeventer.node.node_memory.usage_bytes", lambda cgroup: read.append(cgroup.directory) or 1)
    for number in range(PODS + 3):
        machine.cgroup(f"/kubepods/pod{number:032x}")
    (machine.proc / "meminfo").write_text("MemTotal: 1000 kB\n")
    node = machine.glance("/kubepods", full=None).node
    assert node
    assert (node.pods_total, len(read)) == (PODS + 3, PODS + 1)


@pytest.mark.parametrize("full", [0, 1, None])
def test_no_name_is_interned(machine: Machine, monkeypatch: pytest.MonkeyPatch, full: int | None) -> None:
    """The agent does not grow by the names of cgroups that it looked at. See reading.py."""
    for path in ("/kubepods", POD_CGROUP, CGROUP):
        machine.cgroup(path, anon=1)
    (machine.proc / "meminfo").write_text("MemTotal: 1000 kB\n")
    seen = machine.kill(full=full)
    interned: list[str] = []
    monkeypatch.setattr(sys, "intern", lambda name: interned.append(name) or name)
    found = machine.procfs.glance(seen)
    monkeypatch.undo()
    assert found.memory or found.node
    assert not interned
