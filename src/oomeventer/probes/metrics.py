"""What the agent counts, for Prometheus; the one place that knows prometheus_client. In: incidents, plans that
the server accepted, the stages' times, and the agent's parts. Out: text in Prometheus' format.

Rules: what another part counts already is read there, when somebody asks, and kept here no second time. FAMILIES is all
there is: docs/metrics.md is made of it (`make docs`). Names of Pods and containers are made
printable, and kept up to a bound, so that neither their text nor their number breaks anything. What a container's kills
counted stays when the container is gone, until as many others were killed since. What can be foreseen is there from the
start, at 0: Prometheus' increase() does not count what a series begins with.
"""

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol, get_args

from msgspec import Struct
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from oomeventer import __version__
from oomeventer.cluster import GIVE_UP_REASONS, Api, Delivery, Describer
from oomeventer.incident import Incident, Pattern, Scope
from oomeventer.journal import UNFINISHED, Journal, Plan
from oomeventer.pipeline import Pipeline
from oomeventer.probes.families import FAMILIES, NAMED
from oomeventer.text import printable

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_NOT_SAMPLED = "none"
#: Of a longer name (the API allows 253) the middle goes.
_NAME_CHARACTERS = 253
#: Seconds: a stage takes milliseconds, or as long as the runtime, the API or the disk lets it wait.
_STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: Seconds: from a second, over a budget that is used up, to an outage that lasts until Events are given up.
_DELAY_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)

#: Why Events are given up: by what the server answers, at once or after too many tries, and by what happens here.
GIVEN_UP = (
    *GIVE_UP_REASONS,
    "no room in the journal",
    "damaged in the journal",
    "written by another version",
    UNFINISHED,
    "a fault of this program",
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # _created doubles every series, and nothing here comes and goes


class Ring(Protocol):
    """What of a Tracer is looked at."""

    @property
    def lost(self) -> int:
        """See Tracer."""

    @property
    def used_bytes(self) -> int:
        """See Tracer."""

    unreadable: int


class Parts(Struct, frozen=True):
    """The agent's parts that are looked at. pins: where they are, None without. pipelines: by name. describer: knows
    whether the API server is unreachable."""

    ring: Ring
    pins: Path | None
    journal: Journal
    cluster: Api
    delivery: Delivery
    pipelines: Mapping[str, Pipeline]
    describer: Describer | None = None


class Metrics(Collector):
    """clock, now: seconds, of any clock that only goes forward, and of UNIX time; for tests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._now = now
        self._incidents = Counter({(scope,): 0 for scope in get_args(Scope)})
        self._patterns = Counter({(pattern,): 0 for pattern in (*get_args(Pattern), _NOT_SAMPLED)})
        #: By namespace, Pod, container and scope; what was killed last is last.
        self._named: dict[tuple[str, ...], int] = {}
        self._nameless: Counter[tuple[str, ...]] = Counter({("", "", "", scope): 0 for scope in get_args(Scope)})
        self._unnamed = 0
        self._elsewhere = 0
        #: None before the agent watches, and after.
        self.parts: Parts | None = None
        #: Whether runtime and API answered as they should when they were last asked.
        self.answers: dict[str, bool] = {}
        #: When the API server last accepted an Event, by the clock.
        self.accepted_at: float | None = None
        self._registry = CollectorRegistry()
        self._stage = cache(_histogram("oomeventer_stage_seconds", _STAGE_SECONDS, self._registry).labels)
        self._delays = _histogram("oomeventer_event_delay_seconds", _DELAY_SECONDS, self._registry)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    # -- what goes in ------------------------------------------------------------------------------------------------

    def killed(self, incident: Incident) -> None:
        """An incident, with all that will be known of it."""
        self._incidents[incident.scope,] += 1
        self._patterns[incident.trajectory.pattern if incident.trajectory else _NOT_SAMPLED,] += incident.victims_total
        pod, container = incident.pod, incident.container
        names = (pod.namespace if pod else "", pod.name if pod else "", (container and container.name) or "")
        labels = (*(printable(name, _NAME_CHARACTERS) for name in names), incident.scope)
        if not any(names):
            self._nameless[labels] += incident.victims_total
            return
        self._named[labels] = self._named.pop(labels, 0) + incident.victims_total
        if len(self._named) > NAMED:
            self._forget(next(iter(self._named)))

    def _forget(self, labels: tuple[str, ...]) -> None:
        # What it had goes to the series without names, so that sum() over all never falls. The series itself ends; if
        # it comes back, it begins at 0, which increase() takes for a counter's reset: it counts too few if the old
        # value is passed before the next scrape, and never too many. Of the series without names increase() does count
        # these kills once more, now: leave it out (pod!=""), or ask oomeventer_incidents_total.
        kills = self._named.pop(labels)
        self._nameless["", "", "", labels[-1]] += kills
        self._unnamed += kills

    def killed_elsewhere(self, kills: int) -> None:
        """Kills that are not this node's."""
        self._elsewhere += kills

    def timed(self, stage: str, seconds: float) -> None:
        """A stage is through with a kill. See Pipeline."""
        self._stage(stage).observe(seconds)

    def delivered(self, plan: Plan) -> None:
        """The server accepted a plan. See Delivery."""
        self.accepted_at = self._clock()
        self._delays.observe(max(0.0, self._now() - plan.killed_at))

    @contextmanager
    def watching(self, parts: Parts) -> Iterator[None]:
        """The agent watches in the meantime, with those parts."""
        self.parts = parts
        try:
            yield
        finally:
            self.parts = None

    # -- what comes out ----------------------------------------------------------------------------------------------

    def text(self) -> bytes:
        """All of it, as of now. Its type is CONTENT_TYPE."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """For the registry: nothing that could clash."""
        return []

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        yield _family("oomeventer_build_info", {(__version__, platform.python_version()): 1})
        yield _family("oomeventer_kills_total", {**self._nameless, **self._named})
        yield _family("oomeventer_kills_unnamed_total", {(): self._unnamed})
        yield _family("oomeventer_kills_elsewhere_total", {(): self._elsewhere})
        yield _family("oomeventer_incidents_total", self._incidents)
        yield _family("oomeventer_kills_by_pattern_total", self._patterns)
        ready = {("attached",): False} | {(check,): ok for check, ok in self.answers.items()}
        if parts := self.parts:
            yield from _current(parts)
            ready |= {("attached",): True, ("journal",): parts.journal.trouble is None}
        yield _family("oomeventer_ready", ready)


def _current(parts: Parts) -> Iterator[Metric]:
    totals = parts.journal.totals  # replaced as a whole with each write: the sums are of one moment
    yield _family("oomeventer_events_seen_total", {(): totals.seen})
    yield _family("oomeventer_events_delivered_total", {(): totals.delivered})
    yield _family("oomeventer_events_merged_total", {(): totals.merged})
    given_up = {(printable(reason),): 0 for reason in GIVEN_UP}
    given_up |= {(printable(reason),): count for reason, count in totals.given_up.items()}
    yield _family("oomeventer_events_given_up_total", given_up)
    yield _family("oomeventer_events_waiting", {(): totals.waiting})
    queues = {(stage,): length for pipeline in parts.pipelines.values() for stage, length in pipeline.queued.items()}
    yield _family("oomeventer_queue_length", queues | {("event",): parts.delivery.series})
    yield _family("oomeventer_request_retries_total", {(): parts.delivery.retries})
    yield _family("oomeventer_ring_lost_records_total", {(): parts.ring.lost})
    yield _family("oomeventer_ring_used_bytes", {(): parts.ring.used_bytes})
    yield _family("oomeventer_unreadable_records_total", {(): parts.ring.unreadable})
    yield _family("oomeventer_faults_total", {(name,): pipeline.broken for name, pipeline in parts.pipelines.items()})
    yield _family("oomeventer_journal_failures_total", {(): parts.journal.failures})
    yield _family("oomeventer_journal_on_disk", {(): parts.journal.kept != "memory"})
    yield _family("oomeventer_pinned", {(): parts.pins is not None})


def _family(name: str, samples: Mapping[Any, float]) -> Metric:
    family = FAMILIES[name]
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, family.help, labels=family.labels)
    for labels, value in samples.items():
        metric.add_metric(labels, value)
    return metric


def _histogram(name: str, buckets: tuple[float, ...], registry: CollectorRegistry) -> Histogram:
    family = FAMILIES[name]
    return Histogram(name, family.help, family.labels, registry=registry, buckets=buckets)
