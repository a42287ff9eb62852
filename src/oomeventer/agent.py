"""The parts put together. Flows in: Settings. Flows out: `run`, the node's agent, and `trace`, the same for a terminal.

Rules: only here do the stages meet. Wiring, no logic.
"""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TextIO

from oomeventer import __version__, api, taskstats
from oomeventer.containers import Containers
from oomeventer.cri import CriError
from oomeventer.delivery import Delivery
from oomeventer.describer import Describer
from oomeventer.events import compose, message
from oomeventer.incident import Incident
from oomeventer.kernel import Tracer
from oomeventer.observer import Observer
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.pods import Pods
from oomeventer.procfs import Procfs
from oomeventer.report import block
from oomeventer.settings import Settings

log = logging.getLogger(__name__)

#: Items in work at once. Runtime and API answer in milliseconds; more would only crowd them in a storm.
RESOLVING, DESCRIBING, DELIVERING = 4, 4, 8

Sink = Callable[[Incident], Awaitable[None]]


async def run(settings: Settings) -> None:
    """Events for every kill on this node, until SIGTERM or SIGINT."""
    async with contextlib.AsyncExitStack() as stack:
        tracer = stack.enter_context(Tracer(settings.ring_bytes))  # first: what happens from here on is recorded
        cluster = await stack.enter_async_context(await api.connect(settings.kubeconfig, settings.api_timeout_seconds))
        describer = Describer(Pods(cluster, settings.node_name))
        delivery = Delivery(cluster, settings.give_up_seconds)

        async def deliver(incident: Incident) -> None:
            where = f"{incident.pod.namespace}/{incident.pod.name}" if incident.pod else incident.node
            log.warning("%s: %s", where, message(incident))
            await delivery.deliver(compose(incident))

        stages = [
            *await _common(settings, stack, require_runtime=True),
            Stage("pod", describer, DESCRIBING),
            Stage("deliver", deliver, DELIVERING),
        ]
        log.info("oomeventer %s watches node %s and tells %s", __version__, settings.node_name, cluster.server)
        await _until_stopped(Pipeline(stages), tracer)
        log.info("stopped: %s; lost in the kernel: %d", delivery.tally, tracer.lost)


async def trace(settings: Settings, as_json: bool, out: TextIO = sys.stdout) -> None:
    """One block, or one line of JSON, for each kill on this machine, until SIGTERM or SIGINT."""

    async def show(incident: Incident) -> None:
        text = json.dumps(incident.as_json(), ensure_ascii=False) if as_json else block(incident)
        print(text, file=out, flush=True)

    async with contextlib.AsyncExitStack() as stack:
        tracer = stack.enter_context(Tracer(settings.ring_bytes))
        stages = [*await _common(settings, stack, require_runtime=False), Stage("show", show)]
        log.info("waiting for kills on %s; end with ^C", settings.node_name)
        await _until_stopped(Pipeline(stages), tracer)
        if tracer.lost:
            log.error(
                "%d kills found the kernel's ring full and are not shown: choose a larger --ring-bytes", tracer.lost
            )


async def _common(settings: Settings, stack: contextlib.AsyncExitStack, require_runtime: bool) -> list[Stage]:
    procfs = Procfs(cgroups=settings.cgroup_root)
    statistics = settings.taskstats == "auto" and taskstats.permitted()
    observer = Observer(procfs, settings.node_name, settings.redaction, statistics)
    stack.callback(observer.close)
    containers = Containers(settings.cri_endpoint, settings.cri_timeout_seconds)
    if require_runtime and settings.cri_endpoint != "none":
        try:
            client = await containers.connect()
            log.info("runtime: %s %s", client.runtime_name, client.runtime_version)
        except CriError as e:
            log.warning("no runtime yet, containers are named by the API alone until there is: %s", e)
    return [Stage("observe", observer), Stage("container", containers, RESOLVING)]


async def _until_stopped(pipeline: Pipeline, tracer: Tracer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await pipeline.run(_episodes(tracer), stop)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _episodes(tracer: Tracer) -> AsyncIterator[object]:
    lost = 0
    async for episode in tracer.episodes():
        if (now := episode[0].lost) > lost:
            log.error("%d kills found the kernel's ring full and are not reported", now - lost)
            lost = now
        yield episode
