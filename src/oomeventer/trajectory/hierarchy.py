"""The containers and Pods of this node, as their memory cgroups come and go. In: where the hierarchy is. Out: one
Counted for each.

Rules: containers are not descended into: what is below is their own affair. Cheap while nothing changes: of the
directories in which containers and Pods come and go the number of links is looked at, and only what changed is listed.
One that went and one that came look the same: so where reading one fails, its directory is listed, too. All is listed
now and then, for what comes elsewhere. Bounded: so many directories, so deep. May block: call it from a thread.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from oomeventer.node import identify
from oomeventer.trajectory.counting import Counted, Room

#: Every so many times all is listed.
WHOLE = 20
_DIRECTORIES, _DEPTH = 4000, 10


class Hierarchy:
    """root: the directory that the node calls "/"."""

    def __init__(self, root: Path, unified: bool, room: Room) -> None:
        self._root, self._unified, self._room = str(root).rstrip("/"), unified, room
        self.counted: dict[str, Counted] = {}
        #: Directories whose children come and go, by path: a file descriptor, or -1, and their number of links.
        self._watched: dict[str, tuple[int, int]] = {}
        self._refreshed = 0
        self._left = 0
        self._ended: set[str] = set()
        #: Of this refresh: what was known before, by its parent.
        self._known: defaultdict[str, list[str]] = defaultdict(list)

    def refresh(self, gone: Iterable[str] = ()) -> set[str]:
        """Look for what came and went. gone: cgroups that could not be read. Returns the containers that are gone."""
        self._left = _DIRECTORIES
        self._ended.clear()
        stale = {_parent(path) for path in gone}
        whole = self._refreshed % WHOLE == 0
        self._refreshed += 1
        for path in gone:
            self._forget(path)
        stale |= {path for path, (fd, links) in self._watched.items() if self._links(path, fd) != links}
        self._known.clear()
        if whole or stale:
            for path in {*self.counted, *self._watched}:
                self._known[_parent(path)].append(path)
        if whole:
            self._list("/", whole)
        for path in sorted(stale):
            self._list(path, False)
        return set(self._ended)

    def close(self) -> None:
        """Every file."""
        for path in [*self.counted, *self._watched]:
            self._forget(path)

    def _list(self, path: str, whole: bool) -> bool:
        """Whether there is a container or Pod below. Those that are known are not looked into, but for the whole."""
        self._left -= 1
        try:
            with os.scandir(self._root + path) as entries:
                names = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
        except OSError:
            self._forget(path)
            return False
        prefix = "/" if path == "/" else f"{path}/"
        found = False
        for name in names:
            found |= self._visit(prefix + name, whole)
        if path in self._watched:
            for child in self._known[path]:
                if child != path and child[len(prefix) :] not in names:
                    self._forget(child)
        if found or path == "/" or _is_pod(path) or "kubepods" in path.rpartition("/")[2]:
            self._watch(path)
        return found

    def _visit(self, path: str, whole: bool) -> bool:
        if path in self.counted:
            return True
        if self._left <= 0 or path.count("/") > _DEPTH or (path in self._watched and not whole):
            return path in self._watched
        identity = identify(path)
        if identity.container_path == path or identity.pod_path == path:
            self._count(path)
        if identity.container_path == path:
            return True
        return self._list(path, whole) or identity.pod_path == path

    def _count(self, path: str) -> None:
        directory = self._root + path
        try:
            inode = os.stat(directory).st_ino
        except OSError:
            return
        self.counted[path] = Counted(path, directory, inode, self._unified, self._room)

    def _watch(self, path: str) -> None:
        fd = self._watched[path][0] if path in self._watched else -1
        if fd < 0 and self._room.take():
            try:
                fd = os.open(self._root + path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                self._room.kept -= 1
        self._watched[path] = fd, self._links(path, fd)

    def _links(self, path: str, fd: int) -> int:
        try:
            return (os.fstat(fd) if fd >= 0 else os.stat(self._root + path)).st_nlink
        except OSError:
            return 0

    def _forget(self, path: str) -> None:
        if counted := self.counted.pop(path, None):
            counted.close()
            if not _is_pod(path):
                self._ended.add(path)
        watched = self._watched.pop(path, None)
        if watched and watched[0] >= 0:
            os.close(watched[0])
            self._room.kept -= 1
        if watched and path != "/":
            for child in [other for other in (*self.counted, *self._watched) if other.startswith(f"{path}/")]:
                self._forget(child)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _is_pod(path: str) -> bool:
    return identify(path).pod_path == path
