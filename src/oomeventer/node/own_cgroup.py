"""The node's own cgroup: which of the machine's kills are this node's.

In: how the node mounts its memory hierarchy; the kernel's kills. Out: those of the node, with paths that begin at its
own cgroup.

A node can be a container (kind, k3d, a node in another cluster's Pod). The kernel records the kills of the whole
machine, by paths from the machine's root. The node's own cgroup is the root of the memory hierarchy as the node mounts
it: that of its container, or the machine's root, where all kills are the node's, wherever its init is. A directory's
inode is the cgroup's own, so the levels of a kill say whether it was below, and how much of the path lies above.

Rules:

- A mount is the node's if PID 1, which is the node's with hostPID, is in it, and the agent further down. The agent's
  own container has one, too, and it must not be taken for the node's.
- Where none is found, that is logged once, and all kills are the node's: one too many is better than one that is not
  reported.
- A path that is given is believed.
- A record has 16 levels from the machine's root on (bpf/oom.h): a node further down is none that we know of.
- Only reads, and these can block: make it in a thread.
"""

import logging
import os
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from oomeventer.kernel import Episode, Kill
from oomeventer.node.mounts import lines, memory_mounts
from oomeventer.text import CUT

log = logging.getLogger(__name__)

AUTO = "auto"
#: A hierarchy's root is the first that it numbers (kernfs_create_root, fs/kernfs/dir.c).
_ROOT_INODE = 1


class _Place(Struct, frozen=True):
    """A cgroup as the kernel shows it to us: so many steps up from the root of our cgroup namespace, then down."""

    ups: int
    names: tuple[str, ...]

    @classmethod
    def read(cls, path: str) -> "_Place":
        names = _names(path)
        ups = next((i for i, name in enumerate(names) if name != ".."), len(names))
        return cls(ups, names[ups:])

    def holds(self, other: "_Place") -> bool:
        """Whether the other is this or below. (To where we are from above the kernel names the way up alone.)"""
        if self.names:
            return self.ups == other.ups and other.names[: len(self.names)] == self.names
        return self.ups >= other.ups


class NodeCgroup:
    """path: its own cgroup as the machine names it, or AUTO. cgroups: where the memory hierarchy is mounted.

    inodes: with AUTO, of the directories that were found, by whether it is cgroup v2; None where none was found.
    """

    def __init__(self, path: str = AUTO, proc: Path = Path("/proc"), cgroups: Path | None = None) -> None:
        self._names = None if path == AUTO else _names(path)
        self._proc = proc
        self._cgroups = cgroups
        self.inodes = {unified: self._find(unified) for unified in (False, True)} if path == AUTO else {}
        self._is_logged = False

    def below(self, episode: Episode) -> Episode:
        """Those of its kills that are this node's, as this node sees them."""
        return tuple(mine for kill in episode if (mine := self._seen(kill)))

    def root(self) -> tuple[Path, bool] | None:
        """The directory of its own cgroup, from which it names the others, and whether that is cgroup v2; None where no
        memory hierarchy is mounted."""
        for unified in (False, True):
            mounted = (mount.point for mount in memory_mounts(self._proc, unified))
            points = [point for point in mounted if self._cgroups in (None, point)]
            if self._cgroups and not points and _is_hierarchy(self._cgroups, unified):
                points = [self._cgroups]  # a part of a hierarchy, by that name
            inode = self.inodes.get(unified)
            points.sort(key=lambda point: inode is None or _inode(point) != inode)
            for point in points:
                own = point.joinpath(*self._names or ())
                return (own if own.is_dir() else point), unified
        return None

    def _seen(self, kill: Kill) -> Kill | None:
        names = _names(kill.cgroup)
        above = self._above(kill, names)
        if above is None:
            return None
        if not above:
            return kill
        prefix, trigger = names[:above], kill.trigger
        others = _names(trigger.cgroup)
        seen = _path(others[above:]) if others[:above] == prefix else CUT
        return replace(kill, cgroup=_path(names[above:]), trigger=replace(trigger, cgroup=seen))

    def _above(self, kill: Kill, names: tuple[str, ...]) -> int | None:
        """How many components of the kill's path are above what the node sees; None: it is not below the node."""
        if self._names is not None:
            return len(self._names) if names[: len(self._names)] == self._names else None
        inode = self.inodes[kill.unified]
        self._log_once(inode)
        if inode is None or inode == _ROOT_INODE:
            return 0
        below = next((i for i, level in enumerate(kill.levels) if level.inode == inode), None)
        return None if below is None else len(names) - below

    def _log_once(self, inode: int | None) -> None:
        if self._is_logged:
            return
        self._is_logged = True
        if inode is None:
            log.warning(
                "the node's own cgroup cannot be determined: all kills of the machine are taken for the node's. If "
                "the node is a container (kind), mount its /sys/fs/cgroup and set hostPID, or name it (--node-cgroup)"
            )
        elif inode != _ROOT_INODE:
            log.info("this node is a container: kills outside its own cgroup (inode %d) are not its own", inode)

    def _find(self, unified: bool) -> int | None:
        """The inode of the node's cgroup; None where none is found."""
        own, init = self._place("self", unified), self._place("1", unified)
        for mount in memory_mounts(self._proc, unified):
            if self._cgroups not in (None, mount.point):
                continue
            root = _Place.read(mount.root)
            try:
                inode = os.stat(mount.point).st_ino
            except OSError:
                continue
            if inode == _ROOT_INODE:
                return inode
            if own and init and own != init and root != own and root.holds(own) and root.holds(init):
                return inode
        return None

    def _place(self, pid: str, unified: bool) -> _Place | None:
        for line in lines(self._proc / pid / "cgroup"):
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if not controllers if unified else "memory" in controllers.split(","):
                return _Place.read(path)
        return None


def _names(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split("/") if name)


def _path(names: tuple[str, ...]) -> str:
    return "/" + "/".join(names)


def _is_hierarchy(directory: Path, unified: bool) -> bool:
    return (directory / ("cgroup.controllers" if unified else "memory.limit_in_bytes")).exists()


def _inode(directory: Path) -> int | None:
    try:
        return directory.stat().st_ino
    except OSError:
        return None
