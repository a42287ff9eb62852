"""What the modules of tests/system/cluster share. In: KUBECONFIG, the cluster; CLUSTER_IMAGE, the agent's image as its
nodes know it; further variables are in docs/cluster-tests.md. Out: what is asked for, and what the cluster says."""

import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any
from uuid import uuid4

import pytest

from cluster import Asked, Eyes, Kubectl, Refused, Release, Reported, schedulable, scrape, stage_seconds, wait

KUBECONFIG, IMAGE = os.environ.get("KUBECONFIG"), os.environ.get("CLUSTER_IMAGE")
#: Another version, to which the release is upgraded.
NEXT_IMAGE = os.environ.get("CLUSTER_IMAGE_NEXT") or IMAGE
VICTIM_IMAGE = os.environ.get("VICTIM_IMAGE") or "busybox"
VICTIM_COMMAND = os.environ.get("VICTIM_COMMAND") or "/bin/dd if=/dev/zero of=/dev/null bs=100M count=1"
NODES = os.environ.get("CLUSTER_NODES") or "3"
#: How often the release is installed and uninstalled in the test of that.
UNINSTALLS = int(os.environ.get("CLUSTER_UNINSTALLS") or 1)
#: In a row, of each node, where the agent's memory is measured.
KILLS = int(os.environ.get("CLUSTER_KILLS") or 500)
#: Both, so that nobody's cluster is tested because a KUBECONFIG happens to be set.
NAMED = bool(KUBECONFIG and IMAGE)
#: It is not imported here: it brings a runtime with signal handlers along (cluster/helm.py).
HELM = find_spec("helm_python") is not None

#: What a module of the suite is marked with.
MARKS = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not NAMED, reason="KUBECONFIG and CLUSTER_IMAGE name no cluster and no image: make test-cluster, make kind"
    ),
]

NAME = f"oomeventer-test-{uuid4().hex[:6]}"
PODS = f"{NAME}-pods"
#: Requests about one Pod at once, as settings have it by default, and one more for each five minutes.
BURST = 25
#: By this label all objects of the release are found.
INSTANCE = f"app.kubernetes.io/instance={NAME}"
#: Containers that are killed each time they start, of one Pod: more kills than requests within the first minute, though
#: the kubelet waits longer and longer.
LOOPS = 10
#: Containers that are killed one after the other while the agent is replaced, and the seconds between them.
TURNS, TURN_SECONDS = 20, 1.5

#: Creates a Pod, and returns its name; waits for the first Event about a Pod.
Run = Callable[[dict[str, Any]], str]
Shown = Callable[[str], Reported]


def nodes() -> list[str]:
    """Of the cluster, those that the tests use."""
    if not HELM:  # a cluster was named: to skip all would look like a success
        raise pytest.UsageError(
            "the cluster tests install the chart with Helm's Python module, helm-python-sdk, which is missing here: "
            "run `make test-cluster` on Linux on x86-64, for which it is built, or name no cluster (unset KUBECONFIG)"
        )
    try:
        if found := schedulable(Kubectl(KUBECONFIG or ""), NODES):
            return found
    except Refused as e:
        raise pytest.UsageError(str(e)) from None
    raise pytest.UsageError("the cluster has no node of those asked for that is ready and takes any Pod")


def removed(kubectl: Kubectl, release: Release) -> None:
    """Uninstall it, and wait until no agent is left. That it is not installed is no mistake."""
    release.uninstall()
    wait("no agent is left", lambda: not kubectl.json("get", "pods", "-n", NAME)["items"], 180)


def nothing_left(kubectl: Kubectl, asked: Asked, all_eyes: dict[str, Eyes]) -> None:
    """See that the agents, which are gone, left nothing on the nodes. What they did is removed: it is no part of what
    comes next."""
    swept = [f"{path} of {node}" for node, eyes in all_eyes.items() for path in sweep(kubectl, eyes, asked)]
    assert not swept, f"the agents left something, which was removed now: {', '.join(swept)}"


def left(eyes: Eyes, asked: Asked) -> list[str]:
    """Which of the agent's directories are not empty on a node."""
    return [path for path in (asked.pins, asked.journal) if path and eyes.files(path)]


def can_pin(eyes: Eyes, asked: Asked) -> bool:
    """Whether an agent has pins on that node: they are asked for, and it has a BPF file system there."""
    return bool(asked.pins) and eyes.is_bpf(str(PurePosixPath(str(asked.pins)).parent))


def sweep(kubectl: Kubectl, eyes: Eyes, asked: Asked) -> list[str]:
    """Remove them, and say which. They are this release's agent's: there were none before it."""
    found = left(eyes, asked)
    for path in map(PurePosixPath, found):
        with Eyes(kubectl, PODS, f"hand-{uuid4().hex[:6]}", eyes.node, VICTIM_IMAGE, str(path.parent)) as hand:
            hand.sh(f"rm -r /writable/{path.name}")
    return found


def values(of: str | None = IMAGE, **settings: Any) -> dict[str, Any]:
    """The chart's values: the image, the nodes, and what this cluster needs."""
    repository, _, tag = str(of).rpartition(":")
    image = {"repository": repository, "tag": tag}
    if "@" in str(of):
        repository, _, digest = str(of).partition("@")
        image = {"repository": repository, "digest": digest}
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes()]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    more = json.loads(os.environ.get("CLUSTER_VALUES") or "{}")
    return {"image": image, "affinity": affinity} | more | {"settings": more.get("settings", {}) | settings}


def agents(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    """The agent's Pods, by node; not the one of `helm test`, which stays where that fails."""
    pods = kubectl.json("get", "pods", "-n", NAME, "-l", f"{INSTANCE},app.kubernetes.io/name=oomeventer")["items"]
    return {pod["spec"]["nodeName"]: pod for pod in pods if not pod["metadata"].get("deletionTimestamp")}


def body(kubectl: Kubectl, pod: str) -> dict[str, Any]:
    """A victim, as the server has it."""
    return kubectl.json("get", "pod", pod, "-n", PODS)


def states(pod: dict[str, Any], kind: str = "containerStatuses") -> dict[str, dict[str, Any]]:
    """What the kubelet says of each container."""
    return {status["name"]: status for status in pod["status"].get(kind, [])}


def container_ended(kubectl: Kubectl, pod: str, name: str = "app", kind: str = "containerStatuses") -> dict[str, Any]:
    """Wait until the kubelet says how a container ended, also when another was started since."""

    def look() -> dict[str, Any] | None:
        status = states(body(kubectl, pod), kind).get(name, {})
        found = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated")
        return found if isinstance(found, dict) else None

    return wait(f"the end of container {name} of {pod}", look)


def ran_out(name: str, what: str = "Container") -> str:
    return f"{what} {name} ran out of its 64Mi memory limit and the kernel killed "


def figures(kubectl: Kubectl, asked: Asked, eyes: Eyes) -> dict[str, float]:
    """The metrics of a node's agent."""
    return scrape(eyes, agents(kubectl)[eyes.node]["status"]["podIP"], asked.port)


def stages(kubectl: Kubectl, asked: Asked, eyes: Eyes) -> dict[str, float]:
    """Seconds that each stage of a node's agent takes for a kill."""
    return stage_seconds(eyes, agents(kubectl)[eyes.node]["status"]["podIP"], asked.port)


def hold(asked: Asked, all_eyes: dict[str, Eyes]) -> None:
    """See that agents have on their nodes what the chart asks for, so that it is a proof when nothing is left."""
    for node, eyes in all_eyes.items():
        pins, files = (eyes.files(path) if path else [] for path in (asked.pins, asked.journal))
        print(f"\n  {node}: {len(pins)} files are its pins, {len(files)} its journal")
        assert bool(pins) == can_pin(eyes, asked), node
        assert bool(files) == bool(asked.journal), node


def troubles(kubectl: Kubectl) -> str:
    """The agents as kubectl describes them, and their last words."""
    selector = f"app.kubernetes.io/instance={NAME}"
    reported = kubectl("describe", "pods", "-n", NAME, "-l", selector)
    try:
        return reported + kubectl("logs", "-n", NAME, "-l", selector, "--tail=60", "--prefix")
    except Refused as e:  # none has started
        return reported + str(e)


def ended(kubectl: Kubectl, pod: str) -> int:
    """How many of its containers were ended by the OOM killer."""
    status = states(body(kubectl, pod)).values()
    return sum(one["state"].get("terminated", {}).get("exitCode") == 137 for one in status)
