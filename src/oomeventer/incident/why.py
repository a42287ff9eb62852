"""Why memory ran out, in one word. In: an Incident. Out: a word, and the shares on which it rests.

Rules: pure; where the cgroup's parts are not known only what the record and the neighbours show is said, else nothing.
"""

from typing import Literal

from oomeventer.incident.incident import Incident, Neighbour
from oomeventer.incident.memory import Memory
from oomeventer.incident.victim import Victim
from oomeventer.node import allocatable

#: Who held the most: the victims, files in memory, page cache, the kernel, other processes. Or what came before that.
Share = Literal["process", "tmpfs", "cache", "kernel", "others"]
Why = Share | Literal["sandbox", "lowered", "node"]


def why(incident: Incident) -> Why | None:
    """The sandbox first: that it was killed matters more than why. None where nothing is known."""
    if incident.sandbox:
        return "sandbox"
    if incident.limit_lowered:
        return "lowered"
    if is_nodes(incident):
        return "node"
    return largest(incident)


def largest(incident: Incident) -> Share | None:
    """Who held the most of what ran out; None where that is not known."""
    share, bytes_ = max(shares(incident).items(), key=lambda of: of[1], default=(None, 0))
    return share if bytes_ else None


def is_nodes(incident: Incident) -> bool:
    """Whether the node's memory ran out, or what its Pods may have of it together."""
    if incident.scope == "node":
        return True
    return incident.scope == "cgroup" and allocatable(incident.limit_cgroup or "") is not None


def shares(incident: Incident) -> dict[Share, int]:
    """Of what ran out, in bytes; the first of two that are equal comes first."""
    held = sum(victim.held_bytes for victim in incident.victims)
    memory = incident.memory
    if memory is None:
        usage, others = incident.usage_bytes, others_bytes(incident) or 0
        if usage is not None:  # they may have grown since
            others = min(others, max(usage - held, 0))
        is_known = usage is None or max(held, others) * 2 >= usage
        return {"process": held, "others": others} if is_known else {}
    anon = sum(victim.anon_bytes for victim in incident.victims)
    shmem = min(sum(victim.shmem_bytes for victim in incident.victims), memory.shmem_bytes)
    return {
        "process": anon + shmem,
        "others": others_bytes(incident) or 0,
        "tmpfs": memory.shmem_bytes - shmem,
        "kernel": kernel_bytes(memory),
        "cache": memory.file_bytes,
    }


def others_bytes(incident: Incident) -> int | None:
    """What processes that live on hold of what ran out; None where that is not known. What several share, as forks do,
    is charged once and counts in the size of each: so their sizes are believed only where they fit in together."""
    if incident.memory:
        return max(incident.memory.anon_bytes - sum(victim.anon_bytes for victim in incident.victims), 0)
    usage, together = incident.usage_bytes, incident.neighbours_bytes
    if together is None:
        together = sum(other.rss_bytes for other in incident.neighbours)  # the largest of them
    if usage is None or together <= usage:
        return together
    return usage if incident.neighbours_total == 1 else None  # one alone has grown since


def kernel_bytes(memory: Memory) -> int:
    """The kernel's own, or as much of it as is known."""
    return sum(kernel_kinds(memory).values()) if memory.kernel_bytes is None else memory.kernel_bytes


def mapper(incident: Incident) -> Victim | Neighbour | None:
    """Who maps most of the shared memory, if that is half of it or more, as a database's processes do: then it goes
    with them, and is no file that stays. None where nobody is known to."""
    processes: tuple[Victim | Neighbour, ...] = (*incident.victims, *incident.neighbours)
    most = max(processes, key=lambda one: one.shmem_bytes)
    memory = incident.memory
    return most if memory and 0 < memory.shmem_bytes <= most.shmem_bytes * 2 else None


def page_tables_bytes(incident: Incident) -> int:
    """By the cgroup's files, or where these do not say (v1) by the record: at least the victims'."""
    if incident.memory and incident.memory.pagetables_bytes is not None:
        return incident.memory.pagetables_bytes
    return sum(victim.pgtables_bytes for victim in incident.victims)


def kernel_kinds(memory: Memory) -> dict[str, int]:
    """The kernel's own by kind, in words, the largest first; a kind that is nothing or not known is left out."""
    kinds = {
        "network buffers": memory.sock_bytes,
        "page tables": memory.pagetables_bytes,
        "slab, such as pipes and sockets": memory.slab_unreclaimable_bytes,
        "reclaimable slab, such as dentries": memory.slab_reclaimable_bytes,
        "thread stacks": memory.stack_bytes,
        "per-CPU memory": memory.percpu_bytes,
    }
    found = {kind: bytes_ for kind, bytes_ in kinds.items() if bytes_}
    return dict(sorted(found.items(), key=lambda of: -of[1]))
