"""Nothing is lost and nothing is reported twice, whatever happens to the agent, to the API server, the runtime or the
disk.

In: real kills by this kernel, and faults made for real (tests/support/faults). Out: for each cgroup the kills that the
stand-in's Events count, against the kills that were made; and the journal's own account. FAULTS=all makes 200 kills at
each point where the agent is ended, else they are spread over the points.
"""

import asyncio
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from faults import POINTS, Restarted, mounted, running
from faults.running import UNBOUNDED, far_agent, metrics
from machine import Cgroup, Victim, free_port
from machine.process import resident_mib
from oomeventer.cluster.api import Api
from oomeventer.journal.history import read_history
from realcri import Containerd
from standin import Answer, ApiServer, Fault, Garbage, Hang, LostAnswer, Reset, Trickle, Truncated

pytestmark = pytest.mark.kernel

KILLS = 200
LIMIT = 8 << 20
SECONDS = 120
ALL = os.environ.get("FAULTS") == "all"


def flags(api: ApiServer, directory: Path, bpffs: Path, *more: str) -> tuple[str, ...]:
    """These tests are about what is reported, and not about how fast."""
    return running.flags(api, directory, bpffs, *UNBOUNDED, *more)


class Kills:
    """Kills in cgroups of our own. made: by cgroup, how many."""

    def __init__(self, program: Path, cgroups: int = 8) -> None:
        self._program = program
        self._cgroups = [Cgroup(LIMIT) for _ in range(cgroups)]
        self.made: Counter[str] = Counter()
        self.pids: set[int] = set()

    def __enter__(self) -> "Kills":
        self._stack = ExitStack()
        for cgroup in self._cgroups:
            self._stack.enter_context(cgroup)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def make(self, count: int) -> None:
        for _ in range(count):
            cgroup = random.choice(self._cgroups)
            with Victim(self._program, cgroup, ["hog", "100"]) as victim:
                victim.go()
                assert await asyncio.to_thread(victim.wait) == -9
            self.made[cgroup.path] += 1
            self.pids.add(victim.pid)


def counted(api: ApiServer, kills: Kills) -> Counter[str]:
    """By cgroup, the kills that the Events tell."""
    counts: Counter[str] = Counter()
    for cgroup, event in told(api, kills):
        counts[cgroup] += event["count"]
    return counts


def told(api: ApiServer, kills: Kills) -> Iterator[tuple[str, dict[str, Any]]]:
    """The Events about these kills, with their cgroups. Others make kills, too."""
    for stored in api.events.values():
        event = stored.as_core()
        cgroup = json.loads(event["metadata"]["annotations"]["oomeventer/incident"])["cgroup"]
        if cgroup in kills.made:
            yield cgroup, event


async def all_reported(api: ApiServer, kills: Kills, seconds: float = SECONDS) -> None:
    """Wait until as many are reported as were made; then see that it is each of them once."""
    async with asyncio.timeout(seconds):
        await api.until(lambda: counted(api, kills).total() >= kills.made.total())
    await asyncio.sleep(1)  # one too many would come now
    assert counted(api, kills) == kills.made


def entries(journal: Path, kills: Kills) -> list[dict[str, Any]]:
    return [entry for entry in read_history(journal) if entry["cgroup"] in kills.made]


async def all_settled(journal: Path, kills: Kills) -> None:
    """Wait until the journal knows what became of each: where an agent died before it did, the next one asks again."""
    async with asyncio.timeout(SECONDS):
        while {entry["events"] for entry in entries(journal, kills)} - {"delivered", "merged"}:
            await asyncio.sleep(0.2)


def all_accounted(journal: Path, kills: Kills) -> None:
    """The journal knows each victim once, and that its Event was accepted."""
    known = entries(journal, kills)
    assert Counter(entry["victims"][0]["pid"] for entry in known) == Counter(kills.pids)
    assert {entry["events"] for entry in known} <= {"delivered", "merged"}


@pytest.mark.parametrize("point", sorted(POINTS) if ALL else ["any"])
async def test_killed_on_the_way(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path, point: str) -> None:
    """The agent ends itself at a point of the way, after a few kills each time: 200 kills, each reported once."""

    def crash(rng: random.Random) -> tuple[str, int]:
        # Up to 24: of the requests of a life the first 8 ask for versions, and the next ones tell.
        return (rng.choice(sorted(POINTS)) if point == "any" else point), rng.randint(1, 24)

    with Kills(program) as kills:
        agent = Restarted(*flags(api, tmp_path, bpffs), crash=crash, seed=random.randrange(1 << 30))
        async with agent:
            await kills.make(KILLS)
            await all_reported(api, kills)
            await all_settled(tmp_path / "state" / "journal.db", kills)
        assert agent.deaths >= 8
    all_accounted(tmp_path / "state" / "journal.db", kills)
    print(f"{point}: {kills.made.total()} kills, {agent.deaths} deaths, each kill reported once")


@pytest.mark.parametrize("point", sorted(POINTS))
async def test_each_point_is_reached(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path, point: str) -> None:
    """Kills bring the agent to each of the points, and it ends there; the next one delivers what is left."""
    # A life's first requests ask what it may; the ninth is about a kill.
    lives = iter([(point, 9 if POINTS[point][0] is Api else 1)])
    with Kills(program, 1) as kills:
        async with Restarted(*flags(api, tmp_path, bpffs), crash=lambda _: next(lives, ("none", 0))) as agent:
            async with asyncio.timeout(SECONDS):
                while not agent.deaths:
                    await kills.make(1)
                    await asyncio.sleep(0.2)
            await all_reported(api, kills)
            await all_settled(tmp_path / "state" / "journal.db", kills)
        assert agent.deaths == 1
    all_accounted(tmp_path / "state" / "journal.db", kills)


async def test_killed_at_any_moment(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """SIGKILL from outside, at moments that nobody chose, also while it starts."""
    with Kills(program) as kills:
        async with Restarted(*flags(api, tmp_path, bpffs)) as agent:
            making = asyncio.create_task(kills.make(KILLS))
            while not making.done():
                await asyncio.sleep(random.uniform(0.05, 1.5))
                agent.kill()
            await making
            await all_reported(api, kills)
            await all_settled(tmp_path / "state" / "journal.db", kills)
        assert agent.deaths >= 4
    all_accounted(tmp_path / "state" / "journal.db", kills)


async def test_no_agent_runs(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """Between two agents kills are recorded: the next one reports them, with the kills' times and arguments."""
    with Kills(program, 1) as kills:
        async with Restarted(*flags(api, tmp_path, bpffs)):
            await kills.make(1)
            await all_reported(api, kills)
        before = time.time()
        await kills.make(3)
        after = time.time()
        await asyncio.sleep(2)
        async with Restarted(*flags(api, tmp_path, bpffs)):
            await all_reported(api, kills)
    for entry in entries(tmp_path / "state" / "journal.db", kills)[1:]:
        assert before - 0.1 <= datetime.fromisoformat(entry["time"]).timestamp() <= after + 0.1
        assert entry["victims"][0]["command"][1:] == ["***", "100"]


async def test_cut_off(program: Path, tmp_path: Path, bpffs: Path) -> None:
    """The network to the API server is cut: nothing is lost, what comes later has the kills' times, and what the
    network kept until then takes nothing back. The agent is ended in between."""
    with Kills(program, 6) as kills:
        async with far_agent(tmp_path, bpffs, *UNBOUNDED) as (network, api, agent):
            await kills.make(10)
            await all_reported(api, kills)
            await network.cut()
            requests = len(api.requests)
            await kills.make(KILLS // 2)
            agent.kill()
            await kills.make(KILLS // 2)
            await asyncio.sleep(3)
            assert len(api.requests) == requests
            assert counted(api, kills).total() == 10
            healed = time.time()
            await network.heal()
            await all_reported(api, kills)
            for _, event in told(api, kills):
                assert datetime.fromisoformat(event["lastTimestamp"]).timestamp() <= healed
    all_accounted(tmp_path / "state" / "journal.db", kills)


async def storm(program: Path, cgroups: int, kills_each: int) -> Counter[str]:
    """Many kills in many cgroups, as fast as two processors make them; by cgroup, how many the kernel has counted. One
    can hit the parent of those that were meant, and is the last in that cgroup then."""
    made: Counter[str] = Counter()
    places = iter(range(cgroups))

    async def one_after_another() -> None:
        for _ in places:
            with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["storm", "100", str(kills_each)]) as victim:
                victim.go()
                assert await asyncio.to_thread(victim.wait) in (0, -9)
                made[cgroup.path] += cgroup.kills

    await asyncio.gather(one_after_another(), one_after_another())
    return made


async def test_storm(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """5,000 kills in 100 cgroups: each is seen, and is delivered, merged, given up or waiting; requests and memory stay
    bounded, under the limits that an agent has by default."""
    settings = [flag for flag in flags(api, tmp_path, bpffs) if flag not in UNBOUNDED]
    address = f"127.0.0.1:{free_port()}"
    async with Restarted(*settings, "--listen", address) as agent:
        before = resident_mib(agent.process.pid)
        started = time.monotonic()
        made = await storm(program, 100, 50)
        took = time.monotonic() - started
        highest = before
        async with asyncio.timeout(SECONDS):
            while (now := await metrics(address))["oomeventer_events_seen_total"] < made.total():
                highest = max(highest, resident_mib(agent.process.pid))
                await asyncio.sleep(0.2)
        highest = max(highest, resident_mib(agent.process.pid))
        reported = {
            what: now[f"oomeventer_events_{what}"] for what in ("delivered_total", "merged_total", "given_up_total")
        }
        waiting = now["oomeventer_events_waiting"]
        assert now["oomeventer_ring_lost_records_total"] == 0
        assert now["oomeventer_events_seen_total"] == sum(reported.values()) + waiting
        assert now["oomeventer_events_seen_total"] >= made.total()
        print(
            f"{made.total()} kills in {took:.0f} s: {reported}, waiting {waiting:.0f}, {len(api.requests)} requests; "
            f"resident {before:.0f} MiB before, {highest:.0f} MiB at most"
        )
    assert len(api.requests) <= 25 + took / 300 + 2
    assert highest < before + 64
    known = Counter(entry["cgroup"] for entry in read_history(tmp_path / "state" / "journal.db"))
    assert {cgroup: known[cgroup] for cgroup in made} == made


async def test_no_growth(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """Round after round of kills in ever new cgroups, over a journal that lets go of the oldest: neither the agent nor
    its journal grows."""
    rounds, cgroups = (20, 50) if ALL else (6, 20)
    journal = tmp_path / "state" / "journal.db"
    settings = flags(api, tmp_path, bpffs, "--journal-bytes", "1Mi")
    resident: list[float] = []
    sizes: list[int] = []
    made = 0
    async with Restarted(*settings, "--listen", (address := f"127.0.0.1:{free_port()}")) as agent:
        for _ in range(rounds):
            made += (await storm(program, cgroups, 20)).total()
            until = time.monotonic() + SECONDS
            while (now := await metrics(address))["oomeventer_events_seen_total"] < made or (
                now["oomeventer_events_waiting"]
            ):
                ours = {name: value for name, value in now.items() if name.startswith("oomeventer") and value}
                assert not now["oomeventer_ring_lost_records_total"], agent.log[-20:]  # it would never be seen
                assert time.monotonic() < until, f"{made} made; {ours}; {agent.log[-20:]}"
                await asyncio.sleep(0.2)
            api.events.clear()
            api.requests.clear()
            resident.append(resident_mib(agent.process.pid))
            sizes.append(sum(file.stat().st_size for file in journal.parent.iterdir()))
    print(f"{made} kills in {rounds} rounds; resident MiB: {[round(size, 1) for size in resident]}; journal: {sizes}")
    warm = rounds // 3
    assert max(resident[warm:]) < max(resident[:warm]) + 3
    assert max(sizes) < 6 << 20


@pytest.mark.containerd
async def test_runtime_gone_and_back(api: ApiServer, containerd: Containerd, tmp_path: Path, bpffs: Path) -> None:
    """The runtime is down when a container's process is killed, and comes back in time: the Event names the container.
    It stays down: the Event goes without it, once the patience is over."""
    sandbox = containerd.run_pod(namespace="shop", name="checkout-0")
    api.put_namespace("shop")
    patience = ("--cri-endpoint", containerd.endpoint, "--cri-patience-seconds", "6")
    settings = [flag for flag in flags(api, tmp_path, bpffs) if flag not in ("--cri-endpoint", "none")]

    def names() -> list[str]:
        return [s.as_core()["involvedObject"].get("fieldPath", "") for s in api.events.values() if is_ours(s.as_core())]

    def is_ours(event: dict[str, Any]) -> bool:
        incident = json.loads(event["metadata"]["annotations"]["oomeventer/incident"])
        return str(incident["cgroup"]).startswith(sandbox.cgroup)

    try:
        async with Restarted(*settings, *patience):
            for name, is_back in (("first", True), ("second", False)):
                sandbox.run_container(
                    name=name, command=["sh", "-c", "sleep 2; hog 100; sleep 1000"], memory_limit_bytes=32 << 20
                )
                await asyncio.to_thread(containerd.kill)
                try:
                    await asyncio.sleep(4)
                    assert len(names()) == (0 if is_back else 1)
                    if is_back:
                        await asyncio.to_thread(containerd.start)
                    async with asyncio.timeout(SECONDS):
                        await api.until(lambda expected=1 if is_back else 2: len(names()) >= expected)
                finally:
                    if not is_back:
                        await asyncio.to_thread(containerd.start)
        assert names()[0] == "spec.containers{first}"
        assert "second" not in names()[1]
    finally:
        sandbox.remove()


FAULTS: list[Fault] = [
    Answer(429, {"Retry-After": "0"}),
    Answer(429, {"Retry-After": "1"}),
    Answer(500),
    Answer(503),
    Answer(504, body=b"<html>"),
    Answer(401),
    Reset(),
    LostAnswer(),
    Truncated(),
    Garbage(),
    Hang(1.5),
    Trickle(0.3),
]


async def test_flapping(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """The API server fails in every way it can, now and then, while the agent is ended now and then."""
    with Kills(program) as kills:
        settings = flags(api, tmp_path, bpffs, "--api-timeout-seconds", "1")
        async with Restarted(*settings, crash=lambda rng: (rng.choice(sorted(POINTS)), rng.randint(10, 40))) as agent:
            making = asyncio.create_task(kills.make(KILLS))
            while not making.done():
                api.faults += random.sample(FAULTS, 3)
                await asyncio.sleep(0.3)
            api.faults.clear()
            await making
            await all_reported(api, kills)
        print(f"{len(api.requests)} requests, {agent.deaths} deaths")
    all_accounted(tmp_path / "state" / "journal.db", kills)


async def test_garbage(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """Whatever says that it is a success, and has no Event in it, is none: each kill is reported once all the same."""
    with Kills(program, 4) as kills:
        async with Restarted(*flags(api, tmp_path, bpffs)):
            for _ in range(10):
                api.faults += [Garbage(), Truncated(), Garbage(body=b"{}"), Garbage(body=b'{"kind": "Event"}')]
                await kills.make(KILLS // 10)
            api.faults.clear()
            await all_reported(api, kills)
    all_accounted(tmp_path / "state" / "journal.db", kills)


async def test_disk_full(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """No room for the journal: the agent says so and tells every kill from memory; with room again it is on disk again,
    and the next agent goes on from there."""
    with Kills(program) as kills, mounted(tmp_path / "state", "tmpfs", "size=3m") as state:
        ballast = state / "ballast"
        async with Restarted(*flags(api, tmp_path, bpffs)) as agent:
            await kills.make(5)
            await all_reported(api, kills)
            fill(ballast)
            await kills.make(KILLS)
            await all_reported(api, kills)
            assert any(re.search(r"journal.db: .*full.*: going on in memory", line) for line in agent.log)
            ballast.unlink()
            async with asyncio.timeout(SECONDS):
                while not any("is written again" in line for line in agent.log):
                    await kills.make(1)
                    await asyncio.sleep(0.5)
            await all_reported(api, kills)
            agent.kill()
            await kills.make(5)
            await all_reported(api, kills)
            await all_settled(tmp_path / "state" / "journal.db", kills)
        assert agent.deaths == 1
        all_accounted(state / "journal.db", kills)


async def test_killed_while_the_disk_is_full(api: ApiServer, program: Path, tmp_path: Path, bpffs: Path) -> None:
    """What an agent reported from memory is in no journal when it dies: the next one counts on from what the Events
    say."""
    with Kills(program, 3) as kills, mounted(tmp_path / "state", "tmpfs", "size=3m") as state:
        ballast = state / "ballast"
        async with Restarted(*flags(api, tmp_path, bpffs)) as agent:
            await kills.make(20)
            await all_reported(api, kills)
            for room in (False, True):
                fill(ballast)
                await kills.make(20)
                await all_reported(api, kills)
                if room:
                    ballast.unlink()
                agent.kill()
                await kills.make(20)
                await all_reported(api, kills)
        assert agent.deaths == 2


def fill(file: Path) -> None:
    """Until there is no room on its disk."""
    with file.open("wb", buffering=0) as out:
        try:
            while out.write(b"x" * 4096):
                pass
        except OSError:
            return
