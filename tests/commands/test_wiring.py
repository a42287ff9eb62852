"""What `run` and `trace` have in common. In: a ring as it fills. Out: what is logged of what it lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from oomeventer.commands import wiring
from samples import kill


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
