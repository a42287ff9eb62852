"""What /proc and the cgroup file system add to an episode. In: an Episode. Out: an Observation.

Rules: only reads. Whatever is gone is None and never an error: the victim is dying while this runs. A process is
believed to be the one that was killed, or its PID 1, only where its start time agrees: pids are used again. The cost
is bounded: processes are found through cgroup.procs, not by walking /proc.
All of it may block (a process stuck in the kernel can hold what a read needs): call it from a thread.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from oomeventer.kernel import Kill, Process
from oomeventer.node.cgroup_path import identify
from oomeventer.node.cgroups import Cgroups
from oomeventer.node.glance import Glance, glance
from oomeventer.node.neighbours import Neighbours, neighbours
from oomeventer.node.reading import process_stat
from oomeventer.node.reading import read as _read

#: killed: it was a victim; gone: it ended by itself, or was ended, before we looked; lives: it ran on once the victim
#: was gone; seen: it ran at the kill, and what came of it was not seen.
Pid1 = Literal["lives", "killed", "gone", "seen"]

#: Victims of a group kill whose texts are looked for.
VICTIMS = 16
#: As much of a victim's arguments and environment as the kernel's record would have kept (bpf/oom.h).
ARGUMENTS_BYTES, ENVIRONMENT_BYTES = 4096, 8192

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
#: PROC_PID_INIT_INO (include/linux/proc_ns.h): the machine's own pid namespace.
_PID_INIT = 0xEFFFFFFC
#: It is ending (include/linux/sched.h): PID 1 does so for as long as it takes to end all others of its namespace.
_PF_EXITING = 0x4


class Observation(Struct, frozen=True):
    """pid1: None where that is not known. arguments, environment: of victims whose record has none, by process.
    is_late: /proc did not answer in time, so all of it is unknown."""

    pid1: Pid1 | None = None
    neighbours: Neighbours = field(default_factory=Neighbours)
    arguments: dict[Process, bytes] = field(default_factory=dict)
    environment: dict[Process, bytes] = field(default_factory=dict)
    is_late: bool = False


class Procfs:
    """Reads from `proc`, and from `cgroups`, where the memory hierarchy is mounted (found by itself if None)."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path | None = None) -> None:
        self._proc = proc
        self._cgroups = Cgroups(proc, cgroups)

    def boot_id(self) -> str | None:
        """The random name of this boot of the machine."""
        raw = _read(f"{self._proc}/sys/kernel/random/boot_id", 64)
        return raw.decode("ascii", "replace").strip() if raw else None

    def glance(self, kill: Kill) -> Glance:
        """Look at once at where the memory was, given the first kill of an episode."""
        return glance(self._proc, self._cgroups, kill)

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
        return Observation(
            pid1=self._pid1(container, kills),
            neighbours=neighbours(self._proc, self._cgroups, kills),
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
        if not same_memcg:
            path = self._cgroup_of(first.init.pid)
            if path is None or not f"{path}/".startswith(f"{container}/"):
                return None
        return "seen" if self.runs(first.init) else "gone"

    def _sees_all(self) -> bool:
        """Whether /proc has the pids that the kernel names: not where the node is a container itself (kind)."""
        try:
            return os.stat(f"{self._proc}/self/ns/pid").st_ino == _PID_INIT
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
        return process_stat(self._proc, pid)

    def _text(self, process: Process, name: str, limit: int) -> bytes | None:
        """cmdline or environ, if this is still that process: empty once it has dropped its memory."""
        text = _read(f"{self._proc}/{process.pid}/{name}", limit)
        return text if text and self.is_there(process) else None

    def _cgroup_of(self, pid: int) -> str | None:
        """The path of a process in the memory hierarchy, or on cgroup v2."""
        unified = None
        for line in (_read(f"{self._proc}/{pid}/cgroup", 1 << 16) or b"").splitlines():
            _, _, rest = line.partition(b":")
            controllers, _, path = rest.partition(b":")
            if b"memory" in controllers.split(b","):
                return os.fsdecode(path)
            if not controllers:
                unified = os.fsdecode(path)
        return unified
