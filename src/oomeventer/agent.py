"""The agent: a kill's whole path, from the kernel's ring to its Event. In: kills, until it is stopped. Out: Events.

    ring ─ of_node, observe, record ─> journal ─ resolve, settle ─> journal ─ describe, queue ─> outbox ─ deliver ─> API

The methods below stand in the order in which a kill meets them. Each of the three pipelines takes from the journal what
the one before has written there, so what waits for the API server waits on disk and holds up nothing before it.

Rules: no I/O of its own. A kill is logged and counted once, with all that is known of it; but without what the API
server knows where that takes longer than PATIENCE_SECONDS, for it can last. A stop runs down the same path: what is in
the ring is recorded; what is recorded is finished as far as the deadlines allow; the rest is the next process's.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oomeventer.cluster import Delivery, Describer
from oomeventer.cri import Resolver
from oomeventer.hints import advise
from oomeventer.incident import (
    LOG_BYTES,
    WATCHED,
    Aftermath,
    Incident,
    Observer,
    PendingEvent,
    Repeats,
    Unmasking,
    compose_all,
    fitted,
    subject,
    with_message,
)
from oomeventer.journal import Journal, RecordedIncident
from oomeventer.kernel import Episode, Kill, Tracer
from oomeventer.node import NodeCgroup
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.probes import Metrics, Progress
from oomeventer.trajectory import Trajectories

log = logging.getLogger(__name__)

#: Incidents in work at once. Runtime and API answer in milliseconds; more would only crowd them in a storm.
RESOLVING, DESCRIBING = 4, 4
#: Incidents that the journal is given at once: these share a transaction.
WRITING = 16
#: How long a kill waits for the API server until it is logged, and what the runtime said of it is on disk.
PATIENCE_SECONDS = 1.0
#: How long a stop waits for the runtime and the API; what they have not answered by then, the next process asks again.
DRAIN_SECONDS = 3.0


class Observed(Struct, frozen=True):
    """An incident on its way to disk, and the episode that the ring keeps until it is there."""

    incident: Incident
    episode: Episode


class Agent:
    """Made of its parts, all of them open. progress: counts what leaves the ring, for /livez. trajectories: None where
    nobody samples."""

    def __init__(
        self,
        tracer: Tracer,
        node: NodeCgroup,
        observer: Observer,
        journal: Journal,
        resolver: Resolver,
        aftermath: Aftermath,
        describer: Describer,
        unmasking: Unmasking,
        delivery: Delivery,
        metrics: Metrics,
        progress: Progress,
        trajectories: Trajectories | None = None,
    ) -> None:
        self._tracer = tracer
        self._node = node
        self._observer = observer
        self._journal = journal
        self._resolver = resolver
        self._aftermath = aftermath
        self._describer = describer
        self._unmasking = unmasking
        self._delivery = delivery
        self._metrics = metrics
        self._progress = progress
        self._trajectories = trajectories
        self._reported: set[int] = set()
        self._patience: dict[int, asyncio.TimerHandle] = {}
        self._writing: set[asyncio.Task[None]] = set()
        end = DRAIN_SECONDS, self._give_up, metrics.timed
        stages = [Stage("observe", self.observe), Stage("record", self.record, WRITING)]
        self._recording = Pipeline(stages, abandon=self._drop, timed=metrics.timed)
        # One more than can be waited for: a kill that waits for nothing is never behind those that do.
        stages = [Stage("container", self.resolve, RESOLVING), Stage("pid1", self.settle, WATCHED + 1)]
        self._resolving = Pipeline(stages, *end)
        self._describing = Pipeline(
            [Stage("pod", self.describe, DESCRIBING), Stage("outbox", self.queue, WRITING)], *end
        )
        self.pipelines = {"recording": self._recording, "resolving": self._resolving, "describing": self._describing}

    async def run(self, episodes: AsyncIterator[Episode], stop: asyncio.Event) -> None:
        """All of it, until `stop` is set and what can be finished is finished."""
        recorded, resolved, described = asyncio.Event(), asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(_run(self._recording, self.of_node(episodes), stop, recorded))
            group.create_task(_run(self._resolving, self._journal.recorded(recorded), recorded, resolved))
            group.create_task(_run(self._describing, self._journal.resolved(resolved), resolved, described))
            group.create_task(self._delivery.run(described))
        if self._writing:
            await asyncio.wait(self._writing)

    # -- the path of a kill ------------------------------------------------------------------------------------------

    def opened(self, kill: Kill) -> None:
        """An episode has begun: if it is this node's, where the memory was is read at once."""
        for mine in self._node.below((kill,)):
            self._observer.glance(mine)

    async def of_node(self, episodes: AsyncIterator[Episode]) -> AsyncIterator[Episode]:
        """Of the machine's kills those of this node; the others are out of the ring, and counted."""
        async for episode in episodes:
            mine = self._node.below(episode)
            own = {kill.process for kill in mine}
            if others := tuple(kill for kill in episode if kill.process not in own):
                self._free(others)
                self._metrics.killed_elsewhere(len(others))
                log.debug("%d kills elsewhere on the machine", len(others))
            if mine:
                self._observer.observe(mine)
                yield mine

    async def observe(self, episode: Episode) -> Observed:
        """The kernel's records, with what /proc adds, become an incident."""
        incident = await self._observer(episode)
        if self._trajectories:
            incident = self._trajectories(incident, episode[0].time_ns)
        return Observed(incident, episode)

    async def record(self, observed: Observed) -> None:
        """It goes to disk. Then the ring may forget it."""
        await self._journal.record(observed.incident)
        self._free(observed.episode)

    async def resolve(self, recorded: RecordedIncident) -> RecordedIncident:
        """The runtime names the container and the Pod, while it knows them."""
        return await self._enriched(recorded, self._resolver)

    async def settle(self, resolved: RecordedIncident) -> None:
        """What became of PID 1, where it ran at the kill. It is watched since: this only waits for the answer. From
        here on it may take long: then what became known so far is logged, and on disk."""
        resolved = await self._enriched(resolved, self._aftermath)
        if is_unreachable := self._describer.is_unreachable:
            self._report(resolved)
        else:
            later = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._run_late, resolved)
            self._patience[resolved.id] = later
        await self._journal.resolve(resolved, waits=is_unreachable)

    async def describe(self, resolved: RecordedIncident) -> RecordedIncident:
        """The API server knows the Pod's owner and limits. While it is unreachable, this waits."""
        return await self._enriched(resolved, partial(self._describer, on_wait=partial(self._wait, resolved)))

    async def queue(self, described: RecordedIncident) -> None:
        """The incident's Events are in the outbox, from which Delivery sends them. What the Pod's spec says of the
        victim's arguments is unmasked: from here on, and not before. Hints quote arguments, so each of the two has its
        own."""
        masked = described.incident
        composing = partial(_composed, masked, self._unmasking.unmask(masked))
        is_free = self._delivery.is_free(subject(masked).object)
        written = await self._journal.describe(described.id, masked, composing, plans_at_once=is_free)
        if written.waiting:  # else it was recorded twice, when the journal's disk had failed, and is in the outbox
            self._delivery.add(written.waiting)
            self._report(replace(described, incident=written.incident))
        self._forget(described)

    # -- beside the path ---------------------------------------------------------------------------------------------

    async def _enriched(
        self, recorded: RecordedIncident, ask: Callable[[Incident], Awaitable[Incident]]
    ) -> RecordedIncident:
        incident = recorded.incident
        try:
            incident = await ask(incident)
        except Exception:  # an Event that says less is better than none
            log.exception("incident %s goes on without an answer, through a fault of this program", incident.key)
            incident = replace(incident, notes=(*incident.notes, "a fault of this program: something is missing"))
        return replace(recorded, incident=incident)

    def _free(self, episode: Episode) -> None:
        """Its place in the ring."""
        self._tracer.free(episode)
        self._progress.freed()

    async def _drop(self, item: Episode | Observed) -> None:
        self._free(item.episode if isinstance(item, Observed) else item)

    async def _wait(self, resolved: RecordedIncident) -> None:
        """The API server is unreachable, perhaps for long. The incident has not ended this process."""
        if resolved.id in self._patience:
            self._run_late(resolved)
        await self._journal.survive(resolved.id)

    async def _give_up(self, recorded: RecordedIncident) -> None:
        await self._journal.give_up(recorded.id, "a fault of this program")
        self._report(recorded)
        self._forget(recorded)

    def _report(self, recorded: RecordedIncident) -> None:
        """Log it and count it, unless that was done."""
        if recorded.id in self._reported:
            return
        self._reported.add(recorded.id)
        self._await_no_more(recorded)
        incident = recorded.incident if recorded.incident.message else with_message(advise(recorded.incident))
        where = f"{incident.pod.namespace}/{incident.pod.name}" if incident.pod else incident.node
        log.warning("%s: %s", where, incident.message, extra={"incident": partial(fitted, incident, LOG_BYTES)})
        self._metrics.killed(incident)

    def _run_late(self, resolved: RecordedIncident) -> None:
        """The API server has not answered for a while, and may not for long."""
        self._report(resolved)
        writing = asyncio.create_task(self._journal.rewrite(resolved))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    def _forget(self, recorded: RecordedIncident) -> None:
        """It is on its last station: nothing more is to be reported."""
        self._reported.discard(recorded.id)
        self._await_no_more(recorded)

    def _await_no_more(self, recorded: RecordedIncident) -> None:
        if timer := self._patience.pop(recorded.id, None):
            timer.cancel()


def _composed(masked: Incident, unmasked: Incident, repeats: Repeats) -> tuple[Incident, list[PendingEvent]]:
    """All that is told of an incident, and its Events."""
    incident = advise(replace(unmasked, repeats=repeats))
    events = compose_all(incident, incident if unmasked == masked else advise(replace(masked, repeats=repeats)))
    return replace(incident, message=events[0].body["message"]), events


async def _run(pipeline: Pipeline, source: AsyncIterator[Any], stop: asyncio.Event, ended: asyncio.Event) -> None:
    await pipeline.run(source, stop)
    ended.set()
