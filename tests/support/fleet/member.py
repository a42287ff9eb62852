"""One agent of a fleet. In: the times of its kills, its Pod. Out: what it sent, and when each kill was told.

The Agent is the shipped one. What stands for the kernel's ring, /proc and the runtime says what they would.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from oomeventer.agent import Agent
from oomeventer.cluster import Api, Delivery, Describer, Limits, Pods, connect, warn_of_lacking
from oomeventer.cri import Resolver
from oomeventer.incident import Aftermath, Incident, Unmasking
from oomeventer.journal import Journal, Plan
from oomeventer.kernel import Episode, Kill
from oomeventer.probes import Health, Metrics, Parts
from oomeventer.redaction import Redaction
from samples import CONTAINER_ID, incident, kill
from samples import POD as SAMPLE

#: The chart's readinessProbe.
PROBE_SECONDS = 10.0

#: (when, by the monotonic clock, seconds it took, what, status or 0)
Sent = tuple[float, float, str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and the Pod on it that is killed."""

    number: int
    namespace: str
    pod: str
    uid: str

    @property
    def node(self) -> str:
        return f"node-{self.number:05d}"


@dataclass
class Told:
    """killed: when, in seconds from the start. after: for each kill that was told, how many seconds later."""

    killed: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)


class Machine:
    """What the agent asks of the kernel, the node's cgroup and /proc."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.lost = self.used_bytes = self.unreadable = 0

    def free(self, episode: Episode) -> None:
        pass

    def below(self, episode: Episode) -> Episode:
        return episode

    def observe(self, episode: Episode) -> None:
        pass

    async def __call__(self, episode: Episode) -> Incident:
        place, number = self._place, episode[0].process.pid
        cgroup = f"/kubepods/burstable/pod{place.uid}/{CONTAINER_ID}"
        return incident(
            key=f"{place.number:08x}{number:08x}",
            time=datetime.now(UTC),
            node=place.node,
            pod=type(SAMPLE)(namespace=place.namespace, name=place.pod, uid=place.uid),
            limit_cgroup=cgroup,
            cgroup=cgroup,
        )


class Member:
    """origin: becomes the scene's beginning, by the monotonic clock. speed: of the kills, and of the clocks of
    Delivery and Health. probed: the kubelet asks it whether it is ready."""

    def __init__(
        self, place: Place, times: list[float], origin: "asyncio.Future[float]", speed: float, probed: bool
    ) -> None:
        self.place = place
        self._probed = probed
        self._times = times
        self._origin = origin
        self._speed = speed
        self.sent: list[Sent] = []
        self.told = Told()
        self.waits = 0
        self.is_made = False

    async def run(
        self, kubeconfig: str, limits: Limits, start: asyncio.Event, stop: asyncio.Event, aftermath: Aftermath
    ) -> None:
        """From `start` on, until `stop` is set, and what then waits had its chance."""
        machine: Any = Machine(self.place)
        async with await connect(kubeconfig) as api, Journal(None) as journal:
            self._watch(api)
            metrics, unmasking = Metrics(), Unmasking(Redaction("safe", "listed", frozenset()))
            describer = Describer(api, Pods(api, self.place.node), unmasking.keep_spec_words)
            delivery = Delivery(api, journal, limits, self._delivered, self._clock, self._sleep)
            parts = journal, Resolver("none", 1.0), aftermath, describer, unmasking, delivery
            health = Health(metrics, "none", 1.0, self._clock)
            agent = Agent(machine, machine, machine, *parts, metrics, health.progress)
            self.is_made = True
            await start.wait()
            beside = [asyncio.create_task(warn_of_lacking(api))]
            if self._probed:
                beside.append(asyncio.create_task(self._probe(health)))
            with metrics.watching(Parts(machine, None, journal, api, delivery, agent.pipelines, describer)):
                await agent.run(self._episodes(stop), stop)
            for task in beside:
                task.cancel()
            health.close()
            self.waits = journal.totals.waiting

    @property
    def all_told(self) -> bool:
        return len(self.told.after) == len(self._times)

    async def _episodes(self, stop: asyncio.Event) -> AsyncIterator[Episode]:
        began = await self._origin
        for number, at in enumerate(self._times):
            await asyncio.sleep(began + at / self._speed - time.monotonic())
            self.told.killed.append(self._now())
            yield (self._kill(number),)
        await stop.wait()

    async def _probe(self, health: Health) -> None:
        """As the kubelet does by the chart's readinessProbe."""
        await self._sleep(random.uniform(0, PROBE_SECONDS))
        while True:
            await health.readyz()
            await self._sleep(PROBE_SECONDS)

    def _kill(self, number: int) -> Kill:
        return kill(number + 1)

    def _now(self) -> float:
        return (time.monotonic() - self._origin.result()) * self._speed

    def _clock(self) -> float:
        return time.monotonic() * self._speed

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)

    def _delivered(self, plan: Plan) -> None:
        done = len(self.told.after)
        self.told.after += [self._now() - at for at in self.told.killed[done : done + plan.kills]]

    def _watch(self, api: Api) -> None:
        """Note each request."""
        request: Callable[..., Any] = api._request

        async def watched(method: str, path: str, *rest: Any) -> Any:
            began, status = time.monotonic(), 0
            try:
                answer = await request(method, path, *rest)
                status = answer.status
                return answer
            finally:
                took = time.monotonic() - began
                self.sent.append((began, took, f"{method} {_kind(path)}", status))

        api._request = watched  # type: ignore[method-assign]


def _kind(path: str) -> str:
    for kind in ("selfsubjectaccessreviews", "version", "events", "pods"):
        if f"/{kind}" in path:
            return kind
    return path
