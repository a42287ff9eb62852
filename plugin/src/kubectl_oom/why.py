"""What filled the memory, in one word. In: an incident's JSON. Out: the word, and the shares on which it rests.

Rules: pure; the same answer as the agent's own (tests/plugin/test_why.py compares). Where the cgroup's parts are not
known, only what the record and the neighbours show is said; else "?".
"""

from __future__ import annotations

import re

from kubectl_oom.reading import Json, at, number, records, text

#: In the order in which they are shown, with what each means.
MEANING = {
    "process": "memory of what was killed",
    "others": "memory of other processes",
    "tmpfs": "files in memory (tmpfs, shared memory)",
    "kernel": "the kernel's own, for this group",
    "cache": "page cache of files on disks",
}
UNKNOWN = "?"
_KINDS = ("sock", "pagetables", "slab_unreclaimable", "slab_reclaimable", "stack", "percpu")
#: The cgroups of all Pods together, or of a class of them: their limit is what the node lets them have.
_ALLOCATABLE = re.compile(
    r"(?:.*/)?(?:(?:[^/]+-)?kubepods(?:-(?:burstable|besteffort))?\.slice|kubepods(?:/(?:burstable|besteffort))?)"
    r"(?: \(deleted\))?"
)
#: Of a Pod or of a container: what is below is its own.
_OWN = re.compile(r"kubepods(?:/burstable|/besteffort)?[-/][^/]*pod[0-9a-f]{8}|[-/_][0-9a-f]{64}(?:\.scope)?(?:/|$)")


def why(incident: Json) -> str:
    """One of MEANING, or sandbox, lowered, node, or "?"."""
    if at(incident, "sandbox") is True:
        return "sandbox"
    if at(incident, "limit_lowered") is True:
        return "lowered"
    scope, cgroup = at(incident, "scope"), text(incident, "limit_cgroup", limit=4096)
    if scope == "node" or (scope == "cgroup" and _ALLOCATABLE.fullmatch(cgroup) and not _OWN.search(cgroup)):
        return "node"
    found = shares(incident)
    return max(found, key=lambda share: found[share]) if any(found.values()) else UNKNOWN


def shares(incident: Json) -> dict[str, int]:
    """Of what ran out, in bytes; empty where that is not known."""
    victims = records(incident, "victims")
    anon = sum(number(victim, "anon_bytes") or 0 for victim in victims)
    shmem = sum(number(victim, "shmem_bytes") or 0 for victim in victims)
    memory = at(incident, "memory")
    if not isinstance(memory, dict):
        usage, others = number(incident, "usage_bytes"), _others(incident)
        if usage is not None:  # they may have grown since
            others = min(others, max(usage - anon - shmem, 0))
        is_known = usage is None or max(anon + shmem, others) * 2 >= usage
        return {"process": anon + shmem, "others": others} if is_known else {}
    all_shmem = number(memory, "shmem_bytes") or 0
    shmem = min(shmem, all_shmem)
    return {
        "process": anon + shmem,
        "others": max((number(memory, "anon_bytes") or 0) - anon, 0),
        "tmpfs": all_shmem - shmem,
        "kernel": _kernel(memory),
        "cache": number(memory, "file_bytes") or 0,
    }


def _others(incident: Json) -> int:
    """Of the processes that live on; what several share counts in each, so it is believed where it fits in."""
    usage, together = number(incident, "usage_bytes"), number(incident, "neighbours_bytes")
    if together is None:
        together = sum(number(other, "rss_bytes") or 0 for other in records(incident, "neighbours"))
    if usage is None or together <= usage:
        return together
    return usage if number(incident, "neighbours_total") == 1 else 0


def _kernel(memory: Json) -> int:
    whole = number(memory, "kernel_bytes")
    return sum(number(memory, f"{kind}_bytes") or 0 for kind in _KINDS) if whole is None else whole
