"""What `make fleet`, `make bench-scale` and `make soak` are made of, small: some agents before the stand-in, a point
of a curve, and the pure parts. In: kills by a model. Out: what was sent and told."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import fleet.__main__ as fleet_main
from curves.__main__ import rises
from drawing import drawn
from fleet import kills, served
from fleet.figures import figures, first_seconds
from fleet.gauges import quantile, read, total
from fleet.scenes import Scene
from places import REPOSITORY

SUPPORT = REPOSITORY / "tests" / "support"


@pytest.mark.parametrize("model", ["independent", "roll-out"])
async def test_a_small_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """Every kill is told, and costs a Pod looked up and an Event posted; the start is spread."""
    monkeypatch.setattr(fleet_main, "AGENTS", 8)
    monkeypatch.setattr(served, "programs", lambda: None)
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    scene = Scene("small", "a few agents", model, 3.0, patience=60.0)
    async with served.served(tmp_path / "fleet", 8, scene) as server:
        found = await fleet_main.Fleet(server).scene(scene)
    assert (found["kills"], found["told"], found["waiting"]) == (8, 8, 0)
    assert found["requests"] == {"GET pods": 8, "POST events": 8}
    assert found["statuses"] == {"200": 8, "201": 8}
    starts = [count for _, count in found["started"]]
    assert sum(starts) >= 16
    assert sum(1 for count in starts if count) > 2


@pytest.mark.kernel
async def test_a_point_of_a_curve() -> None:
    """Of the path with a real cgroup and its process, a fake runtime and the stand-in."""
    command = (sys.executable, "-m", "curves.point", "containers on the node", "10")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, env={"PYTHONPATH": str(SUPPORT), "PATH": "/usr/bin:/bin"}
    )
    out, _ = await process.communicate()
    point = json.loads(out)
    assert point["amount"] == 10
    assert 0.5 < point["cpu_ms"] < 500
    assert point["mib"][1] >= point["mib"][0] > 20


def test_models() -> None:
    """A roll-out kills on every node in its first second; a crash loop waits ever longer; both are repeatable."""
    times = kills.roll_out(50, 60.0, 1)
    assert all(0 <= node[0] <= 1 for node in times)
    assert [round(later - earlier) for earlier, later in zip(times[0], times[0][1:], strict=False)] == [11, 21]
    assert times == kills.roll_out(50, 60.0, 1)
    loop = kills.crash_loop(50, 3600.0, 1)
    assert all(0 <= at < 3600 for node in loop for at in node)
    assert 10 < sum(map(len, loop)) / 50 < 20
    assert sum(map(len, kills.independent(50, 60.0, 1))) == 50


def test_rises() -> None:
    """A line is flat if its last point costs hardly more than its first."""

    def line(*points: tuple[float, float]) -> list[dict[str, object]]:
        return [{"cpu_ms": cpu, "mib": [mib, mib]} for cpu, mib in points]

    assert rises(line((8.0, 57.0), (9.0, 58.0))) == []
    assert rises(line((8.0, 57.0), (23.0, 57.0))) == ["CPU"]
    assert rises(line((8.0, 57.0), (8.0, 73.0))) == ["memory"]


def test_figures() -> None:
    """Delays, rates and fairness, of what two nodes sent and were told."""
    sent = [[(0.0, 0.1, "POST events", 201), (1.5, 0.1, "PATCH events", 200)], [(0.2, 0.3, "POST events", 0)]]
    found = figures(sent, [[0.5, 1.0], []], [[0.0, 1.0], [0.2]], read(), 1.0, 0.0)
    assert (found["kills"], found["told"], found["all_told_seconds"]) == (3, 2, 2.0)
    assert found["statuses"] == {"201": 1, "200": 1, "0": 1}
    assert found["busiest_second"] == 2
    assert found["told_seconds"] == [0.75, 1.0, 1.0]
    assert first_seconds(sent, 0.0, 2.0, 1.0) == [(0.0, 2), (1.0, 1)]


def test_gauges() -> None:
    """Sums by labels, and a histogram's quantile as a bucket's bound."""
    name = "apiserver_request_duration_seconds"
    page = "\n".join(
        (
            f"# TYPE {name} histogram",
            *(f'{name}_bucket{{verb="POST",le="{le}"}} {count}' for le, count in (("0.1", 5), ("1", 9), ("+Inf", 10))),
            "# TYPE etcd_mvcc_put_total counter",
            "etcd_mvcc_put_total 7",
        )
    )
    found = read(page)
    assert quantile(found, name, 0.5, verb="POST") == 0.1
    assert quantile(found, name, 0.9, verb="POST") == 1.0
    assert quantile(found, name, 0.5, verb="GET") != quantile(found, name, 0.5, verb="GET")  # nan
    assert total(found, "etcd_mvcc_put_total") == 7


@pytest.mark.parametrize("bars", [False, True])
def test_drawn(bars: bool) -> None:
    """Well-formed, with a line for each name, and all of it within the picture."""
    picture = drawn("A <title>", "x", "y", {"a": [(10, 1), (1000, 3)], "b": [(10, 2), (1000, 0)]}, log=True, bars=bars)
    root = ElementTree.fromstring(picture)
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    places = [tuple(map(float, pair.split(","))) for line in lines for pair in line.attrib["points"].split()]
    assert all(0 <= x <= 640 and 0 <= y <= 300 for x, y in places)
