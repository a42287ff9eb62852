"""What a tenant does to others through the agent: it neither ends it, nor pushes others' Events out, nor holds them up,
nor has them say what is not so.

In: the agent as a process, most of the time in a memory cgroup with the chart's limit; real kills, and of group kills
and old journals the records and rows that a kernel and an earlier version would have left. Out: the stand-in's Events,
the journal's account, and figures (-s). FAULTS=all: all of it; else the shorter ones, and those shorter.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faults import Restarted
from faults.fed import ARGUMENTS, ENVIRONMENT
from faults.fed import CONTAINER as FED_CONTAINER
from faults.fed import UID as FED_UID
from faults.running import UNBOUNDED, flags, inside
from machine import Cgroup
from machine.process import peak_mib
from oomeventer.incident import Incident, bounds
from oomeventer.incident.assemble import assemble
from oomeventer.incident.codec import encode
from oomeventer.incident.events import ANNOTATION
from oomeventer.incident.redaction import Redaction
from oomeventer.journal import incidents
from oomeventer.node import Observation
from pods import of_kubelet
from samples import HOST, kill
from standin import ApiServer
from stores import opened

pytestmark = pytest.mark.kernel

ALL = os.environ.get("FAULTS") == "all"
SECONDS = 120
MI = 1 << 20
#: The chart's (resources.limits.memory), and what shall be left of it.
LIMIT, PEAK_MIB = 192 * MI, 100
FED = "fed-0"


@asynccontextmanager
async def confined(*flags: str, **more: Any) -> AsyncIterator[Restarted]:
    """An agent in a memory cgroup with the chart's limit, of which nothing is killed."""
    with Cgroup(LIMIT) as room:
        async with Restarted(*flags, command=inside(room), **more) as agent:
            yield agent
            assert room.kills == 0
        assert agent.deaths == 0


def told(api: ApiServer, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The Events about objects of these names, each object's latest, as core/v1 has them. Others make kills, too."""
    events = (stored.as_core() for stored in api.events.values())
    return {name: event for event in events if (name := event["involvedObject"]["name"]) in names}


async def until_told(api: ApiServer, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """The Events about them, once there is one about each."""
    async with asyncio.timeout(SECONDS):
        await api.until(lambda: len(told(api, names)) == len(names))
    return told(api, names)


@pytest.mark.parametrize("members", [150, 350, 700])
async def test_a_large_group(api: ApiServer, tmp_path: Path, bpffs: Path, members: int) -> None:
    """A group kill of so many, each with all the text that a record has room for, shown without redaction: the agent
    lives, and one Event tells it."""
    shown = ("--arguments", "all", "--environment", "all")
    api.put_pod(of_kubelet("shop", FED, FED_UID, FED_CONTAINER))
    async with confined(*flags(api, tmp_path, bpffs, *shown), program=("faults.fed", str(members))) as agent:
        event = (await until_told(api, [FED]))[FED]
        peak = peak_mib(agent.process.pid)
    print(f"a group of {members}: {peak:.0f} MiB resident at most, Event of {len(json.dumps(event))} bytes")
    assert f"its group of {members} (memory.oom.group)" in event["message"]
    assert len(event["metadata"]["annotations"][ANNOTATION].encode()) <= bounds.ANNOTATION_BYTES
    assert peak < PEAK_MIB


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def unbounded(victims: int) -> Incident:
    """Of a group kill, as 0.1.0 made it."""
    text = {"arguments": ARGUMENTS, "environment": ENVIRONMENT}
    with pytest.MonkeyPatch.context() as patched:
        for name in ("VICTIMS", "VICTIMS_WITH_TEXT", "ARGUMENTS", "VARIABLES", "TEXT_BYTES", "NOTES"):
            patched.setattr(bounds, name, 1 << 40)
        kills = tuple(kill(5000 + member, **text) for member in range(victims))
        return assemble(kills, Observation(), {}, HOST, Redaction())


def left_by_an_earlier_version(journal: Path, count: int, victims: int) -> list[int]:
    """A journal of incidents that are not described, each of a group in a Pod of its own. Returns their sizes in bytes
    of JSON."""
    journal.parent.mkdir()
    one, sizes = unbounded(victims), []
    with closing(opened(journal)) as database:
        for number in range(count):
            cgroup = f"/kubepods/burstable/pod{uid(number)}/{number:064x}"
            another = replace(one, key=f"{number:016x}", cgroup=cgroup, container=None)
            body = encode(another)
            assert incidents.record(database, another.key, body)
            sizes.append(len(body))
    return sizes


@pytest.mark.parametrize("runtime", ["none", "hangs"])
async def test_a_backlog(api: ApiServer, tmp_path: Path, bpffs: Path, runtime: str) -> None:
    """An earlier version has left 32 incidents of 60 victims each: the agent lives, and all are told."""
    sizes = left_by_an_earlier_version(tmp_path / "state" / "journal.db", 32, 60)
    names = [f"app-{number}" for number in range(len(sizes))]
    for number, name in enumerate(names):
        api.put_pod(of_kubelet("shop", name, uid(number), f"{number:064x}"))
    async with silent(tmp_path / "cri.sock") as socket:
        patience = ("--cri-timeout-seconds", "1", "--cri-patience-seconds", "3")
        cri = ("--cri-endpoint", socket, *patience) if runtime == "hangs" else ()
        async with confined(*flags(api, tmp_path, bpffs, *UNBOUNDED, *cri)) as agent:
            events = await until_told(api, names)
            peak = peak_mib(agent.process.pid)
    print(f"{len(sizes)} incidents of {max(sizes) / MI:.2f} MiB, runtime {runtime}: {peak:.0f} MiB resident at most")
    assert {name: event["count"] for name, event in events.items()} == dict.fromkeys(names, 1)
    assert peak < PEAK_MIB


@asynccontextmanager
async def silent(socket: Path) -> AsyncIterator[str]:
    """A runtime that is connected to and never says anything; its endpoint."""

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await ended.wait()
        finally:
            writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_unix_server(say_nothing, socket)
    try:
        yield f"unix://{socket}"
    finally:
        ended.set()
        server.close()
        await server.wait_closed()
