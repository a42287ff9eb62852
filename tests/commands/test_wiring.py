"""What `run` and `trace` have in common. In: a runtime at a usual place below `--host-root`; a ring as it fills.
Out: who is asked; what is logged of what was lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakecri import grpc_server, version
from oomeventer.commands import wiring
from oomeventer.cri import CriError
from oomeventer.probes import Health, Metrics
from reading import read
from samples import kill


async def test_the_runtime_below_the_hosts_root(tmp_path: Path) -> None:
    """It is found by the resolver, and by readiness; where it is not, both say where they looked."""
    (tmp_path / "run/crio").mkdir(parents=True)
    settings = read(["--host-root", str(tmp_path), "--node-name", "n"], {}, "run")
    resolver = await wiring.resolver(settings, 0.0, wants_runtime=False)
    health = Health(Metrics(), None, 1.0, host_root=str(tmp_path))
    place = tmp_path / "run/crio/crio.sock"
    with pytest.raises(CriError, match=f"{place}: no such file"):
        await resolver.connect()
    with pytest.raises(CriError, match=f"{place}: no such file"):
        await health._ask_runtime()
    async with grpc_server(place, {"Version": version()}):
        assert (await resolver.connect()).path == str(place)
        assert await health._ask_runtime() is None


class Filling:
    """A tracer whose ring loses a record whenever somebody is busy with an episode; with the cgroup's path."""

    def __init__(self, episodes: int, lost: int) -> None:
        self._episodes = episodes
        self._taken = self.lost = lost

    async def episodes(self, _stop: asyncio.Event, _opened: Any) -> AsyncIterator[tuple[Any, ...]]:
        for number in range(self._episodes):
            yield (kill(number + 1),)
            self.lost += 1

    def take_losses(self) -> dict[str | None, int]:
        taken, self._taken = self._taken, self.lost
        return {"/kubepods/a": self.lost - taken}


@pytest.mark.parametrize("reported", [0, 1])
async def test_each_loss_is_logged_once(reported: int, caplog: pytest.LogCaptureFixture) -> None:
    """With whose it was, and that of the last moment, too: the next process is told that all of them are."""
    tracer: Any = Filling(3, reported)
    with caplog.at_level(logging.ERROR):
        found = [one async for one in wiring.episodes(tracer, asyncio.Event(), lambda _: None, reported)]
    assert len(found) == 3
    counts = [int(record.getMessage().split()[0]) for record in caplog.records]
    assert sum(counts) == 3
    assert all("/kubepods/a" in record.getMessage() for record in caplog.records)
