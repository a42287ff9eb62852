"""`PYTHONPATH=tests/support python -m bench.profile` (make profile). In: this machine. Out: a table on stdout of where
the CPU time of a kill goes that has a request of its own.

Rules: kills one after another, as in a round of the benchmark. With all its noting the agent is slower than it is; what
counts is the share. Others' kills meanwhile are in the mean.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections import Counter
from json import loads
from pathlib import Path

from bench import BenchError
from bench.kills import timed
from bench.watching import UNBOUNDED, watching
from machine import build
from pods import Pods
from standin import ApiServer

KILLS, PAUSE_SECONDS = 60, 0.05
SECONDS, REST_SECONDS = 120, 1.0
#: Functions that are shown.
MOST = 40


async def profile(directory: Path) -> tuple[list[tuple[str, str, str, float, int]], int]:
    """Its rows, and how many kills they are of."""
    file = directory / "profile"
    program = (sys.executable, "-m", "bench.profiled", str(file))
    victim = build(directory)
    async with (
        ApiServer() as api,
        watching(api, directory / "agent", *UNBOUNDED, on_disk=True, program=program) as agent,
    ):
        with Pods(api, 1 + KILLS) as pods:
            await timed(victim, PAUSE_SECONDS, pods.cgroups[:1])
            await asyncio.sleep(REST_SECONDS)
            before = await agent.counted()
            os.kill(agent.pid, signal.SIGUSR1)
            await timed(victim, PAUSE_SECONDS, pods.cgroups[1:])
            async with asyncio.timeout(SECONDS):
                await api.until(lambda: len(pods.delays(api.requests)) == len(pods.cgroups))
            await asyncio.sleep(REST_SECONDS)
            seen = (await agent.counted()).since(before).seen
    return loads(file.read_text()), seen


def table(rows: list[tuple[str, str, str, float, int]], kills: int) -> str:
    """Markdown: by thread and station, by library, by function."""
    stations, libraries, functions = Counter[str](), Counter[str](), Counter[str]()
    beneath, calls = Counter[str](), Counter[str]()
    for thread, function, library, seconds, count in rows:
        thread = "the loop" if thread == "MainThread" else thread
        station = function.partition(":")[0].partition("/")[0] if ":" in function else "asyncio, and threads' queues"
        stations[f"{thread}: {station}"] += seconds
        libraries[library or "our own"] += seconds
        functions[function] += seconds
        beneath[function] += seconds if library else 0
        calls[function] += 0 if library else count
    whole = sum(stations.values())

    def lines(what: str, of: Counter[str], most: int) -> list[str]:
        rows = [
            f"| {name} | {seconds / kills * 1e6:.0f} | {seconds / whole:.1%} |"
            for name, seconds in of.most_common(most)
        ]
        return [f"| {what} | us a kill | share |", "| --- | --- | --- |", *rows, ""]

    shown = [
        f"| {name} | {seconds / kills * 1e6:.0f} | {beneath[name] / kills * 1e6:.0f} | {calls[name] / kills:.1f} |"
        for name, seconds in functions.most_common(MOST)
    ]
    head = ["| function | us a kill | of that in libraries | calls a kill |", "| --- | --- | --- | --- |"]
    return "\n".join((*lines("thread: station", stations, 20), *lines("code", libraries, 20), *head, *shown))


def main() -> int:
    """Exit status."""
    with tempfile.TemporaryDirectory(prefix="oomeventer-profile-") as directory:
        try:
            rows, kills = asyncio.run(profile(Path(directory)))
        except (BenchError, OSError, TimeoutError) as e:
            print(f"profile: {e or 'not all kills were reported in time'}", file=sys.stderr)
            return 1
    print(table(rows, kills))
    print(f"\n{kills} kills, {KILLS} of them made here.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
