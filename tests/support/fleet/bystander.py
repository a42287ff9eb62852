"""Somebody else's service account, beside the fleet. In: a server. Out: how long each of its requests took."""

import asyncio
import contextlib
import time

from fleet.served import Server
from oomeventer.cluster import Unreachable, connect

_EVERY_SECONDS = 0.2


async def bystander(server: Server) -> list[float]:
    """Get a Pod from time to time, until cancelled. A request without an answer counts as long as it took."""
    took: list[float] = []
    _, namespace, name, _ = server.places[0]
    async with await connect(server.bystander) as api:
        try:
            while True:
                began = time.monotonic()
                with contextlib.suppress(Unreachable):
                    await api.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")
                took.append(time.monotonic() - began)
                await asyncio.sleep(_EVERY_SECONDS)
        except asyncio.CancelledError:
            return took
