"""Where the memory hierarchy is mounted. In: /proc/self/mountinfo (proc_pid_mountinfo(5)). Out: its mounts."""

import os
import re
from pathlib import Path

from msgspec import Struct


class Mount(Struct, frozen=True):
    """root: the cgroup that is seen at `point`, as a path from the root of our cgroup namespace."""

    point: Path
    root: str


def memory_mounts(proc: Path, unified: bool) -> list[Mount]:
    """Those of cgroup v2, or of the v1 hierarchy that has the memory controller."""
    found: dict[Path, Mount] = {}
    for line in lines(proc / "self/mountinfo"):
        mount, _, source = line.partition(" - ")
        kind, _, rest = source.partition(" ")
        if kind == "cgroup2" if unified else kind == "cgroup" and "memory" in rest.split(" ")[-1].split(","):
            fields = [re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), f) for f in mount.split(" ")]
            if len(fields) > 4:
                found[Path(fields[4])] = Mount(Path(fields[4]), fields[3])  # of several at one place the last is seen
    return list(found.values())


def lines(file: Path) -> list[str]:
    """Of a file of /proc, as the file system's names are; none where it is gone."""
    try:
        return os.fsdecode(file.read_bytes()).split("\n")
    except OSError:
        return []
