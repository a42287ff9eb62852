"""One agent at a time. In: a directory. Out: a lock on it, which ends with the process that has it."""

import fcntl
import os
from pathlib import Path

from oomeventer.errors import OomeventerError


class Held(OomeventerError):
    """Another process has the lock."""


class Lock:
    """An exclusive lock on a directory (flock), held until close(). Raises Held, or OSError."""

    def __init__(self, directory: Path) -> None:
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(self._fd)
            if not isinstance(e, BlockingIOError):
                raise
            raise Held(f"{directory} is held by another agent on this machine") from e

    def close(self) -> None:
        """Let go."""
        os.close(self._fd)
