"""The Pod cgroups that a kubelet would have laid, on cgroup v1 and v2.

A kubelet makes `<root>/kubepods/<class>/pod<uid>` before it asks the runtime for the sandbox; the runtime makes the
containers' cgroups in it. The root is one test run's alone, so that all that is in it may be removed with it.
"""

import contextlib
import os
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_V2 = (_MOUNT / "cgroup.controllers").exists()


def memory_dir(path: str) -> Path:
    """Where the memory controller shows the cgroup that the kernel calls `path`."""
    return (_MOUNT if _V2 else _MOUNT / "memory") / path.lstrip("/")


def make(path: str, memory_limit_bytes: int | None = None) -> None:
    """Make `path`, which must not exist, with its parents, in every hierarchy."""
    for hierarchy in _hierarchies():
        at = hierarchy
        for component in Path(path).relative_to("/").parts:
            if _V2:
                (at / "cgroup.subtree_control").write_text("+memory")
            at = at / component
            at.mkdir(exist_ok=at.name != Path(path).name)
    if memory_limit_bytes is not None:
        limit = memory_dir(path) / ("memory.max" if _V2 else "memory.limit_in_bytes")
        limit.write_text(str(memory_limit_bytes))


def remove(path: str) -> None:
    """Remove `path` with all cgroups in it, in every hierarchy; those that still have processes stay."""
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / path.lstrip("/"), topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def _hierarchies() -> list[Path]:
    if _V2:
        return [_MOUNT]
    return [d for d in _MOUNT.iterdir() if d.is_dir() and not d.is_symlink()]
