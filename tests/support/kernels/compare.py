"""The agent's words held against the kernel's. In: a Case. Out: what does not fit, in words.

Rules: pure. The kernel's log, its cgroup files and /proc are the witnesses, and what the case was built to provoke.
Where the kernel kept something back (it prints at most ten OOM headers in five seconds, and cuts a line at a kilobyte)
the other witnesses decide. Nothing is excused but arguments that no BPF program could have read, if the agent says so.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kernels import compare_memory
from kernels.reported import LAG_PAGES, Case, Pair
from oomeventer.incident import bounds


def problems(case: Case) -> list[str]:
    """What does not fit."""
    if case.broken:
        return [f"the case itself broke: {case.broken}"]
    found = [*_who(case), *compare_memory.problems(case)]
    if bool(case.expected.get("omitted")) != any(pair.omitted for pair in case.pairs()):
        found += ["arguments are left out, or not, as they should not be"]
    for pair in case.pairs():
        reported = (*_victim(case, pair), *_text(case, pair), *(_where(case, pair) if pair.victim["chosen"] else ()))
        found += [f"pid {pair.victim['pid']}: {text}" for text in reported]
    return found


def _who(case: Case) -> Iterator[str]:
    """Who was killed, in which incidents."""
    reported = [[victim["pid"] for victim in incident["victims"]] for incident in case.incidents]
    totals = [incident["victims_total"] for incident in case.incidents]
    wanted = case.expected["episodes"]
    died = {pid for pid, process in case.processes.items() if process["signal"] == 9}
    if set(case.killed) != {pid for episode in wanted for pid in episode}:
        yield f"the kernel killed {sorted(case.killed)}, the case provokes {wanted}"
    if missing := died - set(case.killed):
        yield f"{sorted(missing)} died of SIGKILL, and the kernel's log does not have them"
    if not _are(reported, totals, wanted):
        yield f"incidents with the victims {reported}, {totals} in all, expected {wanted}"
    elif case.expected.get("ordered", True) and [pids[:1] for pids in reported] != [pids[:1] for pids in wanted]:
        yield f"the chosen victims are {[pids[:1] for pids in reported]}, expected {[pids[:1] for pids in wanted]}"
    if spared := [pid for pid in case.expected["spared"] if case.processes[pid]["signal"] is not None]:
        yield f"{spared} should live and do not"
    for incident in case.incidents:
        if incident["group_kill"] != (_in_group(case, incident) or len(incident["victims"]) > 1):
            yield f"group_kill is {incident['group_kill']}"
        if incident["lost_before"]:
            yield f"{incident['lost_before']} records were lost"


def _are(reported: list[list[int]], totals: list[int], wanted: list[list[int]]) -> bool:
    """Whether each episode is one incident, which has its size, and as many of its victims as an incident has."""
    of = {pid: number for number, pids in enumerate(wanted) for pid in pids}
    found = [(of.get(pids[0]), {of.get(pid) for pid in pids}, len(set(pids))) for pids in reported]
    return (
        sorted(totals) == sorted(map(len, wanted))
        and all(
            number is not None
            and all_of == {number}
            and total == len(wanted[number])
            and described == min(total, bounds.VICTIMS)
            for (number, all_of, described), total in zip(found, totals, strict=True)
        )
        and len({number for number, _, _ in found}) == len(wanted)
    )


def _in_group(case: Case, incident: dict[str, Any]) -> bool:
    above = [files for path, files in case.files.items() if f"{incident['cgroup']}/".startswith(f"{path}/")]
    return any(files.get("memory.oom.group") == "1" for files in above)


def _victim(case: Case, pair: Pair) -> Iterator[str]:
    """The victim's own figures."""
    victim, line, process = pair.victim, pair.line, pair.process
    for name in ("comm", "uid", "oom_score_adj"):
        if victim[name] != getattr(line, name):
            yield f"{name} is {victim[name]!r}, the kernel says {getattr(line, name)!r}"
    allowed = LAG_PAGES * max(len(process["tids"]), case.hello["cpus"])
    for name, pages in (("total_vm", 0), ("pgtables", 0), ("anon", allowed), ("file", allowed), ("shmem", allowed)):
        if abs(pair.pages_apart(name)) > pages:
            yield f"{name} is {victim[f'{name}_bytes']} bytes, the kernel says {line.kib[name]} kB"
    if victim["chosen"] != line.chosen:
        yield f"chosen is {victim['chosen']}, the kernel says {line.chosen}"
    if (most := case.expected.get("swapped")) and not 8 << 20 < victim["swap_bytes"] <= most:
        yield f"swap is {victim['swap_bytes']} bytes, at most {most} were to be had"
    numbers = process["proc"].get("NSpid", "").split()
    if numbers and victim["container_pid"] != int(numbers[-1]):
        yield f"container_pid is {victim['container_pid']}, /proc has {numbers}"


def _text(case: Case, pair: Pair) -> Iterator[str]:
    """Arguments and environment."""
    victim, process = pair.victim, pair.process
    if victim["command"] is None or victim["environment"] is None:
        # Swapped out, or, with two nodes, not mapped for the moment (NUMA balancing): no BPF program can read it then.
        if (
            not pair.omitted
            and not pair.bounded
            and not (pair.unreadable and ("swapped" in case.expected or case.hello["nodes"] > 1))
        ):
            yield f"arguments and environment were not read: {pair.incident['notes']}"
    elif case.expected.get("cut"):
        whole = process["arguments"][: len(victim["command"]) - 1]
        if not pair.incident["truncated"] or victim["command"][:-1] != whole or len(whole) < 100:
            yield f"arguments cut to {len(victim['command'])}, truncated: {pair.incident['truncated']}"
    elif victim["command"] != process["arguments"] or victim["environment"] != process["environment"]:
        yield f"{victim['command']} {victim['environment']}, it was {process['arguments']} {process['environment']}"


def _where(case: Case, pair: Pair) -> Iterator[str]:
    """Whose limit, how much of it, and who set it off."""
    incident, line = pair.incident, pair.line
    limit = pair.process["cgroup"] if case.expected.get("own_limit") else case.expected["limit"]
    if incident["cgroup"] != (cgroup := case.expected.get("cgroup", pair.process["cgroup"])):
        yield f"its cgroup is {incident['cgroup']}, it was {cgroup}, of {pair.process['cgroup']}"
    if (incident["scope"], incident["limit_cgroup"]) != (case.expected["scope"], limit):
        yield f"{incident['scope']} {incident['limit_cgroup']} ran out, it was {case.expected['scope']} {limit}"
    if limit:
        yield from _limit(incident, case.files[limit])
    if line.constraint and line.limit != limit:
        yield f"the kernel says that {line.limit} ran out, the case provokes {limit}"
    if line.constraint and line.constraint != (wanted := case.expected.get("constraint", line.constraint)):
        yield f"the kernel says {line.constraint}, the case provokes {wanted}"
    trigger = (line.trigger and case.process_of(line.trigger)) or case.expected["trigger"]
    # While a node runs out several allocate at once, and the log's header need not be of the one whose kill follows.
    if trigger and "pods" not in case.expected and incident["trigger"]["pid"] != trigger:
        yield f"the trigger is {incident['trigger']['pid']}, the kernel says {trigger}"
    if incident["pid1"] != (pid1 := case.expected.get("pid1")):
        yield f"PID 1 {incident['pid1']}, it is {pid1}"
    began, ended = case.between
    if not began - 0.1 <= datetime.fromisoformat(incident["time"]).timestamp() <= ended + 0.1:
        yield f"killed at {incident['time']}, which is not while the case ran"


def _limit(incident: dict[str, Any], files: dict[str, str]) -> Iterator[str]:
    limit = int(files.get("memory.max") or files["memory.limit_in_bytes"])
    if incident["limit_bytes"] != limit:
        yield f"limit is {incident['limit_bytes']} bytes, its file says {limit}"
    peak = files.get("memory.peak") or files.get("memory.max_usage_in_bytes")
    if peak and not (incident["usage_bytes"] or 0) <= (incident["peak_bytes"] or 0) <= int(peak):
        yield f"usage {incident['usage_bytes']}, peak {incident['peak_bytes']}; its file says {peak}"
