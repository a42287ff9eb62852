"""The agent that is measured: its process, what the kernel counts of it, and its own /metrics."""

import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bench import BenchError
from machine import Agent, kubeconfig
from machine.process import cpu_seconds
from pods import NODE
from standin import ApiServer

#: Each kill is reported by a request of its own, at once. A storm is reported under the limits that an agent has by
#: default.
UNBOUNDED = ("--object-burst", "999999", "--burst", "999999", "--events-per-second", "1000")
PLAIN = (sys.executable, "-m", "oomeventer")
#: All but the container, for which no runtime is asked here.
STAGES = ("record", "pod", "outbox")


@dataclass(frozen=True, slots=True)
class Counted:
    """What the agent had done by some moment. scraped_seconds: its CPU time after it was asked, which costs some. seen:
    kills, also those that others made. stages: by name, seconds."""

    cpu_seconds: float = 0.0
    scraped_seconds: float = 0.0
    seen: int = 0
    stages: Counter[str] = field(default_factory=Counter)

    @property
    def each_seconds(self) -> float:
        """CPU for a kill."""
        return self.cpu_seconds / max(1, self.seen)

    def since(self, before: "Counted") -> "Counted":
        """What it has done since."""
        stages = Counter({name: seconds - before.stages[name] for name, seconds in self.stages.items()})
        return Counted(self.cpu_seconds - before.scraped_seconds, seen=self.seen - before.seen, stages=stages)

    def __add__(self, other: "Counted") -> "Counted":
        cpu_seconds, seen = self.cpu_seconds + other.cpu_seconds, self.seen + other.seen
        return Counted(cpu_seconds, seen=seen, stages=self.stages + other.stages)


@dataclass(frozen=True, slots=True)
class Watching:
    """A running agent. start_seconds: from its process's start until it watches, so that a kill is kept by the kernel;
    through_seconds: until it reports as well."""

    pid: int
    url: str
    start_seconds: float
    through_seconds: float

    async def counted(self) -> Counted:
        used = cpu_seconds(self.pid)
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as response:
            text = await response.text()
        seen, stages = 0.0, Counter[str]()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "oomeventer_incidents_total":
                    seen += sample.value
                elif sample.name == "oomeventer_stage_seconds_sum":
                    stages[sample.labels["stage"]] = sample.value
        return Counted(used, cpu_seconds(self.pid), int(seen), stages)


@asynccontextmanager
async def watching(
    api: ApiServer, directory: Path, *flags: str, on_disk: bool, program: tuple[str, ...] = PLAIN
) -> AsyncIterator[Watching]:
    """An agent that tells that API server, with its journal in a new directory there, or in memory. No pins: when it
    ends, nothing of it is left in the kernel."""
    directory.mkdir()
    config = kubeconfig(directory, api.url, api.token)
    journal = str(directory / "journal.db") if on_disk else "none"
    places = ("--kubeconfig", str(config), "--journal", journal, "--pins", "none", "--cri-endpoint", "none")
    command = ("run", "--node-name", NODE, "--listen", "127.0.0.1:0", *places, *flags)
    started = time.monotonic()
    try:
        async with Agent(*command, ready="watches node", program=program) as agent:
            start_seconds = time.monotonic() - started
            await agent.says("sends Events to")
            through_seconds = time.monotonic() - started
            (url,) = (found[1] for line in agent.log if (found := re.search(r"/readyz at (\S+)", line)))
            yield Watching(agent.process.pid, f"http://{url}", start_seconds, through_seconds)
    except RuntimeError as e:
        raise BenchError(f"{e}\nSee 'oomeventer doctor'") from e
