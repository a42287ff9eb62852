"""The victim's statistics as the kernel's taskstats has them. In: a thread's id. Out: Statistics.

Rules: optional, and only where CAP_NET_ADMIN is held, since the kernel asks for it (TASKSTATS_CMD_GET is
GENL_ADMIN_PERM, kernel/taskstats.c). It asks for one task and never for all that exit: that would cost with every
process of the node. Whoever is gone is None. pyroute2 lives here and nowhere else; it takes 13 MB, so it is imported
when it is first needed. Its sockets block, and uvloop has no netlink: call it from a thread.
"""

import contextlib
import errno
import time
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from oomeventer.errors import OomeventerError

CAP_NET_ADMIN = 12
#: Each event loop asks for it when it is made, and pyroute2 makes one for each socket: kept, its names are not interned
#: anew each time (see reading.py).
_CLOCK = time.get_clock_info("monotonic")


class TaskstatsError(OomeventerError):
    """The kernel has no taskstats (CONFIG_TASKSTATS) or does not give it to us."""


class Statistics(Struct, frozen=True):
    """Of one task (struct taskstats, Documentation/accounting/taskstats-struct.rst), times in seconds.

    peak_rss_bytes: None once the task has dropped its memory, as a victim mostly has; the kernel's record has its own.
    Delays: None where delay accounting is off (delayacct).
    """

    age_seconds: float
    peak_rss_bytes: int | None
    minor_faults: int
    major_faults: int
    cpu_delay_seconds: float | None
    io_delay_seconds: float | None
    swapin_delay_seconds: float | None


def taskstats_permitted() -> bool:
    """Whether this process holds CAP_NET_ADMIN (capabilities(7), CapEff in /proc/self/status)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & 1 << CAP_NET_ADMIN)
    return False


class Taskstats:
    """An open socket, for the thread that opens it: pyroute2 keeps an event loop for each thread that uses one, and
    closes its own alone. Raises TaskstatsError where it cannot be had."""

    def __init__(self) -> None:
        from pyroute2.netlink.taskstats import TaskStats

        self._socket = TaskStats()
        try:
            self._socket.bind()
        except Exception as e:  # pyroute2 raises its own, OSError and RuntimeError alike
            self.close()
            raise TaskstatsError(f"no taskstats: {e}. It needs CAP_NET_ADMIN and CONFIG_TASKSTATS=y") from e

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(Exception):
            self._socket.close()

    def read(self, tid: int) -> Statistics | None:
        """Of the task with that id, or None where there is none any more. Raises TaskstatsError."""
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            messages = list(self._socket.get_pid_stat(tid))
            raw = messages[0].get_nested("TASKSTATS_TYPE_AGGR_PID", "TASKSTATS_TYPE_STATS")
            return _statistics(dict(raw)) if raw else None
        except NetlinkError as e:
            if e.code == errno.ESRCH:
                return None
            raise TaskstatsError(f"no taskstats: {e}. It needs CAP_NET_ADMIN") from e
        except UnicodeDecodeError:  # pyroute2 takes the task's comm for UTF-8, which the task need not
            return None


def _statistics(raw: dict[str, Any]) -> Statistics:
    def seconds(name: str) -> float | None:
        return raw[f"{name}_delay_total"] / 1e9 if raw["cpu_count"] else None

    return Statistics(
        age_seconds=raw["ac_etime"] / 1e6,
        peak_rss_bytes=raw["hiwater_rss"] * 1024 or None,
        minor_faults=raw["ac_minflt"],
        major_faults=raw["ac_majflt"],
        cpu_delay_seconds=seconds("cpu"),
        io_delay_seconds=seconds("blkio"),
        swapin_delay_seconds=seconds("swapin"),
    )
