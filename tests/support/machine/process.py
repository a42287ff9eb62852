"""What the kernel counts of a process, and of kills."""

import asyncio
import os
import time
from pathlib import Path

_CPUCLOCK_SCHED = 2
_GROWN_SECONDS = 20


def cpu_seconds(pid: int) -> float:
    """What all its threads ran, those that have ended too. As clock_getcpuclockid(3) does, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def resident_mib(pid: int) -> float:
    """What it has in memory, shared pages too."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def memory_mib(pid: int) -> tuple[float, float]:
    """What it has in memory, shared pages too; and what of that is no file's (smaps_rollup)."""
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kib = {row[0]: int(row[1]) for row in rows}
    return kib["Rss:"] / 1024, kib["Anonymous:"] / 1024


def peak_mib(pid: int) -> float:
    """The most that it had in memory at once, shared pages too."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def switches(pid: int) -> int:
    """How often its threads that live went to sleep, or had to give way."""
    texts = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if "_ctxt_switches:" in line)


def kills() -> int:
    """Processes that the OOM killer has ended since boot, anybody's."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


async def grown(pid: int, size_bytes: int) -> None:
    """Wait until a process holds that much and sleeps. What it held before exec(), as our child, does not count."""
    ours = os.readlink("/proc/self/exe")

    def ready() -> bool:
        if os.readlink(f"/proc/{pid}/exe") == ours:
            return False
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
        return state == b"S" and int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >= size_bytes

    async with asyncio.timeout(_GROWN_SECONDS):
        while not ready():
            await asyncio.sleep(0.01)
