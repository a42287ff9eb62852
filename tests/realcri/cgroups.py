"""The Pod cgroups that a kubelet would have laid, on cgroup v1 and v2.

A kubelet makes `/kubepods/<class>/pod<uid>` before it asks the runtime for the sandbox; the runtime makes the
containers' cgroups in it. `make` yields what it makes, so that nothing else is ever removed.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_V2 = (_MOUNT / "cgroup.controllers").exists()


def memory_dir(path: str) -> Path:
    """Where the memory controller shows the cgroup that the kernel calls `path` ("/kubepods/...")."""
    return (_MOUNT if _V2 else _MOUNT / "memory") / path.lstrip("/")


def make(path: str, memory_limit_bytes: int | None = None) -> Iterator[Path]:
    """Make `path` with its parents in every hierarchy; yield each directory that was not there before."""
    for hierarchy in _hierarchies():
        at = hierarchy
        for component in Path(path).relative_to("/").parts:
            if _V2:
                (at / "cgroup.subtree_control").write_text("+memory")
            at = at / component
            with contextlib.suppress(FileExistsError):
                at.mkdir()
                yield at
    if memory_limit_bytes is not None:
        limit = memory_dir(path) / ("memory.max" if _V2 else "memory.limit_in_bytes")
        limit.write_text(str(memory_limit_bytes))


def remove(made: Iterable[Path]) -> None:
    """Remove what `make` made: a Pod's cgroup with the runtime's in it, its parents only if they are empty."""
    for path in sorted(made, reverse=True):
        inside = [d for d, _, _ in os.walk(path, topdown=False)] if path.name.startswith("pod") else [path]
        for directory in inside:
            with contextlib.suppress(OSError):  # gone already, or another run's Pods are in it
                os.rmdir(directory)


def _hierarchies() -> list[Path]:
    if _V2:
        return [_MOUNT]
    return [d for d in _MOUNT.iterdir() if d.is_dir() and not d.is_symlink()]
