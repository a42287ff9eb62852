"""Where the memory was, within the frame of the kernel's record. In: kills, what was read of the cgroups. Out: the
incident's parts and notes."""

from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.incident import Incident
from oomeventer.incident.assemble import assemble
from oomeventer.incident.memory import CgroupEvents, NodeMemory, PodUsage, Pressure
from oomeventer.kernel.kill import Kill
from oomeventer.node import Glance, Happened, MemoryStat, Neighbour, Neighbours, NodeUsage, Observation, Stalled
from oomeventer.redaction.policy import Redaction
from samples import CGROUP, CONTAINER_ID, HOST, LEVELS, LIMIT, MI, UID, kill, level

WHOLE = MemoryStat(20 * MI, 3 * MI, 8 * MI, kernel_bytes=MI, sock_bytes=5, dirty_bytes=6, usage_bytes=LIMIT)
FULL_POD = replace(LEVELS[1], limit_bytes=LIMIT, usage_bytes=LIMIT)
VICTIM = {"anon_bytes": 15 * MI, "shmem_bytes": 4 * MI}


def made(glance: Glance, *kills: Kill) -> Incident:
    return assemble(kills or (kill(**VICTIM),), Observation(), {}, HOST, Redaction(), glance)


def parts(stat: MemoryStat, *kills: Kill) -> tuple[int, int, int, int | None]:
    memory = made(Glance(memory=stat, container=stat), *kills).memory
    assert memory
    return memory.anon_bytes // MI, memory.file_bytes // MI, memory.shmem_bytes // MI, memory.kernel_bytes


def test_pid1_was_a_victim() -> None:
    """That is in the record, whatever /proc says."""
    first = kill(**VICTIM)
    assert made(Glance(), first).pid1 is None
    assert made(Glance(), first, replace(first, process=first.init)).pid1 == "killed"


def test_all_is_still_there() -> None:
    """Read in time: the parts are what was read."""
    memory = made(Glance(memory=WHOLE, left_behind_bytes=7)).memory
    assert memory
    assert (memory.anon_bytes, memory.file_bytes, memory.shmem_bytes) == (20 * MI, 3 * MI, 8 * MI)
    assert (memory.kernel_bytes, memory.sock_bytes, memory.dirty_bytes, memory.left_behind_bytes) == (MI, 5, 6, 7)


@pytest.mark.parametrize(
    ("read", "now", "expected"),
    [
        ((8, 3, 8), LIMIT, (20, 3, 8)),  # its pages leave memory.stat first, the usage later
        ((5, 3, 8), 17 * MI, (20, 3, 8)),
        ((5, 3, 6), 15 * MI, (20, 3, 8)),  # shared memory that nobody else maps goes with it
        ((2, 3, 8), 14 * MI, (17, 3, 11)),  # more is missing than it held of the one
        ((0, 0, 0), LIMIT, (15, 0, 4)),  # and more than it held at all: nothing is made up
        ((30, 3, 8), LIMIT, (30, 3, 8)),  # others went on allocating
    ],
)
def test_what_the_victim_has_given_back(read: tuple[int, int, int], now: int, expected: tuple[int, int, int]) -> None:
    """It is added, as far as the victim held it, up to the usage in force."""
    anon, file, shmem = (part * MI for part in read)
    stat = replace(WHOLE, anon_bytes=anon, file_bytes=file, shmem_bytes=shmem, usage_bytes=now)
    assert parts(stat) == (*expected, MI)


def test_the_kernels_own_goes_with_the_victim() -> None:
    """What the usage has lost beyond what the record says of the victim was the kernel's, page tables first."""
    stat = replace(WHOLE, anon_bytes=0, shmem_bytes=0, pagetables_bytes=0, usage_bytes=4 * MI)
    memory = made(Glance(memory=stat), kill(anon_bytes=MI, shmem_bytes=0, pgtables_bytes=7 * MI)).memory
    assert memory
    assert (memory.anon_bytes, memory.kernel_bytes, memory.pagetables_bytes) == (MI, 28 * MI, 7 * MI)


@pytest.mark.parametrize(("slab", "tables", "expected"), [(2, 20, 20), (2, 30, 26), (27, 20, 4), (2, 3, 4)])
def test_page_tables_that_are_being_given_back(slab: int, tables: int, expected: int) -> None:
    """They leave their own figure before the kernel's whole: the record's are told, as far as there is room in that."""
    stat = replace(
        WHOLE,
        **dict.fromkeys(("anon_bytes", "file_bytes", "shmem_bytes", "sock_bytes"), 0),
        kernel_bytes=28 * MI, slab_unreclaimable_bytes=slab * MI, pagetables_bytes=4 * MI, usage_bytes=LIMIT,
    )  # fmt: skip
    memory = made(Glance(memory=stat), kill(anon_bytes=0, shmem_bytes=0, pgtables_bytes=tables * MI)).memory
    assert memory
    assert (memory.kernel_bytes, memory.pagetables_bytes) == (28 * MI, expected * MI)


def test_runc_goes_with_its_own_file() -> None:
    """What it had in memory as a file, and has given back, was not the kernel's."""
    stat = replace(WHOLE, anon_bytes=0, shmem_bytes=0, usage_bytes=4 * MI)
    exe = kill(anon_bytes=0, shmem_bytes=0, comm=b"exe")
    assert parts(stat, replace(exe, container_pid=exe.process.pid)) == (0, 3, 0, MI)
    assert parts(stat, exe) == (0, 3, 0, 29 * MI)


def test_a_kernel_part_that_is_incomplete() -> None:
    """What is missing may be the kernel's: no more is added than the usage has lost, or than the victim held at all."""
    stat = replace(WHOLE, anon_bytes=10 * MI, kernel_bytes=0, is_whole=False)
    assert parts(stat)[0] == 15
    assert parts(replace(stat, usage_bytes=LIMIT - 8 * MI))[0] == 18
    assert parts(replace(stat, usage_bytes=None))[0] == 21


def test_several_victims() -> None:
    """All of a group give back; to a container only its own."""
    stat = replace(WHOLE, anon_bytes=0)
    beside = CGROUP.replace(CONTAINER_ID, "5a" * 32)
    levels = (
        level(inode=9, usage_bytes=30 * MI),
        replace(LEVELS[1], limit_bytes=LIMIT, usage_bytes=LIMIT),
        *LEVELS[2:],
    )
    few: dict[str, Any] = {"anon_bytes": 9 * MI, "levels": levels, "domain_inode": 102}
    incident = made(Glance(memory=stat, container=stat), kill(1, **few), kill(2, cgroup=beside, **few))
    assert incident.scope == "pod"
    assert incident.memory
    assert incident.container_memory
    assert (incident.memory.anon_bytes, incident.container_memory.anon_bytes) == (18 * MI, 9 * MI)


def test_the_frame_of_the_container_is_its_own() -> None:
    """Its usage in the record bounds it, not the Pod's."""
    levels = (
        level(inode=9, usage_bytes=14 * MI),
        replace(LEVELS[1], limit_bytes=LIMIT, usage_bytes=LIMIT),
        *LEVELS[2:],
    )
    stat = replace(WHOLE, anon_bytes=0)
    incident = made(Glance(container=stat), kill(levels=levels, domain_inode=102, **VICTIM))
    assert incident.memory is None
    assert incident.container_memory
    assert incident.container_memory.anon_bytes == 2 * MI


def test_what_else_was_read() -> None:
    """Events, pressure, neighbours with their containers."""
    glance = Glance(happened=Happened(9, 3, 2, 1), stalled=Stalled(1.5, 2.5, 0.5, 0.25))
    beside = Neighbours((Neighbour(7, b"a\n", 5, CONTAINER_ID), Neighbour(8, b"b", 4)), total=12, rss_bytes=99)
    incident = assemble((kill(),), Observation(neighbours=beside), {}, HOST, Redaction(), glance)
    assert incident.cgroup_events == CgroupEvents(9, 3, 2, 1)
    assert incident.pressure == Pressure(1.5, 2.5, 0.5, 0.25)
    assert (incident.neighbours_total, incident.neighbours_bytes) == (12, 99)
    assert [(one.comm, one.container_id) for one in incident.neighbours] == [("a\\n", CONTAINER_ID), ("b", None)]


def test_the_node() -> None:
    """Its Pods, without names yet. The victim's, which has given back, with what it had."""
    glance = Glance(node=NodeUsage(100, 5, 80, 3, (("x", 50), (UID, 30))))
    levels = (LEVELS[0], replace(LEVELS[1], usage_bytes=60), *LEVELS[2:])
    incident = made(glance, kill(domain_inode=0, levels=levels))
    assert (incident.scope, incident.memory) == ("node", None)
    assert incident.node_memory == NodeMemory(100, 5, 110, 3, (PodUsage(UID, 60), PodUsage("x", 50)))


def test_notes() -> None:
    """One where there is none, and none where there is nothing to say."""
    assert made(Glance(memory=WHOLE)).notes == made(Glance()).notes == ()
    assert made(Glance(unseen="why", container_unseen="why")).notes == ("memory: why",)
    assert made(Glance(container_unseen="why")).notes == ("memory of the container: why",)
