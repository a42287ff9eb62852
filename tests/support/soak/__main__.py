"""`PYTHONPATH=tests/support python -m soak` (make soak). SOAK_HOURS: 6 by default. SOAK_KILLS: 100,000 in six hours by
default. Out: a line every five minutes, a verdict, exit status 1 where it is bad.

Good is: from the first sixth on the most memory is within MIB of what there was then; the journal's files are never
larger than its bound and what SQLite needs to change them; every kill is seen, and each Event is accounted for.
"""

import asyncio
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import BenchError
from bench.watching import UNBOUNDED, Watching, watching
from faults.running import metrics
from machine import Victim, build
from machine.process import cpu_seconds, resident_mib
from pods import Pods
from standin import ApiServer

HOURS = float(os.environ.get("SOAK_HOURS", "6"))
KILLS = int(os.environ.get("SOAK_KILLS", str(round(100_000 * HOURS / 6))))
SECONDS = HOURS * 3600
#: The rule of six hours, the first of which warms up.
WARM = 1 / 6
MIB = 3.0
JOURNAL_BYTES = 64 << 20
#: SQLite's log, and a transaction that is larger.
JOURNAL_MORE_BYTES = 8 << 20
LINE_SECONDS = min(300.0, SECONDS / 10)
PODS, OF_A_POD = 5, 10
_SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Looked:
    """At one moment. counted: the agent's metrics, by name."""

    seconds: float
    resident_mib: float
    journal_bytes: int
    cpu_seconds: float
    counted: Counter[str]

    def line(self, made: int) -> str:
        """For people."""
        events = {name: self.counted[f"oomeventer_events_{name}_total"] for name in ("seen", "delivered", "merged")}
        words = ", ".join(f"{count:.0f} {name}" for name, count in events.items())
        return (
            f"{self.seconds / 60:6.1f} min: {made} kills, Events: {words}; {self.resident_mib:.1f} MiB, "
            f"journal {self.journal_bytes / (1 << 20):.1f} MiB, CPU {self.cpu_seconds:.1f} s"
        )


class Soak:
    """One run."""

    def __init__(self, api: ApiServer, agent: Watching, journal: Path, program: Path) -> None:
        self._api = api
        self._agent = agent
        self._journal = journal
        self._program = program
        self._began = time.monotonic()
        self.made = 0
        self.looks: list[Looked] = []

    async def run(self) -> None:
        """Kills, as many as are due, and a look now and then."""
        printed = self._began
        while (passed := time.monotonic() - self._began) < SECONDS or self.made < KILLS:
            if self.made < min(1.0, passed / SECONDS) * KILLS:
                await self._kills()
            else:
                await asyncio.sleep(1)
            self.looks.append(await self.look())
            if time.monotonic() - printed >= LINE_SECONDS:
                printed = time.monotonic()
                print(self.looks[-1].line(self.made), flush=True)
        until = time.monotonic() + _SETTLE_SECONDS
        while self.looks[-1].counted["oomeventer_incidents_total"] < self.made and time.monotonic() < until:
            await asyncio.sleep(1)
            self.looks.append(await self.look())

    async def look(self) -> Looked:
        """At the agent, as it is now."""
        files = self._journal.parent.glob(f"{self._journal.name}*")
        return Looked(
            time.monotonic() - self._began,
            resident_mib(self._agent.pid),
            sum(file.stat().st_size for file in files),
            cpu_seconds(self._agent.pid),
            await metrics(self._agent.url.removeprefix("http://")),
        )

    async def _kills(self) -> None:
        with Pods(self._api, PODS) as pods:
            for cgroup in pods.containers:
                with Victim(self._program, cgroup, ["storm", "100", str(OF_A_POD)]) as victim:
                    victim.go()
                    # Once in a while what a child held is not given back yet, and its parent is killed, too.
                    if (status := await asyncio.to_thread(victim.wait)) not in (0, -signal.SIGKILL):
                        raise BenchError(f"a storm ended with {status}: is there swap?")
                self.made += cgroup.kills
        self._api.requests.clear()
        self._api.changes.clear()

    def verdict(self) -> list[str]:
        """What is bad."""
        warm = [look for look in self.looks if look.seconds >= SECONDS * WARM]
        last, bad = self.looks[-1], []
        more = max(look.resident_mib for look in warm) - warm[0].resident_mib
        most = max(look.journal_bytes for look in self.looks)
        counted = last.counted
        waiting = counted["oomeventer_events_waiting"]
        ends = sum(counted[f"oomeventer_events_{name}_total"] for name in ("delivered", "merged", "given_up"))
        seen = counted["oomeventer_events_seen_total"]
        print(f"memory after the first sixth: {warm[0].resident_mib:.1f} MiB, at most {more:+.1f} MiB from there")
        print(f"journal: at most {most / (1 << 20):.1f} MiB, its bound is {JOURNAL_BYTES / (1 << 20):.0f} MiB")
        print(f"kills: {self.made} made, {counted['oomeventer_incidents_total']:.0f} reported")
        print(f"Events: {seen:.0f} seen, {ends:.0f} ended, {waiting:.0f} waiting")
        if more > MIB:
            bad.append(f"memory rose by {more:.1f} MiB, more than {MIB:.0f}")
        if most > JOURNAL_BYTES + JOURNAL_MORE_BYTES:
            bad.append("the journal outgrew its bound")
        if counted["oomeventer_incidents_total"] < self.made:
            bad.append("not every kill was reported")
        if seen != ends + waiting:
            bad.append("Events are not accounted for")
        return bad


async def _soak() -> list[str]:
    with tempfile.TemporaryDirectory(prefix="oomeventer-soak-") as directory:
        place = Path(directory)
        program = build(place)
        async with ApiServer() as api, watching(api, place / "agent", *UNBOUNDED, on_disk=True) as agent:
            soak = Soak(api, agent, place / "agent" / "journal.db", program)
            await soak.run()
            print(soak.looks[-1].line(soak.made))
            bad = soak.verdict()
    machine = f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    print(f"{HOURS:g} hours, {KILLS} kills; {machine}, Python {platform.python_version()}")
    return bad


def main() -> int:
    """Exit status."""
    if os.geteuid():
        print("soak: kills are made in cgroups: run it as root", file=sys.stderr)
        return 1
    try:
        bad = asyncio.run(_soak())
    except (BenchError, OSError) as e:
        print(f"soak: {e}", file=sys.stderr)
        return 1
    print("; ".join(bad) if bad else "good")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
