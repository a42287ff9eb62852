"""A kill: one victim of the kernel's OOM killer, as the kernel recorded it, parsed and nothing added.

In: nothing; this is data. Out: to whoever reads a kill. Rules: frozen; memory in bytes; times in
nanoseconds since boot (CLOCK_BOOTTIME, which counts suspend, as /proc/PID/stat's starttime does); names stay as the
kernel has them (bytes, or str by the file system's encoding with surrogate escapes) and are made printable only
where they leave.
"""

import os
from enum import Flag, auto

from msgspec import Struct

from oomeventer.unlogged import repr_without


class Missing(Flag):
    """What a kill lacks, wholly or in part. OMITTED: its arguments and environment, since the ring was half full."""

    CGROUP = auto()
    TRIGGER_CGROUP = auto()
    LEVELS = auto()
    ARGUMENTS = auto()
    ENVIRONMENT = auto()
    OMITTED = auto()


class Process(Struct, frozen=True):
    """A process as the host numbers it; start_ns tells it from a later one with the same pid."""

    pid: int
    start_ns: int


class Level(Struct, frozen=True):
    """One memcg from the victim's upwards, at the moment of the kill.

    inode: of the cgroup's directory. limit_bytes, swap_limit_bytes: None where there is none. Swap counts swap alone on
    cgroup v2, memory and swap together on v1. ooms: how often its limit ran out so far. group: memory.oom.group is set.
    locked: the kernel is handling an OOM of this memcg or of one above it (mem_cgroup.oom_lock, mm/memcontrol-v1.c;
    always False where CONFIG_MEMCG_V1 is off).
    """

    inode: int
    usage_bytes: int
    limit_bytes: int | None
    peak_bytes: int
    swap_usage_bytes: int
    swap_limit_bytes: int | None
    ooms: int
    group: bool
    locked: bool


class Trigger(Struct, frozen=True):
    """The task whose allocation failed. It is often, not always, the victim."""

    process: Process
    tid: int
    comm: bytes
    cgroup: str


class Kill(Struct, frozen=True):
    """One victim.

    tid: the thread that the kernel marked, pid the thread group's leader. container_pid: the pid in the victim's own
    pid namespace; namespace_level 0 is the host's. init: PID 1 of that namespace, init_inode its memcg's directory.
    locks_known: whether this kernel has Level.locked. domain_inode: of the memcg that ran out, 0 for the node, None
    where the kernel could not be asked. cgroup: the victim's memcg, or where missing says so the ancestor of it down to
    which the record goes, "…" where that is not known. levels: that memcg first. arguments, environment: the
    NUL-separated text, None where none was to be had; missing says whether they, or paths, were cut. lost: records that
    found the ring full before this one.
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
    locks_known: bool
    domain_inode: int | None
    levels: tuple[Level, ...]
    arguments: bytes | None
    environment: bytes | None
    arguments_follow: bool
    missing: Missing

    def __repr__(self) -> str:
        return repr_without(self, "arguments", "environment")


class Arguments(Struct, frozen=True):
    """The arguments and environment of a victim that was not the trigger: recorded when its SIGKILL arrived."""

    process: Process
    lost: int
    arguments: bytes | None
    environment: bytes | None
    missing: Missing

    def __repr__(self) -> str:
        return repr_without(self, "arguments", "environment")


#: A limit that was lowered leaves usage so far above it, in bytes. Charges that the kernel forces beyond a limit, those
#: of dying processes above all, stay below; what CPUs hold in advance counts in usage, and never goes beyond a limit.
LOWERED_BYTES = 1 << 20

#: Charges that a CPU holds in advance (MEMCG_CHARGE_BATCH, include/linux/memcontrol.h).
CHARGE_BATCH_PAGES = 64
_CHARGE_BATCH_BYTES = CHARGE_BATCH_PAGES * os.sysconf("SC_PAGE_SIZE")
_CPUS = os.cpu_count() or 1


class RanOut(Struct, frozen=True):
    """What ran out of memory. level: the memcg's index in Kill.levels, None for the node. certain: False where the
    kernel leaves it open, and level is then the likeliest."""

    level: int | None
    certain: bool = True

    @property
    def levels(self) -> int | None:
        """How many levels, from the victim's upwards, this concerns: up to the one that ran out; None is all."""
        return None if self.level is None else self.level + 1


def what_ran_out(kill: Kill, batch_bytes: int, cpus: int) -> RanOut:
    """Which memcg's limit ran out, or that it was the node's memory.

    The kernel says so where it may be asked (domain_inode). Elsewhere it is inferred, by the first of these that holds:

    1. While a task handles an OOM of a memcg, that memcg and all below it are locked (mem_cgroup_oom_trylock): the
       highest locked one with a limit is the one. But the lock is only tried: of several tasks that hit a limit at the
       same moment, those who come later kill without it, and some kernels have none (CONFIG_MEMCG_V1 off).
    2. A limit was lowered below what is in use (is_lowered). The kernel then kills without that lock.
    3. No limit in the victim's path ever ran out: it was the node.
    4. Of those that ever did, only one is near its limit now: on kernels without locks it is that one. Charges go from
       the leaf up and fail at the first that is full (try_charge_memcg), so of several it is the lowest, if it is
       within one CPU's batch of its limit. Near is within what all CPUs can hold in advance.
    5. Otherwise it is open: usage can have fallen since, while an earlier victim gave its memory back.

    Where the victim's memcg is so deep that the record lacks the levels next to it, the first alone is certain.
    """
    if kill.domain_inode is not None:
        found = next((i for i, level in enumerate(kill.levels) if level.inode == kill.domain_inode), None)
        return RanOut(found, certain=found is not None or kill.domain_inode == 0)
    limited = [(i, level, level.limit_bytes) for i, level in enumerate(kill.levels) if level.limit_bytes is not None]
    if locked := [i for i, level, _ in limited if level.locked]:
        return RanOut(locked[-1])
    if len(lowered := [i for i, _, _ in limited if is_lowered(kill, i)]) == 1:
        return RanOut(lowered[0])
    room = {i: limit - level.usage_bytes for i, level, limit in limited if level.ooms}
    whole = Missing.LEVELS not in kill.missing
    if not room:
        return RanOut(None, certain=whole)
    near = [i for i in room if room[i] <= batch_bytes * cpus]
    if near and not kill.locks_known and whole:
        return RanOut(near[0], certain=len(near) == 1 or room[near[0]] <= batch_bytes)
    return RanOut((near or list(room))[0], certain=False)


def is_lowered(kill: Kill, index: int) -> bool:
    """Whether the limit of that level was lowered below what was in use: on cgroup v2 the kernel then kills on behalf
    of the process that wrote it (memory_max_write), which is outside. No allocation leaves usage so high."""
    level, path = kill.levels[index], ancestor(kill.cgroup, index)
    if not kill.unified or level.limit_bytes is None or Missing.CGROUP in kill.missing:
        return False
    trigger = kill.trigger.cgroup
    outside = trigger.startswith("/") and not f"{trigger}/".startswith(f"{path.rstrip('/')}/")
    return outside and level.usage_bytes - level.limit_bytes > LOWERED_BYTES


def ancestor(path: str, steps: int) -> str:
    """The cgroup so many steps above `path`."""
    for _ in range(steps):
        path = path.rpartition("/")[0]
    return path or "/"


def ran_out_here(kill: Kill) -> RanOut:
    """what_ran_out() with this machine's page size and CPUs."""
    return what_ran_out(kill, _CHARGE_BATCH_BYTES, _CPUS)
