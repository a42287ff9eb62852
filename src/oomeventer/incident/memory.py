"""Where the memory was, in one vocabulary for cgroup v1 and v2. Data, without I/O: see incident.py for its rules.

Sources: memory.stat, memory.events and memory.pressure (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst).
"""

from typing import Annotated

from msgspec import Struct

from oomeventer.incident.fields import NATURAL, NOT_EMPTY, meaning

_UNKNOWN = "null where this kernel does not say"
_PERCENT = {"minimum": 0, "maximum": 100}


class Memory(Struct, frozen=True):
    """What a cgroup and all below it were charged for. The first three and kernel_bytes add up to its usage, nearly."""

    anon_bytes: Annotated[
        int,
        meaning("Anonymous memory, with the victim's as the kernel's record has it, in bytes", NATURAL),
    ]
    file_bytes: Annotated[int, meaning("Page cache of files on disks, without tmpfs, in bytes", NATURAL)]
    shmem_bytes: Annotated[int, meaning("Files in memory: tmpfs, shared memory; in bytes", NATURAL)]
    kernel_bytes: Annotated[
        int | None, meaning(f"The kernel's own, all the following kinds and more, in bytes; {_UNKNOWN}", NATURAL)
    ] = None
    slab_reclaimable_bytes: Annotated[
        int | None, meaning(f"Kernel objects that it can give back, such as dentries, in bytes; {_UNKNOWN}", NATURAL)
    ] = None
    slab_unreclaimable_bytes: Annotated[
        int | None, meaning(f"Kernel objects that stay, such as pipes' and sockets', in bytes; {_UNKNOWN}", NATURAL)
    ] = None
    sock_bytes: Annotated[int | None, meaning(f"Network buffers, in bytes; {_UNKNOWN}", NATURAL)] = None
    pagetables_bytes: Annotated[int | None, meaning(f"Page tables, in bytes; {_UNKNOWN}", NATURAL)] = None
    stack_bytes: Annotated[int | None, meaning(f"Kernel stacks of threads, in bytes; {_UNKNOWN}", NATURAL)] = None
    percpu_bytes: Annotated[int | None, meaning(f"Per-CPU kernel memory, in bytes; {_UNKNOWN}", NATURAL)] = None
    dirty_bytes: Annotated[
        int | None, meaning(f"Of the page cache what waits to be written to a disk, in bytes; {_UNKNOWN}", NATURAL)
    ] = None
    swap_bytes: Annotated[int | None, meaning(f"What is in swap, in bytes; {_UNKNOWN}", NATURAL)] = None
    left_behind_bytes: Annotated[
        int | None,
        meaning(
            "Of a Pod's: files in memory, page cache and the like that belong to none of its containers, so were left "
            "by earlier ones; in bytes; null where that is not known or it is no Pod's",
            NATURAL,
        ),
    ] = None

    @property
    def counted_bytes(self) -> int:
        """What samples of memory count: all but page cache, and what the kernel could give back."""
        kept = (self.kernel_bytes or 0) - (self.slab_reclaimable_bytes or 0)
        return self.anon_bytes + self.shmem_bytes + max(kept, 0)


class CgroupEvents(Struct, frozen=True):
    """Of the cgroup that ran out and all below it, how often so far, this kill included or not (memory.events)."""

    max: Annotated[int | None, meaning(f"Its usage was about to pass its limit; {_UNKNOWN}", NATURAL)] = None
    oom: Annotated[int | None, meaning(f"Its limit ran out; {_UNKNOWN}", NATURAL)] = None
    oom_kill: Annotated[int | None, meaning(f"Processes in it were killed; {_UNKNOWN}", NATURAL)] = None
    oom_group_kill: Annotated[int | None, meaning(f"All of it was killed; {_UNKNOWN}", NATURAL)] = None


class Pressure(Struct, frozen=True):
    """Of the last seconds, how many percent its tasks waited for memory (memory.pressure, PSI)."""

    some_10s: Annotated[float, meaning("At least one task waited, last 10 s, percent", _PERCENT)]
    some_60s: Annotated[float, meaning("At least one task waited, last 60 s, percent", _PERCENT)]
    full_10s: Annotated[float, meaning("All tasks waited, last 10 s, percent", _PERCENT)]
    full_60s: Annotated[float, meaning("All tasks waited, last 60 s, percent", _PERCENT)]


class PodUsage(Struct, frozen=True):
    """A Pod on a node that ran out. namespace, name: null where neither runtime nor API knew it."""

    uid: Annotated[str, meaning("As the kubelet has it", NOT_EMPTY)]
    usage_bytes: Annotated[int, meaning("What its cgroup was charged, in bytes", NATURAL)]
    namespace: Annotated[str | None, meaning("Its namespace")] = None
    name: Annotated[str | None, meaning("Its name")] = None
    request_bytes: Annotated[
        int | None, meaning("Its memory request, its containers' together, in bytes; null: none, or not known", NATURAL)
    ] = None
    limit_bytes: Annotated[
        int | None, meaning("Its memory limit, its containers' together, in bytes; null: none, or not known", NATURAL)
    ] = None


class NodeMemory(Struct, frozen=True):
    """The node's memory where it was the node that ran out."""

    total_bytes: Annotated[int, meaning("The machine's memory (MemTotal), in bytes", NATURAL)]
    available_bytes: Annotated[int | None, meaning("What was still to be had (MemAvailable), in bytes", NATURAL)]
    pods_bytes: Annotated[int | None, meaning("What all Pods held together, in bytes; null: not known", NATURAL)]
    pods_total: Annotated[int, meaning("How many Pods had a cgroup", NATURAL)]
    pods: Annotated[tuple[PodUsage, ...], meaning("The largest of them, the largest first.")]
