"""Watches of Events: their changes, as they are written.

In: which objects, and from which revision on. Out: a line of JSON for each change, until the client or the server ends
it. Rules: an Event that a test deletes makes no line (it expires); no bookmarks are sent, which a server need not; what
a test compacts ends the watches from before it, and a new one from there is answered by an ERROR of 410.
"""

import asyncio
import json
from dataclasses import dataclass

from aiohttp import web

from .cluster import Cluster
from .selection import matcher
from .status import Json, Resource, status


@dataclass(frozen=True)
class Watched:
    """The objects of one watch. query: the request's."""

    resource: Resource
    namespace: str
    query: dict[str, str]


async def stream(
    cluster: Cluster, watched: Watched, request: web.Request, changed: asyncio.Condition, closing: asyncio.Event
) -> web.StreamResponse:
    """Answer the request with the changes."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    revision = int(watched.query.get("resourceVersion") or cluster.revision)
    if revision < cluster.compacted:
        gone = status(410, f"too old resource version: {revision} ({cluster.compacted})")
        await _send(response, "ERROR", gone)
        return response
    matches = matcher(watched.query, watched.resource)
    while not closing.is_set() and revision >= cluster.compacted:
        for change in [change for change in cluster.changes if change.revision > revision]:
            revision = change.revision
            item = change.event.render(watched.resource)
            if watched.namespace in ("", item["metadata"]["namespace"]) and matches(item):
                await _send(response, change.kind, item)
        async with changed:
            await changed.wait_for(lambda seen=revision: closing.is_set() or cluster.revision > seen)
    return response


async def _send(response: web.StreamResponse, kind: str, item: Json) -> None:
    await response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
