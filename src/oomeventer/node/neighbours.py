"""Who lives on beside the victims. In: kills, /proc, the cgroups. Out: Neighbours.

Rules: those in and below the cgroup that ran out; where that is not certain, those of the victim's container; where it
was the node, none: its processes are not walked. Processes are found through cgroup.procs, of which so many are read at
most (cgroups.py).
"""

import os
import re
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from oomeventer.kernel import Kill, ran_out_here
from oomeventer.node.cgroup_path import identify
from oomeventer.node.cgroups import Cgroup, Cgroups
from oomeventer.node.reading import process_stat, read

#: Of those that are looked at, the largest that are kept.
KEPT = 5
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SHMEM = re.compile(rb"^RssShmem:\s+(\d{1,15}) kB$", re.MULTILINE)


class Neighbour(Struct, frozen=True):
    """Another process, alive after the kill; rss_bytes as /proc/PID/statm has it. container_id: by its cgroup.
    shmem_bytes: of that the shared memory and tmpfs' files (RssShmem), of those that are kept."""

    pid: int
    comm: bytes
    rss_bytes: int
    container_id: str | None = None
    shmem_bytes: int = 0


class Neighbours(Struct, frozen=True):
    """largest: first. total, rss_bytes: of all; None where not all were to be seen."""

    largest: tuple[Neighbour, ...] = ()
    total: int | None = None
    rss_bytes: int | None = None


def neighbours(proc: Path, cgroups: Cgroups, kills: tuple[Kill, ...]) -> Neighbours:
    """Of an episode."""
    first = kills[0]
    ran_out = ran_out_here(first)
    if ran_out.level is None and ran_out.certain:
        return Neighbours()
    container = identify(first.cgroup).container_path or first.cgroup
    level = first.cgroup.count("/") - container.count("/")
    found = cgroups.find(first, ran_out.level if ran_out.level is not None and ran_out.certain else level)
    if not isinstance(found, Cgroup):
        return Neighbours()
    killed = {kill.process.pid for kill in kills}
    processes, whole = found.processes()
    live = [
        one
        for pid, path in processes
        if pid not in killed and (one := _neighbour(proc, pid, identify(path).container_id))
    ]
    live.sort(key=lambda one: one.rss_bytes, reverse=True)
    return Neighbours(
        largest=tuple(replace(one, shmem_bytes=_shmem_bytes(proc, one.pid)) for one in live[:KEPT]),
        total=len(live) if whole else None,
        rss_bytes=sum(one.rss_bytes for one in live) if whole else None,
    )


def _neighbour(proc: Path, pid: int, container_id: str | None) -> Neighbour | None:
    statm, stat = read(f"{proc}/{pid}/statm", 256), process_stat(proc, pid)
    fields = (statm or b"").split()
    if stat is None or len(fields) < 2 or not fields[1].isdigit() or stat["state"] in b"ZX":
        return None
    return Neighbour(pid=pid, comm=stat["comm"], rss_bytes=int(fields[1]) * _PAGE, container_id=container_id)


def _shmem_bytes(proc: Path, pid: int) -> int:
    found = _SHMEM.search(read(f"{proc}/{pid}/status", 1 << 14) or b"")
    return int(found[1]) << 10 if found else 0
