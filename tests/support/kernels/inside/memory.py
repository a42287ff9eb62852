"""Where the memory was: files in memory, page cache, the kernel's own, other processes, other Pods.

In: a stage. Out: what was expected, on that stage. Rules: see cases.py. What fills the limit is there, and rests,
before the limit is set a little above it and the victim comes; what lives on holds it, so that nothing is given back
while the agent looks, but where it is the victim's own. memory: the parts of the cgroup that ran out which must be at
least so many bytes.
"""

import os
from pathlib import Path

from inside.cgroups import container, pod, pod_uid
from inside.stage import MIB, Stage

#: On a disk; what a case leaves there is removed.
SCRATCH = os.environ.get("SCRATCH", "/opt")
VOLUME, CACHED = f"{SCRATCH}/volume", f"{SCRATCH}/cached"
#: What a victim finds between that and the limit.
ROOM = 8 * MIB


def tmpfs_own(s: Stage) -> None:
    """Files on a tmpfs, whose writer has ended, fill the container's limit; a small process is killed."""
    cgroup = s.cgroups.make(container("tmpfs"))
    s.mount_tmpfs(VOLUME)
    _fill(s, cgroup, "leave", 20, VOLUME + "/file")
    _kill(s, "container", cgroup, cgroup, shmem=20 * MIB)


def tmpfs_left_behind(s: Stage) -> None:
    """The same, written in an earlier container, which is gone with its cgroup: the Pod's limit."""
    limit = s.cgroups.make(pod("left"))
    earlier = s.cgroups.make(container("earlier", of="left"))
    s.mount_tmpfs(VOLUME)
    _fill(s, earlier, "leave", 20, VOLUME + "/file")
    s.cgroups.remove(earlier)
    _kill(s, "pod", limit, s.cgroups.make(container("later", of="left")), left_behind=20 * MIB, shmem=20 * MIB)


def page_cache(s: Stage) -> None:
    """Page cache that cannot be given back, since it is locked into memory."""
    cgroup = s.cgroups.make(container("cache"))
    s.remove_afterwards(CACHED)
    _fill(s, cgroup, "locked", 16, CACHED)
    _kill(s, "container", cgroup, cgroup, file=16 * MIB)


def pipes(s: Stage) -> None:
    """Full pipes."""
    cgroup = s.cgroups.make(container("pipes"))
    _fill(s, cgroup, "pipes", 16)
    _kill(s, "container", cgroup, cgroup, kernel=16 * MIB)


def sockets(s: Stage) -> None:
    """Unix sockets full of small messages: kernel objects."""
    cgroup = s.cgroups.make(container("sockets"))
    _fill(s, cgroup, "sockets", 8)
    _kill(s, "container", cgroup, cgroup, kernel=12 * MIB, slab_unreclaimable=12 * MIB)


def tcp(s: Stage) -> None:
    """TCP connections with full buffers (v1 counts them elsewhere)."""
    cgroup = s.cgroups.make(container("tcp"))
    _fill(s, cgroup, "tcp", 8)
    _kill(s, "container", cgroup, cgroup, sock=8 * MIB)


def page_tables(s: Stage) -> None:
    """A huge mapping, sparsely used: page tables."""
    cgroup = s.cgroups.make(container("tables"))
    _fill(s, cgroup, "tables", 16)
    _kill(s, "container", cgroup, cgroup, kernel=16 * MIB, pagetables=16 * MIB)


def pipes_of_victim(s: Stage) -> None:
    """Full pipes, which go with the victim."""
    _own(s, "pipes", kernel=22 * MIB)


def page_tables_of_victim(s: Stage) -> None:
    """Page tables, which go with the victim."""
    _own(s, "tables", kernel=22 * MIB, pagetables=22 * MIB)


def _own(s: Stage, action: str, **memory: int) -> None:
    cgroup = s.cgroups.make(container(f"own-{action}"), limit=24 * MIB)
    victim = s.start(cgroup, action, "64", adj=1000)
    victim.go()
    s.until_dead(victim)
    s.expect("container", cgroup, [[victim]], trigger=victim, memory=memory)


def pool(s: Stage) -> None:
    """Eight workers of one size, one too many for the limit."""
    cgroup = s.cgroups.make(container("pool"))
    for _ in range(7):
        _fill(s, cgroup, "hog", 4)
    _kill(s, "container", cgroup, cgroup, size=4, room=2 * MIB, anon=28 * MIB)


def other_container(s: Stage) -> None:
    """The Pod's limit, held mostly by the container whose process is not killed."""
    limit = s.cgroups.make(pod("shared-limit"))
    _fill(s, s.cgroups.make(container("large", of="shared-limit")), "hog", 24)
    _kill(s, "pod", limit, s.cgroups.make(container("small", of="shared-limit")), anon=24 * MIB)


def three_pods(s: Stage) -> None:
    """The machine's own memory runs out: three Pods hold it, none with a limit."""
    sizes = {"large-pod": 60, "small-pod": 30}
    for name, mib in sizes.items():
        _fill(s, s.cgroups.make(container(name)), "hog", mib)
    hog = s.start(s.cgroups.make(container("largest-pod")), "hog", "4096", adj=1000)
    usage = {pod_uid(name): s.cgroups.usage(pod(name)) for name in sizes}
    hog.go()
    s.until_dead(hog)
    s.expect("node", None, [[hog]], pods=usage, largest=pod_uid("largest-pod"), total=_machine())


def _machine() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemTotal:"))


def _fill(s: Stage, cgroup: str, action: str, mib: int, *path: str) -> None:
    """Let something take that much there, and wait until it is done."""
    s.until_at_rest(s.start(cgroup, action, str(mib), *path))


def _kill(s: Stage, scope: str, limit: str, of: str, size: int = 64, room: int = ROOM, **memory: int) -> None:
    """Set the limit and let it run out in that container."""
    others = [process for process in s.processes if process.look()]
    s.cgroups.make(limit, limit=s.cgroups.usage(limit) + room)
    hog = s.start(of, "hog", str(size), adj=1000)
    hog.go()
    s.until_dead(hog)
    s.expect(scope, limit, [[hog]], trigger=hog, spared=tuple(others), memory=memory)
