"""A process that is made to be killed. Its program is tests/support/data/victim.c, built once for a test run."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from machine.cgroup import Cgroup
from places import DATA

SOURCE = DATA / "victim.c"


def build(directory: Path, compiler: str = "gcc") -> Path:
    """Compile the victim. Raises if there is no compiler: the tests need one (Debian: gcc libc6-dev)."""
    program = directory / "victim"
    subprocess.run([compiler, "-O1", "-static", "-pthread", "-o", program, SOURCE], check=True)
    return program


class Victim:
    """Runs in a cgroup from before it begins. Leaving the context ends it, if it still lives, and reaps it."""

    def __init__(
        self,
        program: Path,
        cgroup: Cgroup,
        arguments: Sequence[str | bytes],
        environment: Mapping[str, str] | None = None,
        name: bytes | None = None,
    ) -> None:
        self._command = [os.fsencode(name or bytes(program)), *(os.fsencode(argument) for argument in arguments)]
        self._program = program
        self._procs = str(cgroup.directory / "cgroup.procs")
        self._environment = dict(environment or {})

    def __enter__(self) -> Self:
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                os.close(write)
                Path(self._procs).write_text("0")
                os.read(read, 1)  # until the parent says go
                os.close(read)
                os.execve(self._program, self._command, self._environment)
            os._exit(99)
        os.close(read)
        self._go = write
        self.status: int | None = None
        return self

    def go(self) -> None:
        """Let it begin."""
        os.close(self._go)
        self._go = -1

    def wait(self) -> int:
        """Reap it; its exit status, negative for a signal."""
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._go >= 0:
            os.close(self._go)
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()
