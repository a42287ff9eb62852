"""The memory that an agent takes of its node. In: an agent that has just begun, and kills in a row. Out: what its
container is charged and what is resident, at rest and after them; the chart's request and limit follow from it."""

import time

from cluster import Asked, Eyes, Kubectl, Release, wait
from cluster.footprint import Footprint
from cluster.suite import KILLS, MARKS, PODS, VICTIM_IMAGE, Run, agents, body, figures, removed, states, values
from cluster.victims import SMALL, Victims

pytestmark = MARKS
#: Pods of a node that have them, one Pod after the other.
ROWS = 5
#: An agent is at rest so long after it is ready, or after the last kill.
REST_SECONDS = 10


def test_memory(
    kubectl: Kubectl, run: Run, release: Release, asked: Asked, victims: Victims, all_eyes: dict[str, Eyes]
) -> None:
    """At rest, after many kills in a row in several Pods, and at most: what it needs is less than the chart's request,
    and its limit was never in the way. A new release: its agents have made their own BPF maps."""
    removed(kubectl, release)
    release.install(values())
    time.sleep(REST_SECONDS)
    before = {node: footprint(kubectl, eyes) for node, eyes in all_eyes.items()}
    kills = ROWS * (KILLS // ROWS)
    for number in range(ROWS):
        script = victims.in_a_row(KILLS // ROWS)
        pods = {
            node: run(victims.pod(f"row{number}", node, victims.container("app", script, SMALL))) for node in all_eyes
        }
        for node, pod in pods.items():
            wait(f"{pod} runs", lambda pod=pod: body(kubectl, pod)["status"]["phase"] == "Running", 400)
            if all_eyes[node].kills_groups:
                one_at_a_time(kubectl, node, states(body(kubectl, pod))["app"]["containerID"])
            kubectl("exec", pod, "-n", PODS, "--", "sh", "-c", ": >/shared/go")
        for pod in pods.values():
            wait(f"{pod} ends", lambda pod=pod: "killed " in kubectl("logs", pod, "-n", PODS), 900)
    for node, eyes in all_eyes.items():
        wait(f"the agent of {node} has seen them", lambda eyes=eyes: seen(kubectl, asked, eyes) >= kills, 900)
    time.sleep(REST_SECONDS)
    for node, eyes in all_eyes.items():
        after = footprint(kubectl, eyes)
        print(f"\n  {node}, at rest: {before[node]}\n  {node}, after {kills} kills: {after}")
        assert after.reached == 0, "the limit was in the way"
        if asked.memory_request is not None:
            assert max(before[node].needed, after.needed) < asked.memory_request


def footprint(kubectl: Kubectl, eyes: Eyes) -> Footprint:
    """Of a node's agent."""
    return Footprint.of(eyes, states(agents(kubectl)[eyes.node])["oomeventer"]["containerID"])


def one_at_a_time(kubectl: Kubectl, node: str, container_id: str) -> None:
    """Where the kubelet asks that a container's processes be killed together: not this one's."""
    bare = container_id.rpartition("/")[2]
    with Eyes(kubectl, PODS, f"hand-{bare[:6]}", node, VICTIM_IMAGE, writable="/sys/fs/cgroup") as hand:
        hand.sh(f"echo 0 >$(find /writable -path '*{bare}*' -name memory.oom.group | head -n 1)")


def seen(kubectl: Kubectl, asked: Asked, eyes: Eyes) -> float:
    """Kills that a node's agent knows of, and those that found no place in the ring."""
    metrics = figures(kubectl, asked, eyes)
    return metrics["oomeventer_kills_total"] + metrics["oomeventer_ring_lost_records_total"]
