"""The cases: ways in which the kernel comes to kill. Flows in: a stage. Flows out: what was expected, on that stage.

Rules: a case provokes the kernel by means that any container has, and says what must have happened by the way it was
built; sizes leave no doubt who is chosen. Each takes as little memory as will do: every page is touched by an emulated
processor.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from inside.cgroups import UNIFIED, container, pod
from inside.stage import Stage

MIB = 1 << 20
SWAP = "/swap"
#: oom_score_adj of a process that the kernel spares. A trigger has it where another process is to be the only victim:
#: before that one's memory is back, a kernel may well choose again.
NEVER = -1000


@dataclass(frozen=True)
class Case:
    """A case, and what it needs: cgroup v2, two NUMA nodes."""

    play: Callable[[Stage], None]
    unified: bool = False
    nodes: bool = False

    def possible(self, nodes: int) -> bool:
        return (UNIFIED or not self.unified) and (nodes > 1 or not self.nodes)


def container_limit(s: Stage) -> None:
    """The common case: one process, its container's limit."""
    cgroup = s.cgroups.make(container("plain"), limit=24 * MIB)
    hog = s.start(cgroup, "hog", "64", "--workers=4", "ünï", "", uid=1000, adj=500)
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog)


def systemd_layout(s: Stage) -> None:
    """The same with the names that the systemd driver gives."""
    cgroup = s.cgroups.make(container("systemd", systemd=True), limit=24 * MIB)
    hog = s.start(cgroup, "hog", "64", uid=65534)
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog)


def pod_limit(s: Stage) -> None:
    """The Pod's limit, two containers: the victim lives in the one that did not trigger it."""
    limit = s.cgroups.make(pod("two"), limit=48 * MIB)
    one, two = s.cgroups.make(container("a", of="two")), s.cgroups.make(container("b", of="two"))
    prey, hog = s.start(one, "hog", "30", adj=1000), s.start(two, "hog", "30", adj=NEVER)
    s.settle(prey, kib=30 << 10)
    hog.go()
    s.until_dead(prey)
    s.expect("pod", limit, [[prey]], trigger=hog, spared=(hog,))


def bystander(s: Stage) -> None:
    """One container, two processes: the victim is not the one whose allocation failed."""
    cgroup = s.cgroups.make(container("bystander"), limit=48 * MIB)
    prey, hog = s.start(cgroup, "hog", "30", adj=1000, uid=7), s.start(cgroup, "hog", "30", adj=NEVER)
    s.settle(prey, kib=30 << 10)
    hog.go()
    s.until_dead(prey)
    s.expect("container", cgroup, [[prey]], trigger=hog, spared=(hog,))


def threads(s: Stage) -> None:
    """Eight threads die, each marked anew by some kernels: one incident."""
    cgroup = s.cgroups.make(container("threads"), limit=24 * MIB)
    hog = s.start(cgroup, "threads", "64", "8")
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog)


def orphan(s: Stage) -> None:
    """A thread whose leader has ended is marked; the process is told."""
    cgroup = s.cgroups.make(container("orphan"), limit=24 * MIB)
    hog = s.start(cgroup, "orphan", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog)


def shared(s: Stage) -> None:
    """Shared memory counts as shmem."""
    cgroup = s.cgroups.make(container("shared"), limit=24 * MIB)
    hog = s.start(cgroup, "shmem", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog)


def nested(s: Stage) -> None:
    """cgroups of the container's own below it; the container's limit."""
    limit = s.cgroups.make(container("nested"), limit=24 * MIB)
    hog = s.start(s.cgroups.make(limit + "/init.scope/worker"), "hog", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("container", limit, [[hog]], trigger=hog)


def nested_limit(s: Stage) -> None:
    """The same, but the limit is that of the inner cgroup."""
    outer = s.cgroups.make(container("nested-limit"), limit=96 * MIB)
    inner = s.cgroups.make(outer + "/worker", limit=24 * MIB)
    hog = s.start(inner, "hog", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("cgroup", inner, [[hog]], trigger=hog)


def long_path(s: Stage) -> None:
    """Components of 200 bytes."""
    limit = s.cgroups.make(container("long"), limit=24 * MIB)
    hog = s.start(s.cgroups.make(limit + "/" + "/".join(letter * 200 for letter in "abc")), "hog", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("container", limit, [[hog]], trigger=hog)


def service(s: Stage) -> None:
    """A process of the node, outside any Pod."""
    cgroup = s.cgroups.make("/system.slice/foo.service", limit=24 * MIB)
    hog = s.start(cgroup, "hog", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("cgroup", cgroup, [[hog]], trigger=hog)


def long_arguments(s: Stage) -> None:
    """More arguments and environment than a record holds: cut, and said so."""
    cgroup = s.cgroups.make(container("long-arguments"), limit=24 * MIB)
    environment = {f"V{number}": "v" * 40 for number in range(300)}
    hog = s.start(cgroup, "hog", "64", *(f"--option-{number}=x" for number in range(400)), environment=environment)
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog, cut=True)


def crowd(s: Stage) -> None:
    """Twenty processes fight for one container's memory until all are dead: twenty incidents, none twice.

    While one dies another is chosen, so what is in use may lie well below the limit: what ran out may be left open."""
    cgroup = s.cgroups.make(container("crowd"), limit=24 * MIB)
    hogs = [s.start(cgroup, "hog", "64", str(number)) for number in range(20)]
    for hog in hogs:
        hog.go()
    s.until_dead(*hogs)
    s.expect("container", cgroup, [[hog] for hog in hogs], ordered=False, open=True)


def simultaneous(s: Stage) -> None:
    """Four containers run out at the same time."""
    limits = [s.cgroups.make(container(f"same{number}"), limit=16 * MIB) for number in range(4)]
    hogs = [s.start(cgroup, "hog", "64") for cgroup in limits]
    for hog in hogs:
        hog.go()
    s.until_dead(*hogs)
    s.expect("container", None, [[hog] for hog in hogs], ordered=False, own_limit=True)


def child(s: Stage) -> None:
    """A container with a pid namespace: a child is killed and PID 1 lives on."""
    cgroup = s.cgroups.make(container("child"), limit=24 * MIB)
    init = s.start(cgroup, "parent", "64", "1", init=True)
    init.go()
    s.until_childless(init)
    s.expect("container", cgroup, [list(init.children)], spared=(init,), pid1="lives")


def first(s: Stage) -> None:
    """PID 1 of a pid namespace is killed."""
    cgroup = s.cgroups.make(container("first"), limit=24 * MIB)
    init = s.start(cgroup, "hog", "64", init=True)
    init.go()
    s.until_dead(init)
    s.expect("container", cgroup, [[init]], trigger=init, pid1="killed")


def _group(s: Stage, members: int) -> None:
    cgroup = s.cgroups.make(container(f"group{members}"), limit=(24 + 2 * members) * MIB, group=True)
    others = [s.start(cgroup, "hog", "1", f"member-{number}") for number in range(members - 1)]
    hog = s.start(cgroup, "hog", "160")
    s.settle(*others, kib=1 << 10)
    hog.go()
    s.until_dead(hog, *others)
    s.expect("container", cgroup, [[hog, *others]], trigger=hog)


def group_of_1(s: Stage) -> None:
    """memory.oom.group on a container of one process."""
    _group(s, 1)


def group_of_5(s: Stage) -> None:
    """memory.oom.group: five go together, one incident."""
    _group(s, 5)


def group_of_50(s: Stage) -> None:
    """memory.oom.group: fifty go together, one incident."""
    _group(s, 50)


def group_spares(s: Stage) -> None:
    """A member with oom_score_adj -1000 is spared."""
    cgroup = s.cgroups.make(container("spares"), limit=32 * MIB, group=True)
    safe, other = s.start(cgroup, "hog", "1", adj=NEVER), s.start(cgroup, "hog", "1")
    hog = s.start(cgroup, "hog", "64")
    s.settle(safe, other, kib=1 << 10)
    hog.go()
    s.until_dead(hog, other)
    s.expect("container", cgroup, [[hog, other]], trigger=hog, spared=(safe,))


def group_of_pod(s: Stage) -> None:
    """memory.oom.group on the Pod, whose limit runs out: the processes of both containers go."""
    limit = s.cgroups.make(pod("whole"), limit=48 * MIB, group=True)
    one, two = s.cgroups.make(container("c", of="whole")), s.cgroups.make(container("d", of="whole"))
    prey, other, hog = s.start(one, "hog", "30", adj=1000), s.start(two, "hog", "1"), s.start(two, "hog", "30")
    s.settle(prey, kib=30 << 10)
    s.settle(other, kib=1 << 10)
    hog.go()
    s.until_dead(prey, other, hog)
    s.expect("pod", limit, [[prey, other, hog]], trigger=hog)


def brim(s: Stage) -> None:
    """The Pod's limit runs out while the victim's container stands just below its own: it may be left open which."""
    limit = s.cgroups.make(pod("brim"), limit=48 * MIB)
    one, two = s.cgroups.make(container("e", of="brim"), limit=40 * MIB), s.cgroups.make(container("f", of="brim"))
    prey, hog = s.start(one, "hog", "30", adj=1000), s.start(two, "hog", "30", adj=NEVER)
    s.settle(prey, kib=30 << 10)
    s.cgroups.make(one, limit=s.cgroups.usage(one))
    hog.go()
    s.until_dead(prey)
    s.expect("pod", limit, [[prey]], trigger=hog, spared=(hog,), open=True)


def swap(s: Stage) -> None:
    """Part of the victim is swapped out; memory and swap run out (on v1: their sum, in whatever parts)."""
    _busybox("dd", "if=/dev/zero", f"of={SWAP}", "bs=1M", "count=32")
    _busybox("mkswap", SWAP)
    _busybox("swapon", SWAP)
    try:
        cgroup = s.cgroups.make(container("swap"), limit=24 * MIB, swap=16 * MIB)
        hog = s.start(cgroup, "hog", "64")
        hog.go()
        s.until_dead(hog)
        s.expect("container", cgroup, [[hog]], trigger=hog, swapped=(16 if UNIFIED else 40) * MIB)
    finally:
        s.end()
        _busybox("swapoff", SWAP)


def node(s: Stage) -> None:
    """No limit anywhere: the machine's own memory runs out."""
    cgroup = s.cgroups.make(container("node"))
    hog = s.start(cgroup, "hog", "4096", adj=1000)
    hog.go()
    s.until_dead(hog)
    s.expect("node", None, [[hog]])


def node_memory(s: Stage) -> None:
    """A cpuset of one NUMA node, whose memory runs out while the other's does not."""
    cgroup = s.cgroups.make(container("numa"), mems="0")
    hog = s.start(cgroup, "hog", "4096", adj=1000)
    hog.go()
    s.until_dead(hog)
    s.expect("node", None, [[hog]], constraint="CPUSET")


def _busybox(*command: str) -> None:
    subprocess.run(["/bin/busybox", *command], check=True, capture_output=True)


CASES = {
    case.play.__name__: case
    for case in (
        *map(Case, (container_limit, systemd_layout, pod_limit, bystander, threads, orphan, shared, nested)),
        *map(Case, (nested_limit, long_path, service, long_arguments, crowd, simultaneous, child, first, brim)),
        *(Case(play, unified=True) for play in (group_of_1, group_of_5, group_of_50, group_spares, group_of_pod)),
        *map(Case, (swap, node)),
        Case(node_memory, unified=True, nodes=True),
    )
}
