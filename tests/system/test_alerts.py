"""The chart's alerts and its dashboard, evaluated on data by Prometheus' own promtool.

In: what the agent's real /metrics says at each scrape, while something happens to it, with the labels that the chart's
PodMonitor adds. Out: which alerts fire, and what the panels show.
"""

import asyncio
import json
import platform
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

if platform.machine() != "x86_64":
    pytest.skip("Helm as a Python module is not built for this machine", allow_module_level=True)

import grafana
from chart import render
from oomeventer.cluster.api import Api
from oomeventer.cluster.delivery import Delivery
from oomeventer.journal.journal import Journal
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.probes.families import NAMED
from oomeventer.probes.metrics import Metrics, Parts
from prometheus import PROMTOOL
from samples import POD, group_of, incident

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: Debian's package prometheus has it")

STEP_SECONDS = 60
#: For so many scrapes after its target is gone a series has not ended yet, for Prometheus.
ENDS_AFTER = 2
WHERE = {"namespace": render.NAMESPACE, "daemonset": render.NAME}
ALERTS = 'ALERTS{alertstate="firing"}'
UNAVAILABLE = f'OomeventerUnavailable{{namespace="{render.NAMESPACE}"}}'
BY = "group by (alertname, node, namespace, container)"
Labels = tuple[tuple[str, str], ...]


@dataclass
class Ring:
    lost: int = 0
    used_bytes: int = 0
    unreadable: int = 0


@dataclass
class Agent:
    """One on a node. is_up: it answers."""

    node: str
    name: str
    metrics: Metrics
    parts: Parts
    ring: Ring
    is_up: bool = True

    def kill(self, pod: str, count: int = 1) -> None:
        """Processes of a Pod's container, one by one."""
        for _ in range(count):
            self.metrics.killed(incident(pod=replace(POD, name=pod)))

    async def give_up(self, count: int, reason: str) -> None:
        """Events, as the journal does."""
        journal, done = self.parts.journal, asyncio.Event()
        first = journal.totals.seen
        for number in range(first, first + count):
            await journal.record(incident(number))
        done.set()
        async for recorded in journal.recorded(done):
            await journal.give_up(recorded.id, reason)

    def series(self) -> dict[Labels, float]:
        """As they are scraped; the labels are the PodMonitor's."""
        added = {"job": f"{render.NAMESPACE}/{render.NAME}", "node": self.node}
        added |= {"agent": self.name, "instance": f"{self.name}:9836"}
        found = {_labels("up", added): float(self.is_up)}
        if self.is_up:
            for family in text_string_to_metric_families(self.metrics.text().decode()):
                for sample in family.samples:
                    found[_labels(sample.name, sample.labels | added)] = sample.value
        return found


async def _nothing(_: Any) -> None:
    pass


def _labels(name: str, labels: dict[str, str]) -> Labels:
    return tuple(sorted({"__name__": name, **labels}.items()))


@dataclass
class Prometheus:
    """What it has scraped, for these rules. at: the scrape that is next."""

    rules: Path
    at: int = 0
    values: dict[Labels, dict[int, str]] = field(default_factory=dict)
    _last: dict[str, set[Labels]] = field(default_factory=dict)
    _missed: dict[str, int] = field(default_factory=dict)

    def scrape(self, minutes: float, *agents: Agent, unavailable: int | None = None) -> None:
        """These agents for so long, and kube-state-metrics, if there is one."""
        targets = {one.name: one.series() for one in agents}
        if unavailable is not None:
            targets["state"] = {_labels("kube_daemonset_status_number_unavailable", WHERE): unavailable}
        for _ in range(round(minutes * 60 / STEP_SECONDS)):
            for target in {**self._last, **targets}:
                self._missed[target] = 0 if target in targets else self._missed[target] + 1
                if target in targets or self._missed[target] > ENDS_AFTER:
                    self._add(target, targets.get(target, {}))
            self.at += 1

    def _add(self, target: str, found: dict[Labels, float]) -> None:
        for labels in self._last.get(target, set()) - set(found):
            self.values[labels][self.at] = "stale"
        for labels, value in found.items():
            self.values.setdefault(labels, {})[self.at] = f"{value:.0f}"
        self._last[target] = set(found)

    def sleep(self, minutes: float) -> None:
        """It is unreachable itself."""
        self.at += round(minutes * 60 / STEP_SECONDS)

    def fires(self, *alerts: str) -> None:
        """These fire now, and no other: name, and in braces what tells of whom."""
        self.says({f"{BY} ({ALERTS})": _samples(alerts)})

    def fired(self, *alerts: str) -> None:
        """These have fired at some time, and no other."""
        self.says({f"{BY} (count_over_time({ALERTS}[12h]))": _samples(alerts)})

    def says(self, queries: dict[str, list[dict[str, Any]]]) -> None:
        """promtool agrees that these are the answers, as of the last scrape."""
        series = []
        for labels, found in self.values.items():
            text = ",".join(f"{name}={json.dumps(value)}" for name, value in labels)
            series.append({"series": f"{{{text}}}", "values": " ".join(found.get(i, "_") for i in range(self.at))})
        now = f"{(self.at - 1) * STEP_SECONDS}s"
        asked = [{"expr": query, "eval_time": now, "exp_samples": wanted} for query, wanted in queries.items()]
        interval = f"{STEP_SECONDS}s"
        test = {"interval": interval, "input_series": series, "promql_expr_test": asked}
        file = self.rules.with_name("test.yaml")
        whole = {"rule_files": [self.rules.name], "evaluation_interval": interval, "tests": [test]}
        file.write_text(json.dumps(whole))
        promtool("test", "rules", file)


def promtool(*arguments: str | Path) -> None:
    ran = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _samples(alerts: tuple[str, ...]) -> list[dict[str, Any]]:
    found = []
    for alert in alerts:
        name, _, of = alert.partition("{")
        found.append({"labels": f'{{alertname="{name}"' + (f", {of}" if of else "}"), "value": 1})
    return found


Start = Callable[..., Prometheus]
Begin = Callable[[str, str], AbstractAsyncContextManager[Agent]]


@pytest.fixture
def begin(cluster: Api, tmp_path: Path) -> Begin:
    """Begins an agent's process, on a node, in a Pod. A node's journal is on its disk."""

    @asynccontextmanager
    async def started(node: str, name: str) -> AsyncIterator[Agent]:
        metrics, ring = Metrics(), Ring()
        async with Journal(tmp_path / f"{node}.db") as journal:
            pipelines = {"recording": Pipeline([Stage("record", _nothing)])}
            parts = Parts(ring, Path("/host/bpf"), journal, cluster, Delivery(cluster, journal), pipelines)
            with metrics.watching(parts):
                yield Agent(node, name, metrics, parts, ring)

    return started


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Prometheus with the chart's alerts."""

    def started(**given: Any) -> Prometheus:
        policy = {"enabled": False}
        given = {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}, "networkPolicy": policy} | given
        found = render.objects(render.LEAST | given)
        rules = tmp_path / "rules.yaml"
        rules.write_text(yaml.safe_dump({"groups": render.one(found, "PrometheusRule")["spec"]["groups"]}))
        return Prometheus(rules)

    return started


def test_the_rules_are_rules(start: Start) -> None:
    """Prometheus takes them, the templates in their texts included."""
    promtool("check", "rules", start().rules)


# All is well


async def test_all_is_well(start: Start, begin: Begin) -> None:
    """Kills, an update of each agent, one that is down for a minute, a quarter of an hour without Prometheus: no alert,
    though much was lost and given up before."""
    prometheus = start()
    async with begin("a", "one") as a:
        await a.give_up(20, "forbidden")
        a.ring.lost = 7
        prometheus.scrape(240, a, unavailable=0)
        prometheus.fires()
        before = prometheus.at
        async with begin("b", "two") as b:
            prometheus.scrape(30, a, b, unavailable=0)
            a.kill("checkout-0", 2)
            b.metrics.killed(group_of(2))
            prometheus.scrape(60, a, b, unavailable=0)
            a.is_up = False
            prometheus.scrape(1, a, b, unavailable=1)
            a.is_up = True
            prometheus.scrape(10, a, b, unavailable=0)
        prometheus.scrape(1, a, unavailable=1)
    async with begin("a", "three") as a, begin("b", "four") as b:
        a.ring.lost = 7
        prometheus.scrape(45, a, b, unavailable=0)
        prometheus.sleep(15)
        prometheus.scrape(90, a, b, unavailable=0)
    prometheus.says({f"{BY} (count_over_time({ALERTS}[{(prometheus.at - before - 1) * STEP_SECONDS}s]))": []})


def test_nobody_scrapes(start: Start) -> None:
    """Only the rules are wanted, and neither the PodMonitor nor kube-state-metrics is there: nothing fires, ever."""
    prometheus = start(podMonitor={"enabled": False})
    prometheus.sleep(600)
    prometheus.fired()


async def test_nobody_is_scraped(start: Start) -> None:
    """With the PodMonitor that is an alert."""
    prometheus = start()
    prometheus.sleep(20)
    prometheus.fires("OomeventerAbsent")


# What is not reported


async def test_many_are_given_up_at_once(start: Start, begin: Begin) -> None:
    """500 Events between two scrapes, for a reason that was never seen: an alert at once, for an hour."""
    prometheus = start()
    async with begin("a", "one") as a, begin("b", "two") as b:
        prometheus.scrape(90, a, b)
        await a.give_up(500, "too large")
        prometheus.scrape(2, a, b)
        prometheus.fires('OomeventerEventsGivenUp{node="a"}')
        prometheus.scrape(55, a, b)
        prometheus.fires('OomeventerEventsGivenUp{node="a"}')
        prometheus.scrape(15, a, b)
        prometheus.fires()


async def test_given_up_before_the_first_scrape(start: Start, begin: Begin) -> None:
    """By a new agent, over what the one before has left."""
    prometheus = start()
    async with begin("a", "one") as a:
        await a.give_up(20, "forbidden")
        prometheus.scrape(180, a)
        prometheus.fires()
    async with begin("a", "two") as a:
        await a.give_up(3, "written by another version")
        prometheus.scrape(2, a)
        prometheus.fires('OomeventerEventsGivenUp{node="a"}')
        prometheus.scrape(70, a)
        prometheus.fires()


async def test_lost_while_the_agent_was_replaced(start: Start, begin: Begin) -> None:
    """The kernel goes on to count: the new agent's first scrape has it."""
    prometheus = start()
    async with begin("a", "one") as a:
        a.ring.lost = 3
        prometheus.scrape(180, a)
        prometheus.fires()
    async with begin("a", "two") as a, begin("b", "three") as b:
        a.ring.lost = 10
        prometheus.scrape(2, a, b)
        prometheus.fires('OomeventerKillsLost{node="a"}')
        prometheus.scrape(70, a, b)
        prometheus.fires()
        b.ring.lost = 1
        prometheus.scrape(2, a, b)
        prometheus.fires('OomeventerKillsLost{node="b"}')


async def test_lost_on_a_new_node(start: Start, begin: Begin) -> None:
    """Before it was scraped for the first time."""
    prometheus = start()
    async with begin("a", "one") as a:
        a.ring.lost = 1
        prometheus.scrape(2, a)
        prometheus.fires('OomeventerKillsLost{node="a"}')


# Agents


@pytest.mark.parametrize("up_for", [0, 1])
async def test_one_agent_is_down(start: Start, begin: Begin, up_for: float) -> None:
    """Or is up for a minute in six, as one that crashes again and again: that node's alert, until it is back."""
    prometheus = start()
    async with begin("a", "one") as a, begin("b", "two") as b:
        prometheus.scrape(30, a, b, unavailable=0)
        for _ in range(4):
            b.is_up = False
            prometheus.scrape(6 - up_for, a, b, unavailable=1)
            b.is_up = True
            prometheus.scrape(up_for, a, b, unavailable=1)
        prometheus.fires('OomeventerDown{node="b"}', UNAVAILABLE)
        prometheus.scrape(10, a, b, unavailable=0)
        prometheus.fires()


async def test_an_agent_that_never_began(start: Start, begin: Begin) -> None:
    """It has no series at all: kube-state-metrics knows."""
    prometheus = start()
    async with begin("a", "one") as a:
        prometheus.scrape(20, a, unavailable=1)
        prometheus.fires(UNAVAILABLE)


# Containers that are killed


async def test_a_cron_jobs_pods(start: Start, begin: Begin) -> None:
    """Five Pods of other names, killed once each, on two nodes; not four, and not over two hours."""
    repeatedly = f'ContainerOOMKilledRepeatedly{{namespace="{POD.namespace}", container="app"}}'
    prometheus = start()
    async with begin("a", "one") as a, begin("b", "two") as b:
        prometheus.scrape(10, a, b)
        for number in range(4):
            a.kill(f"report-{29400000 + number}-x{number}")
            prometheus.scrape(25, a, b)
        prometheus.fired()
        prometheus.scrape(60, a, b)
        for number in range(4):
            (a, b)[number % 2].kill(f"report-{29500000 + number}-x{number}")
            prometheus.scrape(10, a, b)
        prometheus.fired()
        b.kill("report-29500004-x4")
        prometheus.scrape(1, a, b)
        prometheus.fires(repeatedly)
        prometheus.scrape(60, a, b)
        prometheus.fires()


async def test_one_pod_is_killed_again_and_again(start: Start, begin: Begin) -> None:
    """All of it between two scrapes, or after the agent has restarted under the same labels: each kill counts once."""
    repeatedly = f'ContainerOOMKilledRepeatedly{{namespace="{POD.namespace}", container="app"}}'
    prometheus = start()
    async with begin("a", "one") as a:
        a.kill("checkout-0", 4)
        prometheus.scrape(100, a)
        a.kill("checkout-0", 4)
        prometheus.scrape(10, a)
    async with begin("a", "one") as a:
        prometheus.scrape(5, a)
        prometheus.fired()
        a.kill("checkout-0")
        prometheus.scrape(1, a)
        prometheus.fires(repeatedly)


async def test_after_a_thousand_pods(start: Start, begin: Begin) -> None:
    """A Pod beyond the bound is seen as any other; and one that lost its names and comes back alerts nobody at once."""
    repeatedly = f'ContainerOOMKilledRepeatedly{{namespace="{POD.namespace}", container="app"}}'
    prometheus = start()
    async with begin("a", "one") as a:
        a.kill("early", 4)
        for number in range(NAMED):
            a.metrics.killed(incident(pod=replace(POD, namespace=f"n{number % 300}", name=f"job-{number}")))
        prometheus.scrape(75, a)
        a.kill("early")
        a.kill("late", 3)
        prometheus.scrape(5, a)
        prometheus.fires()
        a.kill("late")
        prometheus.scrape(1, a)
        prometheus.fires(repeatedly)


# The dashboard


def panel(title: str, target: int = 0) -> str:
    """A panel's query, as Grafana asks it for two hours of all nodes."""
    found = render.one(render.objects(render.LEAST | {"dashboard": {"enabled": True}}), "ConfigMap")
    return grafana.asked(json.loads(found["data"]["oomeventer.json"]), "7200s", "60s")[title][target]


async def test_the_dashboard(start: Start, begin: Begin) -> None:
    """Each container was killed once, something was lost while an agent was replaced, and none is ready."""
    prometheus = start()
    async with begin("a", "one") as a:
        a.ring.lost = 3
        prometheus.scrape(180, a)
    async with begin("a", "two") as a:
        a.ring.lost = 5
        prometheus.scrape(20, a)
        first = {}
        for pod in ("x", "y"):
            a.kill(pod)
            first[pod] = prometheus.at
            prometheus.scrape(5, a)
        await a.give_up(4, "invalid")
        a.metrics.answers["api"] = False
        prometheus.scrape(5, a)
        of = f'namespace="{POD.namespace}", container="app"'
        prometheus.says(
            {
                f"round({panel('OOM kills')})": [{"labels": "{}", "value": 2}],
                panel("Killed most"): [{"labels": f'{{{of}, workload="{pod}"}}', "value": 1} for pod in ("x", "y")],
                panel("Killed most", 1): [
                    {"labels": f'{{{of}, workload="{pod}"}}', "value": 1000 * STEP_SECONDS * at}
                    for pod, at in first.items()
                ],
                f"round({panel('Not reported')})": [{"labels": "{}", "value": 6}],
                panel("Agents", 0): [{"labels": "{}", "value": 1}],
                panel("Agents", 1): [{"labels": "{}", "value": 0}],
            }
        )
