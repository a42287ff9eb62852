"""A kill: one victim of the kernel's OOM killer, as the kernel recorded it, parsed and nothing added.

Flows in: nothing; this is data. Flows out: to whoever reads a kill. Rules: frozen; memory in bytes; times in
nanoseconds since boot (CLOCK_BOOTTIME, which counts suspend, as /proc/PID/stat's starttime does); names stay as the
kernel has them (bytes, or str by the file system's encoding with surrogate escapes) and are made printable only
where they leave.
"""

from dataclasses import dataclass
from enum import Flag, auto


class Missing(Flag):
    """What a kill lacks, wholly or in part."""

    CGROUP = auto()
    TRIGGER_CGROUP = auto()
    LEVELS = auto()
    ARGUMENTS = auto()
    ENVIRONMENT = auto()


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the host numbers it; start_ns tells it from a later one with the same pid."""

    pid: int
    start_ns: int


@dataclass(frozen=True, slots=True)
class Level:
    """One memcg from the victim's upwards, at the moment of the kill.

    inode: of the cgroup's directory. limit_bytes, swap_limit_bytes: None where there is none. Swap counts swap alone on
    cgroup v2, memory and swap together on v1. group: memory.oom.group is set. locked: the kernel is handling an OOM of
    this memcg or of one above it (mem_cgroup.oom_lock, mm/memcontrol-v1.c; always False where CONFIG_MEMCG_V1 is off).
    """

    inode: int
    usage_bytes: int
    limit_bytes: int | None
    peak_bytes: int
    swap_usage_bytes: int
    swap_limit_bytes: int | None
    group: bool
    locked: bool


@dataclass(frozen=True, slots=True)
class Trigger:
    """The task whose allocation failed. It is often, not always, the victim."""

    process: Process
    tid: int
    comm: bytes
    cgroup: str


@dataclass(frozen=True, slots=True)
class Kill:
    """One victim.

    tid: the thread that the kernel marked, pid the thread group's leader. container_pid: the pid in the victim's own
    pid namespace; namespace_level 0 is the host's. init: PID 1 of that namespace, init_inode its memcg's directory.
    levels: the victim's memcg first. arguments, environment: the NUL-separated text, None where none was to be had;
    missing says whether they, or paths, were cut. lost: records that found the ring full before this one.
    """

    time_ns: int
    lost: int
    process: Process
    tid: int
    container_pid: int
    namespace_level: int
    init: Process
    init_inode: int
    comm: bytes
    uid: int
    oom_score_adj: int
    total_vm_bytes: int
    anon_bytes: int
    file_bytes: int
    shmem_bytes: int
    swap_bytes: int
    peak_rss_bytes: int
    pgtables_bytes: int
    trigger: Trigger
    cgroup: str
    unified: bool
    levels: tuple[Level, ...]
    arguments: bytes | None
    environment: bytes | None
    arguments_follow: bool
    missing: Missing


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments and environment of a victim that was not the trigger: recorded when its SIGKILL arrived."""

    process: Process
    lost: int
    arguments: bytes | None
    environment: bytes | None
    missing: Missing


#: Charges that tasks hold in advance, per CPU (MEMCG_CHARGE_BATCH, include/linux/memcontrol.h): usage may lie this
#: far below a limit that ran out. Seen: 60 pages on 2 CPUs.
CHARGE_BATCH_PAGES = 64


def level_that_ran_out(levels: tuple[Level, ...], tolerance_bytes: int) -> int | None:
    """The index of the memcg whose limit ran out, or None where it was the node's memory.

    The kernel marks the memcg that ran out, and all below it, as locked while it handles its OOM: the highest of them
    is the one. Where no level is locked (another OOM in the same subtree holds the lock, or the kernel has none), it is
    the lowest whose usage stands within the tolerance of its limit, since charges go from the leaf up and fail at the
    first that is full (try_charge_memcg, mm/memcontrol.c).
    """
    locked = [i for i, level in enumerate(levels) if level.locked and level.limit_bytes is not None]
    if locked:
        return locked[-1]
    for i, level in enumerate(levels):
        if level.limit_bytes is not None and level.usage_bytes >= level.limit_bytes - tolerance_bytes:
            return i
    return None
