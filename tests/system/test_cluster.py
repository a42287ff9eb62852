"""The chart and its agent in a real cluster, as its users see them: `make test-cluster`.

In: KUBECONFIG, the cluster; CLUSTER_IMAGE, the agent's image as its nodes know it; further variables are in
docs/cluster-tests.md. Out: for each way in which a container's process is killed, what `kubectl describe pod` and
`kubectl get events` show, on each node; what an upgrade loses, and what is left at the end.

What differs between nodes is asked of the nodes: what memory.oom.group says, what the Pod's status says. What differs
with the chart's values is read from what Helm makes of them (cluster/asked.py). Nothing here asks the agent what should
be expected of it.
"""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any
from uuid import uuid4

import pytest

from cluster import Arrivals, Asked, Eyes, Kubectl, Refused, Release, Reported, schedulable, scrape, wait
from cluster.node import static_pod_path
from cluster.reported import LastWords, described, events, kills_logged, listed
from cluster.victims import SMALL, Victims, idle
from pages import commands
from plugin.running import SOURCES, shim

KUBECONFIG, IMAGE = os.environ.get("KUBECONFIG"), os.environ.get("CLUSTER_IMAGE")
#: Another version, to which the release is upgraded.
NEXT_IMAGE = os.environ.get("CLUSTER_IMAGE_NEXT") or IMAGE
VICTIM_IMAGE = os.environ.get("VICTIM_IMAGE") or "busybox"
VICTIM_COMMAND = os.environ.get("VICTIM_COMMAND") or "/bin/dd if=/dev/zero of=/dev/null bs=100M count=1"
NODES = os.environ.get("CLUSTER_NODES") or "3"
#: How often the release is installed and uninstalled in the test of that.
UNINSTALLS = int(os.environ.get("CLUSTER_UNINSTALLS") or 1)
#: Both, so that nobody's cluster is tested because a KUBECONFIG happens to be set.
NAMED = bool(KUBECONFIG and IMAGE)
#: It is not imported here: it brings a runtime with signal handlers along (cluster/helm.py).
HELM = find_spec("helm_python") is not None

pytestmark = [
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
#: An address that nobody has (RFC 5737): what is sent there is lost, or comes back.
NOWHERE = "192.0.2.1"
#: A kill is in the log so soon, whatever the API server does, on a slow machine, too: before a request has had its ten.
LOGGED_SECONDS = 9.0
#: What the pages tell a reader to type and nobody does here: a Pod of another image, and no Pod at all; the namespace's
#: end, which the suite waits for itself.
NOT_TYPED = ("kubectl describe pod oom-pid1", "kubectl logs --previous", "kubectl -n oomeventer wait ")
#: They change the cluster: the server is asked what it would do.
WRITE = frozenset(("apply", "create", "delete", "label"))
#: Rights that are given are noticed so soon: /readyz asks for them once a minute, and the kubelet asks it.
NOTICED_SECONDS = 100

Run = Callable[[dict[str, Any]], str]
Shown = Callable[[str], Reported]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a node is run for each."""
    if "node" in metafunc.fixturenames:
        metafunc.parametrize("node", nodes() if NAMED else ["no-cluster"])


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


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Of the cluster."""
    return Kubectl(KUBECONFIG or "")


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl of the cluster with our plugin, from its sources."""
    programs = tmp_path_factory.mktemp("programs")
    shim(programs, "kubectl-oom", f"{sys.executable} -m kubectl_oom")
    return Kubectl(KUBECONFIG or "", PATH=f"{programs}:{os.environ['PATH']}", PYTHONPATH=str(SOURCES))


@pytest.fixture(scope="session")
def namespaces(kubectl: Kubectl) -> Iterator[None]:
    """The agent's, and the victims'. The agent needs host paths and the host's processes, and so do our eyes."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that fixtures end then, too
    try:
        for name in (NAME, PODS):
            labels = {"pod-security.kubernetes.io/enforce": "privileged"}
            kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        yield
    finally:
        for name in (NAME, PODS):
            kubectl.delete("namespace", name)
        kubectl("delete", "clusterrolebindings,clusterroles", "-l", INSTANCE)  # where Helm could not
        for name in (NAME, PODS):
            wait(f"namespace {name} is gone", lambda name=name: not kubectl.there("namespace", name), 300)
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def all_eyes(kubectl: Kubectl, namespaces: None) -> Iterator[dict[str, Eyes]]:
    """What looks around on each node."""
    with ExitStack() as stack:
        found: dict[str, Eyes] = {}
        for number, node in enumerate(nodes()):
            found[node] = stack.enter_context(Eyes(kubectl, PODS, f"eyes-{number}", node, VICTIM_IMAGE))
        yield found


@pytest.fixture(scope="session")
def asked() -> Asked:
    """What the chart asks for with these values."""
    return Asked(Release(KUBECONFIG or "", NAME, NAME).render(values()))


@pytest.fixture(scope="session")
def release(kubectl: Kubectl, asked: Asked, all_eyes: dict[str, Eyes]) -> Iterator[Release]:
    """The chart as it is by default, but for the image, the choice of nodes, and what this cluster needs."""
    others = kubectl.json("get", "daemonsets", "-A", "-l", "app.kubernetes.io/name=oomeventer")["items"]
    where = [f"{other['metadata']['namespace']}/{other['metadata']['name']}" for other in others]
    where += [f"{path} of {node}" for node, eyes in all_eyes.items() for path in left(eyes, asked)]
    if where:
        pytest.fail(f"a node has one agent, and there is something of another: {', '.join(where)}")
    installed = Release(KUBECONFIG or "", NAME, NAME)
    try:
        try:
            installed.install(values())
        except AssertionError as e:
            pytest.fail(f"{e}\n{troubles(kubectl)}")
        yield installed
    finally:
        removed(kubectl, installed)
        nothing_left(kubectl, asked, all_eyes)


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


@pytest.fixture
def eyes(all_eyes: dict[str, Eyes], node: str) -> Eyes:
    """What looks around on this node."""
    return all_eyes[node]


@pytest.fixture(scope="session")
def arrivals(kubectl: Kubectl, namespaces: None) -> Iterator[Arrivals]:
    """All changes of Events, as they reach somebody who watches."""
    watching = Arrivals(kubectl, PODS)
    yield watching
    watching.close()


@pytest.fixture(scope="session")
def victims() -> Victims:
    """Makes Pods that are killed."""
    return Victims(PODS, VICTIM_IMAGE, VICTIM_COMMAND)


@pytest.fixture
def run(kubectl: Kubectl, release: Release, arrivals: Arrivals) -> Iterator[Run]:
    """Creates a Pod, and returns its name; ends it after the test."""
    created: list[str] = []

    def create(manifest: dict[str, Any]) -> str:
        kubectl.create(manifest)
        created.append(manifest["metadata"]["name"])
        return created[-1]

    yield create
    for name in created:
        kubectl.delete("pod", name, PODS)


@pytest.fixture
def shown(kubectl: Kubectl) -> Shown:
    """Waits for the first Event about a Pod, sees that kubectl shows it in both places, and returns it."""

    def look(pod: str) -> Reported:
        reported, rows, table = wait(f"an Event about {pod}", lambda: at_rest(pod))
        print(*(f"\n  describe pod {pod}: {row}" for row in rows), sep="")
        assert len(rows) == len(reported), "kubectl describe pod shows it"
        assert len(table) == len(reported), "kubectl get events shows it"
        for one in reported:
            assert any(one.message in row for row in rows)
            assert any(one.message in row for row in table)
        return reported[0]

    def at_rest(pod: str) -> tuple[list[Reported], list[str], list[str]] | None:
        """What is shown while nothing changes."""
        reported = events(kubectl, PODS, pod)
        rows, table = described(kubectl, PODS, pod), listed(kubectl, PODS, pod)
        return (reported, rows, table) if reported and reported == events(kubectl, PODS, pod) else None

    return look


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


# -- what is installed -------------------------------------------------------------------------------------------------


def test_agent_runs(kubectl: Kubectl, release: Release, node: str) -> None:
    """The default install has a ready agent on each node; it is not privileged and cannot become so."""
    pod = agents(kubectl)[node]
    (container,) = pod["spec"]["containers"]
    context = container["securityContext"]
    assert container["image"] == IMAGE
    assert states(pod)["oomeventer"]["ready"]
    assert states(pod)["oomeventer"]["restartCount"] == 0
    assert not context.get("privileged")
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"]["drop"] == ["ALL"]
    assert not pod["spec"].get("hostNetwork")


def test_helm_test(kubectl: Kubectl, release: Release) -> None:
    """A container is killed, its Event read back by the one beside it; and all that was made for it is gone."""
    release.test()
    for kind in ("pod", "serviceaccount", "role", "rolebinding"):
        left = kubectl.json("get", kind, "-n", NAME)["items"]
        assert not [item for item in left if item["metadata"]["name"].endswith("-test")], kind


def test_capabilities(kubectl: Kubectl, release: Release, asked: Asked, eyes: Eyes) -> None:
    """The kernel says of the agent's process: those capabilities that the chart asks for, nothing more to be had, and a
    seccomp filter, but where the chart asks for none."""
    identity = states(agents(kubectl)[eyes.node])["oomeventer"]["containerID"]
    status = eyes.status(identity)
    print(f"\n  {eyes.node}: CapEff {status['CapEff']}, NoNewPrivs {status['NoNewPrivs']}, Seccomp {status['Seccomp']}")
    for which in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[which], 16) == asked.capabilities, which
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == ("2" if asked.seccomp else "0")


def test_permissions(kubectl: Kubectl, release: Release, asked: Asked) -> None:
    """Beyond what every account may, the agent's may do what is documented, in all namespaces and in its own."""
    if not asked.pod_verbs:
        pytest.skip("the chart is to make no roles (rbac.create)")
    everywhere = {("events", "", frozenset({"create", "patch"})), ("pods", "", asked.pod_verbs)}
    account = next(iter(agents(kubectl).values()))["spec"]["serviceAccountName"]
    daemonset = ("daemonsets.apps", asked.name, frozenset({"get"}))
    for namespace, expected in ((PODS, everywhere), (NAME, everywhere | {daemonset}), ("kube-system", everywhere)):
        may, anybody = (permitted(kubectl, namespace, each) for each in (account, "default"))
        print(f"\n  can-i --list -n {namespace}, beyond every account's: {sorted(readable(may - anybody))}")
        assert may - anybody == expected


def test_mounts(kubectl: Kubectl, release: Release, asked: Asked, eyes: Eyes) -> None:
    """Of the node's BPF file system the container has the agent's own directory: other programs' pins are out of its
    reach, though its capabilities would let it open them."""
    if not can_pin(eyes, asked):
        pytest.skip(f"the agent of {eyes.node} has no pins")
    mounts = eyes.bpf_mounts(states(agents(kubectl)[eyes.node])["oomeventer"]["containerID"])
    print(f"\n  {eyes.node}: mounted of BPF file systems: {mounts}")
    assert len(mounts) == 1
    assert PurePosixPath(*mounts.values()).name == PurePosixPath(str(asked.pins)).name


def permitted(kubectl: Kubectl, namespace: str, account: str) -> set[tuple[str, str, frozenset[str]]]:
    """The rows of kubectl auth can-i --list. Accounts are the release's namespace's."""
    name = f"system:serviceaccount:{NAME}:{account}"
    table = kubectl("auth", "can-i", "--list", f"--as={name}", "-n", namespace)
    rows = re.findall(r"^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]$", table, re.MULTILINE)
    assert rows, table
    return {(resource or urls, names, frozenset(verbs.split())) for resource, urls, names, verbs in rows}


def readable(rows: set[tuple[str, str, frozenset[str]]]) -> list[str]:
    return [f"{resource} [{names}] {sorted(verbs)}" for resource, names, verbs in rows]


# -- kills -------------------------------------------------------------------------------------------------------------


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


def test_plugin(kubectl: Kubectl, plugin: Kubectl, run: Run, shown: Shown, victims: Victims, node: str) -> None:
    """`kubectl oom` lists the kill, tells its story, and counts it; once the Events are gone the agents' journals on
    the nodes tell the same. Who may not list Events is told so."""
    pod = run(victims.pod("plugin", node, victims.container("app", victims.once)))
    message = shown(pod).message
    in_namespace = ("oom", "-n", PODS)

    def rows(*more: str) -> list[str]:
        return [row for row in plugin(*in_namespace, *more).splitlines() if f"{pod} " in row]

    (row,) = rows("--node", node)
    story = plugin("oom", "show", pod, "-n", PODS)
    top = plugin("oom", "top", "-A", "--by", "node")
    print(plugin(*in_namespace), story, top, sep="\n")
    assert f" app {PurePosixPath(victims.program).name} " in " ".join(row.split())
    assert "64Mi" in row
    assert "PID 1 was killed: the container ends with it" in " ".join(story.split())
    assert message.split(" and the kernel killed ")[0] in " ".join(story.split())
    assert any(line.startswith(node) for line in top.splitlines())
    kubectl("delete", "events", "-n", PODS, "--field-selector", f"involvedObject.name={pod}")
    (kept,) = rows("--history")
    assert " ".join(kept.split()[2:4]) == " ".join(row.split()[2:4])
    status, said = plugin.attempt(*in_namespace, "--as", "somebody")
    assert (status, "events is forbidden" in said) == (1, True), said


def test_pages(kubectl: Kubectl, release: Release, eyes: Eyes) -> None:
    """What the pages tell a reader to ask of a cluster with kubectl is answered by this one."""
    typed = {" ".join(command.words): command.words for command in commands() if command.words[0] == "kubectl"}
    asked = [words[1:] for line, words in typed.items() if not line.startswith((*NOT_TYPED, "kubectl oom"))]
    assert len(asked) > 20
    for words in asked:
        kubectl(*here(words, agents(kubectl)[eyes.node]["metadata"]["name"], eyes))


def here(words: Sequence[str], agent: str, eyes: Eyes) -> list[str]:
    """A command of a page with what this cluster has for its names. A Pod of the reader's is our eyes."""
    is_agents = "oomeventer" in words[: words.index("POD")] if "POD" in words else True
    pod, namespace, container = (agent, NAME, "oomeventer") if is_agents else (eyes.name, PODS, "eyes")
    of = {"POD": pod, "CONTAINER": container, "NODE": eyes.node, "NAMESPACE": PODS, "oomeventer": NAME}
    of |= {"daemonset/oomeventer": f"daemonset/{NAME}", "spec.nodeName=NODE": f"spec.nodeName={eyes.node}"}
    of |= {"--as=system:serviceaccount:oomeventer:oomeventer": f"--as=system:serviceaccount:{NAME}:{NAME}"}
    if "create" in words:
        of["oomeventer"] = f"{NAME}-new"
    end = words.index("--") if "--" in words else len(words)
    more = ["--dry-run=server"] * bool(WRITE & set(words)) + ["-n", namespace] * (not is_agents)
    executed = words[end:] if is_agents else ("--", "sh", "-c", " ".join(words[end + 1 :]))  # busybox may be sh alone
    return [*(of.get(word, word) for word in words[:end]), *more, *executed]


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


def figures(kubectl: Kubectl, asked: Asked, eyes: Eyes) -> dict[str, float]:
    """The metrics of a node's agent."""
    return scrape(eyes, agents(kubectl)[eyes.node]["status"]["podIP"], asked.port)


# -- the release's life ------------------------------------------------------------------------------------------------


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


def ended(kubectl: Kubectl, pod: str) -> int:
    """How many of its containers were ended by the OOM killer."""
    status = states(body(kubectl, pod)).values()
    return sum(one["state"].get("terminated", {}).get("exitCode") == 137 for one in status)


def troubles(kubectl: Kubectl) -> str:
    """The agents as kubectl describes them, and their last words."""
    selector = f"app.kubernetes.io/instance={NAME}"
    reported = kubectl("describe", "pods", "-n", NAME, "-l", selector)
    try:
        return reported + kubectl("logs", "-n", NAME, "-l", selector, "--tail=60", "--prefix")
    except Refused as e:  # none has started
        return reported + str(e)


def test_uninstall(kubectl: Kubectl, release: Release, asked: Asked, all_eyes: dict[str, Eyes]) -> None:
    """Nothing is left: no object of the chart's, no process, and on each node no pins and no files."""
    manifest = release.manifest()
    assert kubectl("get", "-f", "-", "-o", "name", stdin=manifest).split()
    hold(asked, all_eyes)
    removed(kubectl, release)
    assert not kubectl("get", "-f", "-", "--ignore-not-found", "-o", "name", stdin=manifest).split()
    kinds = (
        "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,daemonsets,controllerrevisions,configmaps,"
        "secrets,services,networkpolicies,resourcequotas,priorityclasses"
    )
    assert not kubectl("get", kinds, "-A", "-l", INSTANCE, "-o", "name").split()
    assert not kubectl("get", "secrets", "-n", NAME, "-o", "name").split(), "Helm's record of the release"
    nothing_left(kubectl, asked, all_eyes)


def hold(asked: Asked, all_eyes: dict[str, Eyes]) -> None:
    """See that agents have on their nodes what the chart asks for, so that it is a proof when nothing is left."""
    for node, eyes in all_eyes.items():
        pins, files = (eyes.files(path) if path else [] for path in (asked.pins, asked.journal))
        print(f"\n  {node}: {len(pins)} files are its pins, {len(files)} its journal")
        assert bool(pins) == can_pin(eyes, asked), node
        assert bool(files) == bool(asked.journal), node


def test_uninstall_with_events_waiting(
    kubectl: Kubectl, run: Run, release: Release, asked: Asked, victims: Victims, all_eyes: dict[str, Eyes]
) -> None:
    """Nothing is left on the nodes either where Events wait: a Pod's processes are killed more often than the agent may
    ask the server about one Pod."""
    removed(kubectl, release)
    release.install(values())
    for node, eyes in all_eyes.items():
        if eyes.kills_groups:
            loops = [victims.container(f"app{number}", victims.once) for number in range(LOOPS)]
            run(victims.pod("waits", node, *loops, restartPolicy="Always"))
        else:
            run(victims.pod("waits", node, victims.container("app", victims.storm)))

    burst = int(asked.environ.get("OOMEVENTER_OBJECT_BURST", BURST))

    def waits(eyes: Eyes) -> dict[str, float] | None:
        """The agent's figures, once all requests that are free are made, and more waits than what is on its way."""
        before = figures(kubectl, asked, eyes)["oomeventer_events_delivered_total"]
        time.sleep(3)
        now = figures(kubectl, asked, eyes)
        spent = now["oomeventer_events_delivered_total"] == before >= burst
        return now if spent and now["oomeventer_events_waiting"] else None

    for node, eyes in all_eyes.items():
        now = wait(f"Events wait on {node}", lambda eyes=eyes: waits(eyes), 300)
        names = ("waiting", "seen_total", "delivered_total", "merged_total")
        print(f"\n  {node}:", *(f"oomeventer_events_{name} {now[f'oomeventer_events_{name}']:.0f}" for name in names))
    hold(asked, all_eyes)
    removed(kubectl, release)
    nothing_left(kubectl, asked, all_eyes)


def test_uninstall_after_kills(
    kubectl: Kubectl, run: Run, release: Release, asked: Asked, victims: Victims, all_eyes: dict[str, Eyes]
) -> None:
    """Nothing is left on any node where a container is killed, and then the release is uninstalled, CLUSTER_UNINSTALLS
    times. What an agent said that left something is printed."""
    clean = 0
    removed(kubectl, release)
    for turn in range(UNINSTALLS):
        release.install(values())
        pods = [run(victims.pod(f"last{turn}", node, victims.container("app", victims.once))) for node in all_eyes]
        for pod in pods:
            container_ended(kubectl, pod)
        hold(asked, all_eyes)
        said = {node: LastWords(kubectl, NAME, pod["metadata"]["name"]) for node, pod in agents(kubectl).items()}
        removed(kubectl, release)
        for node, eyes in all_eyes.items():
            words = said[node].close()
            if found := sweep(kubectl, eyes, asked):
                print(
                    f"\n  {node}, uninstallation {turn + 1}: {', '.join(found)} left; its agent's last words:\n{words}"
                )
            clean += not found
    print(f"\n  {clean} of {UNINSTALLS * len(all_eyes)} nodes were left clean, in {UNINSTALLS} uninstallations")
    assert clean == UNINSTALLS * len(all_eyes)


# -- troubles ----------------------------------------------------------------------------------------------------------


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


def test_namespace_deleted(kubectl: Kubectl, release: Release, asked: Asked, all_eyes: dict[str, Eyes]) -> None:
    """Nothing is left on the nodes either where the agents' namespace is deleted and nothing was uninstalled: with the
    DaemonSet goes, in no order, all that its agents may ask the server with. What is in no namespace stays."""
    removed(kubectl, release)
    release.install(values())
    hold(asked, all_eyes)
    kubectl.delete("namespace", NAME)
    wait(f"namespace {NAME} is gone", lambda: not kubectl.there("namespace", NAME), 300)
    try:
        nothing_left(kubectl, asked, all_eyes)
    finally:
        kubectl("delete", "clusterrolebindings,clusterroles", "-l", INSTANCE)
