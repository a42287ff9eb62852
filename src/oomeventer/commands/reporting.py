"""What `oomeventer run` does once its node is taken. In: Settings, the node's kernel side. Out: Events for its kills.

Rules: wiring, no logic. What is opened first is closed last. /livez answers also while another agent has the node.
"""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial

from oomeventer.agent import Agent
from oomeventer.cluster import Delivery, Describer, Limits, Pods, connect, warn_of_lacking
from oomeventer.commands import wiring
from oomeventer.commands.leaving import leave
from oomeventer.commands.taking import Taken
from oomeventer.incident import Unmasking
from oomeventer.journal import Journal
from oomeventer.kernel import Episode, Kill, Tracer, give_back_heap
from oomeventer.node import NodeCgroup
from oomeventer.probes import Health, Metrics, Parts, serve
from oomeventer.settings import Settings

log = logging.getLogger(__name__)

#: The samples of memory may take this part of the journal.
_SAVED = 8


async def report(settings: Settings, taking: asyncio.Task[Taken | None], stop: asyncio.Event) -> None:
    """Events for the kills that the node's ring holds, and for those that come, until `stop` is set."""
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        health = Health(metrics, settings.cri_endpoint, settings.cri_timeout_seconds, host_root=str(settings.host_root))
        await stack.enter_async_context(serve(settings.listen, health))
        taken = await taking
        if taken is None:
            return
        tracer, pins = taken
        node = await asyncio.to_thread(NodeCgroup, settings.node_cgroup, cgroups=settings.cgroup_root)
        unmasking = Unmasking(settings.redaction)
        observer, aftermath = wiring.observer(settings, stack, unmasking)
        journal = await stack.enter_async_context(
            Journal(settings.journal, settings.journal_bytes, settings.journal_days * 86400)
        )
        journal.trimmed = give_back_heap  # as often: where nothing is killed, nothing is freed
        note = partial(_note, journal)
        trajectories = await wiring.trajectories(settings, node, stack, note, settings.journal_bytes // _SAVED)
        cluster = await stack.enter_async_context(await connect(settings.kubeconfig, settings.api_timeout_seconds))
        rights = asyncio.create_task(warn_of_lacking(cluster))
        stack.callback(rights.cancel)
        resolver = await wiring.resolver(settings, settings.cri_patience_seconds, wants_runtime=True)
        describer = Describer(cluster, Pods(cluster, settings.node_name), unmasking.keep_spec_words)
        delivery = Delivery(cluster, journal, _limits(settings), metrics.delivered)
        stages = observer, journal, resolver, aftermath, describer, unmasking, delivery
        agent = Agent(tracer, node, *stages, metrics, health.progress, trajectories)
        place = pins.directory if pins else None
        parts = Parts(tracer, place, journal, cluster, delivery, agent.pipelines, describer)
        stack.enter_context(metrics.watching(parts))
        gc.freeze()  # what is there by now stays, and is not looked through again and again
        log.info("sends Events to %s", cluster.server)
        await agent.run(_episodes(tracer, journal, stop, agent.opened), stop)
        if trajectories:
            await trajectories.save(note, settings.journal_bytes // _SAVED)
        log.info("stopped: %s; lost in the kernel: %d", journal.totals, tracer.lost)
        await leave(settings, cluster, pins, journal.totals.waiting, delivery.troubled_seconds)


async def _episodes(
    tracer: Tracer, journal: Journal, stop: asyncio.Event, opened: Callable[[Kill], None]
) -> AsyncIterator[Episode]:
    """The tracer's episodes. What it lost until `stop` is noted: the next process does not report it again."""
    async for episode in wiring.episodes(tracer, stop, opened, await _reported_losses(journal, tracer)):
        yield episode
    await journal.note("lost", str(tracer.lost))


async def _note(journal: Journal, name: str, value: str | None) -> str | None:
    """What is to be remembered by the next process: in memory that would be for nothing."""
    return None if journal.kept == "memory" else await journal.note(name, value)


async def _reported_losses(journal: Journal, tracer: Tracer) -> int:
    """Of the records that this ring has lost, how many an earlier process has reported; another ring counts from 0."""
    noted = await journal.note("lost") or ""
    return min(int(noted), tracer.lost) if noted.isdecimal() else 0


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.object_burst,
        settings.object_seconds,
        settings.burst,
        settings.events_per_second,
        settings.give_up_seconds,
    )
