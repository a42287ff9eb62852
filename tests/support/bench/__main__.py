"""`PYTHONPATH=tests/support python -m bench` (make bench). In: this machine. Out: a table on stdout, in
90 s, on a busy machine a few minutes; exit status 1 where something could not be measured, with a sentence that says
what, and what to do.

First rounds: in each, in turns, kills with no agent, and with an agent of each kind, which is started for them. Then
agents that are left idle, and a storm for each; and what samples of memory cost.
"""

import asyncio
import compileall
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import oomeventer
from bench import BenchError
from bench.awake import awake
from bench.figures import AWAKE, DISK, MEMORY, NOBODY, STAMPED, Figures
from bench.kills import timed
from bench.programs import BPFTOOL, agents, measured, runs
from bench.sampling import sampling
from bench.stamped import stamps
from bench.watching import PLAIN, UNBOUNDED, Counted, Watching, watching
from machine import Cgroup, Victim, build
from machine.cgroup import hierarchy
from machine.process import cpu_seconds, kills, memory_mib, switches
from pods import Pods
from standin import ApiServer

#: For a machine that is busy; one at rest needs 90.
SECONDS = 300
#: All rounds together; there are at least so many.
ROUNDS_SECONDS, ROUNDS = 38, 2
#: Of each kind in a round, after one that warms up; with a pause in which the one before is reported.
KILLS, PAUSE_SECONDS = 30, 0.03
#: While the agent is stopped.
UNWOKEN = 10
STORM_PODS, STORM_KILLS = 10, 50
#: Without a kill by others; and how many more are waited for.
IDLE_SECONDS, IDLE_MORE = 10, 5
#: What an agent asks the API server within 10 s of its start.
RIGHTS = 2
#: After its start, or after work, until an agent is at rest.
REST_SECONDS = 0.5
REPORTED_SECONDS = 60


class Bench:
    """One run. directory: for what it writes."""

    def __init__(self, api: ApiServer, directory: Path) -> None:
        self._api = api
        self._directory = directory
        self._program = build(directory)
        self._agents = 0
        self.figures = Figures()

    async def run(self) -> None:
        """All of it."""
        started = ended = time.monotonic()
        turns, took = [NOBODY, DISK, MEMORY, STAMPED, AWAKE], 0.0
        while len(self.figures.imports) < ROUNDS or ended - started + took < ROUNDS_SECONDS:
            for who in turns:
                await self._round(who)
            self.figures.imports.append(await asyncio.to_thread(_import_seconds))
            self.figures.bare.append(await self._bare_seconds())
            turns.append(turns.pop(0))
            took, ended = time.monotonic() - ended, time.monotonic()
        self._api.requests.clear()
        async with self._agent(DISK) as on_disk:
            async with self._agent(MEMORY) as in_memory:
                await self._api.until(lambda: len(self._api.requests) == 2 * RIGHTS)
                await asyncio.sleep(REST_SECONDS)
                await self._idle({DISK: on_disk, MEMORY: in_memory})
            await self._storms(DISK, on_disk)
        async with self._agent(MEMORY) as in_memory:
            await self._storms(MEMORY, in_memory)

    @asynccontextmanager
    async def _agent(self, who: str, *flags: str, program: tuple[str, ...] = PLAIN) -> AsyncIterator[Watching]:
        self._agents += 1
        directory = self._directory / f"agent-{self._agents}"
        async with watching(self._api, directory, *flags, on_disk=who != MEMORY, program=program) as agent:
            self.figures.starts[who].append(agent.start_seconds)
            self.figures.through[who].append(agent.through_seconds)
            await asyncio.sleep(REST_SECONDS)
            yield agent

    # -- rounds --------------------------------------------------------------------------------------------------------

    async def _round(self, who: str) -> None:
        """Kills one after another, with nobody watching, or an agent that is started for them."""
        with Pods(self._api, 1 + KILLS) as pods:
            if who == NOBODY:
                await self._kills(who, pods)
                return
            self._api.requests.clear()
            file = self._directory / "stamps"
            program = (sys.executable, "-m", "bench.stamped", str(file)) if who == STAMPED else PLAIN
            async with self._agent(who, *UNBOUNDED, program=program) as agent:
                before = await agent.counted()
                counts, busy = who in (STAMPED, AWAKE), who == AWAKE
                with measured() if counts else nullcontext(), awake() if busy else nullcontext():
                    await self._kills(who, pods)
                await self._all_reported(pods)
                work = (await agent.counted()).since(before)
                if counts:
                    self.figures.programs[who].append(runs(agent.pid))
                if who == STAMPED:
                    await self._unwoken(agent)
            delays = pods.delays(self._api.requests)
        self.figures.first[who].append(delays.pop(pods.cgroups[0]))
        self.figures.delays[who] += delays.values()
        if who == STAMPED:
            taken = stamps(file)
            self.figures.reader += [taken[cgroup] for cgroup in delays]
        self.figures.work[who] += work
        self.figures.watched(work.seen, len(pods.cgroups))

    async def _unwoken(self, agent: Watching) -> None:
        """Kills while the agent is stopped: the kernel has nobody to wake."""
        with Pods(self._api, UNWOKEN) as pods:
            counted = await agent.counted()
            os.kill(agent.pid, signal.SIGSTOP)
            try:
                with measured():
                    before = runs(agent.pid)
                    await timed(self._program, PAUSE_SECONDS, pods.cgroups)
                    after = runs(agent.pid)
            finally:
                os.kill(agent.pid, signal.SIGCONT)
            await self._all_reported(pods)
            self.figures.watched((await agent.counted()).since(counted).seen, len(pods.cgroups))
        since = {name: (after[name][0] - before[name][0], after[name][1] - before[name][1]) for name in after}
        self.figures.unwoken.append(since)

    async def _kills(self, who: str, pods: Pods) -> None:
        _first, *times = await timed(self._program, PAUSE_SECONDS, pods.cgroups)
        self.figures.deaths[who].append([seconds for seconds, _ in times])
        self.figures.victims[who].append([cpu for _, cpu in times])

    async def _all_reported(self, pods: Pods) -> None:
        def all_reported() -> bool:
            return len(pods.delays(self._api.requests)) == len(pods.cgroups)

        try:
            async with asyncio.timeout(REPORTED_SECONDS):
                await self._api.until(all_reported)
        except TimeoutError as e:
            reported = len(pods.delays(self._api.requests))
            raise BenchError(
                f"of {len(pods.cgroups)} kills {reported} were reported within {REPORTED_SECONDS} s: "
                "does 'make demo' show one?"
            ) from e
        await asyncio.sleep(REST_SECONDS)

    async def _bare_seconds(self) -> float:
        """CPU for what a kill reads, writes and sends, by itself."""
        self._agents += 1
        directory = self._directory / f"bare-{self._agents}"
        directory.mkdir()
        where = self._api.url, self._api.token, str(directory)
        command = [sys.executable, "-m", "bench.bare", *where, str(KILLS), str(PAUSE_SECONDS)]
        with Pods(self._api, 1 + KILLS):
            bare = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            out, _ = await bare.communicate()
        if bare.returncode:
            raise BenchError(f"what a kill reads, writes and sends was not measured: exit status {bare.returncode}")
        return float(out)

    # -- rest, and storms ----------------------------------------------------------------------------------------------

    async def _idle(self, agents: dict[str, Watching]) -> None:
        """What agents do while nobody is killed. Seconds with a kill by others, and those after them, do not count."""
        killed, was_quiet = kills(), True
        for _ in range(IDLE_SECONDS + IDLE_MORE):
            before = {who: (time.monotonic(), cpu_seconds(a.pid), switches(a.pid)) for who, a in agents.items()}
            await asyncio.sleep(1)
            after = {who: (time.monotonic(), cpu_seconds(a.pid), switches(a.pid)) for who, a in agents.items()}
            quiet, killed = kills() == killed, kills()
            if quiet and was_quiet:
                for who in agents:
                    self.figures.idle[who].append(tuple(b - a for a, b in zip(before[who], after[who], strict=True)))
                if len(self.figures.idle[DISK]) == IDLE_SECONDS:
                    return
            was_quiet = quiet

    async def _storms(self, who: str, agent: Watching) -> None:
        """One as it comes, and one while no CPU sleeps: to be woken costs, most of all where the machine is a guest."""
        resident = memory_mib(agent.pid)
        self.figures.storms[who] = await self._storm(agent)
        self.figures.resident[who] = resident, memory_mib(agent.pid)
        with awake():
            self.figures.storms_awake[who] = await self._storm(agent)

    async def _storm(self, agent: Watching) -> Counted:
        """Kills as fast as they can be made, in several Pods."""
        made = STORM_PODS * STORM_KILLS
        with Pods(self._api, STORM_PODS) as pods:
            before = await agent.counted()
            places = iter(pods.cgroups)
            await asyncio.gather(self._one_after_another(places), self._one_after_another(places))
            try:
                async with asyncio.timeout(REPORTED_SECONDS):
                    while (work := (await agent.counted()).since(before)).seen < made:
                        await asyncio.sleep(REST_SECONDS)
            except TimeoutError as e:
                raise BenchError(f"of a storm of {made} kills {work.seen} were seen within {REPORTED_SECONDS} s") from e
        self.figures.watched(work.seen, made)
        return work

    async def _one_after_another(self, places: Iterator[str]) -> None:
        for place in places:
            with Victim(self._program, Cgroup(name=place.lstrip("/")), ["storm", "100", str(STORM_KILLS)]) as victim:
                victim.go()
                if status := await asyncio.to_thread(victim.wait):
                    raise BenchError(
                        f"a storm ended with {status}: not all of its processes were killed; is there swap?"
                    )


def _import_seconds() -> float:
    """What the start of an interpreter with the agent's imports takes."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import oomeventer.commands.reporting"], check=True)
    return time.monotonic() - started


def _preconditions() -> None:
    if os.geteuid() != 0:
        raise BenchError("kills are made in cgroups, and BPF is loaded: run it as root")
    if not shutil.which("gcc") or not Path(BPFTOOL).exists():
        raise BenchError("gcc and bpftool are needed: make packages-test")
    if not (hierarchy() / "cgroup.procs").exists():
        raise BenchError(f"no cgroup hierarchy at {hierarchy()}: mount the one that has the memory controller")


async def _bench() -> None:
    """Print the table, and what it was taken on."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # type: ignore[union-attr]
    others = agents()
    started = time.monotonic()
    compileall.compile_dir(Path(oomeventer.__file__).parent, quiet=1)  # as where it is installed
    with tempfile.TemporaryDirectory(prefix="oomeventer-bench-") as directory:
        async with ApiServer() as api:
            bench = Bench(api, Path(directory))
            try:
                async with asyncio.timeout(SECONDS):
                    await bench.run()
                    sampled = await sampling()
            except TimeoutError as e:
                raise BenchError(f"it was not done in {SECONDS} s: the machine is too busy") from e
    figures = bench.figures
    print(figures.table())
    print(f"\n{sampled}")
    machine = (
        f"Linux {platform.release()} on {platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    )
    rounds = f"{len(figures.imports)} rounds of {KILLS} kills each way"
    storms = f"storms of {STORM_PODS * STORM_KILLS} kills in {STORM_PODS} Pods"
    print(f"\n{machine}, Python {platform.python_version()}.")
    print(f"{rounds}; {storms}; {time.monotonic() - started:.0f} s in all.")
    print(f"The agents saw {figures.made} kills of ours, and {figures.seen - figures.made} of others.")
    print(f"Agents of others that were attached when it began: {others}.")
    if not figures.idle:
        raise BenchError("idle was not measured: others had processes killed every second; run it again without them")


def main() -> int:
    """Exit status."""
    try:
        _preconditions()
        asyncio.run(_bench())
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("bench: stopped", file=sys.stderr)
        return 1
    except (BenchError, OSError, subprocess.CalledProcessError) as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
