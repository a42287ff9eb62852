"""What a made-up /proc and cgroup hierarchy tell of an episode: PID 1, the neighbours, the last of the victim.

In: files in a directory of the test's own, laid out as the kernel does. Out: Observations.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.kernel.kill import Kill, Process
from oomeventer.kernel.record import PAGE
from oomeventer.node.cgroups import LOOKED_AT
from oomeventer.node.neighbours import KEPT, Neighbour
from oomeventer.node.procfs import Observation, Procfs
from samples import CGROUP, CONTAINER_ID, KI, LEVELS, POD_CGROUP, kill

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
INIT = kill().init


class Machine:
    """A /proc and a cgroup v2 hierarchy below one directory."""

    def __init__(self, directory: Path) -> None:
        self.proc, self.cgroups = directory / "proc", directory / "cgroup"
        for made in (self.proc, self.cgroups):
            made.mkdir()

    def process(
        self,
        pid: int,
        start_ns: int = 0,
        comm: bytes = b"sh",
        state: str = "S",
        rss_pages: int = 1,
        flags: int = 0,
        cgroup: str = f"0::{CGROUP}\n",
        **files: bytes,
    ) -> None:
        """A process, with the files that are read of it."""
        directory = self.proc / str(pid)
        directory.mkdir(exist_ok=True)
        before = f"{state} " + "0 " * 5 + f"{flags} " + "0 " * 12
        stat = b"%d (%s) %s%d 0 0 0\n" % (pid, comm, before.encode(), start_ns // TICK_NS)
        content = {"stat": stat, "statm": b"100 %d 0 0 0 0 0\n" % rss_pages, "cgroup": os.fsencode(cgroup)}
        for name, text in (content | files).items():
            (directory / name).write_bytes(text)

    def init(self, **fields: Any) -> None:
        """PID 1 of the container."""
        self.process(INIT.pid, INIT.start_ns, **fields)

    def cgroup(self, path: str, *pids: int) -> int:
        """A cgroup with these processes in it; its directory's inode."""
        directory = self.cgroups / path.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        return directory.stat().st_ino

    def observe(self, *kills: Kill) -> Observation:
        return Procfs(self.proc, self.cgroups).observe(kills or (kill(),))

    def neighbours_of(self, inode: int, *pids: int) -> Observation:
        """With the container's memcg having that inode, and these victims."""
        levels = (replace(LEVELS[0], inode=inode), *LEVELS[1:])
        return self.observe(*(kill(pid, levels=levels) for pid in pids or (4217,)))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_pid1_is_seen(machine: Machine) -> None:
    """It runs, and it began when the kernel's record says."""
    machine.init()
    assert machine.observe().pid1 == "seen"


def test_pid1_from_another_pid_namespace(machine: Machine) -> None:
    """There the pids that the kernel names are others: what became of PID 1 is not known."""
    machine.init()
    namespace = machine.proc / "self/ns/pid"
    namespace.parent.mkdir(parents=True)
    namespace.touch()
    assert machine.observe().pid1 is None
    assert machine.observe(kill(), kill(process=INIT)).pid1 == "killed"


def test_pid1_was_killed(machine: Machine) -> None:
    """It is among the victims, whatever /proc says."""
    machine.init()
    assert machine.observe(kill(), kill(process=INIT)).pid1 == "killed"


@pytest.mark.parametrize("state", ["Z", "X"])
def test_pid1_is_gone(machine: Machine, state: str) -> None:
    """Not there, a zombie, or another process with its pid."""
    assert machine.observe().pid1 == "gone"
    machine.init(state=state)
    assert machine.observe().pid1 == "gone"
    machine.process(INIT.pid, INIT.start_ns + TICK_NS)
    assert machine.observe().pid1 == "gone"


def test_pid1_is_ending(machine: Machine) -> None:
    """It ends all others of its namespace first, and is no zombie until then: the kernel's flag tells."""
    machine.init(flags=0x400104)
    assert machine.observe().pid1 == "gone"
    procfs = Procfs(machine.proc)
    assert (procfs.is_there(INIT), procfs.runs(INIT)) == (True, False)
    machine.init(flags=0x400100)
    assert (procfs.is_there(INIT), procfs.runs(INIT)) == (True, True)


def test_pid1_by_its_cgroup(machine: Machine) -> None:
    """A victim in a cgroup below the container's has a memcg of its own; PID 1's path tells that it is the same."""
    nested = kill(cgroup=f"{CGROUP}/a", levels=(replace(LEVELS[0], inode=100), *LEVELS))
    for path in (CGROUP, f"{CGROUP}/init.scope"):
        machine.init(cgroup=f"0::{path}\n")
        assert machine.observe(nested).pid1 == "seen"
    machine.init(cgroup=f"0::{CGROUP}x\n")
    assert machine.observe(nested).pid1 is None


@pytest.mark.parametrize(
    "cgroup",
    [
        f"12:cpu,cpuacct:/x\n5:memory:{CGROUP}\n1:name=systemd:/y\n0::/z\n",
        f"5:hugetlb,memory:{CGROUP}\n",
        f"0::{CGROUP}\n",
    ],
)
def test_the_memory_hierarchy_counts(machine: Machine, cgroup: str) -> None:
    """Of cgroup v1's many paths the memory controller's is read, on v2 the one there is."""
    machine.init(cgroup=cgroup)
    assert machine.observe(kill(init_inode=999)).pid1 == "seen"


def test_a_shared_process_namespace(machine: Machine) -> None:
    """There PID 1 is the sandbox's, in a cgroup of its own: of the container's end it tells nothing."""
    machine.init(cgroup=f"0::{POD_CGROUP}/{'5a' * 32}\n")
    assert machine.observe(kill(init_inode=999)).pid1 is None


def test_the_hosts_namespace(machine: Machine) -> None:
    """With hostPID, or outside any container, PID 1 is the machine's."""
    machine.init()
    assert machine.observe(kill(namespace_level=0)).pid1 is None


@pytest.mark.parametrize("levels", [(), LEVELS])
def test_pid1_is_not_known(machine: Machine, levels: Sequence[Any]) -> None:
    """Gone, and in a memcg that the record does not name as the victim's: nothing is guessed."""
    assert machine.observe(kill(init_inode=999, levels=tuple(levels))).pid1 is None


@pytest.mark.parametrize(
    "comm", [b"a) S 1 (b", b"two words", b"line\nbreak", b") Z 0 0", b"", b"\xff", b"((((", b"))))"]
)
def test_any_comm(machine: Machine, comm: bytes) -> None:
    """A name may hold what it likes: the fields begin behind the last parenthesis."""
    machine.init(comm=comm)
    machine.process(9, comm=comm)
    observation = machine.neighbours_of(machine.cgroup(CGROUP, 9))
    assert observation.neighbours.largest == (Neighbour(9, comm, PAGE, CONTAINER_ID),)
    assert machine.observe().pid1 == "seen"


@pytest.mark.parametrize("stat", [b"", b"x", b"1 (sh", b"1 (sh) S 1 2 3\n", b"\xff" * 5000])
def test_a_stat_that_is_none(machine: Machine, stat: bytes) -> None:
    """A file that does not read as the kernel writes it is no process."""
    machine.init(stat=stat)
    machine.process(9, stat=stat)
    observation = machine.neighbours_of(machine.cgroup(CGROUP, 9))
    assert (observation.neighbours.largest, observation.neighbours.total) == ((), 0)
    assert machine.observe().pid1 == "gone"


def test_neighbours(machine: Machine) -> None:
    """Those that live on, also in cgroups below the container's: the largest first, victims and zombies not."""
    machine.process(10, comm=b"small", rss_pages=1)
    machine.process(
        11, comm=b"large", rss_pages=300, status=b"RssFile:\t  4 kB\nRssShmem:\t     800 kB\nVmSwap:\t0 kB\n"
    )
    machine.process(12, comm=b"nested", rss_pages=20, status=b"RssShmem:\t800 pages\n")
    machine.process(13, state="Z")
    machine.process(4217, rss_pages=9999)
    machine.process(4218, rss_pages=9999)
    inode = machine.cgroup(CGROUP, 10, 4217, 11, 13, 14)
    machine.cgroup(f"{CGROUP}/deeper/still", 12, 4218)
    observation = machine.neighbours_of(inode, 4217, 4218)
    assert [(one.pid, one.comm, one.rss_bytes) for one in observation.neighbours.largest] == [
        (11, b"large", 300 * PAGE),
        (12, b"nested", 20 * PAGE),
        (10, b"small", PAGE),
    ]
    assert [one.shmem_bytes for one in observation.neighbours.largest] == [800 << 10, 0, 0]
    assert observation.neighbours.total == 3


def test_neighbours_of_a_victim_in_a_nested_cgroup(machine: Machine) -> None:
    """The container's processes count, not only those of the victim's own cgroup."""
    machine.process(10)
    machine.process(11)
    inode = machine.cgroup(CGROUP, 10)
    machine.cgroup(f"{CGROUP}/a/b", 11)
    inner = (replace(LEVELS[0], inode=7), replace(LEVELS[0], inode=8), replace(LEVELS[0], inode=inode))
    observation = machine.observe(kill(cgroup=f"{CGROUP}/a/b", levels=inner))
    assert {one.pid for one in observation.neighbours.largest} == {10, 11}


def test_neighbours_below_what_ran_out(machine: Machine) -> None:
    """The Pod's limit: those of all its containers, each with its own, and what they hold; the node's: nobody's."""
    machine.process(10, rss_pages=7)
    machine.process(11, rss_pages=30)
    levels = (
        replace(LEVELS[0], inode=machine.cgroup(CGROUP, 10)),
        replace(LEVELS[1], inode=machine.cgroup(POD_CGROUP)),
        *LEVELS[2:],
    )
    machine.cgroup(f"{POD_CGROUP}/{'5a' * 32}", 11)
    found = machine.observe(kill(levels=levels, domain_inode=levels[1].inode)).neighbours
    assert [(one.pid, one.container_id) for one in found.largest] == [(11, "5a" * 32), (10, CONTAINER_ID)]
    assert (found.total, found.rss_bytes) == (2, 37 * PAGE)
    assert machine.observe(kill(levels=levels, domain_inode=levels[0].inode)).neighbours.total == 1
    assert machine.observe(kill(levels=levels, domain_inode=0)).neighbours.total is None


def test_neighbours_are_bounded(machine: Machine) -> None:
    """Of very many some are looked at, and the largest few of those are kept."""
    pids = range(10_000, 10_000 + LOOKED_AT + 10)
    for pid in pids:
        machine.process(pid, rss_pages=pid)
    observation = machine.neighbours_of(machine.cgroup(CGROUP, *pids))
    assert [one.pid for one in observation.neighbours.largest] == [
        pids[LOOKED_AT - 1] - number for number in range(KEPT)
    ]
    assert (observation.neighbours.total, observation.neighbours.rss_bytes) == (None, None)


def test_a_cgroup_that_is_another(machine: Machine) -> None:
    """By the same name, yet not the kernel's: another hierarchy is mounted here, and nothing is known."""
    machine.process(10)
    inode = machine.cgroup(CGROUP, 10)
    assert machine.neighbours_of(inode).neighbours.total == 1
    assert machine.neighbours_of(inode + 1).neighbours.total is None


def test_a_cgroup_that_is_gone(machine: Machine) -> None:
    """Removed with its last process, or beyond the levels that the record has."""
    assert machine.observe().neighbours.total is None
    machine.cgroup(CGROUP)
    assert machine.observe(kill(levels=())).neighbours.total is None


def test_a_hierarchy_that_is_not_there(machine: Machine) -> None:
    """A file in place of the directory, or nothing: unknown, and no error."""
    (machine.cgroups / "file").touch()
    for root in (machine.cgroups / "nothing", machine.cgroups / "file"):
        assert Procfs(machine.proc, root).observe((kill(),)).neighbours.total is None


def test_cgroup_procs_that_cannot_be_read(machine: Machine) -> None:
    """A directory in its place, as a threaded cgroup refuses the file, or garbage: no neighbours, and no error."""
    inode = machine.cgroup(CGROUP)
    procs = machine.cgroups / CGROUP.lstrip("/") / "cgroup.procs"
    procs.write_bytes(b"x\n-1\n\xff\n0x10\n1 2\n")
    assert machine.neighbours_of(inode).neighbours.total == 0
    procs.unlink()
    procs.mkdir()
    assert machine.neighbours_of(inode).neighbours.total == 0


@pytest.mark.parametrize("kind", ["nothing", "file"])
def test_a_proc_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    """Without /proc there is an Observation, and nothing in it but what the record itself tells."""
    proc = tmp_path / kind
    if kind == "file":
        proc.touch()
    procfs = Procfs(proc)
    assert procfs.boot_id() is None
    blank = kill(arguments=None, environment=None, init_inode=999)
    assert procfs.observe((blank,)) == Observation()
    assert procfs.observe((blank, kill(process=INIT))).pid1 == "killed"


@pytest.mark.parametrize("as_directory", [True, False])
def test_files_of_a_process_that_cannot_be_read(machine: Machine, as_directory: bool) -> None:
    """A directory in place of each file, or a file in place of the process's directory: gone."""
    for pid in (10, INIT.pid, 4217):
        place = machine.proc / str(pid)
        if as_directory:
            for name in ("stat", "statm", "cgroup", "cmdline", "environ"):
                (place / name).mkdir(parents=True)
        else:
            place.touch()
    blank = kill(arguments=None, environment=None)
    machine.cgroup(CGROUP, 10)
    observation = machine.observe(blank)
    assert (observation.pid1, observation.arguments, observation.environment) == ("gone", {}, {})
    assert machine.neighbours_of(machine.cgroup(CGROUP, 10)).neighbours.total == 0


@pytest.mark.parametrize("statm", [b"", b"100\n", b"100 x 0\n", b"100 -1 0\n"])
def test_a_statm_that_is_none(machine: Machine, statm: bytes) -> None:
    """Whose memory cannot be reported is no neighbour to name."""
    machine.process(10, statm=statm)
    assert machine.neighbours_of(machine.cgroup(CGROUP, 10)).neighbours.total == 0


def test_the_last_of_a_victim(machine: Machine) -> None:
    """Arguments and environment that the record lacks are read while the victim is still there, and cut as it does."""
    blank = kill(arguments=None, environment=None)
    long = b"A=" + b"x" * 20 * KI
    machine.process(4217, blank.process.start_ns, cmdline=b"hog\x00100\0", environ=long)
    observation = machine.observe(blank)
    assert observation.arguments == {blank.process: b"hog\x00100\0"}
    assert observation.environment == {blank.process: long[: 8 * KI]}


def test_nothing_is_read_that_the_record_has(machine: Machine) -> None:
    """The kernel's record is from before the kill, and counts."""
    machine.process(4217, kill().process.start_ns, cmdline=b"rewritten\0", environ=b"A=1\0")
    observation = machine.observe(kill())
    assert (observation.arguments, observation.environment) == ({}, {})


def test_a_pid_that_was_used_again(machine: Machine) -> None:
    """What another process has to say is not the victim's."""
    blank = kill(arguments=None, environment=None)
    machine.process(4217, blank.process.start_ns + TICK_NS, cmdline=b"other\0", environ=b"A=1\0")
    observation = machine.observe(blank)
    assert (observation.arguments, observation.environment) == ({}, {})


def test_a_victim_that_dropped_its_memory(machine: Machine) -> None:
    """Empty files are nothing to show."""
    blank = kill(arguments=None, environment=None)
    machine.process(4217, blank.process.start_ns, cmdline=b"", environ=b"")
    assert machine.observe(blank).arguments == {}


V2 = "30 23 0:26 / {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 25 0:29 / {mount} rw shared:10 - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize(
    ("mountinfo", "unified"),
    [
        (V2, True),
        ("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + V2, True),
        (V1, False),
        ("31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" + V1, False),
        (V2.replace("{mount}", "/elsewhere") + V1, False),
        (V1.replace("{mount}", "/elsewhere") + V2, True),
    ],
)
def test_where_the_hierarchy_is_mounted(machine: Machine, mountinfo: str, unified: bool) -> None:
    """Found in mountinfo: cgroup2's, or the v1 hierarchy that has the memory controller."""
    machine.process(10)
    inode = machine.cgroup(CGROUP, 10)
    (machine.proc / "self").mkdir()
    (machine.proc / "self" / "mountinfo").write_text(mountinfo.format(mount=machine.cgroups))
    levels = (replace(LEVELS[0], inode=inode), *LEVELS[1:])
    assert Procfs(machine.proc).observe((kill(levels=levels, unified=unified),)).neighbours.total == 1
    assert Procfs(machine.proc).observe((kill(levels=levels, unified=not unified),)).neighbours.total is None


def test_boot_id(machine: Machine) -> None:
    """The boot's name, without its line's end."""
    file = machine.proc / "sys/kernel/random/boot_id"
    file.parent.mkdir(parents=True)
    file.write_text("8f1b2c3d-0000-4000-8000-000000000000\n")
    assert Procfs(machine.proc).boot_id() == "8f1b2c3d-0000-4000-8000-000000000000"


def test_this_machine_has_a_boot_id_and_this_process() -> None:
    """The layout that these tests make up is the real one: this very process is found by it."""
    procfs = Procfs()
    assert len(procfs.boot_id() or "") == 36
    ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()[19])
    me = Process(os.getpid(), ticks * TICK_NS)
    myself = kill(process=me, arguments=None, environment=None)
    assert procfs.observe((myself,)).arguments[me] == Path("/proc/self/cmdline").read_bytes()[: 4 * KI]


def test_no_name_is_interned(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent does not grow by the pids and cgroups that it looked at. See reading.py."""
    machine.init(status=b"RssShmem:\t       8 kB\n")
    inode = machine.cgroup(CGROUP, INIT.pid)
    machine.cgroup(f"{CGROUP}/below")
    seen = kill(levels=(replace(LEVELS[0], inode=inode), *LEVELS[1:]), arguments=None)
    procfs = Procfs(machine.proc, machine.cgroups)
    interned: list[str] = []
    monkeypatch.setattr(sys, "intern", lambda name: interned.append(name) or name)
    found = procfs.observe([seen])
    monkeypatch.undo()
    assert (found.pid1, found.neighbours.total) == ("seen", 1)
    assert not interned
