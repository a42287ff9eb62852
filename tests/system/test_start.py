"""An agent that is still about to start has the node already. In: kills by this kernel while most of the agent is not
imported yet, on a disk that is as slow as it takes. Out: the kills, told once the agent has got on."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from machine import Agent, Cgroup, Victim, kubeconfig
from places import SUPPORT
from pods import NODE, Pods
from standin import ApiServer

pytestmark = pytest.mark.kernel

SECONDS = 30
#: The agent; at its end how many objects Python's collector does not look at, and how many it does.
_COUNTS = """
import gc, sys
from oomeventer.cli import main
status = main(sys.argv[1:])
print(gc.get_freeze_count(), len(gc.get_objects()))
sys.exit(status)
"""


@asynccontextmanager
async def held(api: ApiServer, directory: Path, *flags: str) -> AsyncIterator[tuple[Agent, Path]]:
    """An agent that watches, and does not get on until something is written to that file."""
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    where = ("--pins", "none", "--journal", str(directory / "journal.db"), "--cri-endpoint", "none", *flags)
    whom = ("--node-name", NODE, "--kubeconfig", str(kubeconfig(directory, api.url, api.token)))
    program = (sys.executable, str(SUPPORT / "faults" / "held.py"), str(fifo))
    async with Agent("run", *whom, *where, ready="watches node", program=program) as agent:
        yield agent, fifo


def kill_in(pods: Pods, program: Path) -> None:
    """One."""
    with Victim(program, Cgroup(name=pods.cgroups[0].lstrip("/")), ["prey", "100"]) as victim:
        victim.go()
        assert victim.wait() == -9


async def test_a_kill_while_the_agent_starts(api: ApiServer, tmp_path: Path, program: Path) -> None:
    """It is told as soon as the agent has got on."""
    with Pods(api, 1) as pods:
        async with held(api, tmp_path) as (agent, fifo):
            kill_in(pods, program)
            assert not [line for line in agent.log if "sends Events to" in line]
            assert api.requests == []
            fifo.write_text("go on")
            async with asyncio.timeout(SECONDS):
                await api.until(lambda: bool(pods.delays(api.requests)))


async def test_a_stop_while_the_agent_starts(api: ApiServer, tmp_path: Path, program: Path) -> None:
    """The agent ends in its order, with what was killed meanwhile in its journal."""
    with Pods(api, 1) as pods:
        async with held(api, tmp_path) as (agent, fifo):
            kill_in(pods, program)
            agent.process.send_signal(signal.SIGTERM)
            fifo.write_text("go on")
            async with asyncio.timeout(SECONDS):
                assert await agent.process.wait() == 0
    (counted,) = (found for line in agent.log if (found := re.search(r"stopped: .*\bseen\D+(\d+)", line)))
    assert int(counted[1]) >= 1


async def test_what_is_there_at_the_start(api: ApiServer, tmp_path: Path) -> None:
    """Python's collector leaves it alone afterwards: to look through it all would hold up a kill."""
    program = (sys.executable, "-c", _COUNTS)
    whom = ("--node-name", NODE, "--kubeconfig", str(kubeconfig(tmp_path, api.url, api.token)))
    async with Agent("run", *whom, "--cri-endpoint", "none", ready="sends Events to", program=program) as agent:
        pass
    assert agent.process.stdout
    frozen, others = map(int, (await agent.process.stdout.read()).split())
    assert frozen > 4 * others


def test_a_wrong_address() -> None:
    """What cannot be listened on ends an agent that watches already: it says why, last of all."""
    flags = ("--pins", "none", "--journal", "none", "--listen", "192.0.2.1:80")
    command = [sys.executable, "-m", "oomeventer", "run", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    watches, why = done.stderr.splitlines()
    assert "watches node" in watches
    assert why.startswith("oomeventer: 192.0.2.1:80 cannot be listened on: ")
    assert done.returncode == 1
