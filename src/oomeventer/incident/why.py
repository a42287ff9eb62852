"""Why memory ran out, in one word. In: an Incident. Out: a word, and the shares on which it rests.

Rules: pure; where the cgroup's parts are not known only what the record and the neighbours show is said, else nothing.
"""

from typing import Literal

from oomeventer.incident.incident import Incident
from oomeventer.incident.memory import Memory
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
        usage, others = incident.usage_bytes, incident.neighbours_bytes or 0
        if usage is not None:  # they may have grown since
            others = min(others, max(usage - held, 0))
        is_known = usage is None or max(held, others) * 2 >= usage
        return {"process": held, "others": others} if is_known else {}
    anon = sum(victim.anon_bytes for victim in incident.victims)
    shmem = min(sum(victim.shmem_bytes for victim in incident.victims), memory.shmem_bytes)
    return {
        "process": anon + shmem,
        "others": max(memory.anon_bytes - anon, 0),
        "tmpfs": memory.shmem_bytes - shmem,
        "kernel": kernel_bytes(memory),
        "cache": memory.file_bytes,
    }


def charged_bytes(memory: Memory) -> int:
    """All that a cgroup was charged for, nearly."""
    return memory.anon_bytes + memory.file_bytes + memory.shmem_bytes + kernel_bytes(memory)


def kernel_bytes(memory: Memory) -> int:
    """The kernel's own, or as much of it as is known."""
    return sum(kernel_kinds(memory).values()) if memory.kernel_bytes is None else memory.kernel_bytes


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
