"""`PYTHONPATH=tests/support python -m soak.growth KILLS [SRC...]` (make growth): what an agent has in memory after
kills in ever new cgroups. SRC: source trees; this checkout's if none is given. Each has an agent, and all watch
the same kills: so two states of the program are compared. Out: a line for each 1,000 kills.

Rules: kills are real, OF_A_CGROUP in each cgroup, as fast as two processors make them. Of each round all is reported
before it is looked at. The journal is small, so that it lets go of the oldest.
"""

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import BenchError
from bench.watching import UNBOUNDED, Watching, watching
from faults.running import metrics
from machine import Cgroup, Victim, build
from machine.process import cpu_seconds, memory_mib
from places import REPOSITORY
from standin import ApiServer

ROUND, OF_A_CGROUP = 1000, 20
LIMIT = 8 << 20
_SETTLE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Watched:
    """An agent, and whom it tells."""

    api: ApiServer
    agent: Watching

    async def settled(self, made: int) -> None:
        """Wait until it has reported so many kills."""
        until = time.monotonic() + _SETTLE_SECONDS
        address = self.agent.url.removeprefix("http://")
        while (now := await metrics(address))["oomeventer_events_seen_total"] < made or (
            now["oomeventer_events_waiting"]
        ):
            if time.monotonic() > until:
                raise BenchError(f"{made} kills were made; {now}")
            await asyncio.sleep(0.2)
        self.api.events.clear()
        self.api.requests.clear()
        self.api.changes.clear()

    @property
    def words(self) -> str:
        """What it has in memory, and the CPU time that it took."""
        resident, anonymous = memory_mib(self.agent.pid)
        return f"{resident:.1f} MiB, {anonymous:.1f} anonymous, CPU {cpu_seconds(self.agent.pid):.0f} s"


async def _kills(program: Path) -> int:
    """A round of them. Returns how many the kernel has counted."""
    made = 0
    places = iter(range(ROUND // OF_A_CGROUP))

    async def one_after_another() -> None:
        nonlocal made
        for _ in places:
            with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["storm", "100", str(OF_A_CGROUP)]) as victim:
                victim.go()
                await asyncio.to_thread(victim.wait)
                made += cgroup.kills

    await asyncio.gather(one_after_another(), one_after_another())
    return made


async def _growth(kills: int, sources: list[str]) -> None:
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oomeventer-growth-")))
        program, watched, made = build(place), [], 0
        for number, source in enumerate(sources):
            api = await stack.enter_async_context(ApiServer())
            command = ("env", f"PYTHONPATH={source}", sys.executable, "-m", "oomeventer")
            flags = (*UNBOUNDED, "--journal-bytes", "1Mi")
            running = watching(api, place / str(number), *flags, on_disk=True, program=command)
            watched.append(Watched(api, await stack.enter_async_context(running)))
        while made < kills:
            made += await _kills(program)
            for one in watched:
                await one.settled(made)
            print(f"{made} kills: {' | '.join(one.words for one in watched)}", flush=True)


if __name__ == "__main__":
    asyncio.run(_growth(int(sys.argv[1]), sys.argv[2:] or [str(REPOSITORY / "src")]))
