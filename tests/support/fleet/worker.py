"""`python -m fleet.worker`: some agents of a fleet. In: two lines on stdin, JSON, and when the scene begins, by the
monotonic clock. Out: a line on stdout when all agents run, and JSON at the end.

It ends once all is told, and at the latest at the given second.
"""

import asyncio
import json
import logging
import resource
import sys
import time
from typing import Any

from fleet.member import Member, Place
from oomeventer.cluster import Limits
from oomeventer.incident import Aftermath
from oomeventer.node import Procfs

_LOOK_SECONDS = 0.25


async def run(given: dict[str, Any]) -> dict[str, Any]:
    """All of it."""
    start, stop, aftermath = asyncio.Event(), asyncio.Event(), Aftermath(Procfs())
    beginning: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    members = [
        Member(Place(*place), times, beginning, given["speed"], given["probed"])
        for place, times in zip(given["places"], given["times"], strict=True)
    ]
    limits = Limits(**given["limits"])
    running = [asyncio.create_task(one.run(given["kubeconfig"], limits, start, stop, aftermath)) for one in members]
    while not all(one.is_made for one in members):
        await _look(running)
    start.set()
    while len({one.place.number for one in members if one.sent}) < len(members):
        await _look(running)
    print("ready", flush=True)
    origin = float(await asyncio.to_thread(sys.stdin.readline))
    beginning.set_result(origin)
    late: list[float] = []
    until, least = origin + given["until"], origin + given["least"]
    while (now := time.monotonic()) < until and not (now > least and all(one.all_told for one in members)):
        late.append(await _look(running))
    stop.set()
    await asyncio.gather(*running)
    aftermath.close()
    return {
        "sent": [[(at - origin, *rest) for at, *rest in one.sent] for one in members],
        "killed": [one.told.killed for one in members],
        "after": [one.told.after for one in members],
        "waiting": sum(one.waits for one in members),
        "late": late,
        "cpu_seconds": time.process_time(),
    }


async def _look(running: list[asyncio.Task[None]]) -> float:
    """Wait a moment. Returns how much later it was than that: what is late here is not the server. Raises what an agent
    has ended of."""
    began = time.monotonic()
    await asyncio.sleep(_LOOK_SECONDS)
    if broken := next((task for task in running if task.done()), None):
        broken.result()
    return time.monotonic() - began - _LOOK_SECONDS


def main() -> None:
    """Exit status 0, or a traceback."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    logging.disable(logging.CRITICAL)
    print(json.dumps(asyncio.run(run(json.loads(sys.stdin.readline())))))


if __name__ == "__main__":
    main()
