"""Kills one after another, timed. `python -m bench.kills PROGRAM PAUSE CGROUP...`: one victim in each cgroup (its name
in the hierarchy), with so many seconds between them. Out: JSON, for each victim the seconds from its start to its
death, and its CPU time, which has in it what the kernel and attached programs did for its kill.

A process of its own on one CPU, so that what the stand-in does meanwhile is not in these times.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import BenchError
from machine import Cgroup, Victim

HOG = ("hog", "100")
SECONDS = 30


def make(program: Path, pause_seconds: float, cgroups: Sequence[str]) -> list[tuple[float, float]]:
    """See the module."""
    times = []
    for name in cgroups:
        with Victim(program, Cgroup(name=name.lstrip("/")), HOG) as victim:
            started, used = time.perf_counter(), _reaped_seconds()
            victim.go()
            status = victim.wait()
            times.append((time.perf_counter() - started, _reaped_seconds() - used))
            if status != -9:
                raise BenchError(f"a victim ended with {status} in place of being killed: is there swap?")
        _spin(pause_seconds)
    return times


def _spin(seconds: float) -> None:
    """Not a sleep: a CPU that wakes up is slow for a while, and an agent's work would have kept it awake."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def _reaped_seconds() -> float:
    """CPU time of the children that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def timed(program: Path, pause_seconds: float, cgroups: Sequence[str]) -> list[tuple[float, float]]:
    """The same in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.kills", program, str(pause_seconds), *cgroups), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, _ = await process.communicate()
    except TimeoutError as e:
        raise BenchError(f"{len(cgroups)} kills took more than {SECONDS} s: is the machine overloaded?") from e
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise BenchError("the kills could not be made, see above")
    return [(seconds, cpu) for seconds, cpu in json.loads(out)]


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    try:
        print(json.dumps(make(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])))
    except (BenchError, OSError) as e:
        print(f"bench: {e}", file=sys.stderr)
        os._exit(1)
