"""Whose limit runs out: a container's, a Pod's, a cgroup's of somebody else, the machine's.

In: a stage. Out: what was expected, on that stage. Rules: see cases.py.
"""

from inside.cgroups import UNIFIED, container, container_id, pod
from inside.stage import MIB, NEVER, CaseError, Stage

SWAP = "/swap"


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
    s.until_at_rest(prey)
    hog.go()
    s.until_dead(prey)
    s.expect("pod", limit, [[prey]], trigger=hog, spared=(hog,))


def brim(s: Stage) -> None:
    """The Pod's limit runs out while the victim's container stands just below its own."""
    limit = s.cgroups.make(pod("brim"), limit=48 * MIB)
    one, two = s.cgroups.make(container("e", of="brim"), limit=40 * MIB), s.cgroups.make(container("f", of="brim"))
    prey, hog = s.start(one, "hog", "30", adj=1000), s.start(two, "hog", "30", adj=NEVER)
    s.until_at_rest(prey)
    s.cgroups.make(one, limit=s.cgroups.usage(one))
    hog.go()
    s.until_dead(prey)
    s.expect("pod", limit, [[prey]], trigger=hog, spared=(hog,))


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


def deep_path(s: Stage) -> None:
    """More cgroups of the container's own than a record has: the path's beginning, with the container, is there."""
    limit = s.cgroups.make(container("deep"), limit=24 * MIB)
    hog = s.start(s.cgroups.make(limit + "/d" * 20), "hog", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("container", limit, [[hog]], trigger=hog, cgroup=limit + "/d" * (16 - limit.count("/")))


def container_node(s: Stage) -> None:
    """A node that is a container, as in kind: it finds its own cgroup, which the kills in it are below."""
    node = s.cgroups.make("/docker/" + container_id("node"))
    inode = s.cgroups.inode(node)
    for init in ("init", "root"):
        for agent in ("node", "own"):
            found = s.run("container_node.py", s.cgroups.directory(node), "/tmp", init, agent)
            if int(found) != inode:
                raise CaseError(f"init {init}, agent {agent}: it found {found}, its cgroup is {inode}")
    cgroup = s.cgroups.make(node + container("in-node"), limit=24 * MIB)
    hog = s.start(cgroup, "hog", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog)


def service(s: Stage) -> None:
    """A process of the node, outside any Pod."""
    cgroup = s.cgroups.make("/system.slice/foo.service", limit=24 * MIB)
    hog = s.start(cgroup, "hog", "64")
    hog.go()
    s.until_dead(hog)
    s.expect("cgroup", cgroup, [[hog]], trigger=hog)


def limit_lowered(s: Stage) -> None:
    """Somebody outside writes a limit below what is in use: no allocation ran into it."""
    cgroup = s.cgroups.make(container("lowered"), limit=48 * MIB)
    hog = s.start(cgroup, "hog", "30")
    s.until_at_rest(hog)
    s.cgroups.make(cgroup, limit=16 * MIB)
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], lowered=True, memory={"anon": 30 * MIB})


def swap(s: Stage) -> None:
    """Part of the victim is swapped out; memory and swap run out (on v1: their sum, in whatever parts)."""
    s.busybox("dd", "if=/dev/zero", f"of={SWAP}", "bs=1M", "count=32")
    s.busybox("mkswap", SWAP)
    s.busybox("swapon", SWAP)
    try:
        cgroup = s.cgroups.make(container("swap"), limit=24 * MIB, swap=16 * MIB)
        hog = s.start(cgroup, "hog", "64")
        hog.go()
        s.until_dead(hog)
        s.expect("container", cgroup, [[hog]], trigger=hog, swapped=(16 if UNIFIED else 40) * MIB)
    finally:
        s.end()
        s.busybox("swapoff", SWAP)


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
