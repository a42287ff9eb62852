"""`PYTHONPATH=tests/support python -m fleet [SCENE...]` (make fleet). Out: a table on stdout, docs/pictures/fleet.json,
and pictures there. FLEET_AGENTS: how many, 1000 by default."""

import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from drawing import drawn
from fleet import FleetError, gauges
from fleet.bystander import bystander
from fleet.figures import figures, first_seconds, spread
from fleet.kills import MODELS
from fleet.scenes import SCENES, Scene
from fleet.served import Server, served
from fleet.table import table
from places import REPOSITORY

AGENTS, WORKERS, SEED = int(os.environ.get("FLEET_AGENTS", "1000")), 2, 20
#: From the moment that all agents run until the scene begins.
_PAUSE_SECONDS = 3.0
_PICTURES = REPOSITORY / "docs" / "pictures"
#: What an agent may ask of the server: as it is set by default.
_LIMITS: dict[str, float] = {}


class Fleet:
    """Scenes before one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def scene(self, scene: Scene) -> dict[str, Any]:
        """Play it. Returns its figures."""
        times = MODELS[scene.model](AGENTS, scene.seconds, SEED) if scene.model else [[] for _ in range(AGENTS)]
        last = scene.seconds / scene.speed
        given = {
            "kubeconfig": self._server.kubeconfig,
            "speed": scene.speed,
            "least": last if scene.model is None else min(last, 1.0),
            "until": last + scene.down + scene.patience,
            "probed": scene.model is None,
            "limits": _LIMITS,
        }
        shares = [
            given | {"places": self._server.places[part::WORKERS], "times": times[part::WORKERS]}
            for part in range(WORKERS)
        ]
        workers = await asyncio.gather(*map(_started, shares))
        before = gauges.read(*await self._server.pages())
        origin = time.monotonic() + _PAUSE_SECONDS
        playing = [asyncio.create_task(_played(worker, origin)) for worker in workers]
        back = 0.0
        if scene.down:
            await asyncio.sleep(max(0.0, origin - 1 - time.monotonic()))
            back = await self._server.outage(scene.down) - origin
        standing_by = asyncio.create_task(bystander(self._server)) if self._server.bystander else None
        found = await asyncio.gather(*playing)
        beside: list[float] = []
        if standing_by:
            standing_by.cancel()
            beside = await standing_by
        sent = [node for one in found for node in one["sent"]]
        counted = _since(gauges.read(*await self._server.pages()), before)
        told = [[node for one in found for node in one[what]] for what in ("after", "killed")]
        start = min(at for node in sent for at, *_ in node)
        return {
            "scene": scene.name,
            "words": scene.words,
            "agents": AGENTS,
            "speed": scene.speed,
            "back_after_seconds": round(back, 1),
            **figures(sent, *told, counted, scene.speed, 0.0),
            "bystander_seconds": spread(beside),
            "late_seconds": spread([one for part in found for one in part["late"]]),
            "waiting": sum(one["waiting"] for one in found),
            "driver_cpu_seconds": round(sum(one["cpu_seconds"] for one in found), 1),
            "started": first_seconds(sent, start, 30.0, 1.0),
            "first_second": first_seconds(sent, back, 1.0, 0.1),
            "by_second": first_seconds(sent, back, 60.0, 1.0),
        }


async def _started(given: dict[str, Any]) -> Process:
    """A part of the fleet, once all its agents run."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*(sys.executable, "-m", "fleet.worker"), stdin=pipe, stdout=pipe)
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(given).encode() + b"\n")
    if not await process.stdout.readline():
        raise FleetError("a part of the fleet ended, see above")
    return process


async def _played(process: Process, origin: float) -> dict[str, Any]:
    """What it did."""
    try:
        out, _ = await process.communicate(f"{origin}\n".encode())
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise FleetError("a part of the fleet ended, see above")
    result: dict[str, Any] = json.loads(out)
    return result


def _since(after: Counter[gauges.Key], before: Counter[gauges.Key]) -> Counter[gauges.Key]:
    """What was counted since; a server that was started again counts from 0."""
    return Counter({key: value - before[key] if value >= before[key] else value for key, value in after.items()})


async def _fleet(names: list[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
    scenes = {scene.name: scene for scene in SCENES}
    if unknown := set(names) - set(scenes):
        raise FleetError(f"no such scene: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="oomeventer-fleet-") as directory:
        for number, scene in enumerate(scenes[name] for name in names or scenes):
            async with AsyncExitStack() as stack:
                server = await stack.enter_async_context(served(Path(directory) / str(number), AGENTS, scene))
                one = await Fleet(server).scene(scene) | {"server": server.words}
                _save(one)
                print(json.dumps({key: value for key, value in one.items() if key != "by_second"}), flush=True)
    machine = _machine()
    print(
        f"\n{table(list(_known().values()))}\n\n{machine}, shared by the server, etcd and the fleet; {AGENTS} agents."
    )


def _machine() -> str:
    return f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"


def _known() -> dict[str, dict[str, Any]]:
    """The scenes that were played, now or before."""
    file = _PICTURES / "fleet.json"
    found = {one["scene"]: one for one in json.loads(file.read_text())["scenes"]} if file.exists() else {}
    return {scene.name: found[scene.name] for scene in SCENES if scene.name in found}


def _save(one: dict[str, Any]) -> None:
    known = _known() | {one["scene"]: one | {"machine": _machine()}}
    _PICTURES.mkdir(exist_ok=True)
    (_PICTURES / "fleet.json").write_text(json.dumps({"scenes": list(known.values())}, indent=1) + "\n")
    _draw(one)


def _draw(one: dict[str, Any]) -> None:
    across = "seconds" + (" since the API server was back" if one["back_after_seconds"] else "")
    _picture(one, one["scene"], across, one["by_second"], one["words"])
    if one["scene"] == "independent":
        _picture(one, "start", "seconds since the first request", one["started"], "all start in the same moment")


def _picture(one: dict[str, Any], name: str, across: str, steps: list[tuple[float, float]], words: str) -> None:
    title = f"{one['agents']} agents: {words}"
    picture = drawn(title, across, "requests sent in a second", {name: steps}, bars=True)
    (_PICTURES / f"fleet-{name.replace(' ', '-')}.svg").write_text(picture)


def main() -> int:
    """Exit status."""
    try:
        asyncio.run(_fleet(sys.argv[1:]))
    except asyncio.CancelledError:
        print("fleet: stopped", file=sys.stderr)
        return 1
    except (FleetError, OSError) as e:
        print(f"fleet: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
