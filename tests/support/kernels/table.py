"""The compatibility table. In: the runs of a test session. Out: Markdown, in .cache/kernels/table.md.

Rules: a row for each guest that was booted; it says what was seen, failures included.
"""

from collections.abc import Iterable

from kernels.boot import Run
from kernels.compare import problems
from kernels.compare_memory import figures
from kernels.packages import CACHE
from kernels.reported import Case

TABLE = CACHE / "table.md"
_COLUMNS = (
    *("kernel", "cgroup", "tracepoint", "CPUs", "cases passed"),
    *("arguments read", "rss apart", "memory apart", "undetermined", "starts in"),
)
_NOTES = """
Arguments read: of how many of the kills made, without those left out for want of room in the ring. Rss apart:
the pages of 4 KiB by which a figure of anon, file or shmem was off the kernel's own log at most. Memory apart: the same
of the parts of a cgroup's memory, against the kernel's report. Undetermined: kills of which the agent says that it does
not know what ran out. Starts in: until the agent watches, under emulation.
"""


def write(runs: Iterable[Run]) -> None:
    """Write the table."""
    runs = list(runs)
    head = [_line(_COLUMNS), "|---" * len(_COLUMNS) + "|"]
    TABLE.write_text("\n".join([*head, *map(_row, runs), _NOTES, *(run.error for run in runs if run.error)]))


def _row(run: Run) -> str:
    cases = {name: Case(reported, run.hello) for name, reported in run.cases.items()}
    failed = [name for name, case in cases.items() if problems(case)]
    cells = [
        run.hello.get("kernel", f"{run.guest.kernel.name}: did not boot"),
        run.guest.cgroup,
        run.hello.get("layout", "?"),
        str(run.guest.cpus) + (", 2 nodes" if run.guest.numa else ""),
        f"{len(cases) - len(failed)} of {len(cases)}" + (f" (not {', '.join(failed)})" if failed else ""),
        f"{sum(case.captured() for case in cases.values())} of {sum(case.readable() for case in cases.values())}",
        str(max((case.pages_apart() for case in cases.values()), default=0)),
        _memory(cases.values()),
        str(sum(incident["scope"] == "unknown" for case in cases.values() for incident in case.incidents)),
        f"{run.agent['start_seconds']} s" if run.agent.get("watching") else "never",
    ]
    return _line(cells)


def _memory(cases: Iterable[Case]) -> str:
    apart = [abs(ours - theirs) for case in cases for ours, theirs in figures(case).values()]
    return f"{max(apart) / 1024:.0f} KiB" if apart else "?"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
