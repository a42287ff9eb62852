"""CPUs that do not sleep, as on a node that has work. In: nothing. Out: the time in which each has something to do.

Rules: what they do gives way to everything else (SCHED_IDLE, sched(7)), and ends with the process that asked for it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SPIN = """
import os, sys
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == int(sys.argv[1]):
    sum(range(10_000))
"""


@contextmanager
def awake() -> Iterator[None]:
    """Keep all of them busy."""
    command = [sys.executable, "-c", _SPIN, str(os.getpid())]
    spinning = [subprocess.Popen(command) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.wait()
