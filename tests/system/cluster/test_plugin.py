"""`kubectl oom`, and what the pages tell a reader to type. In: kills, pages. Out: what a user sees."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from cluster import Eyes, Kubectl, Release
from cluster.suite import (
    MARKS,
    NAME,
    PODS,
    Run,
    Shown,
    agents,
)
from cluster.victims import Victims
from pages import commands

pytestmark = MARKS
#: What the pages tell a reader to type and nobody does here: a Pod of another image, and no Pod at all; the namespace's
#: end, which the suite waits for itself.
NOT_TYPED = ("kubectl describe pod oom-pid1", "kubectl logs --previous", "kubectl -n oomeventer wait ")
#: They change the cluster: the server is asked what it would do.
WRITE = frozenset(("apply", "create", "delete", "label"))


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
