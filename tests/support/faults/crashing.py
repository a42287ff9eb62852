"""`python -m faults.crashing POINT NUMBER run ...`: the agent, which ends itself by SIGKILL when it comes to that point
of a kill's path for that time. POINT may be `none`; or `poison`: then NUMBER is the pid of a victim whose incident ends
whoever takes it up.

Rules: the agent is the shipped one; only the one function at the point is wrapped, before it or after it.
"""

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from oomeventer.cli import main
from oomeventer.cluster.api import Api
from oomeventer.cri import Resolver
from oomeventer.incident import Incident
from oomeventer.incident.observer import Observer
from oomeventer.journal import incidents, outbox
from oomeventer.kernel import Tracer

#: By name: whose function, and on which side of it.
POINTS: dict[str, tuple[type | ModuleType, str, str]] = {
    "read from the ring": (Observer, "__call__", "before"),
    "before the incident's commit": (incidents, "record", "before"),
    "after the incident's commit": (incidents, "record", "after"),
    "after the ring is freed": (Tracer, "free", "after"),
    "before the Events' commit": (incidents, "describe", "before"),
    "after the Events' commit": (incidents, "describe", "after"),
    "before the plan's commit": (outbox, "plan", "before"),
    "after the plan's commit, before the request": (Api, "request", "before"),
    "after the answer": (Api, "request", "after"),
    "before what became of it": (outbox, "settle", "before"),
    "after what became of it": (outbox, "settle", "after"),
}


class _Countdown:
    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _wrap(function: Callable[..., Any], side: str, passes: _Countdown) -> Callable[..., Any]:
    @functools.wraps(function)
    def plain(*arguments: Any, **named: Any) -> Any:
        if side == "before":
            passes()
        result = function(*arguments, **named)
        if side == "after":
            passes()
        return result

    @functools.wraps(function)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        if side == "before":
            passes()
        result = await function(*arguments, **named)
        if side == "after":
            passes()
        return result

    return awaited if inspect.iscoroutinefunction(function) else plain


def arm(point: str, number: int) -> None:
    """Wrap the function at the point."""
    owner, name, side = POINTS[point]
    setattr(owner, name, _wrap(getattr(owner, name), side, _Countdown(number)))


def poison(pid: int) -> None:
    """The incident of that victim ends this process when the runtime is to be asked about it."""
    ask = Resolver.__call__

    async def taken_up(resolver: Resolver, incident: Incident) -> Incident:
        if incident.chosen.pid == pid:
            os.kill(os.getpid(), signal.SIGKILL)
        return await ask(resolver, incident)

    setattr(Resolver, "__call__", taken_up)  # noqa: B010


if __name__ == "__main__":
    if sys.argv[1] == "poison":
        poison(int(sys.argv[2]))
    elif sys.argv[1] != "none":
        arm(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
