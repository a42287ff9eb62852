"""What became of PID 1 once the victim was gone. In: incidents whose PID 1 still ran at the kill ("seen"), with their
kills. Out: the same, with "lives" or "gone" where that was seen.

An init wrapper (tini, a shell that exits with its child) ends when it has reaped its child, tens of milliseconds after
the kill. So whoever looks at once is wrong. Each such kill is watched by a task of its own, which begins when the
incident is assembled and holds up nothing: the incident goes to disk and to the runtime meanwhile, and only the agent's
step after that (Agent.settle) takes the answer. It lives here, beside the incidents and in memory, as what was masked
does (unmasking.py): pids and start times are of no use to the next process, for which PID 1 stays "seen".

Rules: the event loop never blocks, and little is polled: pidfds tell who has ended. (That a zombie is reaped no pidfd
tells before Linux 6.9: that is looked at, ever more seldom.) All is measured from the kill: within BOUND_SECONDS it is
decided, or stays "seen"; an older one is looked at once. "lives" is said only of a PID 1 that has run on for
GRACE_SECONDS after all victims were reaped, and is not on its way out. Bounded: what exceeds it stays "seen".
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from oomeventer.incident.incident import Incident
from oomeventer.kernel import Kill, Process
from oomeventer.node import Pid1, Pidfd, Procfs
from oomeventer.threads import Threads

#: From the kill to the last look.
BOUND_SECONDS = 1.0
#: How long a PID 1 has to end once the victims are reaped. Wrappers take a few milliseconds; where their CPU is
#: throttled, a period of the quota (100 ms) or two.
GRACE_SECONDS = 0.2
#: Kills that are watched at once, and file descriptors that take part; 1024 is what a process has by default.
WATCHED, _FILES = 256, 512
#: Victims of a group kill that are waited for: the first ones.
_VICTIMS = 16
#: Answers that are kept for incidents that are still on their way.
_KEPT = 4096
#: Between two looks at a zombie.
_LOOK_SECONDS, _LOOK_SECONDS_MOST = 0.001, 0.1

T = TypeVar("T")


class Aftermath:
    """Call it with an incident that was given to keep(). Close it at the end."""

    def __init__(self, procfs: Procfs) -> None:
        self._procfs = procfs
        self._kept: OrderedDict[str, asyncio.Task[Pid1]] = OrderedDict()
        self._thread = Threads("aftermath")
        self._asked = self._watched = self._files = 0

    def close(self) -> None:
        """Without waiting for what is still watched."""
        for task in self._kept.values():
            task.cancel()
        self._thread.close()

    def keep(self, incident: Incident, kills: Sequence[Kill]) -> None:
        """Begin to watch, where PID 1 was seen to run. Returns at once; call it in the event loop."""
        victims = [kill.process for kill in kills[:_VICTIMS]]
        if incident.pid1 != "seen" or self._watched >= WATCHED or self._files + len(victims) >= _FILES:
            return
        age = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - kills[0].time_ns) / 1e9
        watch = self._watch(kills[0].init, victims, age)
        self._kept[incident.key] = asyncio.get_running_loop().create_task(watch, name=f"pid1-{incident.key}")
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)[1].cancel()

    async def __call__(self, incident: Incident) -> Incident:
        """The incident, with what became of its PID 1. Waits until that is decided."""
        watch = self._kept.pop(incident.key, None)
        pid1 = await watch if watch else "seen"
        return incident if pid1 == "seen" else replace(incident, pid1=pid1)

    async def _watch(self, init: Process, victims: Sequence[Process], age: float) -> Pid1:
        with contextlib.ExitStack() as stack:
            try:
                watched = {process: self._opened(stack, process) for process in (init, *victims)}
            except OSError:
                return "seen"
            self._watched += 1
            self._files += len(watched)
            try:
                return await self._decided(init, watched, age)
            finally:
                self._watched -= 1
                self._files -= len(watched)

    def _opened(self, stack: contextlib.ExitStack, process: Process) -> Pidfd | None:
        try:
            opened = Pidfd(process.pid)
        except ProcessLookupError:
            return None
        stack.callback(opened.close)
        return opened

    async def _decided(self, init: Process, watched: dict[Process, Pidfd | None], age: float) -> Pid1:
        there = await self._ask(lambda: [self._procfs.is_there(process) for process in watched])
        if there is None:
            return "seen"
        found = {process: pidfd for (process, pidfd), is_it in zip(watched.items(), there, strict=True) if is_it}
        pid1 = found.pop(init, None)
        if pid1 is None:
            return "gone"
        ended = asyncio.ensure_future(pid1.ended())
        reaped = asyncio.ensure_future(_reaped(pidfd for pidfd in found.values() if pidfd))
        try:
            for_victims = max(0.0, BOUND_SECONDS - GRACE_SECONDS - age)
            await asyncio.wait({ended, reaped}, timeout=for_victims, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and reaped.done() and age < BOUND_SECONDS:
                await asyncio.wait({ended}, timeout=GRACE_SECONDS)
            if ended.done():
                return "gone"
            runs = await self._ask(lambda: self._procfs.runs(init)) if reaped.done() else None
            return "seen" if runs is None else "lives" if runs else "gone"
        finally:
            ended.cancel()
            reaped.cancel()
            await asyncio.wait({ended, reaped})  # they have readers on what is closed next

    async def _ask(self, look: Callable[[], T]) -> T | None:
        """What /proc says, read in a thread; None where it does not answer. What hangs is bounded."""
        if self._asked >= WATCHED:
            return None
        self._asked += 1
        answer = self._thread.call(look)
        answer.add_done_callback(self._answered)
        await asyncio.wait({answer}, timeout=BOUND_SECONDS)
        return answer.result() if answer.done() else None

    def _answered(self, answer: asyncio.Future[T]) -> None:
        self._asked -= 1


async def _reaped(victims: Iterable[Pidfd]) -> None:
    """Until all of them are."""
    for victim in victims:
        wait = _LOOK_SECONDS
        if not victim.is_reaped:
            await victim.ended()
        while not victim.is_reaped:
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LOOK_SECONDS_MOST)
