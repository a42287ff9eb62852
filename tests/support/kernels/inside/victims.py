"""Who is killed: the trigger or another, one with threads, without a leader, PID 1 or its child, many in a row.

In: a stage. Out: what was expected, on that stage. Rules: see cases.py.
"""

from inside.cgroups import container
from inside.stage import MIB, NEVER, Stage


def bystander(s: Stage) -> None:
    """One container, two processes: the victim is not the one whose allocation failed."""
    cgroup = s.cgroups.make(container("bystander"), limit=48 * MIB)
    prey, hog = s.start(cgroup, "hog", "30", adj=1000, uid=7), s.start(cgroup, "hog", "30", adj=NEVER)
    s.until_at_rest(prey)
    hog.go()
    s.until_dead(prey)
    s.expect("container", cgroup, [[prey]], trigger=hog, spared=(hog,))


def threads(s: Stage) -> None:
    """Eight threads die, each marked once more by some kernels: one incident."""
    cgroup = s.cgroups.make(container("threads"), limit=24 * MIB)
    hog = s.start(cgroup, "threads", "64", "8")
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog)


def orphan(s: Stage) -> None:
    """A thread whose leader has ended is marked; the process is reported."""
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


def long_arguments(s: Stage) -> None:
    """More arguments and environment than a record holds: cut, and noted."""
    cgroup = s.cgroups.make(container("long-arguments"), limit=24 * MIB)
    environment = {f"V{number}": "v" * 40 for number in range(300)}
    hog = s.start(cgroup, "hog", "64", *(f"--option-{number}=x" for number in range(400)), environment=environment)
    hog.go()
    s.until_dead(hog)
    s.expect("container", cgroup, [[hog]], trigger=hog, cut=True)


def crowd(s: Stage) -> None:
    """Twenty processes fight for one container's memory until all are dead: twenty incidents, none twice.

    While one dies another is chosen, so what is in use may lie well below the limit."""
    cgroup = s.cgroups.make(container("crowd"), limit=24 * MIB)
    hogs = [s.start(cgroup, "hog", "64", str(number)) for number in range(20)]
    for hog in hogs:
        hog.go()
    s.until_dead(*hogs)
    s.expect("container", cgroup, [[hog] for hog in hogs], ordered=False)


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


def init_wrapper(s: Stage) -> None:
    """The same below an init that ends with its child, a little later: PID 1 never lives on."""
    cgroup = s.cgroups.make(container("wrapper"), limit=24 * MIB)
    init = s.start(cgroup, "init", "64", init=True)
    init.go()
    s.until_dead(init)
    s.expect("container", cgroup, [list(init.children)], pid1="gone")


def first(s: Stage) -> None:
    """PID 1 of a pid namespace is killed."""
    cgroup = s.cgroups.make(container("first"), limit=24 * MIB)
    init = s.start(cgroup, "hog", "64", init=True)
    init.go()
    s.until_dead(init)
    s.expect("container", cgroup, [[init]], trigger=init, pid1="killed")
