"""What /proc and the cgroup file system add to an episode. In: an Episode. Out: an Observation.

Rules: only reads. Whatever is gone is None and never an error: the victim is dying while this runs. A process is
believed to be the one that was killed, or its PID 1, only where its start time agrees: pids are used again. The cost
is bounded by the container, never by the node: processes are found through cgroup.procs, not by walking /proc.
All of it may block (a process stuck in the kernel can hold what a read needs): call it from a thread.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from oomeventer.kernel import Kill, Process
from oomeventer.node.cgroup_path import identify

#: killed: it was a victim; gone: it ended by itself, or was ended, before we looked; lives: it ran on once the victim
#: was gone; seen: it ran at the kill, and what came of it was not seen.
Pid1 = Literal["lives", "killed", "gone", "seen"]

#: Other processes of the container (and cgroups within it) that are looked at, and of those the largest that are kept.
LOOKED_AT, KEPT = 256, 5
#: Victims of a group kill whose texts are looked for.
VICTIMS = 16
#: As much of a victim's arguments and environment as the kernel's record would have kept (bpf/oom.h).
ARGUMENTS_BYTES, ENVIRONMENT_BYTES = 4096, 8192

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: PROC_PID_INIT_INO (include/linux/proc_ns.h): the machine's own pid namespace.
_PID_INIT = 0xEFFFFFFC
#: It is ending (include/linux/sched.h): PID 1 does so for as long as it takes to end all others of its namespace.
_PF_EXITING = 0x4
# pid (comm) state ppid ... flags is field 9, starttime 22; comm may hold anything, parentheses too: its end is the last
# one.
_STAT = re.compile(
    rb"\d+ \((?P<comm>.*)\) (?P<state>\S)(?: \S+){5} (?P<flags>\d+)(?: \S+){12} (?P<starttime>\d+) ", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another process of the container, alive after the kill; rss_bytes as /proc/PID/statm has it."""

    pid: int
    comm: bytes
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Observation:
    """pid1: None where that is not known. neighbours: the largest first; neighbours_total counts all, None unknown.

    arguments, environment: of victims whose record has none, by process.
    """

    pid1: Pid1 | None = None
    neighbours: tuple[Neighbour, ...] = ()
    neighbours_total: int | None = None
    arguments: dict[Process, bytes] = field(default_factory=dict)
    environment: dict[Process, bytes] = field(default_factory=dict)


class Procfs:
    """Reads from `proc`, and from `cgroups`, where the memory hierarchy is mounted (found by itself if None)."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path | None = None) -> None:
        self._proc = proc
        self._cgroups = cgroups

    def boot_id(self) -> str | None:
        """The random name of this boot of the machine."""
        raw = _read(self._proc / "sys/kernel/random/boot_id", 64)
        return raw.decode("ascii", "replace").strip() if raw else None

    def observe(self, kills: Iterable[Kill]) -> Observation:
        """Look at what an episode left behind."""
        kills = tuple(kills)
        arguments: dict[Process, bytes] = {}
        environment: dict[Process, bytes] = {}
        for kill in kills[:VICTIMS]:
            if kill.arguments is None and (raw := self._text(kill.process, "cmdline", ARGUMENTS_BYTES)):
                arguments[kill.process] = raw
            if kill.environment is None and (raw := self._text(kill.process, "environ", ENVIRONMENT_BYTES)):
                environment[kill.process] = raw
        container = identify(kills[0].cgroup).container_path or kills[0].cgroup
        pids = self._pids(container, kills[0])
        killed = {kill.process.pid for kill in kills}
        neighbours = [found for pid in pids or () if pid not in killed if (found := self._neighbour(pid))]
        neighbours.sort(key=lambda neighbour: neighbour.rss_bytes, reverse=True)
        return Observation(
            pid1=self._pid1(container, kills),
            neighbours=tuple(neighbours[:KEPT]),
            neighbours_total=None if pids is None else len(neighbours),
            arguments=arguments,
            environment=environment,
        )

    def _pid1(self, container: str, kills: tuple[Kill, ...]) -> Pid1 | None:
        """PID 1 of the container. Not simply that of the pid namespace: in a Pod with shareProcessNamespace that is the
        sandbox's, and without a pid namespace of its own it is the host's."""
        first = kills[0]
        if any(kill.process == first.init for kill in kills):
            return "killed"
        if first.namespace_level == 0 or not self._sees_all():
            return None
        same_memcg = bool(first.levels) and first.init_inode == first.levels[0].inode
        path = self._cgroup_of(first.init.pid)
        if not same_memcg and not (path and f"{path}/".startswith(f"{container}/")):
            return None
        return "seen" if self.runs(first.init) else "gone"

    def _sees_all(self) -> bool:
        """Whether /proc has the pids that the kernel names: not where the node is a container itself (kind)."""
        try:
            return os.stat(self._proc / "self/ns/pid").st_ino == _PID_INIT
        except OSError:
            return True  # a /proc that is not the kernel's: a test's

    def is_there(self, process: Process) -> bool:
        """Whether it has not been reaped."""
        return self._stat_of(process) is not None

    def runs(self, process: Process) -> bool:
        """Whether it runs, and is not ending."""
        stat = self._stat_of(process)
        return bool(stat and stat["state"] not in b"ZX" and not int(stat["flags"]) & _PF_EXITING)

    def _stat_of(self, process: Process) -> re.Match[bytes] | None:
        stat = self._stat(process.pid)
        return stat if stat and int(stat["starttime"]) == process.start_ns // _TICK_NS else None

    def _stat(self, pid: int) -> re.Match[bytes] | None:
        raw = _read(self._proc / str(pid) / "stat", 4096)
        return _STAT.match(raw) if raw else None

    def _text(self, process: Process, name: str, limit: int) -> bytes | None:
        """cmdline or environ, if this is still that process: empty once it has dropped its memory."""
        text = _read(self._proc / str(process.pid) / name, limit)
        return text if text and self.is_there(process) else None

    def _neighbour(self, pid: int) -> Neighbour | None:
        statm, stat = _read(self._proc / str(pid) / "statm", 256), self._stat(pid)
        fields = (statm or b"").split()
        if stat is None or len(fields) < 2 or not fields[1].isdigit() or stat["state"] in b"ZX":
            return None
        return Neighbour(pid=pid, comm=stat["comm"], rss_bytes=int(fields[1]) * _PAGE)

    def _cgroup_of(self, pid: int) -> str | None:
        """The path of a process in the memory hierarchy, or on cgroup v2."""
        unified = None
        for line in (_read(self._proc / str(pid) / "cgroup", 1 << 16) or b"").splitlines():
            _, _, rest = line.partition(b":")
            controllers, _, path = rest.partition(b":")
            if b"memory" in controllers.split(b","):
                return os.fsdecode(path)
            if not controllers:
                unified = os.fsdecode(path)
        return unified

    def _pids(self, cgroup: str, kill: Kill) -> list[int] | None:
        """The processes in a cgroup and below it; None where the hierarchy is not to be seen from here."""
        root = self._cgroups or self._mounted(kill.unified)
        if root is None:
            return None
        directory = root / cgroup.lstrip("/")
        # A container that sees only its own part of the hierarchy would find another cgroup by that name, or none.
        depth = kill.cgroup.count("/") - cgroup.count("/")
        try:
            if depth >= len(kill.levels) or directory.stat().st_ino != kill.levels[depth].inode:
                return None
        except OSError:
            return None
        found: list[int] = []
        waiting = [directory]
        for _ in range(LOOKED_AT):
            if not waiting or len(found) >= LOOKED_AT:
                break
            path = waiting.pop()
            found += _pids_in(path / "cgroup.procs")
            waiting += _below(path)
        return found[:LOOKED_AT]

    def _mounted(self, unified: bool) -> Path | None:
        """Where the memory hierarchy is mounted (/proc/self/mountinfo, proc(5))."""
        for line in (_read(self._proc / "self/mountinfo", 1 << 20) or b"").splitlines():
            mount, _, source = line.partition(b" - ")
            kind, _, rest = source.partition(b" ")
            if kind == b"cgroup2" if unified else kind == b"cgroup" and b"memory" in rest.split(b" ")[-1].split(b","):
                return Path(os.fsdecode(mount.split(b" ")[4]))
        return None


def _pids_in(file: Path) -> Iterator[int]:
    return (int(line) for line in (_read(file, 1 << 16) or b"").split() if line.isdigit())


def _below(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _read(path: Path, limit: int) -> bytes | None:
    """At most `limit` bytes of a file; None where it is gone or not for us."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(limit)
    except OSError:
        return None
