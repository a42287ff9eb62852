"""A process that may end. In: a pid. Out: that it has ended, and that it was reaped.

Rules: none of it blocks or reads /proc. What this holds is the process that had the pid when it was opened, never a
later one; whether that is the one that was meant, its start time tells (procfs.py).
"""

import asyncio
import os
import signal


class Pidfd:
    """See pidfd_open(2). Raises ProcessLookupError where there is no such process, OSError where it may not be watched
    or there are no file descriptors left. Close it."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    async def ended(self) -> None:
        """Until it has ended: it is a zombie then, or gone."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._fd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._fd)

    @property
    def is_reaped(self) -> bool:
        """Whether its parent has waited for it. False also where that may not be asked (a filter of system calls)."""
        try:
            signal.pidfd_send_signal(self._fd, 0)  # 0 only asks; ESRCH comes before EPERM
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
