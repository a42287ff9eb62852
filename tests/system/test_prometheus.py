"""The chart's dashboard and alerts with a real Prometheus, which scrapes a real agent after real kills.

In: kills in real containers, an Event that the API server refuses. Out: what each panel's queries and each alert say,
held against what was done. Grafana itself is not here: how it draws the answers is not looked at.
"""

import asyncio
import json
import platform
import re
import time
import urllib.request
from pathlib import Path
from typing import Any, get_args

import pytest

if platform.machine() != "x86_64":
    pytest.skip("Helm as a Python module is not built for this machine", allow_module_level=True)

import grafana
from answers import Between, Counted, by
from chart import render
from lab import NODE, Lab, kill, outside
from machine import Agent, free_port, kubeconfig
from machine.process import resident_mib
from oomeventer.incident import Pattern
from prometheus import SERVER, Prometheus
from realcri import Containerd, Pod
from standin import ApiServer

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.containerd,
    pytest.mark.skipif(SERVER is None, reason="prometheus is not here: Debian's package has it"),
]

#: As the PodMonitor names it.
JOB = f"{render.NAMESPACE}/{render.NAME}"
#: Longer than all that was scraped.
SPAN = "600s"
STEP = "1s"
SAMPLE_SECONDS = 5
VARIABLES = {"namespace": {"shop", "batch"}, "node": {NODE}}
PATTERNS = (*get_args(Pattern), "none")
CHOICE: dict[str, Any] = {
    "podMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
    "networkPolicy": {"enabled": False},
}


async def firing(prometheus: Prometheus) -> dict[str, dict[str, str]]:
    """The alerts that fire, each once, and of whom they tell."""
    found = {}
    for name, rule in (await prometheus.rules()).items():
        if rule["state"] == "firing":
            (alert,) = rule["alerts"]
            found[name] = {key: of for key, of in alert["labels"].items() if key not in ("alertname", "severity")}
    return found


# -- what is expected -----------------------------------------------------------------------------------------------


def wanted(lab: Lab, agent: Agent, seconds: float, began: float) -> dict[str, list[tuple[tuple[str, ...], Any]]]:
    """Each panel's answers, a query after another: the labels, and the values by them."""

    def count(number: int) -> Counted:
        return Counted(number, seconds)

    containers = {("shop", "checkout", "app"): 5, ("shop", "checkout", "side"): 1, ("batch", "report", "main"): 1}
    whose = ("namespace", "workload", "container")
    then = Between(1000 * (began - 1), 1000 * (time.time() + 1))
    scopes = {"container": count(6), "pod": count(1), "cgroup": count(1), "node": count(0), "unknown": count(0)}
    patterns = {pattern: Between(seen, 8 * 1.2) for pattern, seen in lab.patterns().items()}
    stages = ("observe", "record", "container", "pod", "pid1", "outbox")
    resident = resident_mib(agent.process.pid) * (1 << 20)
    return {
        "OOM kills": [((), {(): count(8)})],
        "Processes killed in Pods": [((), {(): count(7)})],
        "Workloads hit": [((), {(): 2})],
        "Killed most": [
            (whose, {key: count(number) for key, number in containers.items()}),
            (whose, dict.fromkeys(containers, then)),
            (whose, dict.fromkeys(containers, then)),
        ],
        "Processes killed, by workload": [(whose[:2], {("shop", "checkout"): count(6), ("batch", "report"): count(1)})],
        "Processes killed, by hour": [(("namespace",), {"shop": count(6), "batch": count(1)})],
        "Processes killed in Pods, by what ran out": [(("scope",), {"container": count(6), "pod": count(1)})],
        "OOM kills, by what ran out": [(("scope",), scopes)],
        "Nodes that ran out of memory": [(("node", "scope"), {(NODE, "cgroup"): count(1)})],
        "Processes killed, by pattern": [(("pattern",), patterns)],
        "Processes killed, by pattern, over time": [(("pattern",), dict.fromkeys(PATTERNS, 0) | patterns)],
        "Agents": [((), {(): 1}), ((), {(): 1})],
        "Not reported": [((), {(): count(1)})],
        "Unaccounted for": [((), {(): 0})],
        "Journals in memory": [((), {(): 0})],
        "Not pinned": [((), {(): 1})],
        "Checks that fail": [(("node", "check"), {})],
        "Waiting": [((), {(): 0}), (("stage",), dict.fromkeys([*stages, "event"], 0))],
        "Events": [
            ((), {(): count(lab.accepted)}),
            ((), {(): count(7 - lab.accepted)}),
            (("reason",), {"invalid": count(1)}),
            ((), {(): 0}),
        ],
        "From kill to Event": [((), {(): Between(0, 10)}), ((), {(): Between(0, 10)})],
        "A stage's time for a kill": [(("stage",), dict.fromkeys(stages, Between(0, 10)))],
        "Agent: memory": [(("node",), {NODE: Between(0.7 * resident, 1.3 * resident)})],
        "Agent: CPU": [(("node",), {NODE: Between(0, 1)})],
    }


async def test_answers(api: ApiServer, containerd: Containerd, program: Path, tmp_path: Path) -> None:
    """Kills in Pods and one outside, of which the API server refuses an Event."""
    listen = f"127.0.0.1:{free_port()}"
    objects = render.objects(render.LEAST | CHOICE)
    groups = render.one(objects, "PrometheusRule")["spec"]["groups"]
    dashboard = json.loads(render.one(objects, "ConfigMap")["data"]["oomeventer.json"])
    config = kubeconfig(tmp_path, api.url, api.token)
    flags = ["--kubeconfig", str(config), "--cri-endpoint", containerd.endpoint, "--node-name", NODE]
    flags += ["--node-cgroup", containerd.cgroup]  # others may kill on this machine, too
    flags += ["--journal", str(tmp_path / "journal.db"), "--pins", "none", "--listen", listen]
    flags += ["--sample-seconds", str(SAMPLE_SECONDS)]
    with Lab(api, containerd) as lab:
        pods = [lab.pod("shop", f"checkout-5d4f7c8b9-{part}", "app") for part in ("x2k9p", "b7l2w")]
        pods.append(lab.pod("batch", "report-29400000-k4z8d", "main", limit_bytes=32 << 20))
        async with (
            Agent("run", *flags, ready="sends Events to") as agent,
            Prometheus(tmp_path, listen, JOB, {"node": NODE, "agent": "one"}, groups) as prometheus,
        ):
            await asyncio.to_thread(urllib.request.urlopen, f"http://{listen}/readyz", timeout=10)
            await prometheus.until("count_over_time(oomeventer_ready[1m]) > 1")
            assert await firing(prometheus) == {}
            began = time.time()
            await kills(lab, pods, containerd, program, prometheus)
            assert lab.patterns().keys() > {"none"}
            asked = grafana.asked(dashboard, SPAN, STEP)
            await prometheus.until(f"count({asked['Killed most'][2]}) == 3")  # a step after the kill
            scraped = 'min(count_over_time(oomeventer_kills_total{container="app"}[10m]))'
            await prometheus.until(f"{scraped} >= 10")
            seconds = (await prometheus.query(scraped))[()]
            expected = wanted(lab, agent, seconds, began)
            assert set(asked) == set(expected)
            answers = {title: [await prometheus.query(query) for query in queries] for title, queries in asked.items()}
            for title, queries in expected.items():
                found = [by(one, *names) for one, (names, _) in zip(answers[title], queries, strict=True)]
                assert found == [values for _, values in queries], title
            for variable in dashboard["templating"]["list"][1:]:
                series, label = re.fullmatch(r"label_values\((.+), (.+)\)", variable["query"]["query"]).groups()
                assert await prometheus.values(label, series) == VARIABLES[variable["name"]]


async def kills(lab: Lab, pods: list[Pod], containerd: Containerd, program: Path, prometheus: Prometheus) -> None:
    """All of them, and what the alerts say meanwhile. The last kill is of a container whose memory was sampled."""
    first, second, third = pods
    kill(third, "main", limit_bytes=64 << 20, before=f"hog 8 & sleep {3 * SAMPLE_SECONDS + 1};")
    kill(first, "app", 3)
    kill(second, "app", 2)
    outside(containerd, program)
    await lab.reported(6)
    repeatedly = {"ContainerOOMKilledRepeatedly": {"namespace": "shop", "container": "app"}}
    await prometheus.until('ALERTS{alertname="ContainerOOMKilledRepeatedly"}')
    assert await firing(prometheus) == repeatedly

    lab.refuse(422)
    kill(second, "side")
    await prometheus.until('oomeventer_events_given_up_total{reason="invalid"} == 1')
    await prometheus.until('ALERTS{alertname="OomeventerEventsGivenUp"}')
    assert await firing(prometheus) == repeatedly | {"OomeventerEventsGivenUp": {"node": NODE, "job": JOB}}
    rules = await prometheus.rules()
    assert {rule["health"] for rule in rules.values()} == {"ok"}
    assert [name for name, rule in rules.items() if rule["state"] == "pending"] == ["OomeventerNotPinned"]

    await lab.reported(7)
    await prometheus.until("sum(oomeventer_incidents_total) == 8")
    await prometheus.until("sum(oomeventer_events_waiting) == 0")
