"""`PYTHONPATH=tests/support python -m curves [LINE...]` (make bench-scale). Out: a table on stdout,
docs/pictures/curves.json, and pictures there. Exit status 1 where a line rises without a reason (lines.py)."""

import asyncio
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from curves import CurvesError
from curves.lines import LINES, Line
from drawing import drawn
from places import REPOSITORY

_PICTURES = REPOSITORY / "docs" / "pictures"
#: The last point may cost so much more than the first.
FLAT_SHARE, FLAT_MS, FLAT_MIB = 1.3, 2.0, 3.0
REASONS = {line.name: line.reason for line in LINES}


async def _line(line: Line) -> dict[str, Any]:
    points = []
    for amount in line.amounts:
        command = sys.executable, "-m", "curves.point", line.name, str(amount)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        if process.returncode:
            raise CurvesError(f"{line.name}: {amount} could not be measured, see above")
        points.append(json.loads(out))
        print(f"{line.name}: {amount:,}: {_words(points[-1])}", file=sys.stderr, flush=True)
    return {"line": line.name, "what": line.what, "points": points}


def rises(points: list[dict[str, Any]]) -> list[str]:
    """What is not flat."""
    first, last = points[0], points[-1]
    found = []
    if last["cpu_ms"] > max(first["cpu_ms"] * FLAT_SHARE, first["cpu_ms"] + FLAT_MS):
        found.append("CPU")
    if last["mib"][1] > first["mib"][1] + FLAT_MIB:
        found.append("memory")
    return found


def _words(point: dict[str, Any]) -> str:
    return f"{point['cpu_ms']:.1f} ms, {point['mib'][1]:.0f} MiB"


def table(lines: list[dict[str, Any]]) -> str:
    """Markdown."""
    rows = ["| what there is more of | amount: CPU a kill, most memory | |", "| --- | --- | --- |"]
    for one in lines:
        cells = "; ".join(f"{point['amount']:,}: {_words(point)}" for point in one["points"])
        rows.append(f"| {one['line']} | {cells} | {_course(one)} |")
    return "\n".join(rows)


def _course(line: dict[str, Any]) -> str:
    found = rises(line["points"])
    reason = REASONS[line["line"]] or "without a reason"
    return f"{' and '.join(found)} rise{'s' * (len(found) == 1)}: {reason}" if found else "flat"


def _draw(lines: list[dict[str, Any]]) -> None:
    for name, up, value in (
        ("cpu", "ms of CPU a kill", lambda point: point["cpu_ms"]),
        ("memory", "MiB, the most there was", lambda point: point["mib"][1]),
    ):
        of = {one["line"]: [(point["amount"], value(point)) for point in one["points"]] for one in lines}
        picture = drawn("What a kill costs, against how much there is", "how many there are", up, of, log=True)
        (_PICTURES / f"curves-{name}.svg").write_text(picture)


async def _curves(names: list[str]) -> None:
    if os.geteuid():
        raise CurvesError("cgroups are made: run it as root")
    file: Path = _PICTURES / "curves.json"
    known = {one["line"]: one for one in json.loads(file.read_text())["lines"]} if file.exists() else {}
    for line in LINES:
        if not names or line.name in names:
            known[line.name] = await _line(line)
    lines = [known[line.name] for line in LINES if line.name in known]
    machine = f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    print(
        f"{table(lines)}\n\n{machine}, Python {platform.python_version()}; the runtime is a fake, the API server "
        "the stand-in."
    )
    _PICTURES.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine, "lines": lines}, indent=1) + "\n")
    _draw(lines)
    faults = [one["line"] for one in lines if rises(one["points"]) and not REASONS[one["line"]]]
    if faults:
        raise CurvesError(f"not flat, without a reason: {', '.join(faults)}")


def main() -> int:
    """Exit status."""
    try:
        asyncio.run(_curves(sys.argv[1:]))
    except (CurvesError, OSError) as e:
        print(f"bench-scale: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
