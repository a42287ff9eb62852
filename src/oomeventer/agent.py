"""`oomeventer run`: the node's agent. Flows in: Settings. Flows out: Events for the kills on this node.

A kill goes from the kernel's ring into the journal, and then its room in the ring is free; from the journal to the
runtime, and back; from the journal to the API, and back, with the drafts of its Events; and from there to the API
server. So what waits for the one holds up nothing before it, and waits on disk.

Rules: wiring, no logic. A stop runs down the same way: what is in the ring is written down; what is written down is
finished as far as the deadlines allow; the rest is the next process's.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from oomeventer import __version__
from oomeventer.cluster import api
from oomeventer.cluster.delivery import Delivery, Limits
from oomeventer.cluster.describer import Describer
from oomeventer.cluster.pods import Pods
from oomeventer.commands import lifecycle as node
from oomeventer.commands import wiring as watch
from oomeventer.cri.resolver import Containers
from oomeventer.incident.events import drafts, message
from oomeventer.incident.incident import Incident
from oomeventer.incident.observer import Observer
from oomeventer.journal.journal import Begun, Journal
from oomeventer.kernel import Episode, Tracer
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.probes import health
from oomeventer.probes.metrics import Metrics, Parts
from oomeventer.settings import Settings

log = logging.getLogger(__name__)

#: Incidents in work at once. The API answers in milliseconds; more would only crowd it in a storm.
DESCRIBING = 4
#: How long a stop waits for the runtime and the API; what they have not said by then, the next process asks again.
DRAIN_SECONDS = 3.0


class _Way:
    """What is done with a kill, from the ring to the journal, and from the journal to its drafts in the outbox. It is
    said and counted once, with all that is known; but at once where the API is away, for that can be long."""

    def __init__(
        self,
        tracer: Tracer,
        observer: Observer,
        journal: Journal,
        containers: Containers,
        describer: Describer,
        delivery: Delivery,
        metrics: Metrics,
        progress: health.Progress,
    ) -> None:
        self._tracer = tracer
        self._observer = observer
        self._journal = journal
        self._containers = containers
        self._describer = describer
        self._delivery = delivery
        self._metrics = metrics
        self._progress = progress
        self._said: set[int] = set()
        end = DRAIN_SECONDS, self._give_up, metrics.timed
        self.recording = Pipeline([Stage("record", self._record)], abandon=self._forget, timed=metrics.timed)
        self.resolving = Pipeline([Stage("container", self._resolve, watch.RESOLVING)], *end)
        self.describing = Pipeline([Stage("pod", self._describe, DESCRIBING), Stage("draft", self._draft)], *end)

    async def _record(self, episode: Episode) -> None:
        incident = await self._observer(episode)
        await self._journal.begin(incident)
        await self._forget(episode)

    async def _forget(self, episode: Episode) -> None:
        self._tracer.free(episode)
        self._progress.freed()

    async def _resolve(self, begun: Begun) -> None:
        resolved = await self._enriched(begun, self._containers)
        await self._journal.resolve(resolved)
        if self._describer.is_away:
            self._say(resolved)

    async def _describe(self, begun: Begun) -> Begun:
        return await self._enriched(begun, partial(self._describer, waits=lambda: self._say(begun)))

    async def _enriched(self, begun: Begun, ask: Callable[[Incident], Awaitable[Incident]]) -> Begun:
        incident = begun.incident
        try:
            incident = await ask(incident)
        except Exception:  # an Event that says less is better than none
            log.exception("incident %s goes on without an answer, through a fault of this program", incident.key)
            incident = replace(incident, notes=(*incident.notes, "a fault of this program: something is missing"))
        return replace(begun, incident=incident)

    async def _draft(self, begun: Begun) -> None:
        waiting = await self._journal.describe(begun.id, begun.incident, drafts(begun.incident))
        if waiting:  # else it came twice, after the journal's disk was away, and is told already
            self._delivery.add(waiting)
            self._say(begun)
        self._said.discard(begun.id)

    async def _give_up(self, begun: Begun) -> None:
        await self._journal.give_up(begun.id, "a fault of this program")
        self._say(begun)
        self._said.discard(begun.id)

    def _say(self, begun: Begun) -> None:
        if begun.id in self._said:
            return
        self._said.add(begun.id)
        incident = begun.incident
        log.warning("%s: %s", _where(incident), message(incident), extra={"incident": incident.as_json()})
        self._metrics.killed(incident)


async def run(settings: Settings) -> None:
    """Events for every kill on this node, until SIGTERM or SIGINT."""
    async with contextlib.AsyncExitStack() as stack:
        stop = stack.enter_context(watch.stopped_by_signals())
        metrics = Metrics()
        outside = health.Health(metrics, settings.cri_endpoint, settings.cri_timeout_seconds)
        await stack.enter_async_context(health.serve(settings.listen, outside))
        pins = await node.hold(settings, stack, stop)
        if stop.is_set():
            return
        tracer = stack.enter_context(Tracer(settings.ring_bytes, pins))  # from here on all is recorded
        node.protect()
        journal = await stack.enter_async_context(
            Journal(settings.journal, settings.journal_bytes, settings.journal_days * 86400)
        )
        cluster = await stack.enter_async_context(await api.connect(settings.kubeconfig, settings.api_timeout_seconds))
        delivery = Delivery(cluster, journal, _limits(settings), metrics.told)
        way = _Way(
            tracer,
            watch.observer(settings, stack),
            journal,
            await watch.containers(settings, settings.cri_patience_seconds, wants_runtime=True),
            Describer(cluster, Pods(cluster, settings.node_name)),
            delivery,
            metrics,
            outside.progress,
        )
        pipelines = {"recording": way.recording, "resolving": way.resolving, "describing": way.describing}
        parts = Parts(tracer, pins.directory if pins else None, journal, cluster, delivery, pipelines)
        stack.enter_context(metrics.watching(parts))
        log.info("oomeventer %s watches node %s and tells %s", __version__, settings.node_name, cluster.server)
        recorded, resolved, described = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def records() -> None:
            await way.recording.run(watch.episodes(tracer, stop, await _lost(journal, tracer)), stop)
            await journal.note("lost", str(tracer.lost))
            recorded.set()

        async def resolves() -> None:
            await way.resolving.run(journal.begun(recorded), recorded)
            resolved.set()

        async def describes() -> None:
            await way.describing.run(journal.resolved(resolved), resolved)
            described.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(records())
            group.create_task(resolves())
            group.create_task(describes())
            group.create_task(delivery.run(described))
        log.info("stopped: %s; lost in the kernel: %d", journal.totals, tracer.lost)
        await node.leave(settings, cluster, pins, journal.totals.waiting, delivery.troubled_seconds)


async def _lost(journal: Journal, tracer: Tracer) -> int:
    """Of the records that this ring has lost, how many an earlier process has told; another ring counts anew."""
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


def _where(incident: Incident) -> str:
    return f"{incident.pod.namespace}/{incident.pod.name}" if incident.pod else incident.node
