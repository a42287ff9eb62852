"""The directories of a kill's cgroups. In: a Kill, and which of its levels. Out: a Cgroup, or why there is none.

Rules: a directory is believed to be the kill's only where its inode agrees with the record: cgroups are made again by
the same name, and what is mounted here may be another part of the hierarchy. The paths are the kill's own, so those
that the node sees once NodeCgroup.below() has taken off what is above; which of these a mount begins with is told by
the mount's inode. Work is bounded by LOOKED_AT, whatever is made below a cgroup.
"""

import os
from collections import deque
from enum import Enum
from pathlib import Path

from msgspec import Struct

from oomeventer.kernel import Kill
from oomeventer.node.mounts import memory_mounts
from oomeventer.node.reading import read

#: Cgroups, and processes, that are looked at below one.
LOOKED_AT = 256


class Unseen(Enum):
    """Why a cgroup cannot be looked at; in words."""

    NOT_MOUNTED = "no cgroup files are mounted here"
    GONE = "the cgroup was gone before it was read"
    UNPLACED = "where its cgroup is below what is mounted here is not known"
    ANOTHER = "another cgroup was found at its path"


class Cgroup(Struct, frozen=True):
    """path: as the kill has it. directory: where it is mounted here."""

    path: str
    directory: str
    unified: bool

    @property
    def name(self) -> str:
        """The last part of where it is mounted."""
        return self.directory.rpartition("/")[2]

    def file(self, name: str) -> str:
        """The path of one of its files."""
        return f"{self.directory}/{name}"

    def children(self) -> list["Cgroup"]:
        """The cgroups right below it."""
        try:
            with os.scandir(self.directory) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        above = self.path.rstrip("/")
        return [Cgroup(f"{above}/{name}", self.file(name), self.unified) for name in names]

    def pids(self) -> list[int]:
        """The processes in it, without those below."""
        return [int(line) for line in (read(self.file("cgroup.procs"), 1 << 16) or b"").split() if line.isdigit()]

    def processes(self) -> tuple[list[tuple[int, str]], bool]:
        """The processes in it and below, each with its cgroup's path, and whether these are all. The upper ones first:
        what a container makes within itself hides none of the others."""
        found: list[tuple[int, str]] = []
        waiting = deque([self])
        for _ in range(LOOKED_AT):
            if not waiting or len(found) > LOOKED_AT:
                break
            cgroup = waiting.popleft()
            found += ((pid, cgroup.path) for pid in cgroup.pids())
            waiting += cgroup.children()
        return found[:LOOKED_AT], not waiting and len(found) <= LOOKED_AT


class Cgroups:
    """root: where the memory hierarchy is mounted; None: as /proc/self/mountinfo says, looked up once."""

    def __init__(self, proc: Path = Path("/proc"), root: Path | None = None) -> None:
        self._proc = proc
        self._root = root
        self._mounted: dict[bool, list[str]] = {}

    def find(self, kill: Kill, level: int) -> Cgroup | Unseen:
        """The cgroup of that level of the kill."""
        names = [name for name in kill.cgroup.split("/") if name]
        if level >= len(kill.levels):
            return Unseen.GONE
        path = "/" + "/".join(names[: max(len(names) - level, 0)])
        unseen = Unseen.NOT_MOUNTED
        for mount in self._mounts(kill.unified):
            above = self._names_above(mount, kill, len(names))
            if above < 0:
                unseen = Unseen.UNPLACED
                continue
            directory = "/".join([mount, *names[above : max(len(names) - level, above)]])
            try:
                if os.stat(directory).st_ino == kill.levels[level].inode:
                    return Cgroup(path, directory, kill.unified)
                unseen = Unseen.ANOTHER
            except OSError:
                unseen = Unseen.GONE
        return unseen

    def top(self, kill: Kill) -> Cgroup | None:
        """The uppermost cgroup above a kill that is mounted here: on a node, the node's."""
        inodes = [level.inode for level in kill.levels]
        found: list[tuple[int, str]] = []
        for mount in self._mounts(kill.unified):
            try:
                found.append((inodes.index(os.stat(mount).st_ino), mount))
            except (OSError, ValueError):
                continue
        return Cgroup("/", max(found)[1], kill.unified) if found else None

    def _names_above(self, mount: str, kill: Kill, names: int) -> int:
        """How many components of the kill's path are above what is mounted there; negative: so many are missing."""
        try:
            inode = os.stat(mount).st_ino
        except OSError:
            return 0
        at = next((i for i, level in enumerate(kill.levels) if level.inode == inode), names)
        return names - at

    def _mounts(self, unified: bool) -> list[str]:
        if self._root:
            return [str(self._root)]
        if not self._mounted.get(unified):
            self._mounted[unified] = [str(mount.point) for mount in memory_mounts(self._proc, unified)]
        return self._mounted[unified]
