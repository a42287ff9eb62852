"""A memory cgroup of the test's own, on cgroup v1 or v2. Nothing that it did not make is touched."""

import contextlib
import itertools
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_numbers = itertools.count()


def hierarchy() -> Path:
    """Where the memory controller's hierarchy is mounted on this machine."""
    v1 = Path("/sys/fs/cgroup/memory")
    return v1 if v1.is_dir() else Path("/sys/fs/cgroup")


class Cgroup:
    """Made when entered, removed when left, children first. `path` is the kernel's name for it."""

    def __init__(self, limit_bytes: int | None = None, name: str | bytes | None = None, parent: Self | None = None):
        if name is None:
            name = f"oomeventer-test-{os.getpid()}-{next(_numbers)}"
        above = os.fsencode(parent.directory if parent else hierarchy())
        self.directory = Path(os.fsdecode(above + b"/" + os.fsencode(name)))
        self._limit_bytes = limit_bytes

    @property
    def path(self) -> str:
        return "/" + str(self.directory.relative_to(hierarchy()))

    @property
    def unified(self) -> bool:
        return (self.directory / "memory.max").exists()

    def __enter__(self) -> Self:
        self.directory.mkdir()
        if self._limit_bytes is not None:
            self.limit(self._limit_bytes)
        return self

    def limit(self, limit_bytes: int) -> None:
        file = "memory.max" if self.unified else "memory.limit_in_bytes"
        (self.directory / file).write_text(str(limit_bytes))
        if self.unified:
            with contextlib.suppress(OSError):
                (self.directory / "memory.swap.max").write_text("0")

    @property
    def kills(self) -> int:
        """Processes in it that the kernel's OOM killer has ended, by its own count."""
        lines = self.read("memory.events" if self.unified else "memory.oom_control").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def read(self, file: str) -> str:
        return (self.directory / file).read_text()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self.directory.rmdir()
                return
            except OSError:  # its processes are still being reaped
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
