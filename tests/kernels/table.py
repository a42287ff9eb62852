"""The compatibility table. Flows in: the runs of a test session. Flows out: Markdown, in .cache/kernels/table.md.

Rules: a row for each guest that was booted; it says what was seen, failures included.
"""

from collections.abc import Iterable, Iterator

from kernels.compare import Case
from kernels.guest import Run
from kernels.packages import CACHE

TABLE = CACHE / "table.md"
_COLUMNS = ("kernel", "cgroup", "tracepoint", "CPUs", "cases passed", "arguments read", "rss apart by", "starts in")
_NOTES = (
    "\nArguments read: of how many of the kills made. Rss apart by: the pages of 4 KiB by which a figure of anon,\n"
    "file or shmem was off the kernel's own log at most. Starts in: until the agent watches, under emulation.\n"
)


def write(runs: Iterable[Run]) -> None:
    """Write the table."""
    runs = list(runs)
    head = [_line(_COLUMNS), "|---" * len(_COLUMNS) + "|"]
    TABLE.write_text("\n".join([*head, *map(_row, runs), _NOTES, *(run.error for run in runs if run.error)]))


def _row(run: Run) -> str:
    cases = {name: Case(told, run.hello["cpus"]) for name, told in run.cases.items()}
    passed = sum(not case.problems() for case in cases.values())
    failed = [name for name, case in cases.items() if case.problems()]
    kills = sum(len(case.killed) for case in cases.values())
    captured = sum(case.captured() for case in cases.values())
    apart = max((_apart(case) for case in cases.values()), default=0)
    cells = [
        run.hello.get("kernel", f"{run.guest.kernel.name}: did not boot"),
        run.guest.cgroup,
        run.hello.get("layout", "?"),
        str(run.guest.cpus) + (", 2 nodes" if run.guest.numa else ""),
        f"{passed} of {len(cases)}" + (f" (not {', '.join(failed)})" if failed else ""),
        f"{captured} of {kills}",
        str(apart),
        f"{run.agent['start_seconds']} s" if run.agent.get("watching") else "never",
    ]
    return _line(cells)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _apart(case: Case) -> int:
    return max(_differences(case), default=0)


def _differences(case: Case) -> Iterator[int]:
    for pair in case.pairs():
        for name in ("anon", "file", "shmem"):
            yield abs(pair.pages_apart(name))
