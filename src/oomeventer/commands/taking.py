"""This node, as the agent takes it: pins and journal for one agent alone, and the kernel's programs. In: Settings. Out:
the kernel's side, attached: from then on what is killed is kept in the ring.

Rules: of the stations this needs the kernel's alone, so that it is imported, and attached, before all others (run.py).
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from oomeventer import __version__
from oomeventer.kernel import Held, Lock, Pins, PinsError, Tracer
from oomeventer.settings import Settings

log = logging.getLogger(__name__)

#: How often a lock that another agent has is tried.
HELD_SECONDS = 0.2
#: What the kubelet gives a Pod of priority class system-node-critical. Lower is only for what must outlive all else.
OOM_SCORE_ADJ = -997

T = TypeVar("T")


class Taken(NamedTuple):
    """The node's kernel side. pins: None where nothing is left for the next agent."""

    tracer: Tracer
    pins: Pins | None


@contextlib.asynccontextmanager
async def taking(settings: Settings, stop: asyncio.Event) -> AsyncIterator[asyncio.Task[Taken | None]]:
    """A task that takes the node, and gives it back at the end. It is done with its first step, unless it has to wait
    for another agent's end. Its result is None where `stop` was set first; it raises PinsError, LibraryError or
    KernelError."""
    async with contextlib.AsyncExitStack() as stack:
        task = asyncio.create_task(_take(settings, stack, stop))
        try:
            await asyncio.sleep(0)
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _take(settings: Settings, stack: contextlib.AsyncExitStack, stop: asyncio.Event) -> Taken | None:
    pins = await hold(settings, stack, stop)
    if stop.is_set():
        return None
    tracer = stack.enter_context(Tracer(settings.ring_bytes, pins))
    _protect()
    log.info("oomeventer %s watches node %s", __version__, settings.node_name)
    return Taken(tracer, pins)


async def hold(settings: Settings, stack: contextlib.AsyncExitStack, stop: asyncio.Event) -> Pins | None:
    """Wait until no other agent has this node's pins and journal. None where there are to be no pins, or can be none.
    Raises PinsError where pins were asked for and cannot be."""
    pins: Pins | None = None
    if directory := settings.pins:
        try:
            pins = await _once_free(lambda: Pins(directory), stop)
        except PinsError as e:
            if settings.pins_required:
                raise
            log.warning("kills are not recorded while no agent runs: %s", e)
    if pins:
        stack.callback(pins.close)
    if settings.journal:
        parent = settings.journal.parent
        with contextlib.suppress(OSError):  # the journal will say what is wrong, and go on
            parent.mkdir(parents=True, exist_ok=True)
            if _is_journals_alone(settings.journal):
                parent.chmod(0o700)  # commands and Pods of all tenants are in it
            if lock := await _once_free(lambda: Lock(parent), stop):
                stack.callback(lock.close)
    return pins


def _is_journals_alone(journal: Path) -> bool:
    """Whether its directory is ours, and has nothing else in it."""
    others = [file for file in journal.parent.iterdir() if not file.name.startswith(journal.name)]
    return not others and journal.parent.stat().st_uid == os.geteuid()


async def _once_free(take: Callable[[], T], stop: asyncio.Event) -> T | None:
    warned = False
    while not stop.is_set():
        try:
            return take()
        except Held as e:
            if not warned:
                log.warning("%s; waiting for it to end", e)
            warned = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_SECONDS):
                await stop.wait()
    return None


def _protect() -> None:
    """Be nobody's victim: lower the own oom_score_adj, where that is permitted (CAP_SYS_RESOURCE)."""
    file = Path("/proc/self/oom_score_adj")
    try:
        if int(file.read_text()) > OOM_SCORE_ADJ:
            file.write_text(str(OOM_SCORE_ADJ))
    except OSError as e:
        log.debug("oom_score_adj stays as it is: %s", e)
