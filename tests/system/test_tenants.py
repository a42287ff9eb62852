"""What a tenant does to others through the agent: it neither ends it, nor pushes others' Events out, nor holds them up,
nor has them say what is not so.

In: the agent as a process, most of the time in a memory cgroup with the chart's limit; real kills, and of group kills
and old journals the records and rows that a kernel and an earlier version would have left. Out: the stand-in's Events,
the journal's account, and figures (-s). FAULTS=all: all of it; else the shorter ones, and those shorter.
"""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from faults import Restarted
from faults.fed import ARGUMENTS, ENVIRONMENT
from faults.fed import CONTAINER as FED_CONTAINER
from faults.fed import UID as FED_UID
from faults.running import NODE, UNBOUNDED, far_agent, flags, inside, metrics
from machine import Cgroup, Victim, free_port
from machine.process import grown, peak_mib
from oomeventer.cluster import Limits
from oomeventer.cluster.pod_spec import MIRROR, STATIC_UID
from oomeventer.cluster.schedule import LITTLE
from oomeventer.incident import Incident, bounds
from oomeventer.incident.assemble import assemble
from oomeventer.incident.codec import encode
from oomeventer.incident.events import ANNOTATION
from oomeventer.journal import UNFINISHED, incidents, read_history
from oomeventer.journal.journal import PROCESSES
from oomeventer.node import Observation
from oomeventer.redaction import Redaction
from pods import Pods, of_kubelet
from samples import HOST, kill
from standin import Answer, ApiServer, Garbage, Hang, Request
from stores import opened

pytestmark = pytest.mark.kernel

ALL = os.environ.get("FAULTS") == "all"
SECONDS = 120
MI = 1 << 20
#: The chart's (resources.limits.memory), and what may be taken of it at most: a third stays.
LIMIT, PEAK_MIB = 192 * MI, 128
FED = "fed-0"
#: Of containers that are made here.
LIMIT_OF_OTHERS = 8 * MI


@asynccontextmanager
async def confined(*flags: str, **more: Any) -> AsyncIterator[Restarted]:
    """An agent in a memory cgroup with the chart's limit, of which nothing is killed."""
    with Cgroup(LIMIT) as room:
        async with Restarted(*flags, command=inside(room), **more) as agent:
            yield agent
            assert room.kills == 0
        assert agent.deaths == 0


def reported(api: ApiServer, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The Events about objects of these names, each object's latest, as core/v1 has them. Others make kills, too."""
    events = (stored.as_core() for stored in api.events.values())
    return {name: event for event in events if (name := event["involvedObject"]["name"]) in names}


async def until_reported(api: ApiServer, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """The Events about them, once there is one about each."""
    async with asyncio.timeout(SECONDS):
        await api.until(lambda: len(reported(api, names)) == len(names))
    return reported(api, names)


@pytest.mark.parametrize("members", [150, 350, 700] if ALL else [700])
async def test_a_large_group(api: ApiServer, tmp_path: Path, bpffs: Path, members: int) -> None:
    """A group kill of so many, each with all the text that a record has room for, shown without redaction: the agent
    lives, and one Event tells it."""
    shown = ("--arguments", "all", "--environment", "all")
    api.put_pod(of_kubelet("shop", FED, FED_UID, FED_CONTAINER))
    async with confined(*flags(api, tmp_path, bpffs, *shown), program=("faults.fed", str(members))) as agent:
        event = (await until_reported(api, [FED]))[FED]
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


@pytest.mark.parametrize("runtime", ["none", "hangs"] if ALL else ["hangs"])
async def test_a_backlog(api: ApiServer, tmp_path: Path, bpffs: Path, runtime: str) -> None:
    """An earlier version has left 32 incidents of 60 victims each: the agent lives, and all are reported."""
    sizes = left_by_an_earlier_version(tmp_path / "state" / "journal.db", 32, 60)
    names = [f"app-{number}" for number in range(len(sizes))]
    for number, name in enumerate(names):
        api.put_pod(of_kubelet("shop", name, uid(number), f"{number:064x}"))
    async with silent(tmp_path / "cri.sock") as socket:
        patience = ("--cri-timeout-seconds", "1", "--cri-patience-seconds", "3")
        cri = ("--cri-endpoint", socket, *patience) if runtime == "hangs" else ()
        async with confined(*flags(api, tmp_path, bpffs, *UNBOUNDED, *cri)) as agent:
            events = await until_reported(api, names)
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


async def killed(program: Path, container: Cgroup) -> int:
    """A victim of that container's limit; its pid."""
    with Victim(program, container, ["hog", "100"]) as victim:
        victim.go()
        assert await asyncio.to_thread(victim.wait) == -9
    return victim.pid


async def flood(program: Path, container: Cgroup, kills: int) -> int:
    """At least so many kills in that container, as fast as they can be made; how many the kernel has counted. One can
    hit the parent of those that were meant."""
    while (missing := kills - container.kills) > 0:
        with Victim(program, container, ["storm", "100", str(missing)]) as victim:
            victim.go()
            assert await asyncio.to_thread(victim.wait) in (0, -9)
    return container.kills


async def test_a_poison_pill(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """An incident ends each agent that takes it up: after so many it is given up, with its reason, and stays in the
    history. All others are reported, once."""
    settings = flags(api, tmp_path, bpffs, *UNBOUNDED)
    journal = tmp_path / "state" / "journal.db"
    with Pods(api, 6, "shop") as pods:
        async with Restarted(*settings):
            pass  # what it attached goes on recording
        pids = [await killed(program, container) for container in pods.containers]
        poison, others = pids[2], [name for name in pods.names if name != pods.names[2]]
        async with Restarted(*settings, crash=lambda _: ("poison", poison)) as agent:
            events = await until_reported(api, others)
            async with asyncio.timeout(SECONDS):
                while given_up(journal) != {UNFINISHED: 1}:
                    await asyncio.sleep(0.2)
            await asyncio.sleep(1)  # one too many would come now
            assert agent.deaths == 1 + PROCESSES
    assert {name: event["count"] for name, event in events.items()} == dict.fromkeys(others, 1)
    assert not reported(api, [pods.names[2]])
    known = {entry["victims"][0]["pid"]: entry["events"] for entry in read_history(journal)}
    assert {pid: known[pid] for pid in pids} == dict.fromkeys(pids, "delivered") | {poison: "given up"}
    print(f"given up after {agent.deaths} processes; {len(others)} others delivered once each")


def given_up(journal: Path) -> dict[str, int]:
    """By reason, in the journal's account."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT reason, count FROM totals WHERE what = 'given up' AND count > 0"))


@pytest.mark.parametrize("kept", ["on disk", "in memory"] if ALL else ["in memory"])
async def test_a_flood_pushes_out_no_others_event(program: Path, tmp_path: Path, bpffs: Path, kept: str) -> None:
    """The API server is unreachable, one Pod has 1,100 kills, another had one before, and the journal has room for some
    hundreds: when the server is back, both are reported."""
    kills = 1100 if ALL else 600
    small = ("--journal-bytes", "1Mi", *(() if kept == "on disk" else ("--journal", "none")))
    async with far_agent(tmp_path, bpffs, *UNBOUNDED, *small) as (network, api, agent):
        with Pods(api, 1, "loud") as loud, Pods(api, 1, "quiet") as quiet:
            await network.cut()
            await killed(program, quiet.containers[0])
            made = await flood(program, loud.containers[0], kills)
            await asyncio.sleep(2)
            assert not reported(api, loud.names + quiet.names)
            await network.heal()
            events = await until_reported(api, loud.names + quiet.names)
            counted = 0
            while counted != (counted := events[loud.names[0]]["count"]):
                await asyncio.sleep(3)
                events = reported(api, loud.names + quiet.names)
    print(f"{kept}: of {made} kills of one Pod {made - counted} were given up, of the other's 1 none; {agent.log[-1]}")
    assert events[quiet.names[0]]["count"] == 1
    assert 0 < counted < made, "there was room for all"
    assert agent.deaths == 0


async def test_a_flood_holds_up_no_others_event(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """Pods with ten programs each, which are killed one after another, need more requests than a node may make in a
    minute. Then another's process is killed: it is the next to be reported."""
    programs = [tmp_path / f"program-{number}" for number in range(10)]
    for name in programs:
        os.link(program, name)
    with Pods(api, 30 if ALL else 10, "loud") as loud, Pods(api, 1, "quiet") as quiet:
        async with confined(*flags(api, tmp_path, bpffs)) as agent:
            places = iter([(name, container) for container in loud.containers for name in programs])

            async def one_after_another() -> None:
                for name, container in places:
                    await killed(name, container)

            started = time.monotonic()
            await asyncio.gather(one_after_another(), one_after_another())
            took = time.monotonic() - started
            made = len(loud.containers) * len(programs)
            before = len(about(api, "loud"))
            await killed(program, quiet.containers[0])
            began = time.monotonic()
            await until_reported(api, quiet.names)
            (request,) = about(api, "quiet")
            peak = peak_mib(agent.process.pid)
    print(
        f"{made} kills in {took:.1f} s, {before} of them reported; "
        f"another's is reported {request.time - began:.2f} s after it; {peak:.0f} MiB resident at most"
    )
    assert before < made, "nothing was left to wait"
    assert request.time - began < 5
    assert peak < PEAK_MIB


def about(api: ApiServer, namespace: str) -> list[Request]:
    """The requests that post and patch Events in that namespace."""
    path = f"/api/v1/namespaces/{namespace}/events"
    return [
        request for request in api.requests if request.path.startswith(path) and request.method in ("POST", "PATCH")
    ]


async def test_a_budget_outlives_the_agent(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """One Pod's kills do not end, and the agent is killed three times: about that Pod there are no more requests than
    one agent makes."""
    burst, started = Limits().object_burst, time.monotonic()
    with Pods(api, 1, "loud") as loud:

        async def without_end() -> None:
            while True:
                await killed(program, loud.containers[0])

        async with Restarted(*flags(api, tmp_path, bpffs)) as agent:
            making = asyncio.create_task(without_end())
            for _ in range(4):
                async with asyncio.timeout(SECONDS):
                    await agent.watches.wait()
                await asyncio.sleep(4 if ALL else 2)
                if agent.deaths < 3:
                    agent.kill()
                    agent.watches.clear()
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
        kills, requests = loud.containers[0].kills, len(about(api, "loud"))
    took = time.monotonic() - started
    print(f"{kills} kills, {agent.deaths} agents killed in {took:.0f} s: {requests} requests, burst {burst}")
    assert agent.deaths == 3
    assert burst <= requests <= burst + took / Limits().object_seconds + LITTLE + agent.deaths


async def test_an_api_server_that_hangs(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """No request gets an answer: each kill is logged and counted within two seconds all the same."""
    api.faults += [Hang(600)] * 10_000
    listen = ("--listen", address := f"127.0.0.1:{free_port()}")
    with Pods(api, 10, "shop") as pods:
        async with confined(*flags(api, tmp_path, bpffs, *listen, "--log-format", "json")) as agent:
            for container in pods.containers * 4:
                await killed(program, container)
            async with asyncio.timeout(SECONDS):
                while len(delays := logged(agent, pods.cgroups)) < 40:
                    await asyncio.sleep(0.05)
            counted = (await metrics(address))["oomeventer_kills_total"]
    print(f"40 kills while the API server hangs: logged after {max(delays):.2f} s at most")
    assert len(delays) == 40
    assert counted >= 40
    assert max(delays) < 5
    assert not api.events


def logged(agent: Restarted, cgroups: Collection[str]) -> list[float]:
    """Of the kills in these cgroups that the log tells, after how many seconds."""
    found = (json.loads(text) for text in agent.log if text.startswith("{"))
    lines = [line for line in found if line.get("incident", {}).get("cgroup") in cgroups]
    return [seconds(line["time"]) - seconds(line["incident"]["time"]) for line in lines]


def seconds(time_: str) -> float:
    return datetime.fromisoformat(time_).timestamp()


HASH = "0123456789abcdef" * 2


async def test_lies(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """Who may make Pods, and who stands between the agent and its server, say what is not so. No Event is lost by it,
    none is where its subject's readers are not, and nothing goes to another host."""
    callers: list[str] = []
    async with elsewhere(callers) as url, Restarted(*flags(api, tmp_path, bpffs)):
        async with asyncio.timeout(SECONDS):
            await api.until(lambda: len(api.requests) >= 2)  # what it asks when it starts
        with Pods(api, 2, "shop") as shop, Pods(api, 1, "default", [NODE]) as like_the_node:
            # A Pod that says that it is a static one: of that one the Event is not in the liar's namespace.
            liar = of_kubelet("liar", "liar", "an-ordinary-uid", "ab" * 32)
            liar["metadata"]["annotations"] = {STATIC_UID: HASH, MIRROR: HASH}
            api.put_pod(liar)
            static = Cgroup(name=f"pod{HASH}", parent=shop.kubepods)
            with static, Cgroup(LIMIT_OF_OTHERS, name="ab" * 32, parent=static) as container:
                node = await until_known(api, await killed(program, container))
                assert node["involvedObject"]["kind"] == "Node"

            # Success that is another Event, or none; and a redirection that keeps method and body.
            name = shop.names[0]
            other = {"kind": "Event", "metadata": {"namespace": "shop", "name": "another", "resourceVersion": "1"}}
            pod = {"kind": "Pod", "metadata": {"namespace": "shop", "name": name, "resourceVersion": "1"}}
            api.faults += [Garbage(json.dumps(body).encode(), method="POST") for body in (other, pod)]
            api.faults.append(Answer(307, {"Location": url}, method="POST"))
            event = await until_known(api, await killed(program, shop.containers[0]))
            assert (event["involvedObject"]["name"], event["count"]) == (name, 1)
            assert not api.faults

            # A Pod with the node's name, in the namespace that has the Node's Events.
            event = await until_known(api, await killed(program, like_the_node.containers[0]))
            assert (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == ("Pod", NODE)
            assert event["metadata"]["name"] != node["metadata"]["name"]

            # A limit above two Pods: the Event on the one names nothing of the other, whose allocation it was.
            victims, loud = shop.containers
            shop.kubepods.limit(24 << 20)
            loud.limit(64 << 20)
            with Victim(program, victims, ["prey", "6"]) as prey:
                prey.go()
                await grown(prey.pid, 6 * MI)
                with Victim(program, loud, ["hog", "40"]) as hog:
                    hog.go()
                    assert await asyncio.to_thread(prey.wait) == -9
                    event = await until_known(api, prey.pid)
            assert event["involvedObject"]["name"] == shop.names[0]
            assert "was made outside of this Pod" in event["message"]
            assert not any(word in json.dumps(event) for word in (loud.directory.name, shop.names[1], str(hog.pid)))
    assert not callers


async def until_known(api: ApiServer, pid: int) -> dict[str, Any]:
    """The Event whose latest kill is of that process."""

    def found() -> list[dict[str, Any]]:
        events = [stored.as_core() for stored in api.events.values()]
        incidents = [json.loads(event["metadata"]["annotations"][ANNOTATION]) for event in events]
        return [e for e, incident in zip(events, incidents, strict=True) if incident["victims"][0]["pid"] == pid]

    async with asyncio.timeout(SECONDS):
        await api.until(lambda: bool(found()))
    (event,) = found()
    return event


@asynccontextmanager
async def elsewhere(callers: list[str]) -> AsyncIterator[str]:
    """Another host, and its URL. callers: what is sent to it."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append((await reader.read(1000)).decode(errors="replace"))
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.2", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}/"
