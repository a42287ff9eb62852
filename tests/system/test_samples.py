"""The agent samples memory, remembers it when it is replaced, and says of a kill how it came to it.

In: real kills in a Pod of our own, under agents after each other. Out: their incidents in the API server's stand-in.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from machine import Agent, Cgroup, Victim, kubeconfig
from machine.process import grown
from oomeventer.incident import ANNOTATION
from pods import NODE, Pods
from standin import ApiServer

pytestmark = pytest.mark.kernel

MI = 1 << 20


async def told(api: ApiServer, pods: Pods, seconds: float = 20) -> list[dict[str, Any]]:
    """The incidents in the Events on that Pod, once there is one."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        bodies = [request.body for request in api.requests if request.method in ("POST", "PATCH") and request.body]
        found = [body["metadata"]["annotations"][ANNOTATION] for body in bodies if ANNOTATION in json.dumps(body)]
        if mine := [one for text in found if (one := json.loads(text))["cgroup"] in pods.cgroups]:
            return mine
        await asyncio.sleep(0.1)
    raise AssertionError("no Event")


async def test_samples_outlive_the_agent(api: ApiServer, tmp_path: Path, program: Path) -> None:
    """The second agent's first kill has the first agent's samples, too; with --sample-seconds 0 it has none."""
    config = kubeconfig(tmp_path, api.url, api.token)
    flags = ("--node-name", NODE, "--kubeconfig", str(config), "--cri-endpoint", "none", "--pins", "none")
    kept = ("--journal", str(tmp_path / "journal.db"))
    with Pods(api, 1) as pods, Victim(program, Cgroup(name=pods.cgroups[0].lstrip("/")), ["hog", "4"]) as lives:
        lives.go()
        await grown(lives.pid, 4 * MI)
        began = time.monotonic()
        async with Agent("run", *flags, *kept, "--sample-seconds", "5", ready="sends Events to"):
            await asyncio.sleep(0.5)
        away = time.monotonic()
        for seconds in ("5", "0"):
            api.requests.clear()
            async with Agent("run", *flags, *kept, "--sample-seconds", seconds, ready="sends Events to"):
                with Victim(program, Cgroup(name=pods.cgroups[0].lstrip("/")), ["prey", "100"]) as victim:
                    victim.go()
                    assert victim.wait() == -9
                    killed = time.monotonic()
                trajectory = (await told(api, pods))[0]["trajectory"]
            if seconds == "0":
                assert trajectory is None
                continue
            assert trajectory["pattern"] == "unknown"
            assert trajectory["cgroup"] == pods.cgroups[0]
            first = trajectory["samples"][0]
            assert killed - away - 0.2 <= first["seconds_before"] <= killed - began + 0.2
            assert 4 * MI <= first["bytes"] < 6 * MI
            assert len(trajectory["samples"]) >= 2
