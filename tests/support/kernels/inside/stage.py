"""Where a case plays: its cgroups, its processes, and what is expected of the kernel and the agent. In: what a
case wants. Out: one JSON object of all that was seen. Rules: nothing is judged here; the host compares."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from inside.cgroups import Cgroups
from inside.processes import Process
from inside.witness import Agent, KernelLog

MIB = 1 << 20
#: oom_score_adj of a process that the kernel spares. A trigger has it where another process is to be the only victim:
#: before that one's memory is back, a kernel may well choose again.
NEVER = -1000
CASE_SECONDS = 40.0
#: The system call by which glibc's pause() waits, as /proc/PID/syscall has it: pause, or ppoll where there is none.
PAUSE = {"x86_64": "34", "aarch64": "73"}[os.uname().machine]
#: How long the agent may take for an incident, and how long a surplus is waited for.
INCIDENT_SECONDS, SETTLE_SECONDS = 10.0, 0.4
ENVIRONMENT = {"PATH": "/bin", "GOMEMLIMIT": "32MiB", "DB_PASSWORD": "hunter2"}


class CaseError(Exception):
    """What a case needs did not come about."""


class Stage:
    """One case's stage. A context manager: leaving ends what still runs and removes the cgroups."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._log = KernelLog()
        self._expected: dict[str, Any] = {}
        self.cgroups = Cgroups()
        self.processes: list[Process] = []
        self._left = contextlib.ExitStack()
        self._began = time.time()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._left.close()
        self.cgroups.__exit__()

    def end(self) -> None:
        """End what still runs."""
        for process in self.processes:
            process.end()

    def start(
        self,
        cgroup: str,
        *arguments: str,
        uid: int = 0,
        adj: int = 0,
        init: bool = False,
        environment: dict[str, str] = ENVIRONMENT,
    ) -> Process:
        """A process in its cgroup, before it begins. init: the first of a pid namespace."""
        process = Process(cgroup, arguments, environment, uid, adj, init)
        self.processes.append(process)
        return process

    def mount_tmpfs(self, at: str) -> None:
        """A tmpfs of the case's own."""
        Path(at).mkdir(parents=True, exist_ok=True)
        self.busybox("mount", "-t", "tmpfs", "volume", at)
        self._left.callback(self.busybox, "umount", at)

    def remove_afterwards(self, file: str) -> None:
        """A file that is not to outlive the case."""
        self._left.callback(Path(file).unlink, missing_ok=True)

    def busybox(self, *command: str) -> None:
        """One of its programs."""
        subprocess.run(["/bin/busybox", *command], check=True, capture_output=True)

    def run(self, script: str, *arguments: str) -> str:
        """What a script of this folder prints."""
        command = [sys.executable, str(Path(__file__).parent / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=CASE_SECONDS, check=False)
        if done.returncode:
            raise CaseError(f"{script}: {done.stderr}")
        return done.stdout.strip()

    def until_at_rest(self, *processes: Process) -> None:
        """Let them begin, and wait until each has ended, or sleeps for good: it allocates nothing more."""
        for process in processes:
            process.go()
        self.until(lambda: all(process.signal is not None or _in_pause(process.pid) for process in processes))

    def until_dead(self, *processes: Process) -> None:
        """Wait for the end of these processes."""
        self.until(lambda: all(process.signal is not None for process in processes))

    def until_childless(self, parent: Process) -> None:
        """Wait until its children are gone, and it is there."""
        self.until(lambda: bool(parent.children) and not any(_alive(pid) for pid in parent.children))

    def until(self, done: Any) -> None:
        """Wait until that is so, and look at the processes meanwhile."""
        deadline = time.monotonic() + CASE_SECONDS
        while True:
            for process in self.processes:
                process.look()
            if done():
                return
            if time.monotonic() > deadline:
                ended = {process.pid: process.signal for process in self.processes}
                raise CaseError(f"not within {CASE_SECONDS:.0f} s; by which signal each process ended: {ended}")
            time.sleep(0.005)

    def expect(
        self,
        scope: str,
        limit: str | None,
        episodes: list[list[Process | int]],
        trigger: Process | None = None,
        spared: tuple[Process, ...] = (),
        **more: Any,
    ) -> None:
        """What should have happened. limit: the cgroup that ran out. episodes: of each the chosen victim first."""
        self._expected = {
            "scope": scope,
            "limit": limit,
            "episodes": [[p if isinstance(p, int) else p.pid for p in episode] for episode in episodes],
            "trigger": trigger and trigger.pid,
            "spared": [process.pid for process in spared],
        } | more

    def seen(self) -> dict[str, Any]:
        """All that the kernel and the agent reported."""
        victims = sum(len(episode) for episode in self._expected.get("episodes", ()))
        incidents = self._agent.incidents(victims, INCIDENT_SECONDS, SETTLE_SECONDS)
        for process in self.processes:
            process.look()
        return {
            "expected": self._expected,
            "stat": self.cgroups.stat(self._expected["limit"]) if "memory" in self._expected else [],
            "incidents": incidents,
            "log": self._log.lines(),
            "files": self.cgroups.files(),
            "processes": [facts for process in self.processes for facts in process.as_json()],
            "between": [self._began, time.time()],
        }


def _in_pause(pid: int) -> bool:
    """Whether it waits for a signal, in pause(2)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/syscall") as file:
        return file.read().split()[0] == PAUSE
    return False


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False
