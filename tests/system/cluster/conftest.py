"""The chart and its agent in a real cluster, as its users see them: `make test-cluster`.

In: see cluster/suite.py. Out: a release of the chart, for all modules, in the order of their names: what it is, kills,
`kubectl oom`, an agent that is replaced, troubles, and what is left at the end.

What differs between nodes is asked of the nodes: what memory.oom.group says, what the Pod's status says. What differs
with the chart's values is read from what Helm makes of them (cluster/asked.py). Nothing here asks the agent what should
be expected of it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cluster import Arrivals, Asked, Eyes, Kubectl, Release, Reported, wait
from cluster.reported import described, events, listed
from cluster.suite import (
    INSTANCE,
    KUBECONFIG,
    NAME,
    NAMED,
    PODS,
    VICTIM_COMMAND,
    VICTIM_IMAGE,
    Run,
    Shown,
    left,
    nodes,
    nothing_left,
    removed,
    troubles,
    values,
)
from cluster.victims import Victims
from plugin.running import SOURCES, shim


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a node is run for each."""
    if "node" in metafunc.fixturenames:
        metafunc.parametrize("node", nodes() if NAMED else ["no-cluster"])


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
