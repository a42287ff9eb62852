"""The list, and what counts up by owner and the like. In: Kills. Out: columns and rows. Rules: pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kubectl_oom.kill import JOURNAL, KUBERNETES, Kill
from kubectl_oom.lines import Cell, Column
from kubectl_oom.paint import COLOURS, DIM, spark
from kubectl_oom.plain import duration, size

#: Of a group all of which was killed, and of what Kubernetes alone knows.
_NO_PROCESS = "not told"

LIST = (
    Column("LAST SEEN"),
    Column("TIMES", right=True),
    Column("POD", name=True),
    Column("CONTAINER", cut=True, spare=2),
    Column("PROCESS", cut=True),
    Column("LIMIT", cut=True),
    Column("FILLED BY"),
    Column("PATTERN", spare=1),
    Column("OWNER", cut=True, spare=3),
)
WIDE = (*LIST, Column("HELD", right=True), Column("NODE"), Column("IMAGE"), Column("FROM"), Column("MESSAGE"))
TOP = (
    Column("KILLS", right=True),
    Column("SERIES", spare=3, right=True),
    Column("PODS", spare=2, right=True),
    Column("HELD", spare=1, right=True),
    Column("LAST SEEN"),
    Column("MOSTLY FILLED BY"),
)


def row(kill: Kill, now: datetime, with_namespace: bool, wide: bool) -> list[Cell]:
    """One line of LIST or of WIDE."""
    thin = DIM if kill.source == KUBERNETES else ""
    pod = f"node/{kill.node}"
    if kill.pod:
        pod = f"{kill.namespace}/{kill.pod}" if with_namespace else kill.pod
    cells = [
        Cell(age(kill, now), thin),
        Cell(str(kill.count) if kill.source != KUBERNETES else "?", "bold" if kill.count > 1 else thin),
        Cell(pod, thin),
        Cell(kill.container or "-", thin),
        Cell(kill.process or _NO_PROCESS, thin or ("" if kill.process else DIM)),
        Cell(whose(kill), thin),
        Cell(kill.why if kill.source != KUBERNETES else "? (Kubernetes' word)", COLOURS.get(kill.why, "")),
        Cell(pattern(kill), thin),
        Cell(kill.owner or "-", thin),
    ]
    if wide:
        held = size(kill.held) if kill.held is not None else "-"
        known = {JOURNAL: f"journal of {kill.node}"}.get(kill.source, kill.reporter)
        cells += [Cell(text or "-", thin) for text in (held, kill.node, kill.image, known, kill.message)]
    return cells


def age(kill: Kill, now: datetime) -> str:
    """How long ago."""
    return duration((now - kill.last).total_seconds()) if kill.last.year > 1970 else "?"


def whose(kill: Kill) -> str:
    """How much the limit was, and whose."""
    scope = {"": "?", "unknown": "?"}.get(kill.scope, kill.scope)
    return scope if kill.limit is None else f"{size(kill.limit)} {scope}"


def pattern(kill: Kill) -> str:
    """A line of small bars, and the word."""
    word = {"": "-", "unknown": "?"}.get(kill.pattern, kill.pattern)
    return " ".join(filter(None, (spark(kill.spark, kill.limit, 8), word)))


def top(kills: Sequence[Kill], by: str, now: datetime) -> tuple[list[Column], list[list[Cell]]]:
    """Who is killed most."""
    groups: dict[str, list[Kill]] = {}
    for kill in kills:
        groups.setdefault(_group(kill, by), []).append(kill)
    rows = []
    for name, members in sorted(groups.items(), key=lambda group: (-sum(k.count for k in group[1]), group[0])):
        newest = max(members, key=lambda kill: kill.last)
        reasons: dict[str, int] = {}
        for kill in members:
            reasons[kill.why] = reasons.get(kill.why, 0) + kill.count
        mostly = max(reasons, key=lambda why: (reasons[why], why))
        pods = {(kill.namespace, kill.pod) for kill in members if kill.pod}
        held = sum((kill.held or 0) * kill.count for kill in members)
        figures = (str(sum(kill.count for kill in members)), str(len(members)), str(len(pods)), size(held))
        rows.append([Cell(name), *map(Cell, figures), Cell(age(newest, now)), Cell(mostly, COLOURS.get(mostly, ""))])
    return [Column(by.upper(), name=True), *TOP], rows


def _group(kill: Kill, by: str) -> str:
    none = f"({'none: the node' if not kill.pod else 'none'})"
    if by == "owner":
        owner = kill.owner or (f"Pod/{kill.pod}" if kill.pod else f"Node/{kill.node}")
        return f"{kill.namespace}/{owner}" if kill.namespace else owner
    return {"namespace": kill.namespace, "node": kill.node, "image": kill.image}[by] or none
