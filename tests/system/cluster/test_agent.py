"""What is installed. In: a release. Out: its agents, their rights, what they have of the node."""

import re
from pathlib import PurePosixPath

import pytest

from cluster import Asked, Eyes, Kubectl, Release
from cluster.suite import (
    IMAGE,
    MARKS,
    NAME,
    PODS,
    agents,
    can_pin,
    states,
)

pytestmark = MARKS


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
