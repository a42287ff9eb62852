"""The processes of a case. In: a cgroup, the victim's arguments. Out: processes, and what /proc has of
them while they lived. Rules: each waits for go() in its cgroup before it begins; what still lives when a case ends is
killed and reaped."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inside import cgroups

VICTIM = os.environ.get("VICTIM", "/opt/victim")
CLONE_NEWPID = 0x20000000
_STATUS = ("Name", "Uid", "NSpid", "Threads", "VmSwap", "VmRSS", "RssAnon", "RssFile", "RssShmem")


class Process:
    """One process, as the host of the guest numbers it."""

    def __init__(
        self, cgroup: str, arguments: tuple[str, ...], environment: Mapping[str, str], uid: int, adj: int, init: bool
    ) -> None:
        self.arguments, self.environment = [VICTIM, *arguments], dict(environment, GO="3")
        self.tids: set[int] = set()
        self.proc: dict[str, str] = {}
        self.children: dict[int, dict[str, str]] = {}
        self.signal: int | None = None
        read, self._go = os.pipe()
        reported, tell = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            with contextlib.suppress(BaseException):
                self._become(cgroup, read, tell, uid, adj, init)
            os._exit(99)
        os.close(read)
        os.close(tell)
        with open(reported) as file:  # to its end: by then the program runs, and waits
            self.pid = int(file.read() or "0")
        self.cgroup = cgroups.of(self.pid)

    def _become(self, cgroup: str, go: int, tell: int, uid: int, adj: int, init: bool) -> None:
        if init:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWPID):
                os._exit(98)
            if pid := os.fork():
                os.write(tell, b"%d" % pid)
                os.close(tell)
                os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
        else:
            os.write(tell, b"%d" % os.getpid())
        (cgroups.ROOT / cgroup.strip("/") / "cgroup.procs").write_text("0")
        Path("/proc/self/oom_score_adj").write_text(str(adj))
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        os.dup2(go, int(self.environment["GO"]))
        os.execve(VICTIM, self.arguments, self.environment)

    def go(self) -> None:
        """Let it begin."""
        os.write(self._go, b"g")
        os.close(self._go)
        self._go = -1

    def look(self) -> bool:
        """Remember what /proc says now; whether it still runs."""
        if self.signal is not None:
            return False
        pid, status = os.waitpid(self.child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            # The parent of a pid namespace's init passes the signal on as a status.
            self.signal = -code if code < 0 else 256 - code if code > 128 else 0
            return False
        with contextlib.suppress(OSError):
            self.tids |= {int(name) for name in os.listdir(f"/proc/{self.pid}/task")}
            self.proc = _status(self.pid) or self.proc
            for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                self.children[int(child)] = self.children.get(int(child)) or _status(int(child)) or {}
        return True

    def end(self) -> None:
        if self._go >= 0:
            os.close(self._go)
        for pid in (self.pid, self.child):
            if self.signal is None:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self.look() and time.monotonic() < deadline:
            time.sleep(0.01)

    def as_json(self) -> list[dict[str, Any]]:
        """It and its children."""
        common = {"cgroup": self.cgroup, "arguments": self.arguments, "environment": self.environment}
        own = {"pid": self.pid, "tids": sorted(self.tids), "proc": self.proc, "signal": self.signal}
        return [common | own] + [
            common | {"pid": pid, "tids": [pid], "proc": proc, "signal": None} for pid, proc in self.children.items()
        ]


def _status(pid: int) -> dict[str, str] | None:
    """What is wanted of /proc/PID/status, while it has memory."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = {key: text.strip() for key, _, text in (line.partition(":") for line in lines) if key in _STATUS}
    return found if "VmRSS" in found else None
