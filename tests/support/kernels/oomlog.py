"""What the kernel's log says of its OOM kills. In: log lines. Out: Killed, in the log's order.

Rules: only for tests. The agent itself never reads the log, whose wording is no interface; here it is the second
witness. A process whose group is killed is named twice (oom_kill_process kills the chosen one again with its group).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_INVOKED = re.compile(r"^(.+) invoked oom-killer: gfp_mask=")
_TASK = re.compile(r"^CPU: \d+ (?:UID: \d+ )?PID: (\d+) Comm: (.+?) (?:Not tainted|Tainted)")
_CONSTRAINT = re.compile(
    r"^oom-kill:constraint=CONSTRAINT_(\w+),.*?(?:,oom_memcg=(?P<limit>[^,]*)|,global_oom)"
    r",task_memcg=(?P<cgroup>[^,]*),task=(.+),pid=(?P<pid>\d+),uid=(?P<uid>\d+)$"
)
_KILLED = re.compile(
    r"(?P<kind>Memory cgroup out of memory|Out of memory)(?: \([^)]*\))?: Killed process (?P<pid>\d+) \((?P<comm>.*)\) "
    r"total-vm:(?P<total_vm>\d+)kB, anon-rss:(?P<anon>\d+)kB, file-rss:(?P<file>\d+)kB, shmem-rss:(?P<shmem>\d+)kB, "
    r"UID:(?P<uid>\d+) pgtables:(?P<pgtables>\d+)kB oom_score_adj:(?P<oom_score_adj>-?\d+)"
)


@dataclass(frozen=True)
class Killed:
    """One line "Killed process", with what the lines before it have of its OOM.

    pid: of the thread that the kernel chose. trigger: the thread that allocated. limit: the cgroup that ran out, None
    for the machine. Where the header was kept back, it, constraint, trigger and cgroup are None. kib: total_vm, anon,
    file, shmem, pgtables.
    """

    pid: int
    comm: str
    uid: int
    oom_score_adj: int
    kib: dict[str, int]
    chosen: bool
    trigger: int | None
    constraint: str | None
    limit: str | None
    cgroup: str | None


def read(lines: Iterable[str]) -> list[Killed]:
    """The kills, each process once for each time that it was chosen or went with its group."""
    found: list[Killed] = []
    for killed in _all(lines):
        if killed.chosen or killed.pid not in {other.pid for other in found}:
            found.append(killed)
    return found


def _all(lines: Iterable[str]) -> Iterator[Killed]:
    trigger: int | None = None
    constraint: re.Match[str] | None = None
    group = False
    for line in lines:
        if _INVOKED.match(line):
            trigger, constraint, group = None, None, False
        elif trigger is None and (found := _TASK.match(line)):
            trigger = int(found[1])
        elif found := _CONSTRAINT.match(line):
            constraint = found
        elif line.startswith("Tasks in ") and line.endswith("due to memory.oom.group set"):
            group = True
        elif found := _KILLED.search(line):
            yield Killed(
                pid=int(found["pid"]),
                comm=found["comm"],
                uid=int(found["uid"]),
                oom_score_adj=int(found["oom_score_adj"]),
                kib={name: int(found[name]) for name in ("total_vm", "anon", "file", "shmem", "pgtables")},
                chosen=not group,
                trigger=trigger,
                constraint=constraint and constraint[1],
                limit=constraint and constraint["limit"],
                cgroup=constraint and constraint["cgroup"],
            )
            # Of the next one nothing is known unless a header, or the group, says so.
            if not group:
                trigger = constraint = None
