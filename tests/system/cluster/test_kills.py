"""Each way in which a container's process is killed. In: Pods. Out: what `kubectl describe pod` and
`kubectl get events` show, on each node."""

import json
import os
import re
from typing import Any
from uuid import uuid4

import pytest

from cluster import Arrivals, Asked, Eyes, Kubectl, Refused, Release, wait
from cluster.node import static_pod_path
from cluster.reported import described, events
from cluster.suite import (
    BURST,
    MARKS,
    NAME,
    PODS,
    VICTIM_IMAGE,
    Run,
    Shown,
    body,
    container_ended,
    ran_out,
    states,
)
from cluster.victims import SMALL, Victims, idle

pytestmark = MARKS


def test_pid1(kubectl: Kubectl, run: Run, shown: Shown, victims: Victims, node: str) -> None:
    """PID 1 is killed: the Event says so, and Kubernetes agrees."""
    pod = run(victims.pod("pid1", node, victims.container("app", victims.once)))
    reported = shown(pod)
    assert reported.message.startswith(ran_out("app") + f"{victims.program} (pid 1 in the container), which held ")
    assert "PID 1 was killed: the container ends with it" in reported.message
    assert reported.where == "spec.containers{app}"
    assert (reported.count, reported.incident["node"]) == (1, node)
    assert container_ended(kubectl, pod)["reason"] == "OOMKilled"


def test_child(kubectl: Kubectl, run: Run, shown: Shown, victims: Victims, eyes: Eyes) -> None:
    """A child is killed and PID 1 lives: Kubernetes says nothing, and the Event says it."""
    if eyes.kills_groups:
        pytest.skip(f"on {eyes.node} a container's processes are killed together (memory.oom.group is 1)")
    pod = run(victims.pod("child", eyes.node, victims.container("app", victims.child)))
    reported = shown(pod)
    assert reported.message.startswith(ran_out("app") + victims.program)
    if eyes.sees_all:
        assert "PID 1 lives on: the container was not restarted" in reported.message
    else:
        print(f"\n  {eyes.node} is in a pid namespace of its own: what became of PID 1 cannot be seen there")
        assert reported.incident["pid1"] is None
    assert reported.incident["victims"][0]["container_pid"] > 1
    assert reported.count == 1
    wait("PID 1 goes on", lambda: "PID 1 goes on" in kubectl("logs", pod, "-n", PODS))
    status = states(body(kubectl, pod))["app"]
    assert "running" in status["state"]
    assert status["restartCount"] == 0


def test_group(kubectl: Kubectl, run: Run, shown: Shown, victims: Victims, eyes: Eyes) -> None:
    """All of a container's processes are killed together: one Event for all of them. PID 1 comes first, and its pid
    namespace ends with it: what that ends before the kernel comes to it is not the OOM killer's, in its log neither."""
    if not eyes.kills_groups:
        pytest.skip(f"on {eyes.node} one process is killed at a time (no memory.oom.group, or 0)")
    pod = run(victims.pod("group", eyes.node, victims.container("app", victims.family)))
    reported = shown(pod)
    assert reported.message.startswith(ran_out("app"))
    group = re.search(
        r"With it went the rest of its group of ([234]) \(memory\.oom\.group\): sh \(1\)", reported.message
    )
    assert group
    assert reported.message.count("sleep (") == int(group[1]) - 2
    assert "PID 1 was killed: the container ends with it" in reported.message
    assert reported.count == 1
    assert container_ended(kubectl, pod)["reason"] == "OOMKilled"


def test_init_container(kubectl: Kubectl, run: Run, shown: Shown, victims: Victims, node: str) -> None:
    """An init container is killed, and the Event's path is its."""
    first = victims.container("prepare", victims.once)
    pod = run(victims.pod("init", node, victims.container("app", idle()), initContainers=[first]))
    reported = shown(pod)
    assert reported.message.startswith(ran_out("prepare"))
    assert reported.where == "spec.initContainers{prepare}"
    assert container_ended(kubectl, pod, "prepare", "initContainerStatuses")["reason"] == "OOMKilled"


def test_sidecar(kubectl: Kubectl, run: Run, shown: Shown, victims: Victims, node: str) -> None:
    """A sidecar, an init container that goes on beside the others, is killed and started again; the others live on."""
    sidecar = victims.container("proxy", victims.first_time, restartPolicy="Always")
    pod = run(victims.pod("sidecar", node, victims.container("app", idle()), initContainers=[sidecar]))
    if "restartPolicy" not in body(kubectl, pod)["spec"]["initContainers"][0]:
        pytest.skip("this cluster does not know sidecars (Kubernetes 1.29 and newer do)")
    reported = shown(pod)
    assert reported.message.startswith(ran_out("proxy"))
    assert reported.where == "spec.initContainers{proxy}"

    def again() -> dict[str, Any] | None:
        found = body(kubectl, pod)
        status = states(found, "initContainerStatuses").get("proxy", {})
        runs = "running" in states(found).get("app", {}).get("state", {})
        return found if status.get("restartCount") == 1 and runs else None

    assert states(wait("the sidecar is back and app runs", again))["app"]["restartCount"] == 0
    assert [one.count for one in events(kubectl, PODS, pod)] == [1]


def test_pod_limit(kubectl: Kubectl, run: Run, shown: Shown, victims: Victims, node: str) -> None:
    """The limit is the Pod's, and no container's: the Event names the Pod."""
    resources = {"limits": {"memory": "64Mi"}, "requests": {"memory": SMALL}}
    containers = victims.container("app", victims.once, None), victims.container("other", idle(), None)
    try:
        pod = run(victims.pod("podlimit", node, *containers, resources=resources))
    except Refused as e:
        pytest.skip(f"this cluster refuses a Pod's own limit: {e}")
    if "resources" not in body(kubectl, pod)["spec"]:
        pytest.skip("this cluster does not know a Pod's own limit (Kubernetes 1.34 and newer do)")
    reported = shown(pod)
    assert reported.message.startswith(ran_out(pod, "Pod"))
    assert "in container app)" in reported.message
    assert reported.incident["scope"] == "pod"


def test_static_pod(kubectl: Kubectl, release: Release, shown: Shown, victims: Victims, eyes: Eyes) -> None:
    """A static Pod, which the kubelet has from a file: the Event is where kubectl looks for its mirror's."""
    try:
        path = os.environ.get("STATIC_POD_PATH") or static_pod_path(kubectl, eyes.node)
    except Refused as e:
        pytest.skip(f"STATIC_POD_PATH is not set, and the kubelet of {eyes.node} cannot be asked for it: {e}")
    if not path:
        pytest.skip(f"the kubelet of {eyes.node} reads no static Pods (staticPodPath), and STATIC_POD_PATH is not set")
    manifest = victims.pod("static", eyes.node, victims.container("app", victims.once))
    mirror, file = f"{manifest['metadata']['name']}-{eyes.node}", f"/writable/{NAME}.yaml"
    del manifest["spec"]["nodeName"]  # the kubelet's own
    with Eyes(kubectl, PODS, f"hand-{uuid4().hex[:6]}", eyes.node, VICTIM_IMAGE, writable=path) as hand:
        try:
            hand.sh(f"cat >{file}.part <<'END'\n{json.dumps(manifest)}\nEND\nmv {file}.part {file}")
            wait(f"{mirror} is there", lambda: kubectl.there("pod", mirror, PODS))  # it may come after the kill
            reported = shown(mirror)
            annotations = body(kubectl, mirror)["metadata"]["annotations"]
        finally:
            hand.sh(f"rm -f {file} {file}.part")
    assert reported.message.startswith(ran_out("app"))
    assert reported.where == "spec.containers{app}"
    assert reported.body["involvedObject"]["uid"] == annotations["kubernetes.io/config.mirror"]
    wait("the static Pod is gone", lambda: not kubectl.there("pod", mirror, PODS))


def test_crash_loop(
    kubectl: Kubectl, run: Run, shown: Shown, victims: Victims, asked: Asked, arrivals: Arrivals, node: str
) -> None:
    """A container that is killed each time it starts: one Event, whose count is the number of kills, and not more
    requests than kills."""
    pod = run(victims.pod("loop", node, victims.container("app", victims.once), restartPolicy="Always"))
    shown(pod)

    def agreed() -> tuple[int, str] | None:
        """Kills by the Pod's status between two of them, and the row that says as many; one too many stays so."""
        status = states(body(kubectl, pod))["app"]
        kills, rows = status["restartCount"] + 1, described(kubectl, PODS, pod)
        same = len(rows) == 1 and f"(x{kills} over " in rows[0]
        return (kills, rows[0]) if kills >= 4 and same and "running" not in status["state"] else None

    kills, row = wait("four kills, and as many reported", agreed, 300)
    wait("the watch has them, too", lambda: arrivals.of(pod)[-1][2].count >= kills)
    changes = arrivals.of(pod)
    print(f"\n  {pod}: {kills} kills, {len(changes)} requests\n  describe pod {pod}: {row}")
    assert [one.count for one in events(kubectl, PODS, pod)] == [changes[-1][2].count]
    burst = int(asked.environ.get("OOMEVENTER_OBJECT_BURST", BURST))
    assert len(changes) <= min(changes[-1][2].count, burst + 1)
