"""The kernel's own account of the memory at an OOM. In: log lines. Out: Reports, by the thread that was killed.

Rules: as oomlog.py's. A cgroup v1 tells its figures in its own words, or, before 6.7, in those of v2; both become one
vocabulary, that of the incident's JSON without "_bytes". What a kernel does not say is not in it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

PAGE = 4096
_COUNTER = re.compile(r"^(memory|kmem): usage (\d+)kB, limit (\d+)kB")
_STAT = re.compile(r"^([a-z_]+) (\d+)$")
_TASK = re.compile(r"^\[ *(\d+)\] +(\d+(?: +-?\d+)+) ")
_COLUMNS = re.compile(r"^\[ +pid +\] (.*) name$")
_CHOSEN = re.compile(r"^oom-kill:constraint=.*,pid=(\d+),uid=\d+$")
_V2 = {
    "anon": "anon",
    "shmem": "shmem",
    "kernel": "kernel",
    "slab_reclaimable": "slab_reclaimable",
    "slab_unreclaimable": "slab_unreclaimable",
    "sock": "sock",
    "pagetables": "pagetables",
    "kernel_stack": "stack",
    "percpu": "percpu",
}
_V1 = {"total_rss": "anon", "total_shmem": "shmem", "total_swap": "swap"}


@dataclass
class Report:
    """usage, limit: of the cgroup that ran out, in bytes. tasks: what each process below it had in memory."""

    usage: int | None = None
    limit: int | None = None
    parts: dict[str, int] = field(default_factory=dict)
    tasks: dict[int, int] = field(default_factory=dict)


def read(lines: Iterable[str]) -> dict[int, Report]:
    """The reports that the kernel did not keep back."""
    found: dict[int, Report] = {}
    report, stat, columns = Report(), dict[str, int](), list[str]()
    for line in _flat(lines):
        if " invoked oom-killer: gfp_mask=" in line:
            report, stat, columns = Report(), {}, []
        elif counter := _COUNTER.match(line):
            if counter[1] == "memory":
                report.usage, report.limit = int(counter[2]) << 10, int(counter[3]) << 10
            else:
                report.parts["kernel"] = int(counter[2]) << 10
        elif figure := _STAT.match(line):
            stat[figure[1]] = int(figure[2])
        elif heads := _COLUMNS.match(line):
            columns = heads[1].split()
        elif columns and (task := _TASK.match(line)):
            row = dict(zip(columns, task[2].split(), strict=False))
            report.tasks[int(row["tgid"])] = int(row["rss"]) * PAGE
        elif chosen := _CHOSEN.match(line):
            report.parts |= _parts(stat)
            found[int(chosen[1])] = report
    return found


def _parts(stat: dict[str, int]) -> dict[str, int]:
    names, cache = (_V1, "total_cache") if "total_rss" in stat else (_V2, "file")
    parts = {ours: stat[theirs] for theirs, ours in names.items() if theirs in stat}
    if cache in stat:
        parts["file"] = stat[cache] - parts["shmem"]
    if "kernel" in parts:  # v2's own figure has no network buffers, which count against the limit as the rest does
        parts["kernel"] += parts["sock"]
    return parts


def _flat(lines: Iterable[str]) -> Iterable[str]:
    """/dev/kmsg shows the ends of lines within a message as \\x0a."""
    return (part for line in lines for part in line.split("\\x0a"))
