"""Without rights, and without an API server. In: agents that lack them. Out: what they say, and deliver later."""

import re
import time

import pytest

from cluster import Asked, Eyes, Kubectl, Release, wait
from cluster.reported import events, kills_logged
from cluster.suite import (
    LOOPS,
    MARKS,
    NAME,
    PODS,
    TURN_SECONDS,
    Run,
    agents,
    body,
    ended,
    figures,
    removed,
    states,
    values,
)
from cluster.victims import SMALL, Victims, idle

pytestmark = MARKS
#: An address that nobody has (RFC 5737): what is sent there is lost, or comes back.
NOWHERE = "192.0.2.1"
#: A kill is in the log so soon, whatever the API server does, on a slow machine, too: before a request has had its ten.
LOGGED_SECONDS = 9.0
#: Rights that are given are noticed so soon: /readyz asks for them once a minute, and the kubelet asks it.
NOTICED_SECONDS = 100


def test_without_rights(kubectl: Kubectl, release: Release, asked: Asked, all_eyes: dict[str, Eyes]) -> None:
    """Agents that may not create Events are not ready, and say what is missing: /readyz, one line of the log, and
    doctor. Once they may, they are ready, as they are."""
    if not asked.pod_verbs:
        pytest.skip("the chart is to make no roles (rbac.create)")
    removed(kubectl, release)
    release.install(values() | {"rbac": {"create": False}}, ready=False)
    for node, eyes in all_eyes.items():
        name = wait(f"an agent runs on {node}", lambda node=node: running(kubectl, node))
        address = agents(kubectl)[node]["status"]["podIP"]
        page = wait("/readyz says what is missing", lambda e=eyes, a=address: refused(e.page(a, asked.port, "/readyz")))
        print(f"\n  {node}: {page}")
        status, findings = kubectl.attempt("exec", name, "-n", NAME, "--", "oomeventer", "doctor")
        assert status == 1
        for right in ("create events", "patch events"):
            assert re.search(rf"^ +MISSING +may {right} +no: ", findings, re.MULTILINE), findings
        lacking = "this account may not create events, patch events, so there are no Events"
        log = wait("the log says so", lambda n=name, w=lacking: _with(kubectl("logs", n, "-n", NAME), w))
        assert log.count(lacking) == 1, log
    rollout = ("rollout", "status", f"daemonset/{asked.name}", "-n", NAME)
    status, words = kubectl.attempt(*rollout, "--timeout=25s")
    print(f"  kubectl rollout status: {words.strip().splitlines()[-1]}")
    assert status, "an agent that may not report is no success"
    before, since = {node: pod["metadata"]["uid"] for node, pod in agents(kubectl).items()}, time.monotonic()
    release.upgrade(values())
    kubectl(*rollout, f"--timeout={NOTICED_SECONDS}s")
    print(f"  ready {time.monotonic() - since:.0f} s after the rights were given")
    assert time.monotonic() - since < NOTICED_SECONDS
    assert {node: pod["metadata"]["uid"] for node, pod in agents(kubectl).items()} == before


def _with(text: str, words: str) -> str | None:
    """The text, once it has these words."""
    return text if words in text else None


def running(kubectl: Kubectl, node: str) -> str | None:
    """The name of a node's agent, once its container runs."""
    pod = agents(kubectl).get(node)
    is_there = pod and "running" in states(pod).get("oomeventer", {}).get("state", {})
    return str(pod["metadata"]["name"]) if pod and is_there else None


def refused(page: str) -> str | None:
    """The line of /readyz about Events that may not be created: as asked for, or as the server put it."""
    found = re.search(r"^api: .*(may not create events, patch events|cannot create resource .events.).*$", page, re.M)
    return found[0] if found and " 503 " in page.splitlines()[0] else None


def test_api_out_of_reach(
    kubectl: Kubectl, run: Run, release: Release, asked: Asked, victims: Victims, all_eyes: dict[str, Eyes]
) -> None:
    """Agents that are given an address where no API server is: each kill is logged soon, and counted, and waits;
    agents that reach the server deliver them all."""
    if not asked.journal or asked.environ.get("OOMEVENTER_KUBECONFIG"):
        pytest.skip("without a journal nothing outlives the agent, and a kubeconfig says where the server is")
    removed(kubectl, release)
    installed = values()
    elsewhere = [*installed.get("extraEnv", []), {"name": "KUBERNETES_SERVICE_HOST", "value": NOWHERE}]
    release.install(installed | {"extraEnv": elsewhere}, ready=False)
    made = {}
    for node in all_eyes:
        wait(f"an agent runs on {node}", lambda node=node: running(kubectl, node))
        apps = [victims.container(f"app{turn}", victims.in_turn(turn, TURN_SECONDS)) for turn in range(LOOPS)]
        made[node] = run(victims.pod("unreachable", node, victims.container("start", idle(), SMALL), *apps))
    for node, pod in made.items():
        wait(f"{pod} runs", lambda pod=pod: body(kubectl, pod)["status"]["phase"] == "Running", 400)
        kubectl("exec", pod, "-n", PODS, "-c", "start", "--", "sh", "-c", ": >/shared/go")
        wait(f"all of {pod} are killed", lambda pod=pod: ended(kubectl, pod) == LOOPS, 240)
        time.sleep(LOGGED_SECONDS)
        eyes = all_eyes[node]
        late = [
            one.logged_at - one.killed_at
            for one in kills_logged(kubectl("logs", str(running(kubectl, node)), "-n", NAME), pod)
        ]
        metrics = figures(kubectl, asked, eyes)
        print(f"\n  {pod}: {len(late)} of {LOOPS} kills logged, at the latest {max(late):.2f} s after the kill")
        assert len(late) == LOOPS
        assert max(late) < LOGGED_SECONDS
        assert metrics["oomeventer_kills_total"] >= LOOPS
        assert metrics["oomeventer_events_waiting"] >= 1
        assert not metrics["oomeventer_events_delivered_total"]
    at_once = {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}
    release.upgrade(installed | at_once)

    def reported(pod: str) -> bool:
        return sum(one.count for one in events(kubectl, PODS, pod)) == LOOPS

    for pod in made.values():
        wait(f"all of {pod} are reported", lambda pod=pod: reported(pod))
