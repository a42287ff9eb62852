"""What is read at once when a kill is seen: where the memory was. In: the first Kill of an episode. Out: a Glance.

Rules: the victim gives its memory back while this runs, and its cgroup may go with it: so this comes before all else,
milliseconds after the mark. A kill from before (the ring outlives the agent) is not looked at: what is read now would
not be what was then. Only reads, which may block: call it from a thread. Nothing here is an error.
"""

import time
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from oomeventer.kernel import Kill, ancestor, ran_out_here
from oomeventer.node.cgroup_path import allocatable, identify
from oomeventer.node.cgroups import Cgroup, Cgroups, Unseen
from oomeventer.node.memory_files import (
    Happened,
    MemoryStat,
    Stalled,
    happened,
    memory_stat,
    stalled,
    usage_bytes,
)
from oomeventer.node.node_memory import NodeUsage, node_usage

#: How long after the mark what is read still tells of that moment.
FRESH_SECONDS = 1.0
#: And who holds a node's memory, on which all is slow then, the agent too; the victim's Pod is told by the record.
NODE_FRESH_SECONDS = 60.0
#: Cgroups right below a Pod's: containers and the sandbox.
CHILDREN = 64


class Glance(Struct, frozen=True):
    """memory, happened, stalled: of the cgroup that ran out, which may be the container. left_behind_bytes: of a Pod's
    tmpfs and page cache what is in none of the cgroups below it. node: where it was the node that ran out, or what it
    has for all Pods.

    unseen, container_unseen: in words, why there is no memory, or none of the container. after_seconds: from the mark
    on until it was read.
    """

    memory: MemoryStat | None = None
    container: MemoryStat | None = None
    left_behind_bytes: int | None = None
    happened: Happened | None = None
    stalled: Stalled | None = None
    node: NodeUsage | None = None
    unseen: str | None = None
    container_unseen: str | None = None
    after_seconds: float = 0.0


def glance(proc: Path, cgroups: Cgroups, kill: Kill) -> Glance:
    """Look at what the kill's cgroups hold now."""
    after = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - kill.time_ns) / 1e9
    ran_out = ran_out_here(kill)
    full = None if ran_out.level is None else ancestor(kill.cgroup, ran_out.level)
    is_node = ran_out.certain and (full is None or allocatable(full) is not None)
    if not 0 <= after <= FRESH_SECONDS:
        is_told = is_node and 0 <= after <= NODE_FRESH_SECONDS
        found_node = node_usage(proc, cgroups.top(kill)) if is_told else None
        if found_node:  # what is free now was not at the kill
            found_node = replace(found_node, available_bytes=None)
        return Glance(node=found_node, unseen="it was seen too long after the kill", after_seconds=after)
    own = _container_level(kill)
    left_behind = events = pressure = None
    found = None if ran_out.level is None else cgroups.find(kill, ran_out.level)
    memory = _stat(found)
    is_container = own is not None and own == ran_out.level
    within = None if own is None or is_container else cgroups.find(kill, own)
    container = _stat(within)
    unseen = _why(found, memory)
    container_unseen = _why(within, container)
    if isinstance(found, Cgroup):  # after the victim's: these wait better
        left_behind = _left_behind(found)
        events, pressure = happened(found), stalled(found)
    memory, container = _with_usage_now(found, memory), _with_usage_now(within, container)
    if is_container:
        container = memory
    return Glance(
        memory=memory,
        container=container,
        left_behind_bytes=left_behind,
        happened=events,
        stalled=pressure,
        node=node_usage(proc, cgroups.top(kill)) if is_node else None,
        unseen=unseen,
        container_unseen=container_unseen,
        after_seconds=after,
    )


def _container_level(kill: Kill) -> int | None:
    """Which of the kill's levels is the container; None outside any."""
    path = identify(kill.cgroup).container_path
    return None if path is None else kill.cgroup.count("/") - path.count("/")


def _stat(found: Cgroup | Unseen | None) -> MemoryStat | None:
    return memory_stat(found) if isinstance(found, Cgroup) else None


def _with_usage_now(found: Cgroup | Unseen | None, memory: MemoryStat | None) -> MemoryStat | None:
    """What a victim gives back leaves the usage a while later than memory.stat. That matters where the kernel does not
    sum its own: there the usage tells how much it was (incident/where.py)."""
    if memory is None or memory.is_whole or not isinstance(found, Cgroup):
        return memory
    return replace(memory, usage_bytes=usage_bytes(found))


def _why(found: Cgroup | Unseen | None, memory: MemoryStat | None) -> str | None:
    if memory or found is None:
        return None
    return (Unseen.GONE if isinstance(found, Cgroup) else found).value


def _left_behind(cgroup: Cgroup) -> int | None:
    if identify(cgroup.path).pod_path != cgroup.path:
        return None
    children = cgroup.children()
    if len(children) > CHILDREN:
        return None
    held = [memory_stat(child) for child in children]
    whole = memory_stat(cgroup)  # once more: what is given back meanwhile is not left behind
    return max(_files(whole) - sum(_files(child) for child in held if child), 0) if whole else None


def _files(memory: MemoryStat) -> int:
    return memory.file_bytes + memory.shmem_bytes
