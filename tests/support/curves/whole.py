"""The shipped Agent with all its real parts but the kernel's ring, in this process. In: a Node's kills, a runtime, an
API server. Out: each kill told before the next one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from curves.node import Node
from oomeventer.agent import Agent
from oomeventer.cluster import Delivery, Describer, Limits, Pods, connect
from oomeventer.cri import Resolver
from oomeventer.incident import Aftermath, Observer, Unmasking
from oomeventer.journal import Journal, Plan
from oomeventer.kernel import Episode
from oomeventer.node import Procfs
from oomeventer.probes import Metrics, Progress
from oomeventer.redaction import Redaction

NODE = "curves-node"
_UNBOUNDED = Limits(object_burst=10**9, burst=10**9, per_second=1000.0)
_TOLD_SECONDS = 30.0


class _Ring:
    """The kernel's: what is freed is gone, and nothing is above the node."""

    def free(self, episode: Episode) -> None:
        pass

    def below(self, episode: Episode) -> Episode:
        return episode


class Whole:
    """While its `async with` block runs. journal_bytes: as the setting; the default is the agent's."""

    def __init__(self, node: Node, journal: Path, kubeconfig: str, runtime: str, journal_bytes: int = 64 << 20) -> None:
        self._node = node
        self._journal = Journal(journal, journal_bytes)
        self._kubeconfig = kubeconfig
        self._runtime = runtime
        self._episodes: asyncio.Queue[Episode] = asyncio.Queue()
        self._stop, self._told = asyncio.Event(), asyncio.Event()
        self._number = 0

    async def __aenter__(self) -> Self:
        self._stack = stack = AsyncExitStack()
        procfs = Procfs(cgroups=self._node.top.directory)
        redaction = Redaction("safe", "listed", frozenset())
        unmasking, aftermath, metrics = Unmasking(redaction), Aftermath(procfs), Metrics()
        observer = Observer(procfs, NODE, redaction, False, unmasking, aftermath)
        stack.callback(aftermath.close)
        stack.callback(observer.close)
        journal = await stack.enter_async_context(self._journal)
        api = await stack.enter_async_context(await connect(self._kubeconfig, 30.0))
        describer = Describer(api, Pods(api, NODE), unmasking.keep_spec_words)
        delivery = Delivery(api, journal, _UNBOUNDED, self._delivered)
        ring: Any = _Ring()
        parts = observer, journal, Resolver(self._runtime, 5.0), aftermath, describer, unmasking, delivery
        self._agent = Agent(ring, ring, *parts, metrics, Progress())
        self._running = asyncio.create_task(self._agent.run(self._read(), self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._running
        await self._stack.aclose()

    async def kill(self) -> None:
        """One more, until its Event is there."""
        self._number += 1
        self._told.clear()
        kill = self._node.kill(self._number)
        self._agent.opened(kill)
        self._episodes.put_nowait((kill,))
        async with asyncio.timeout(_TOLD_SECONDS):
            await self._told.wait()

    async def _read(self) -> AsyncIterator[Episode]:
        while not self._stop.is_set():
            reading, stopping = asyncio.ensure_future(self._episodes.get()), asyncio.ensure_future(self._stop.wait())
            await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if reading.done():
                yield reading.result()
        reading.cancel()

    def _delivered(self, plan: Plan) -> None:
        self._told.set()
