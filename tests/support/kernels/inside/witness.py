"""The kernel's own word, and the agent's. In: /dev/kmsg; the output of `oomeventer trace --json`. Out:
log lines and incidents, since they were last asked for. Rules: nothing is judged here."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from inside.cgroups import BELOW

START_SECONDS = 120


def spare(pid: int) -> None:
    """Let the kernel kill others. Only a guest, whose own memory runs out, needs it, and has the right."""
    with contextlib.suppress(PermissionError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("-1000")


class KernelLog:
    """The kernel's messages from now on."""

    def __init__(self) -> None:
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._fd, 0, os.SEEK_END)

    def lines(self) -> list[str]:
        found = []
        while True:
            try:
                record = os.read(self._fd, 8192)
            except BlockingIOError:
                return found
            except BrokenPipeError:
                found.append("(messages were overwritten before they were read)")
                continue
            found.append(record.split(b"\n")[0].partition(b";")[2].decode(errors="replace"))


class Agent:
    """The shipped agent, as a user runs it."""

    def __init__(self) -> None:
        # All that it reads is wanted here, to be compared; what it hides by default is tested elsewhere.
        flags = ["--json", "--cri-endpoint", "none", "--arguments", "all", "--environment", "all"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "oomeventer", "trace", *flags, "--node-name", "guest"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        spare(self._process.pid)
        self._incidents: queue.Queue[Any] = queue.Queue()
        self.log: list[str] = []
        self._ready = threading.Event()
        threading.Thread(target=self._read_incidents, daemon=True).start()
        threading.Thread(target=self._read_log, daemon=True).start()

    def wait(self) -> bool:
        """Whether it began to watch."""
        return self._ready.wait(START_SECONDS) and self._process.poll() is None

    def incidents(self, victims: int, seconds: float, settle: float) -> list[dict[str, Any]]:
        """The incidents since the last call. Waits until they have that many victims, then a little for a surplus."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and sum(i["victims_total"] for i in found) < victims:
            with contextlib.suppress(queue.Empty):
                found.append(self._incidents.get(timeout=left))
        deadline = time.monotonic() + settle
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                found.append(self._incidents.get(timeout=left))
        return found

    def stop(self) -> int | None:
        """As a service is stopped; its exit status, None where it did not end."""
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(30)
        self._process.kill()
        return None

    def _read_incidents(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            incident = json.loads(line)
            if f"{incident['cgroup']}/".startswith(f"{BELOW}/"):
                self._incidents.put(incident)

    def _read_log(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())
            if "waiting for kills" in self.log[-1]:
                self._ready.set()
        self._ready.set()
