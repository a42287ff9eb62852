"""What counts in one cgroup, for few system calls. In: its directory. Out: bytes that no reclaim gives back.

Rules: cgroup v2: anonymous memory, shmem and the kernel's that stays (memory.stat). v1: rss, shmem, and all of the
kernel's, also what it could give back, since its memory.stat does not say. Its usage is read first, which is cheap: if
that is what it was to within SLACK_BYTES, memory.stat is not read, but at least every SKIPS times, for at the limit
page cache gives way to memory that counts and the sum stays the same. Files stay open, as far as there is room for
them; a cgroup that is gone raises OSError. May block: call it from a thread.
"""

import os
import resource

SLACK_BYTES, SKIPS = 4 * 4096, 4
#: File descriptors that are left to the rest of the agent, and the most that are kept.
_OTHERS, _MOST = 512, 8192

_V2 = (b"anon", b"shmem", b"slab_unreclaimable", b"kernel_stack", b"pagetables", b"percpu", b"sock")
_V1 = (b"total_rss", b"total_shmem")


class Room:
    """How many file descriptors may be kept."""

    def __init__(self, most: int | None = None) -> None:
        if most is None:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            if soft < hard:
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            most = max(0, min(hard, _OTHERS + _MOST) - _OTHERS)
        self._most = most
        self.kept = 0

    def take(self) -> bool:
        """Whether there was room for one more."""
        if self.kept >= self._most:
            return False
        self.kept += 1
        return True


class File:
    """A file that is read again and again; opened each time where there is no room."""

    __slots__ = ("_bytes", "_fd", "_path", "_room")

    def __init__(self, path: str, size_bytes: int, room: Room) -> None:
        self._path, self._bytes, self._room = path, size_bytes, room
        self._fd = -1

    def read(self) -> bytes:
        """From its beginning. Raises OSError."""
        if self._fd >= 0:
            return os.pread(self._fd, self._bytes, 0)
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        if self._room.take():
            self._fd = fd
            return os.pread(fd, self._bytes, 0)
        try:
            return os.read(fd, self._bytes)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Make room."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._room.kept -= 1


class Counted:
    """A cgroup. path: as the node names it. inode: its directory's."""

    __slots__ = ("_at", "_counts", "_files", "_kernel", "_skipped", "_stat", "_usage", "_usage_bytes", "inode", "path")

    def __init__(self, path: str, directory: str, inode: int, unified: bool, room: Room) -> None:
        self.path, self.inode = path, inode
        usage = "memory.current" if unified else "memory.usage_in_bytes"
        self._usage = File(f"{directory}/{usage}", 32, room)
        self._stat = File(f"{directory}/memory.stat", 8192, room)
        self._kernel = None if unified else File(f"{directory}/memory.kmem.usage_in_bytes", 32, room)
        self._files = [file for file in (self._usage, self._stat, self._kernel) if file]
        self._usage_bytes = -SLACK_BYTES - 1
        self._skipped = self._counts = 0
        self._at: list[int] = []

    def read(self) -> int:
        """In bytes. Raises OSError where it is gone."""
        usage = int(self._usage.read())
        if abs(usage - self._usage_bytes) <= SLACK_BYTES and self._skipped < SKIPS:
            self._skipped += 1
            return self._counts
        words = self._stat.read().split()
        if not self._at or not self._is_as_before(words):
            names = _V1 if self._kernel else _V2
            self._at = [words.index(name) for name in names if name in words]
        counts = sum([int(words[at + 1]) for at in self._at])
        if self._kernel:
            counts += int(self._kernel.read())
        self._usage_bytes, self._counts, self._skipped = usage, min(counts, usage), 0
        return self._counts

    def _is_as_before(self, words: list[bytes]) -> bool:
        names = _V1 if self._kernel else _V2
        return words[self._at[0]] == names[0] and words[self._at[-1]] == names[-1]

    def close(self) -> None:
        """Its files."""
        for file in self._files:
            file.close()
