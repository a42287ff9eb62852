"""Where the memory was, by the agent's word and by the kernel's. In: a Case. Out: what does not fit, in words.

Rules: as compare.py's. A figure fits within 2% or 1 MiB. What this kernel's memory.stat has must be in the incident.
Dirty pages alone are not compared: they are being written while agent and kernel look.
"""

from collections.abc import Iterator
from typing import Any

from kernels.oomreport import Report
from kernels.reported import LAG_PAGES, PAGE, Case, Pair

MIB = 1 << 20
_KERNEL = ("slab_reclaimable", "slab_unreclaimable", "sock", "pagetables", "stack", "percpu")
#: By which key of memory.stat a kernel must have a part; the others go by their own name.
_KEYS = {"stack": "kernel_stack"}


def problems(case: Case) -> Iterator[str]:
    """What does not fit, where the case is about memory."""
    for pair in case.pairs():
        if "memory" in case.expected:
            yield from _memory(case, pair)
        if "pods" in case.expected:
            yield from _pods(case, pair)
        if pair.incident["limit_lowered"] != bool(case.expected.get("lowered")):
            yield f"limit_lowered is {pair.incident['limit_lowered']}"


def figures(case: Case) -> dict[str, tuple[int, int]]:
    """By name: what the agent says, and the kernel, of a case's memory, where both do."""
    found = {}
    for pair in case.pairs() if "memory" in case.expected else ():
        report, memory = case.reports.get(pair.line.pid), pair.incident["memory"]
        if report and memory:
            ours = {name: memory[f"{name}_bytes"] for name in report.parts}
            found |= {name: (ours[name], theirs) for name, theirs in report.parts.items() if ours[name] is not None}
            found["usage"] = pair.incident["usage_bytes"] or 0, report.usage or 0
    return found


def _memory(case: Case, pair: Pair) -> Iterator[str]:
    report = case.reports.get(pair.line.pid)
    if report is None or report.usage is None:
        yield "the kernel kept its report of the memory back"
        return
    parts = {name: least for name, least in case.expected["memory"].items() if name in report.parts}
    if short := [name for name, least in parts.items() if report.parts[name] < least - MIB // 4]:
        yield f"the case should fill {short}, and the kernel says {report.parts}"
    memory = pair.incident["memory"]
    if memory is None:
        yield f"its memory was not read: {pair.incident['notes']}"
        return
    # Before 5.18 v2 does not sum what is the kernel's, and pages that a dying process gives back in between, such as
    # pipes', are in none of its kinds: they may be taken for anonymous ones. And anonymous ones of its own, which have
    # left memory.stat and not yet the usage, for none.
    named = sum(report.parts.get(name, 0) for name in ("anon", "file", "shmem"))
    nobodys = 0 if "kernel" in report.parts else max(report.usage - named, 0)
    leaving = 0 if "kernel" in report.parts else sum(victim["anon_bytes"] for victim in pair.incident["victims"])
    for name, (ours, theirs) in figures(case).items():
        if name == "anon" and theirs - leaving <= ours <= theirs + nobodys:
            continue
        if not fits(ours, theirs):
            yield f"{name} is {_mib(ours)}, the kernel says {_mib(theirs)}"
    wanted = {"anon", "file", "shmem", *(part for part in _KERNEL if _KEYS.get(part, part) in case.stat)}
    if missing := sorted(name for name in wanted if memory[f"{name}_bytes"] is None):
        yield f"{missing} are not known, and memory.stat has them"
    if memory["dirty_bytes"] is not None and memory["dirty_bytes"] > memory["file_bytes"] + MIB:
        yield f"dirty is {_mib(memory['dirty_bytes'])}, of {_mib(memory['file_bytes'])}"
    if memory["kernel_bytes"] is not None:
        total = sum(memory[f"{name}_bytes"] for name in ("anon", "file", "shmem", "kernel"))
        # Before 5.18 v2 does not sum what is the kernel's: pipes' pages are in none of its kinds.
        whole = "kernel" in report.parts or total > report.usage
        if whole and not fits(total, report.usage):
            yield f"the parts are {_mib(total)}, and {_mib(report.usage)} are in use"
    yield from _left_behind(case, memory)
    yield from _neighbours(case, pair, report)


def _left_behind(case: Case, memory: dict[str, Any]) -> Iterator[str]:
    wanted, ours = case.expected["memory"].get("left_behind", 0), memory["left_behind_bytes"]
    if case.expected["scope"] == "pod" and ours is None:
        yield "left_behind_bytes is not known"
    elif not fits(ours or 0, wanted):
        yield f"left behind are {_mib(ours or 0)}, it was {_mib(wanted)}"


def _neighbours(case: Case, pair: Pair, report: Report) -> Iterator[str]:
    """Those whom the kernel lists, but the victim."""
    incident, killed = pair.incident, {victim["pid"] for victim in pair.incident["victims"]}
    others = {pid: size for pid, size in report.tasks.items() if pid not in killed}
    if incident["neighbours_total"] != len(others):
        yield f"{incident['neighbours_total']} neighbours, the kernel lists {len(others)}"
    untold = len(others) * LAG_PAGES * PAGE
    if abs((incident["neighbours_bytes"] or 0) - sum(others.values())) > untold + MIB:
        yield f"the neighbours hold {incident['neighbours_bytes']} bytes, the kernel says {sum(others.values())}"
    for neighbour in incident["neighbours"]:
        pid = neighbour["pid"]
        if not fits(neighbour["rss_bytes"], others.get(pid, -MIB)):
            yield f"neighbour {pid} holds {_mib(neighbour['rss_bytes'])}, the kernel says {others.get(pid)}"
        if neighbour["container_id"] != (container := case.processes[pid]["cgroup"].rpartition("/")[2]):
            yield f"neighbour {pid} is in container {neighbour['container_id']}, it was {container}"


def _pods(case: Case, pair: Pair) -> Iterator[str]:
    """The node's memory. The Pod of the victim holds what the victim did."""
    memory = pair.incident["node_memory"]
    if memory is None:
        yield "node_memory is not known"
        return
    held = sum(pair.line.kib[name] << 10 for name in ("anon", "file", "shmem", "pgtables"))
    wanted = {case.expected["largest"]: held, **case.expected["pods"]}
    found = {pod["uid"]: pod["usage_bytes"] for pod in memory["pods"]}
    if list(found) != list(wanted) or memory["pods_total"] != len(wanted):
        yield f"the Pods are {found}, {memory['pods_total']} in all, it was {wanted}"
    elif wrong := {uid: (size, wanted[uid]) for uid, size in found.items() if not fits(size, wanted[uid])}:
        yield f"Pods hold (agent, kernel): {wrong}"
    if not fits(memory["pods_bytes"] or 0, sum(wanted.values())):
        yield f"all Pods hold {memory['pods_bytes']}, it was {sum(wanted.values())}"
    if memory["total_bytes"] != case.expected["total"]:
        yield f"the node has {memory['total_bytes']}, /proc/meminfo says {case.expected['total']}"


def fits(ours: int, theirs: int) -> bool:
    """Within 2% or 1 MiB."""
    return abs(ours - theirs) <= max(theirs // 50, MIB)


def _mib(size: int) -> str:
    return f"{size / MIB:.2f}Mi"
