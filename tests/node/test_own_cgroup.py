"""Which kills are this node's, where the node is a container, and what of their paths it sees.

In: a /proc as the kernel shows it to an agent, written by the test, and kills; then a real node within this machine:
cgroup namespace, pid namespace, mounts. Out: the kills that are the node's, their paths.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from machine import Cgroup, Victim
from machine.cgroup import hierarchy
from oomeventer.kernel import Kill, Tracer
from oomeventer.node import NodeCgroup, identify
from oomeventer.node import own_cgroup as module
from places import SUPPORT
from samples import CGROUP, CONTAINER_ID, LEVELS, POD_CGROUP, UID, kill, level

DOCKER = "/docker/" + "ab" * 32
#: In kind, /docker/<id> is above what LEVELS has: container, Pod, burstable, kubepods; then that, docker, the root.
OUTER = (*LEVELS[:4], level(inode=900), level(inode=901), level(inode=1))
IN_KIND = kill(cgroup=DOCKER + CGROUP, levels=OUTER)
BESIDE = kill(cgroup="/docker/" + "cd" * 32, levels=(level(inode=902), level(inode=901), level(inode=1)))
#: What a node's own cgroup is mistaken for: the agent's container in it.
AGENT = f"{DOCKER}/kubepods/besteffort/pod{UID}/{'ef' * 32}"
UP = "/../../../.."  # from the agent's container to the node


class Machine:
    """A /proc, and directories that stand for cgroup mounts; `inodes` are theirs."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc = directory / "proc"
        self.mounts: list[str] = []
        self.inodes: dict[Path, int] = {}
        for pid in ("self", "1"):
            (self.proc / pid).mkdir(parents=True)
        self._directory = directory
        monkeypatch.setattr(module.os, "stat", self._stat)

    def _stat(self, path: Path) -> Any:
        if path not in self.inodes:
            raise FileNotFoundError(path)
        return os.stat_result((0, self.inodes[path], *[0] * 8))

    def mount(self, root: str, inode: int, point: str = "/sys/fs/cgroup", unified: bool = True) -> None:
        """The memory hierarchy, of which `root` is seen there."""
        kind = "cgroup2 cgroup rw" if unified else "cgroup cgroup rw,memory"
        self.mounts.append(f"31 25 0:27 {root} {point} ro,nosuid shared:9 - {kind}\n")
        self.inodes[Path(point)] = inode

    def node(self, own: str, init: str, unified: bool = True, **options: Any) -> NodeCgroup:
        """As an agent sees it that is in the cgroup `own`; init: PID 1's."""
        for pid, path in (("self", own), ("1", init)):
            line = f"0::{path}\n" if unified else f"7:cpu,cpuacct:/x\n4:memory:{path}\n1:name=systemd:/y\n0::/z\n"
            (self.proc / pid / "cgroup").write_text(line)
        self.proc.joinpath("self/mountinfo").write_text(
            "21 20 0:19 / /sys rw - sysfs sysfs rw\n" + "".join(self.mounts)
        )
        return NodeCgroup(proc=self.proc, **options)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def paths(node: NodeCgroup, *kills: Kill) -> list[str]:
    return [mine.cgroup for mine in node.below(kills)]


def test_kind(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """cgroup v2: the agent's Pod has the node's /sys/fs/cgroup, whose root lies four cgroups above its own."""
    caplog.set_level("INFO")
    machine.mount(UP, 900)
    node = machine.node("/", UP + "/init.scope")
    (mine,) = node.below((IN_KIND, BESIDE))
    assert mine == replace(IN_KIND, cgroup=CGROUP, trigger=replace(IN_KIND.trigger, cgroup="…"))
    assert identify(mine.cgroup).container_id == CONTAINER_ID
    assert caplog.text.count("this node is a container") == 1


@pytest.mark.parametrize("init", [DOCKER, f"{DOCKER}/init.scope", f"{DOCKER}/init"])
def test_kind_on_cgroup_v1(machine: Machine, init: str) -> None:
    """There is no cgroup namespace: paths are the machine's, and a node's mounts have its container's as root."""
    machine.mount(DOCKER, 900, "/sys/fs/cgroup/memory", unified=False)
    node = machine.node(AGENT, init, unified=False)
    assert paths(node, replace(IN_KIND, unified=False), replace(BESIDE, unified=False)) == [CGROUP]


def test_a_node_in_a_pod_of_another_cluster(machine: Machine) -> None:
    """Its own Pods are found, not the one that it is in."""
    outer = f"/kubepods/burstable/pod{'0' * 8}-0000-0000-0000-{'0' * 12}/{'ef' * 32}"
    levels = (*LEVELS[:4], level(inode=900), *(level(inode=910 + i) for i in range(3)), level(inode=1))
    machine.mount(UP, 900)
    (mine,) = machine.node("/", UP + "/init.scope").below((kill(cgroup=outer + CGROUP, levels=levels),))
    assert (identify(outer + CGROUP).pod_uid, identify(mine.cgroup).pod_uid) == (
        f"{'0' * 8}-0000-0000-0000-{'0' * 12}",
        UID,
    )


@pytest.mark.parametrize("init", ["/init.scope", "/", "/machine.slice/odd/place", "/../../.."])
def test_a_real_node(machine: Machine, init: str, caplog: pytest.LogCaptureFixture) -> None:
    """The machine's root is mounted: all kills are its own, as they are, wherever its init lives."""
    machine.mount(UP, 1)
    node = machine.node("/", init)
    kills = (kill(), IN_KIND, BESIDE, kill(cgroup="…", levels=()))
    assert node.below(kills) == kills
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("mounted", "own", "init"),
    [
        (None, "/", UP + "/init.scope"),  # nothing at all
        ("/", "/", UP + "/init.scope"),  # the node's is not mounted, and this is the agent's container
        ("/", "/agent", UP + "/init.scope"),  # likewise, the agent in a cgroup of its own there
        ("/", "/", "/"),  # no hostPID: PID 1 is of the agent's container
        ("/", "/agent", "/agent"),  # or the agent itself
        (UP, "/", "/"),
        ("/../other", "/", UP + "/init.scope"),  # somebody else's
    ],
)
def test_where_it_cannot_be_told(
    machine: Machine, mounted: str | None, own: str, init: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Then all are the node's: none of a real node is lost. It is logged once."""
    if mounted:
        machine.mount(mounted, 555)
    node = machine.node(own, init)
    assert node.below((kill(), IN_KIND)) == (kill(), IN_KIND)
    assert node.below((BESIDE,)) == (BESIDE,)
    assert caplog.text.count("cannot be determined") == 1


def test_mounts_that_are_hidden_or_not_the_nodes(machine: Machine) -> None:
    """Of two at one place the later one is seen; one that is the agent's own container's is passed over."""
    machine.mount("/", 555)
    machine.mount(UP, 900)
    assert paths(machine.node("/", UP + "/init.scope"), IN_KIND, BESIDE) == [CGROUP]
    machine.mounts.clear()
    machine.mount("/", 555)
    machine.mount(UP, 900, "/host/sys/fs/cgroup")
    assert paths(machine.node("/", UP + "/init.scope"), IN_KIND, BESIDE) == [CGROUP]
    named = machine.node("/", UP + "/init.scope", cgroups=Path("/sys/fs/cgroup"))
    assert paths(named, BESIDE) == [BESIDE.cgroup]


def test_a_path_that_is_given() -> None:
    """It is compared by whole components; / is the whole machine."""
    node = NodeCgroup(DOCKER)
    assert paths(node, IN_KIND, BESIDE, kill(cgroup=DOCKER + "x/y"), kill(cgroup=DOCKER)) == [CGROUP, "/"]
    assert paths(NodeCgroup("/"), IN_KIND, BESIDE) == [IN_KIND.cgroup, BESIDE.cgroup]


def test_a_kill_of_the_nodes_own_processes(machine: Machine) -> None:
    """Those in its root, and its services."""
    machine.mount(UP, 900)
    node = machine.node("/", UP + "/init.scope")
    service = kill(cgroup=f"{DOCKER}/system.slice/kubelet.service", levels=(level(inode=5), level(inode=6), *OUTER[4:]))
    assert paths(node, kill(cgroup=DOCKER, levels=OUTER[4:]), service) == ["/", "/system.slice/kubelet.service"]


def test_the_trigger(machine: Machine) -> None:
    """Its path is the node's, too; of one that is elsewhere none is reported."""
    machine.mount(UP, 900)
    node = machine.node("/", UP + "/init.scope")
    for theirs, seen in [(DOCKER + POD_CGROUP, POD_CGROUP), (DOCKER, "/"), (BESIDE.cgroup, "…"), ("…", "…")]:
        (mine,) = node.below((replace(IN_KIND, trigger=replace(IN_KIND.trigger, cgroup=theirs)),))
        assert mine.trigger.cgroup == seen


# -- a real one --------------------------------------------------------------------------------------------------------

NODE = SUPPORT / "kernels/inside/container_node.py"


@pytest.mark.kernel
@pytest.mark.parametrize("init", ["init", "root"])
@pytest.mark.parametrize("agent", ["node", "own"])
async def test_a_node_within_this_machine(program: Path, tmp_path: Path, init: str, agent: str) -> None:
    """Of real kills in and beside the container of a node those in it are the node's, by the paths that it sees."""
    with ExitStack() as stack:
        container = stack.enter_context(Cgroup())
        command = [sys.executable, NODE, container.directory, tmp_path, init, agent]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == container.directory.stat().st_ino
        node = NodeCgroup()
        node.inodes = dict.fromkeys((False, True), json.loads(done.stdout))
        pod = stack.enter_context(Cgroup(4 << 20, "pod", container))
        beside = stack.enter_context(Cgroup(4 << 20))
        tracer = stack.enter_context(Tracer())
        pids = []
        for cgroup in (beside, pod):
            victim = stack.enter_context(Victim(program, cgroup, ["hog", "100"]))
            victim.go()
            victim.wait()
            pids.append(victim.pid)
        seen = {}
        async for episode in tracer.episodes():
            seen |= {kill.process.pid: node.below((kill,)) for kill in episode}
            if set(pids) <= set(seen):
                break
    assert seen[pids[0]] == ()
    (mine,) = seen[pids[1]]
    assert (mine.cgroup, mine.trigger.cgroup) == ("/pod", "/pod")


@pytest.mark.kernel
def test_this_machine() -> None:
    """All kills on it are its own."""
    unified = hierarchy().name != "memory"
    assert NodeCgroup().inodes[unified] == 1


@pytest.mark.parametrize(("file", "unified"), [("memory.limit_in_bytes", False), ("cgroup.controllers", True)])
def test_root_of_what_is_named(tmp_path: Path, file: str, unified: bool) -> None:
    """A directory within a hierarchy that is named as its place (--cgroup-root): paths begin there."""
    (tmp_path / file).touch()
    assert NodeCgroup("/docker/abc", cgroups=tmp_path).root() == (tmp_path, unified)
    (tmp_path / file).unlink()
    assert NodeCgroup("/docker/abc", cgroups=tmp_path).root() is None
