"""A table of scenes. In: their figures. Out: Markdown. Rules: pure."""

from collections.abc import Sequence
from typing import Any


def table(scenes: Sequence[dict[str, Any]]) -> str:
    """A column for each scene."""
    rows: list[tuple[str, ...]] = [("", *(one["scene"] for one in scenes)), ("---",) * (len(scenes) + 1)]
    for words, of in _ROWS:
        rows.append((words, *(of(one) for one in scenes)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _spread(values: list[float] | None, unit: float = 1.0, name: str = "s") -> str:
    return ", ".join(f"{value * unit:.3g}" for value in values) + f" {name}" if values else "-"


def _served(one: dict[str, Any], what: str) -> str:
    return _spread(one["served_seconds"].get(what), 1e3, "ms")


def _a_kill(one: dict[str, Any], name: str) -> str:
    return f"{one[name] / one['kills']:.0f}" if one["kills"] else "-"


_ROWS = (
    ("kills, told", lambda one: f"{one['kills']}, {one['told']}"),
    ("requests a kill", lambda one: str(one["requests_a_kill"] or "-")),
    ("requests a second: mean", lambda one: f"{one['requests_a_second']}"),
    ("in the busiest second", lambda one: str(one["busiest_second"])),
    ("in the first 100 ms, 1 s", lambda one: f"{one['first_second'][0][1]}, {one['by_second'][0][1]}"),
    ("answers, by status (0: none)", lambda one: ", ".join(f"{k}: {v}" for k, v in one["statuses"].items()) or "-"),
    ("server's latency, POST events: p50, p99 (at most)", lambda one: _served(one, "POST events")),
    ("PATCH events", lambda one: _served(one, "PATCH events")),
    ("GET pods", lambda one: _served(one, "GET pods")),
    ("the agents' view: p50, p99, most", lambda one: _spread(one["seen_seconds"], 1e3, "ms")),
    ("from kill to Event: p50, p99, most", lambda one: _spread(one["told_seconds"])),
    ("all is told after", lambda one: f"{one['all_told_seconds']} s" if one["all_told_seconds"] else "-"),
    ("fairness over nodes (Jain; 1: all wait as long)", lambda one: str(one["fairness"] or "-")),
    ("refused by APF (429)", lambda one: f"{one['refused_by_apf']:.0f}"),
    ("bystander's latency: p50, p99, most", lambda one: _spread(one.get("bystander_seconds"), 1e3, "ms")),
    ("the fleet's own lateness: p50, p99, most", lambda one: _spread(one.get("late_seconds"))),
    ("etcd: writes, bytes of its log a kill", lambda one: f"{one['etcd_puts']:.0f}, {_a_kill(one, 'etcd_wal_bytes')}"),
    ("CPU s: API server, etcd", lambda one: f"{one['apiserver_cpu_seconds']}, {one['etcd_cpu_seconds']}"),
)
