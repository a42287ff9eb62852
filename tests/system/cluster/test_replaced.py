"""An agent that is replaced, and how soon one reports. In: kills meanwhile. Out: what an upgrade loses."""

import json
import re
import time
from datetime import datetime
from typing import Any

import pytest

from cluster import Arrivals, Asked, Eyes, Kubectl, Release, wait
from cluster.reported import events
from cluster.suite import (
    BURST,
    MARKS,
    NAME,
    NEXT_IMAGE,
    PODS,
    TURN_SECONDS,
    TURNS,
    Run,
    agents,
    body,
    can_pin,
    container_ended,
    ended,
    figures,
    ran_out,
    stages,
    states,
    troubles,
    values,
)
from cluster.victims import SMALL, Victims, idle

pytestmark = MARKS


def test_delay(kubectl: Kubectl, release: Release, asked: Asked, arrivals: Arrivals, eyes: Eyes) -> None:
    """From the kill to the Event: by the agent's own clock, and, where the clocks agree, by who watches here."""
    metrics = figures(kubectl, asked, eyes)
    name = "oomeventer_event_delay_seconds"
    reported, total = metrics[f"{name}_count"], metrics[f"{name}_sum"]
    if not reported:
        pytest.skip("no kill was made on this node: run this after the others")
    within = {float(key.partition("<=")[2]): n for key, n in metrics.items() if key.startswith(f"{name}_bucket<=")}
    print(
        f"\n  {eyes.node}, from the kill to the server's word, by the agent: {total / reported:.3f} s on average; of "
        f"{reported:.0f}, "
        + ", ".join(f"{n:.0f} within {seconds:g} s" for seconds, n in within.items() if seconds <= 10)
    )
    print(
        "  on average by stage: "
        + ", ".join(f"{stage} {1e3 * s:.1f} ms" for stage, s in stages(kubectl, asked, eyes).items())
    )
    print("  from the kill until it is seen here, if the clocks agree:")
    for arrived, change, one in arrivals.seen:
        if one.incident["node"] == eyes.node:
            print(f"    {arrived - one.killed_at:6.3f} s {change:8} {one.body['involvedObject']['name']} {one.where}")
    assert within[2.5] >= reported / 2, "half of the Events are there soon, on a slow machine, too"
    assert within[30] == reported, "and all some time"
    assert metrics["oomeventer_ring_lost_records_total"] == 0
    assert metrics["oomeventer_faults_total"] == 0
    given_up = metrics.get("oomeventer_events_given_up_total", 0)
    assert given_up == 0
    known = metrics["oomeventer_events_delivered_total"] + metrics["oomeventer_events_merged_total"] + given_up
    assert metrics["oomeventer_events_seen_total"] == known + metrics["oomeventer_events_waiting"]


def test_upgrade(
    kubectl: Kubectl,
    run: Run,
    release: Release,
    asked: Asked,
    victims: Victims,
    all_eyes: dict[str, Eyes],
    arrivals: Arrivals,
) -> None:
    """The agents are replaced while kills go on, on all nodes, by another version where one is named: each kill is
    reported once. Where pins or journal cannot be, kills are lost meanwhile: then none is reported twice, and others
    are reported after."""
    whole = bool(asked.journal) and all(can_pin(eyes, asked) for eyes in all_eyes.values())
    if not whole:
        print("\n  without pins and journal on each node kills may be lost while agents are replaced")
    before = agents(kubectl)
    turns, storms = [], []
    for node, eyes in all_eyes.items():
        apps = [victims.container(f"app{turn}", victims.in_turn(turn, TURN_SECONDS)) for turn in range(TURNS)]
        turns.append(run(victims.pod("turns", node, victims.container("start", idle(), SMALL), *apps)))
        if not eyes.kills_groups:
            storms.append(run(victims.pod("storm", node, victims.container("app", victims.storm))))
    for pod in turns:
        wait(f"{pod} runs", lambda pod=pod: body(kubectl, pod)["status"]["phase"] == "Running", 400)
    for pod in turns:
        kubectl("exec", pod, "-n", PODS, "-c", "start", "--", "sh", "-c", ": >/shared/go")
    time.sleep(3 * TURN_SECONDS)
    # So many requests about one Pod that the counts are there at once, and not five minutes later; and all agents are
    # replaced at once, so that kills go on meanwhile on each node.
    at_once = {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}
    release.upgrade(values(NEXT_IMAGE, object_burst=9999) | at_once)
    wait("new agents are ready", lambda: replaced(kubectl, before), 180)
    time.sleep(2)
    made = {pod: stopped(kubectl, pod) for pod in storms} | dict.fromkeys(turns, TURNS)
    for pod in turns:
        wait(f"all of {pod} are killed", lambda pod=pod: ended(kubectl, pod) == TURNS, 240)

    def reported() -> dict[str, int]:
        return {pod: sum(one.count for one in events(kubectl, PODS, pod)) for pod in made}

    try:
        enough = made if whole else dict.fromkeys(made, 1)
        wait("as many kills are reported as were made", lambda: all(n >= enough[pod] for pod, n in reported().items()))
    except AssertionError:
        print(f"\n  kills made: {made}\n  kills reported: {reported()}\n{troubles(kubectl)}")
        raise
    time.sleep(2)  # one too many would come now
    print(f"\n  kills made: {made}\n  kills reported: {reported()}")
    assert reported() == made if whole else all(n <= made[pod] for pod, n in reported().items())
    after = agents(kubectl)
    assert {pod["spec"]["containers"][0]["image"] for pod in after.values()} == {NEXT_IMAGE}
    if not whole:
        return
    for pod, node in zip(turns, all_eyes, strict=True):
        started = datetime.fromisoformat(states(after[node])["oomeventer"]["state"]["running"]["startedAt"]).timestamp()
        early = [one for one in events(kubectl, PODS, pod) if one.killed_at < started]
        waited = [arrived - one.killed_at for arrived, change, one in arrivals.of(pod) if change == "ADDED"]
        print(
            f"  {pod}: {len(early)} of {TURNS} kills before the new agent began; from the kill until it is seen here "
            f"{min(waited):.2f} to {max(waited):.2f} s"
        )
        assert early, "there were kills before the new agent"


def test_no_agent(
    kubectl: Kubectl, run: Run, release: Release, asked: Asked, victims: Victims, all_eyes: dict[str, Eyes]
) -> None:
    """Kills on nodes that have no agent at the time are reported by the next one, which is of another version of the
    release."""
    if not all(can_pin(eyes, asked) for eyes in all_eyes.values()):
        pytest.skip("kills are not recorded without an agent where there are no pins")
    away = {"nodeSelector": {f"{NAME}/nowhere": "true"}}
    patch = ("patch", "daemonset", asked.name, "-n", NAME, "--type=merge", "-p")
    kubectl(*patch, json.dumps({"spec": {"template": {"spec": away}}}))
    wait("no agent is left", lambda: not kubectl.json("get", "pods", "-n", NAME)["items"])
    pods = {node: run(victims.pod("noagent", node, victims.container("app", victims.once))) for node in all_eyes}
    for pod in pods.values():
        assert container_ended(kubectl, pod)["exitCode"] == 137
    before = {pod: events(kubectl, PODS, pod) for pod in pods.values()}
    back = {"nodeSelector": {f"{NAME}/nowhere": None}}
    kubectl(*patch, json.dumps({"spec": {"template": {"spec": back}}}))
    at_once = {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}
    release.upgrade(values(NEXT_IMAGE, object_burst=BURST + 1) | at_once)
    for node, pod in pods.items():
        (one,) = wait(f"the kill of {pod} is reported", lambda pod=pod: events(kubectl, PODS, pod))
        started = states(agents(kubectl)[node])["oomeventer"]["state"]["running"]["startedAt"]
        early = datetime.fromisoformat(started).timestamp() - one.killed_at
        print(f"\n  {pod}: killed {early:.1f} s before the agent began: {one.message}")
        assert not before[pod], "nobody was there to report it"
        assert early > 0
        assert one.message.startswith(ran_out("app"))
        assert one.count == 1


def replaced(kubectl: Kubectl, before: dict[str, dict[str, Any]]) -> bool:
    """Whether each node has another agent, and it is ready."""
    now = agents(kubectl)
    return set(now) == set(before) and all(
        pod["metadata"]["uid"] != before[node]["metadata"]["uid"] and states(pod)["oomeventer"]["ready"]
        for node, pod in now.items()
        if states(pod)
    )


def stopped(kubectl: Kubectl, pod: str) -> int:
    """End a storm; how many kills PID 1 counted."""
    kubectl("exec", pod, "-n", PODS, "--", "sh", "-c", ": >/shared/stop")
    found = wait(f"{pod} ends", lambda: re.search(r"^killed (\d+)$", kubectl("logs", pod, "-n", PODS), re.MULTILINE))
    return int(found[1])
