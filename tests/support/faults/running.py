"""What the agents of these tests have in common: their flags, what their metrics say, and where they run.

Not in the package's face, which the agent itself imports here: its memory is measured.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from faults.partition import Partition
from faults.restarted import Restarted
from machine import Cgroup, kubeconfig
from standin import ApiServer

NODE = "lab-node"
#: No budget stands in the way: for what is about what is reported, and not about how fast.
UNBOUNDED = ("--object-burst", "999999", "--burst", "999999", "--events-per-second", "1000")


def flags(api: ApiServer, directory: Path, bpffs: Path, *more: str) -> tuple[str, ...]:
    """Of `run`, with the limits that it has by default, and without a runtime. The last of a flag's values counts."""
    config = kubeconfig(directory, api.url, api.token)
    places = ("--journal", str(directory / "state" / "journal.db"), "--pins", str(bpffs / "oomeventer"))
    return ("--kubeconfig", str(config), "--node-name", NODE, "--cri-endpoint", "none", *places, *more)


def inside(cgroup: Cgroup) -> tuple[str, ...]:
    """What a command line begins with whose program is to run in that cgroup."""
    return ("sh", "-c", 'echo $$ > "$0" && exec "$@"', str(cgroup.directory / "cgroup.procs"))


@asynccontextmanager
async def far_agent(directory: Path, bpffs: Path, *more: str) -> AsyncIterator[tuple[Partition, ApiServer, Restarted]]:
    """An agent on the far side of a network that can be cut."""
    async with Partition() as network, ApiServer(network.near) as api:
        settings = flags(api, directory, bpffs, "--api-timeout-seconds", "1", *more)
        async with Restarted(*settings, command=network.command) as agent:
            yield network, api, agent


async def metrics(address: str) -> Counter[str]:
    """The sums of a scrape's metrics, by name."""
    sums: Counter[str] = Counter()
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as response:
        for line in (await response.text()).splitlines():
            if not line.startswith("#"):
                name, _, value = line.partition(" ") if "{" not in line else re.split(r"\{.*\}( )", line)
                sums[name] += float(value)
    return sums
