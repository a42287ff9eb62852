"""What a memory cgroup's files say, of cgroup v1 and v2 in one vocabulary. In: a Cgroup. Out: MemoryStat, Happened,
Stalled; None where it is gone, or its files say nothing.

Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst.

Each is of the cgroup and all below it, but for Happened.oom_kill on v1. anon + file + shmem + kernel is about the
usage: what lacks is what CPUs hold in advance (64 pages each), what differs is read a moment apart.

What `kernel` is: on v2 `kernel` (from 5.18 on; before, its kinds in sum, which lack pages such as those of pipes) and
`sock`, which counts against the limit and which the kernel keeps apart; on v1 memory.kmem.usage_in_bytes, and there
`sock` has a limit of its own and is in no usage. Pages of the swap cache are in no part but `anon`.
"""

import re

from msgspec import Struct

from oomeventer.node.cgroups import Cgroup
from oomeventer.node.reading import number, read

_BYTES = 1 << 16
_PRESSURE = re.compile(rb"(some|full) avg10=(\d{1,3}\.\d+) avg60=(\d{1,3}\.\d+) ")
_PAIR = re.compile(r"^(\S+) (\d{1,19})$", re.MULTILINE | re.ASCII)
#: What `kernel` has, where the kernel does not sum it.
_KERNEL_KINDS = ("kernel_stack", "pagetables", "percpu", "slab_reclaimable", "slab_unreclaimable")


class MemoryStat(Struct, frozen=True):
    """In bytes; None: this kernel does not say. file: page cache without tmpfs. dirty: writeback, too.

    usage_bytes: what was charged after the others were read. is_whole: kernel_bytes is all of the kernel's, not a
    sum of some kinds.
    """

    anon_bytes: int
    file_bytes: int
    shmem_bytes: int
    kernel_bytes: int | None = None
    slab_reclaimable_bytes: int | None = None
    slab_unreclaimable_bytes: int | None = None
    sock_bytes: int | None = None
    pagetables_bytes: int | None = None
    stack_bytes: int | None = None
    percpu_bytes: int | None = None
    dirty_bytes: int | None = None
    swap_bytes: int | None = None
    usage_bytes: int | None = None
    is_whole: bool = True


class Happened(Struct, frozen=True):
    """How often so far. On v1: max is failcnt; oom_kill counts the cgroup's own processes, so 0 at a kill is None."""

    max: int | None = None
    oom: int | None = None
    oom_kill: int | None = None
    oom_group_kill: int | None = None


class Stalled(Struct, frozen=True):
    """Percent of the last 10 and 60 s in which some, or all, waited for memory (PSI; v2 alone)."""

    some_10s: float
    some_60s: float
    full_10s: float
    full_60s: float


def usage_bytes(cgroup: Cgroup) -> int | None:
    """What is charged to it, page cache included."""
    return number(read(cgroup.file("memory.current" if cgroup.unified else "memory.usage_in_bytes"), 64))


def memory_stat(cgroup: Cgroup) -> MemoryStat | None:
    """Its memory.stat, and the files beside it."""
    stat = _pairs(read(cgroup.file("memory.stat"), _BYTES))
    return (_unified if cgroup.unified else _legacy)(cgroup, stat)


def happened(cgroup: Cgroup) -> Happened | None:
    """Its memory.events; on v1 what memory.failcnt and memory.oom_control say."""
    if cgroup.unified:
        events = _pairs(read(cgroup.file("memory.events"), _BYTES))
        found = Happened(*(events.get(name) for name in ("max", "oom", "oom_kill", "oom_group_kill")))
    else:
        control = _pairs(read(cgroup.file("memory.oom_control"), _BYTES))
        failures = number(read(cgroup.file("memory.failcnt"), 64))
        found = Happened(max=failures, oom_kill=control.get("oom_kill") or None)
    return None if found == Happened() else found


def stalled(cgroup: Cgroup) -> Stalled | None:
    """Its memory.pressure; None on v1, and where PSI is off."""
    if not cgroup.unified:
        return None
    raw = read(cgroup.file("memory.pressure"), _BYTES) or b""
    found = {kind: (min(float(ten), 100.0), min(float(sixty), 100.0)) for kind, ten, sixty in _PRESSURE.findall(raw)}
    if found.keys() != {b"some", b"full"}:
        return None
    return Stalled(*found[b"some"], *found[b"full"])


def _unified(cgroup: Cgroup, stat: dict[str, int]) -> MemoryStat | None:
    if not stat.keys() >= {"anon", "file", "shmem"}:
        return None
    kinds = [stat[name] for name in _KERNEL_KINDS if name in stat]
    kernel = stat.get("kernel", sum(kinds) if kinds else None)
    return MemoryStat(
        anon_bytes=stat["anon"],
        file_bytes=max(stat["file"] - stat["shmem"] - stat.get("swapcached", 0), 0),
        shmem_bytes=stat["shmem"],
        kernel_bytes=None if kernel is None else kernel + stat.get("sock", 0),
        slab_reclaimable_bytes=stat.get("slab_reclaimable"),
        slab_unreclaimable_bytes=stat.get("slab_unreclaimable"),
        sock_bytes=stat.get("sock"),
        pagetables_bytes=stat.get("pagetables"),
        stack_bytes=stat.get("kernel_stack"),
        percpu_bytes=stat.get("percpu"),
        dirty_bytes=_sum(stat, "file_dirty", "file_writeback"),
        swap_bytes=number(read(cgroup.file("memory.swap.current"), 64)),
        usage_bytes=usage_bytes(cgroup),
        is_whole="kernel" in stat,
    )


def _legacy(cgroup: Cgroup, stat: dict[str, int]) -> MemoryStat | None:
    if not stat.keys() >= {"total_cache", "total_rss"}:
        return None
    shmem = stat.get("total_shmem", 0)
    kernel = number(read(cgroup.file("memory.kmem.usage_in_bytes"), 64))
    return MemoryStat(
        anon_bytes=stat["total_rss"],
        file_bytes=max(stat["total_cache"] - shmem - stat.get("total_swapcached", 0), 0),
        shmem_bytes=shmem,
        kernel_bytes=kernel,
        sock_bytes=number(read(cgroup.file("memory.kmem.tcp.usage_in_bytes"), 64)),
        dirty_bytes=_sum(stat, "total_dirty", "total_writeback"),
        swap_bytes=stat.get("total_swap"),
        usage_bytes=usage_bytes(cgroup),
        is_whole=kernel is not None,
    )


def _pairs(raw: bytes | None) -> dict[str, int]:
    """Lines of a name and a number; others are passed over."""
    return {name: int(value) for name, value in _PAIR.findall((raw or b"").decode("ascii", "replace"))}


def _sum(stat: dict[str, int], *names: str) -> int | None:
    found = [stat[name] for name in names if name in stat]
    return sum(found) if found else None
