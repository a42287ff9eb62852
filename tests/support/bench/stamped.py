"""`python -m bench.stamped FILE run ...`: the agent, which notes when it has read each record. Out, at its end: FILE,
JSON, by cgroup the seconds from the kernel's mark of the latest kill there to the record being read.

Rules: the agent is the shipped one; only the function that takes a record is wrapped.
"""

import json
import sys
import time
from pathlib import Path

from oomeventer.cli import main
from oomeventer.kernel.episodes import Episodes
from oomeventer.kernel.kill import Arguments, Kill


def arm(seconds: dict[str, float]) -> None:
    """Have each record's seconds noted."""
    feed = Episodes.feed

    def stamped(self: Episodes, record: Kill | Arguments, now: float) -> None:
        if isinstance(record, Kill):
            seconds[record.cgroup] = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - record.time_ns) / 1e9
        feed(self, record, now)

    Episodes.feed = stamped  # type: ignore[method-assign]


def stamps(file: Path) -> dict[str, float]:
    """What an agent that has ended noted."""
    taken: dict[str, float] = json.loads(file.read_text())
    return taken


if __name__ == "__main__":
    taken: dict[str, float] = {}
    arm(taken)
    status = main(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(taken))
    sys.exit(status)
