"""A network that can be cut. In: nothing. Out: a network namespace, joined to ours by one cable.

Rules: the cut is silent, as of a switch that dies: packets vanish, and nobody gets an error. Everything is made here
and goes with the context.
"""

import itertools
import os
from types import TracebackType
from typing import Self

from pyroute2 import AsyncIPRoute, netns

_numbers = itertools.count()


class Partition:
    """near: our address on the cable. command: what a program's command line begins with to be on the far side."""

    def __init__(self) -> None:
        number = next(_numbers)
        self._namespace = f"oomeventer-{os.getpid()}-{number}"
        self._cable = f"oom{os.getpid() % 100000}x{number}"
        self.near, self._far = f"169.254.83.{4 * number + 1}", f"169.254.83.{4 * number + 2}"
        self.command = ("nsenter", f"--net=/var/run/netns/{self._namespace}")

    async def __aenter__(self) -> Self:
        netns.create(self._namespace)
        async with AsyncIPRoute() as here:
            peer = {"ifname": "far", "net_ns_fd": self._namespace}
            await here.link("add", ifname=self._cable, kind="veth", peer=peer)
            self._index = (await here.link_lookup(ifname=self._cable))[0]
            await here.addr("add", index=self._index, address=self.near, prefixlen=30)
        async with AsyncIPRoute(netns=self._namespace) as there:
            (far,) = await there.link_lookup(ifname="far")
            await there.addr("add", index=far, address=self._far, prefixlen=30)
            await there.link("set", index=far, state="up")
        await self.heal()
        return self

    async def cut(self) -> None:
        """Nothing comes through any more."""
        async with AsyncIPRoute() as here:
            await here.link("set", index=self._index, state="down")

    async def heal(self) -> None:
        """It does again."""
        async with AsyncIPRoute() as here:
            await here.link("set", index=self._index, state="up")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with AsyncIPRoute() as here:
            await here.link("del", index=self._index)
        netns.remove(self._namespace)
