"""A node that is a container, within this machine: what the agent in it takes for the node's own cgroup.

In: CGROUP, the directory of the node's container; POINT, where the node mounts its cgroups; INIT, where its PID 1 is:
"init", a cgroup of its own, or "root"; AGENT, whose cgroup namespace the agent has: "node", or "own", as a container
has it. Out: the inode of the directory that the agent found, as JSON, or null. Rules: a script, for a process of its
own; the machine's mounts and namespaces stay as they are, and the cgroups that it makes are removed.
"""

import ctypes
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWPID = 0x00020000, 0x02000000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(source: str, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind, options)]
    _checked(_libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]))


def _child(run: Callable[[], None]) -> None:
    """A process that does that and ends, waited for."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run()
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("a process of the node failed")


def main(cgroup: str, point: str, init: str, agent: str) -> None:
    """Make the node, and the agent in it."""
    unified = Path(cgroup, "cgroup.controllers").exists()

    def enter() -> None:
        Path(cgroup, "cgroup.procs").write_text("0")
        _checked(_libc.unshare(CLONE_NEWCGROUP | CLONE_NEWNS | CLONE_NEWPID))
        _child(first)

    def first() -> None:
        _mount("none", "/", None, MS_REC | MS_PRIVATE)
        _mount("proc", "/proc", "proc")
        _mount("none", point, *(("cgroup2",) if unified else ("cgroup", 0, "memory")))
        for name in ("init", "agent"):
            Path(point, name).mkdir()
        if init == "init":
            Path(point, "init/cgroup.procs").write_text("0")
        _child(second)

    def second() -> None:
        Path(point, "agent/cgroup.procs").write_text("0")
        if agent == "own":
            _checked(_libc.unshare(CLONE_NEWCGROUP))
        from oomeventer.node import NodeCgroup

        print(json.dumps(NodeCgroup(cgroups=Path(point)).inodes[unified]))

    try:
        _child(enter)
    finally:
        for name in ("init", "agent"):
            Path(cgroup, name).rmdir()


if __name__ == "__main__":
    main(*sys.argv[1:])
