"""A node of our own making: cgroups with Pods, processes in them, and kills. In: an Amount. Out: Kills.

Rules: the cgroups lie below one of ours, which stands for the node's root; all is removed at the end.
"""

import os
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

from curves.lines import Amount
from machine import Cgroup, Victim
from oomeventer.kernel import Kill, Process
from samples import LIMIT, kill, level

_SETTLE_SECONDS = 30.0


class Node:
    """containers: by ID, the Pod's name and uid; the first one is killed in."""

    def __init__(self, stack: ExitStack, amount: Amount, program: Path) -> None:
        self.top = stack.enter_context(Cgroup())
        self._kubepods = stack.enter_context(Cgroup(name="kubepods", parent=self.top))
        self.containers: dict[str, tuple[str, str]] = {}
        self._places: list[tuple[Cgroup, Cgroup]] = []
        self._is_node = amount.is_node
        for number in range(amount.pods):
            uid, id_ = str(uuid.uuid4()), uuid.uuid4().hex * 2
            pod = stack.enter_context(Cgroup(name=f"pod{uid}", parent=self._kubepods))
            self._places.append((pod, stack.enter_context(Cgroup(name=id_, parent=pod))))
            self.containers[id_] = f"web-{number}", uid
        if amount.beside:
            elsewhere = stack.enter_context(Cgroup(name="system", parent=self.top))
            _herd(stack, elsewhere, amount.beside, program)
        _herd(stack, self._places[0][1], amount.within, program)
        self._levels = []
        for directory in (self._places[0][1], self._places[0][0], self._kubepods, self.top):
            self._levels.append(level(inode=directory.directory.stat().st_ino))
        if not self._is_node:
            self._levels[0] = level(
                LIMIT, inode=self._levels[0].inode, usage_bytes=LIMIT, peak_bytes=LIMIT, locked=True
            )

    def kill(self, number: int) -> Kill:
        """One just now, of a process that is gone."""
        container = self._places[0][1]
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return kill(
            pid=(1 << 22) + number,
            time_ns=now,
            process=Process((1 << 22) + number, now),
            cgroup="/" + str(container.directory.relative_to(self.top.directory)),
            unified=container.unified,
            levels=tuple(self._levels),
        )


def _herd(stack: ExitStack, cgroup: Cgroup, count: int, program: Path) -> None:
    """So many processes that sleep: one, and its children."""
    victim = stack.enter_context(Victim(program, cgroup, ["herd", "0", str(count - 1)]))
    victim.go()
    stack.callback(_end, cgroup)
    until = time.monotonic() + _SETTLE_SECONDS
    while len(_pids(cgroup)) < count:
        if time.monotonic() > until:
            raise RuntimeError(f"of {count} processes {len(_pids(cgroup))} could be started")
        time.sleep(0.05)


def _pids(cgroup: Cgroup) -> list[int]:
    return [int(pid) for pid in (cgroup.directory / "cgroup.procs").read_text().split()]


def _end(cgroup: Cgroup) -> None:
    for pid in _pids(cgroup):
        os.kill(pid, 9)
