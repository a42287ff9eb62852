"""This node, as the agent takes and leaves it. Flows in: Settings. Flows out: the pins' directory, held for one agent
alone; and at the end nothing, where the agent is not to come back.

Rules: an agent that ends leaves pins and journal to the next one. When its DaemonSet is gone, there is none: then both
are removed. `oomeventer detach` does that by hand.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from oomeventer.api import Api, Unreachable
from oomeventer.kernel import Pins, PinsError
from oomeventer.lock import Held, Lock
from oomeventer.settings import Settings

log = logging.getLogger(__name__)

#: How often a lock that another agent has is tried.
HELD_SECONDS = 0.2
#: What the kubelet gives a Pod of priority class system-node-critical. Lower is only for what must outlive all else.
OOM_SCORE_ADJ = -997

_STAYS = "pins and journal stay on this node; if no agent follows, 'oomeventer detach' removes the pins"

T = TypeVar("T")


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
            if lock := await _once_free(lambda: Lock(parent), stop):
                stack.callback(lock.close)
    return pins


async def _once_free(take: Callable[[], T], stop: asyncio.Event) -> T | None:
    told = False
    while not stop.is_set():
        try:
            return take()
        except Held as e:
            if not told:
                log.warning("%s; waiting for it to end", e)
            told = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_SECONDS):
                await stop.wait()
    return None


def protect() -> None:
    """Be nobody's victim: lower the own oom_score_adj, where that is permitted (CAP_SYS_RESOURCE)."""
    file = Path("/proc/self/oom_score_adj")
    try:
        if int(file.read_text()) > OOM_SCORE_ADJ:
            file.write_text(str(OOM_SCORE_ADJ))
    except OSError as e:
        log.debug("oom_score_adj stays as it is: %s", e)


async def leave(settings: Settings, cluster: Api, pins: Pins | None, waiting: int = 0) -> None:
    """Remove pins and journal if the agent's DaemonSet is gone, or is going. waiting: Events that are not told yet."""
    if settings.daemonset is None:
        return
    ours = namespace, name = settings.daemonset
    path = f"/apis/apps/v1/namespaces/{quote(namespace, safe='')}/daemonsets/{quote(name, safe='')}"
    try:
        answer = await cluster.request("GET", path)
    except Unreachable as e:
        log.warning("%s: %s", _STAYS, e)
        return
    metadata = answer.body.get("metadata")
    going = answer.status == 200 and isinstance(metadata, dict) and bool(metadata.get("deletionTimestamp"))
    if going or answer.status == 404:
        if waiting:
            log.error("DaemonSet %s/%s is gone: %d Events that were not told go with the journal", *ours, waiting)
    elif answer.status in (401, 403):
        # The account, or what it may do, was removed with the DaemonSet. Or this Pod alone was deleted by force, and
        # its token with it; or the account never had this right.
        if waiting or (answer.status == 403 and await _may_still_post(cluster)):
            log.warning("%s; whether this DaemonSet is gone is not known: %s", _STAYS, answer.words)
            return
    else:
        return
    log.info("DaemonSet %s/%s is gone: %s", *ours, clear(settings, pins))


async def _may_still_post(cluster: Api) -> bool:
    try:
        return await cluster.may("create", "events")
    except Unreachable:
        return True


def clear(settings: Settings, pins: Pins | None) -> str:
    """Remove pins and journal. Returns what was removed, for people."""
    removed = []
    if pins:
        removed.append(f"pins of {pins.remove()} generations removed from {pins.directory}")
    if settings.journal:
        found = sorted(settings.journal.parent.glob(f"{settings.journal.name}*"))
        for file in found:
            file.unlink(missing_ok=True)
        if found:
            removed.append(f"journal {settings.journal} removed")
    return "; ".join(removed) or "nothing was left on this node"
