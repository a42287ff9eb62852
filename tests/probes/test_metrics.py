"""What /metrics says, read by Prometheus' own parser: names, sums, bounds, and hostile text.

In: incidents and plans by samples, parts with known figures. Out: series.
"""

import ast
import asyncio
import math
import re
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

import oomeventer
from oomeventer.cluster.api import Api
from oomeventer.cluster.delivery import Delivery
from oomeventer.incident import Trajectory
from oomeventer.journal.journal import Journal
from oomeventer.journal.plans import Plan
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.probes.families import FAMILIES, NAMED
from oomeventer.probes.metrics import GIVEN_UP, Metrics, Parts
from samples import CONTAINER, POD, group_of, incident, on_the_host, victim
from stores import composed

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class Ring:
    lost: int = 0
    used_bytes: int = 0
    unreadable: int = 0


def series(metrics: Metrics) -> Series:
    """All samples, by name and labels; each is there once."""
    found: Series = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def of(metrics: Metrics, name: str, **labels: str) -> float:
    """The sum of a metric's samples with those labels, among others."""
    return sum(
        value for (n, found), value in series(metrics).items() if n == name and labels.items() <= dict(found).items()
    )


def plan(killed_at: float) -> Plan:
    return Plan("s", True, "shop", "n", 1, 1, 1, killed_at, killed_at, {})


async def work(_: Any) -> None:
    pass


@pytest.fixture
async def parts(cluster: Api) -> AsyncIterator[Parts]:
    async with Journal(None) as journal:
        pipelines = {"recording": Pipeline([Stage("record", work)]), "describing": Pipeline([Stage("pod", work)])}
        yield Parts(Ring(3, 4096, 2), None, journal, cluster, Delivery(cluster, journal), pipelines)


async def test_all_of_them_are_there(parts: Parts) -> None:
    """While the agent watches, each family that docs/metrics.md names is there, and no other of ours."""
    metrics = Metrics()
    metrics.timed("record", 0.01)
    with metrics.watching(parts):
        families = list(text_string_to_metric_families(metrics.text().decode()))
    ours = {
        f"{f.name}_total" if f.type == "counter" else f.name: f for f in families if f.name.startswith("oomeventer")
    }
    assert ours.keys() == FAMILIES.keys()
    for name, found in ours.items():
        assert found.type == FAMILIES[name].kind
        assert found.documentation == FAMILIES[name].help
        for sample in found.samples:
            assert set(sample.labels) - {"le"} == set(FAMILIES[name].labels)
    assert "process_resident_memory_bytes" in {family.name for family in families}


def test_the_names_follow_the_conventions() -> None:
    """https://prometheus.io/docs/practices/naming: a prefix, base units as suffix, _total for counters alone."""
    for family in FAMILIES.values():
        assert re.fullmatch(r"oomeventer_[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        if family.kind == "histogram":
            assert family.name.endswith("_seconds")
        assert not re.search(r"_(ms|millis|minutes|kb|mib|count|sum|bucket|created)$", family.name)
        assert all(re.fullmatch(r"[a-z]+", label) for label in family.labels)
        assert "|" not in family.help
        assert "\n" not in family.help


async def test_the_figures_of_the_parts(parts: Parts) -> None:
    """What other parts count is what is shown, and gone with them."""
    metrics = Metrics()
    with metrics.watching(replace(parts, pins=Path("/sys/fs/bpf/oomeventer"))):
        assert of(metrics, "oomeventer_ring_lost_records_total") == 3
        assert of(metrics, "oomeventer_ring_used_bytes") == 4096
        assert of(metrics, "oomeventer_unreadable_records_total") == 2
        assert of(metrics, "oomeventer_pinned") == 1
        assert of(metrics, "oomeventer_journal_on_disk") == 0
        assert of(metrics, "oomeventer_ready", check="attached") == 1
        assert of(metrics, "oomeventer_ready", check="journal") == 1
        stages = {dict(labels)["stage"] for name, labels in series(metrics) if name == "oomeventer_queue_length"}
        assert stages == {"record", "pod", "event"}
    assert of(metrics, "oomeventer_ready") == 0
    assert of(metrics, "oomeventer_ring_used_bytes") == 0


async def test_the_journals_sums(parts: Parts) -> None:
    """Seen is delivered, merged, given up and waiting, and given up has its reasons."""
    metrics, journal, done = Metrics(), parts.journal, asyncio.Event()
    for sample in (incident(1), incident(2), incident(3), on_the_host(key="f" * 16)):
        await journal.record(sample)
    done.set()
    async for recorded in journal.recorded(done):
        if recorded.incident.pod is None:
            await journal.give_up(recorded.id, 'a "reason"\n')
            continue
        described = await journal.describe(recorded.id, recorded.incident, composed(recorded.incident))
        series = described.waiting[0].series
        if recorded.incident.key == incident(2).key and (reported := await journal.plan(series)):
            await journal.settle(reported, "delivered", "")
    with metrics.watching(parts):
        values = {name: of(metrics, f"oomeventer_events_{name}") for name in ("seen_total", "delivered_total")}
        values |= {name: of(metrics, f"oomeventer_events_{name}") for name in ("merged_total", "waiting")}
        assert values == {"seen_total": 4, "delivered_total": 1, "merged_total": 1, "waiting": 1}
        assert of(metrics, "oomeventer_events_given_up_total", reason='a "reason"\\n') == 1


def test_kills_are_victims() -> None:
    """Each victim counts, each incident once; outside a Pod there are no names."""
    metrics = Metrics()
    metrics.killed(incident(1))
    metrics.killed(group_of(5, scope="pod"))
    metrics.killed(incident(2, container=replace(CONTAINER, name=None), pod=None))
    metrics.killed(on_the_host())
    where = {"namespace": "shop", "pod": "checkout-0", "container": "app"}
    nowhere = {"namespace": "", "pod": "", "container": ""}
    assert of(metrics, "oomeventer_kills_total", **where, scope="container") == 1
    assert of(metrics, "oomeventer_kills_total", **where, scope="pod") == 5
    assert of(metrics, "oomeventer_kills_total", **nowhere, scope="container") == 1
    assert of(metrics, "oomeventer_kills_total", **nowhere, scope="node") == 1
    assert of(metrics, "oomeventer_incidents_total") == 4
    assert of(metrics, "oomeventer_incidents_total", scope="container") == 2
    assert of(metrics, "oomeventer_kills_unnamed_total") == 0


async def test_what_can_come_is_there_from_the_start(parts: Parts) -> None:
    """At 0: what ran out, and why Events are given up. increase() does not count what a series begins with."""
    metrics = Metrics()
    with metrics.watching(parts):
        found = series(metrics)
    for scope in ("container", "pod", "cgroup", "node", "unknown"):
        nowhere = (("container", ""), ("namespace", ""), ("pod", ""), ("scope", scope))
        assert found["oomeventer_incidents_total", (("scope", scope),)] == 0
        assert found["oomeventer_kills_total", nowhere] == 0
    given_up = {dict(labels)["reason"]: value for (name, labels), value in found.items() if "given_up" in name}
    assert given_up == dict.fromkeys(GIVEN_UP, 0)


def constants(file: Path) -> Iterator[str]:
    """The reasons for giving up that a module's text has: of rules, and as arguments."""
    tree = ast.parse(file.read_text())
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        match ast.unparse(call.func).rpartition(".")[2], call.args:
            case "Rule", [verdict, reason, *_] if ast.unparse(verdict) in ("Verdict.RETRY", "Verdict.GIVE_UP"):
                pass
            case "give_up", [_, reason]:
                pass
            case "add", [_, ast.Constant("given up"), _, reason]:
                pass
            case "forget", [_, _, _, reason, *_]:
                pass
            case _:
                continue
        value = named.get(reason.id) if isinstance(reason, ast.Name) else reason
        if isinstance(value, ast.Constant) and value.value:
            yield value.value


def test_the_reasons_are_the_codes() -> None:
    """Each reason for which this program gives an Event up is known beforehand, and no other is."""
    source = Path(oomeventer.__file__).parent
    assert {reason for file in source.rglob("*.py") for reason in constants(file)} == set(GIVEN_UP)
    assert len(GIVEN_UP) == len(set(GIVEN_UP))


def test_many_pods_are_bounded() -> None:
    """5,000 Pods: the last 1,000 that were killed have names; of the others no kill is missing."""
    metrics = Metrics()
    tracemalloc.start()
    for number in range(5000):
        metrics.killed(
            incident(number % 60, pod=replace(POD, name=f"job-{number}"), scope=("container", "pod")[number % 2])
        )
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pods = {dict(labels)["pod"] for name, labels in series(metrics) if name == "oomeventer_kills_total"}
    assert pods == {""} | {f"job-{number}" for number in range(4000, 5000)}
    assert len(pods) == NAMED + 1
    assert of(metrics, "oomeventer_kills_total") == 5000
    assert of(metrics, "oomeventer_kills_total", pod="", namespace="", container="", scope="container") == 2000
    assert of(metrics, "oomeventer_kills_unnamed_total") == 4000
    assert taken < 1 << 20
    assert len(metrics.text()) < 256 << 10


def test_who_is_killed_again_stays() -> None:
    """Beyond the bound the set that was killed least recently goes, and one that comes back begins at 0. No sum falls,
    at no moment."""
    metrics, sums = Metrics(), [0.0, 0.0, 0.0]
    again = replace(POD, name="crash-loop")
    for number in range(2 * NAMED):
        metrics.killed(incident(pod=again if number % 500 == 0 else replace(POD, name=f"job-{number}")))
        if number % 100 == 99:
            before, sums = (
                sums,
                [
                    of(metrics, "oomeventer_kills_total"),
                    of(metrics, "oomeventer_kills_total", pod=""),
                    of(metrics, "oomeventer_kills_unnamed_total"),
                ],
            )
            assert sums[0] == number + 1
            assert sums[1:] >= before[1:]
            assert sums[1] == sums[2]
    assert of(metrics, "oomeventer_kills_total", pod="crash-loop") == 4
    for number in range(NAMED):
        metrics.killed(incident(pod=replace(POD, name=f"later-{number}")))
    assert of(metrics, "oomeventer_kills_total", pod="crash-loop") == 0
    metrics.killed(incident(pod=again))
    assert of(metrics, "oomeventer_kills_total", pod="crash-loop") == 1
    assert of(metrics, "oomeventer_kills_total") == 3 * NAMED + 1


HOSTILE = [
    'x"} 1e9\noomeventer_kills_total{namespace="kube-system"',
    "a\nb",
    "a\r\nb",
    "back\\slash\\",
    '"',
    "\x1b[2J",
    "\u202edlrow",
    "line\u2028separator\x85",
    "\udcff\ud800",
    "z" * 100_000,
    "# HELP oomeventer_kills_total mine",
    "{}",
    " ",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[f"{number}" for number in range(len(HOSTILE))])
def test_hostile_names(text: str) -> None:
    """Whatever a name is: one series, with a printable label of bounded length, and no other series for it."""
    metrics = Metrics()
    honest = set(series(metrics))
    pod, container = replace(POD, namespace=text, name=text), replace(CONTAINER, name=text)
    metrics.killed(incident(pod=pod, container=container, victims=(victim(comm=text),)))
    metrics.killed(incident(pod=pod, container=container, victims=(victim(comm=text),)))
    new = {key: value for key, value in series(metrics).items() if key not in honest}
    (((name, labels), value),) = new.items()
    assert (name, value) == ("oomeventer_kills_total", 2)
    for name in ("namespace", "pod", "container"):
        shown = dict(labels)[name]
        assert shown.isprintable()
        assert len(shown) <= 253
    assert all(line.isprintable() for line in metrics.text().decode().split("\n"))


def test_what_differs_is_counted_apart() -> None:
    """Names that differ only in what is not seen are two series."""
    metrics = Metrics()
    for name in ("a\u200bb", "ab", "a\\u200bb"):
        metrics.killed(incident(pod=replace(POD, name=name)))
    assert len([name for name, labels in series(metrics) if "kills_total" in name and dict(labels)["pod"]]) == 3


def test_nothing_of_the_victim() -> None:
    """Neither its name nor its arguments nor its environment: labels are the cluster's names."""
    metrics = Metrics()
    chosen = victim(comm="hunter2", command=("x", "--token=hunter2"), environment={"A": "hunter2"})
    metrics.killed(incident(victims=(chosen,)))
    assert b"hunter2" not in metrics.text()


def test_times() -> None:
    """Seconds in buckets: of the stages, and from the kill to the server's word, never below 0."""
    metrics = Metrics(now=lambda: 1000.0)
    for seconds in (0.002, 0.02, 100.0):
        metrics.timed("container", seconds)
    assert of(metrics, "oomeventer_stage_seconds_count", stage="container") == 3
    assert of(metrics, "oomeventer_stage_seconds_bucket", stage="container", le="0.0025") == 1
    assert of(metrics, "oomeventer_stage_seconds_bucket", stage="container", le="30.0") == 2
    for killed_at in (998.0, 1001.0):
        metrics.delivered(plan(killed_at))
    assert of(metrics, "oomeventer_event_delay_seconds_count") == 2
    assert of(metrics, "oomeventer_event_delay_seconds_sum") == 2
    assert of(metrics, "oomeventer_event_delay_seconds_bucket", le="0.1") == 1
    assert of(metrics, "oomeventer_event_delay_seconds_bucket", le="2.5") == 2
    assert all(not math.isnan(value) for value in series(metrics).values())


def test_kills_by_pattern() -> None:
    """Each victim counts. All patterns are there from the start, and one for what nobody sampled."""
    metrics = Metrics()
    counted = "oomeventer_kills_by_pattern_total"
    patterns = {dict(labels)["pattern"]: value for (name, labels), value in series(metrics).items() if name == counted}
    assert patterns == dict.fromkeys(("steady", "spike", "at the limit", "sawtooth", "unknown", "none"), 0)
    metrics.killed(replace(group_of(3), trajectory=Trajectory("/a", "steady")))
    metrics.killed(incident())
    assert of(metrics, counted, pattern="steady") == 3
    assert of(metrics, counted, pattern="none") == 1
    assert of(metrics, counted) == 4
