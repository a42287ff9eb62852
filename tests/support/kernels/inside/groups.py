"""memory.oom.group (cgroup v2): all go together.

In: a stage. Out: what was expected, on that stage. Rules: see cases.py.
"""

from inside.cgroups import container, pod
from inside.stage import MIB, NEVER, Stage


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
