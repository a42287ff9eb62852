"""This node, as the agent leaves it. In: Settings. Out: nothing on the node, where the agent is not to come back.

Rules: an agent that ends leaves pins and journal to the next one. When its DaemonSet is gone, there is none: then both
are removed, and what waited is dropped. `oomeventer detach` does that by hand.
"""

import asyncio
import logging
import time
from urllib.parse import quote

from oomeventer.cluster import Api, Unreachable
from oomeventer.incident import COMPONENT
from oomeventer.kernel import Pins
from oomeventer.settings import Settings

log = logging.getLogger(__name__)

#: Where no Event was taken for so long before the end, a refusal is an outage's and not an uninstallation's.
OUTAGE_SECONDS = 60.0
#: How long the answer to whether the DaemonSet stays may be refused while we have other rights, and how often it is
#: asked for. Helm removes one right after the other.
REFUSED_SECONDS, ASK_SECONDS = 5.0, 0.25

_STAYS = "pins and journal stay on this node; if no agent follows, 'oomeventer detach' removes the pins"
_REFUSED = "this account may not get its DaemonSet: give it a Role with that (rbac.create)"


async def leave(
    settings: Settings, cluster: Api, pins: Pins | None, waiting: int = 0, troubled_seconds: float = 0.0
) -> None:
    """Remove pins and journal if the agent's DaemonSet is gone, or is going, or its namespace is. waiting: Events that
    are not delivered yet; troubled_seconds: for how long the API server has taken none."""
    if settings.daemonset is None:
        return
    namespace, name = settings.daemonset
    try:
        is_outage = bool(waiting) and troubled_seconds > OUTAGE_SECONDS
        stays = await _stays_at_last(cluster, namespace, name, is_outage)
    except Unreachable as e:
        stays = str(e)
    if stays is None:
        if waiting:
            log.error("%d Events are dropped with the journal before they were delivered; each kill is logged", waiting)
        log.info("DaemonSet %s/%s is gone: %s", namespace, name, clear(settings, pins))
    elif stays:
        log.warning("%s: %s", _STAYS, stays)


async def _stays_at_last(cluster: Api, namespace: str, name: str, is_outage: bool) -> str | None:
    """As _stays(), but asked again for a while where the answer is refused to an account that has rights: with the
    DaemonSet its rights are removed, one after another."""
    give_up_at = time.monotonic() + REFUSED_SECONDS
    while True:
        stays = await _stays(cluster, namespace, name, is_outage)
        if stays != _REFUSED or time.monotonic() >= give_up_at:
            return stays
        await asyncio.sleep(ASK_SECONDS)


async def _stays(cluster: Api, namespace: str, name: str, is_outage: bool) -> str | None:
    """None where the DaemonSet does not stay; "" where it does; words where that is not known. Raises Unreachable."""
    path = f"/apis/apps/v1/namespaces/{quote(namespace, safe='')}/daemonsets/{quote(name, safe='')}"
    answer = await cluster.request("GET", path)
    metadata = answer.body.get("metadata")
    if answer.status == 404 and answer.is_status:
        return None
    if answer.status == 200 and isinstance(metadata, dict):
        going = metadata.get("deletionTimestamp") or await _is_going(cluster, namespace)
        return None if going else ""
    if answer.status in (401, 403):
        # The account, or what it may do, was removed with the DaemonSet, as Helm does. Or the API server has not known
        # anybody for a while; or the account never had this right.
        if is_outage:
            return f"the API server was in trouble before: {answer.words}"
        if answer.status == 403 and await cluster.may("create", "events"):
            return _REFUSED
        return None
    return answer.words


async def _is_going(cluster: Api, namespace: str) -> bool:
    """Whether the namespace is being deleted: of all in it Pods go first, and then nothing new is let in."""
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/events"
    involved = {"apiVersion": "v1", "kind": "Namespace", "name": namespace, "namespace": namespace}
    metadata = {"name": f"{COMPONENT}.leaves", "namespace": namespace}
    body = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": involved}
    answer = await cluster.request("POST", path, body=body, query={"dryRun": "All"})
    return answer.status == 403 and "NamespaceTerminating" in answer.reasons


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
