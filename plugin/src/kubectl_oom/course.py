"""How memory came to its limit. In: an incident's JSON. Out: samples, the kill itself the last.

Rules: pure; what counts at the kill is what the agent samples: all but page cache and what the kernel could give back.
"""

from __future__ import annotations

from kubectl_oom.reading import Json, at, number, numbers, real, records, text


def course(incident: Json) -> tuple[list[int], list[float]]:
    """Bytes, and how many seconds before the kill that was."""
    values = numbers(incident, "trajectory", "samples", name="bytes")
    before = [real(sample, "seconds_before") or 0.0 for sample in records(incident, "trajectory", "samples", most=512)]
    last, cgroup = _at_the_kill(incident), text(incident, "trajectory", "cgroup", limit=4096)
    if values and last is not None and cgroup == text(incident, "limit_cgroup", limit=4096):
        return [*values, last], [*before, 0.0]
    return values, before


def _at_the_kill(incident: Json) -> int | None:
    """Of the cgroup that ran out."""
    memory = at(incident, "memory")
    if not isinstance(memory, dict):
        return number(incident, "usage_bytes")
    anon, shmem, kernel, back = (
        number(memory, f"{kind}_bytes") or 0 for kind in ("anon", "shmem", "kernel", "slab_reclaimable")
    )
    return anon + shmem + max(kernel - back, 0)
