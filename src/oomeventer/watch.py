"""What `run` and `trace` have in common: the stages up to the container's name. Flows in: Settings. Flows out: a
Pipeline that runs until it is told to stop.

Rules: no Kubernetes API here: `trace` does without its client, and without the memory that it takes.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator

from oomeventer import taskstats
from oomeventer.containers import Containers
from oomeventer.cri import CriError
from oomeventer.kernel import Episode, Tracer
from oomeventer.observer import Observer
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.procfs import Procfs
from oomeventer.settings import Settings

log = logging.getLogger(__name__)

#: Containers that are asked for at once. A runtime answers in a millisecond; more would only crowd it in a storm.
RESOLVING = 4


async def stages(settings: Settings, stack: contextlib.AsyncExitStack, wants_runtime: bool) -> list[Stage]:
    """From an episode to an incident with its container. wants_runtime: say so if there is no runtime yet."""
    procfs = Procfs(cgroups=settings.cgroup_root)
    statistics = settings.taskstats == "auto" and taskstats.permitted()
    observer = Observer(procfs, settings.node_name, settings.redaction, statistics)
    stack.callback(observer.close)
    containers = Containers(settings.cri_endpoint, settings.cri_timeout_seconds)
    if wants_runtime and settings.cri_endpoint != "none":
        try:
            client = await containers.connect()
            log.info("runtime: %s %s", client.runtime_name, client.runtime_version)
        except CriError as e:
            log.warning("no runtime yet, containers are named by the API alone until there is: %s", e)
    return [Stage("observe", observer), Stage("container", containers, RESOLVING)]


async def until_stopped(pipeline: Pipeline, tracer: Tracer) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await pipeline.run(_episodes(tracer, stop), stop)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _episodes(tracer: Tracer, stop: asyncio.Event) -> AsyncIterator[Episode]:
    lost = 0
    async for episode in tracer.episodes(stop):
        if (now := episode[0].lost) > lost:
            log.error("%d kills found the kernel's ring full and are not reported", now - lost)
            lost = now
        yield episode
