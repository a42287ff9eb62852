"""memory.oom.group (cgroup v2): all go together.

In: a stage. Out: what was expected, on that stage. Rules: see cases.py.
"""

from inside.cgroups import container, pod
from inside.stage import MIB, NEVER, Stage


def _group(s: Stage, members: int) -> None:
    cgroup = s.cgroups.make(container(f"group{members}"), limit=(24 + 2 * members) * MIB, group=True)
    others = [s.start(cgroup, "hog", "1", f"member-{number}") for number in range(members - 1)]
    hog = s.start(cgroup, "hog", "160")
    s.until_at_rest(*others)
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


def group_of_900(s: Stage) -> None:
    """memory.oom.group: 900 with nearly 4 KiB of arguments each, more than the ring holds; and meanwhile the limits of
    eight other Pods run out. The group is one incident, and the others have theirs."""
    limit = s.cgroups.make(container("herd"), limit=200 * MIB, group=True)
    others = [s.cgroups.make(container(f"beside{number}"), limit=8 * MIB) for number in range(8)]
    herd, hog = s.start(limit, "herd", "0", "898", "x" * 3900), s.start(limit, "hog", "200", "x" * 3900)
    beside = [s.start(cgroup, "hog", "64") for cgroup in others]
    herd.go()
    s.until(lambda: len(herd.children) == 898)
    s.cgroups.make(limit, limit=s.cgroups.usage(limit) + 8 * MIB)
    hog.go()
    s.until(lambda: s.cgroups.kills(limit) > 100)
    for other in beside:
        other.go()
    s.until_dead(herd, hog, *beside)
    episodes = [[hog, herd, *herd.children], *([other] for other in beside)]
    s.expect("container", None, episodes, ordered=False, own_limit=True, omitted=True)


def group_spares(s: Stage) -> None:
    """A member with oom_score_adj -1000 is spared."""
    cgroup = s.cgroups.make(container("spares"), limit=32 * MIB, group=True)
    safe, other = s.start(cgroup, "hog", "1", adj=NEVER), s.start(cgroup, "hog", "1")
    hog = s.start(cgroup, "hog", "64")
    s.until_at_rest(safe, other)
    hog.go()
    s.until_dead(hog, other)
    s.expect("container", cgroup, [[hog, other]], trigger=hog, spared=(safe,))


def group_of_pod(s: Stage) -> None:
    """memory.oom.group on the Pod, whose limit runs out: the processes of both containers go."""
    limit = s.cgroups.make(pod("whole"), limit=48 * MIB, group=True)
    one, two = s.cgroups.make(container("c", of="whole")), s.cgroups.make(container("d", of="whole"))
    prey, other, hog = s.start(one, "hog", "30", adj=1000), s.start(two, "hog", "1"), s.start(two, "hog", "30")
    s.until_at_rest(prey, other)
    hog.go()
    s.until_dead(prey, other, hog)
    s.expect("pod", limit, [[prey, other, hog]], trigger=hog)
