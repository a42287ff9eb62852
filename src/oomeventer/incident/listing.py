"""Kills on a terminal, a line each. In: a journal's entries. Out: rows. Rules: pure; no wider than the terminal."""

from collections.abc import Iterable, Iterator
from typing import Any

from oomeventer.incident.codec import from_json
from oomeventer.incident.incident import Incident
from oomeventer.incident.why import why
from oomeventer.text import CUT, size

#: A table's columns: title, the least and the most characters, whether it stands to the right.
_COLUMNS = (
    ("TIME", 20, 20, False),
    ("SCOPE", 9, 9, False),
    ("WHY", 7, 7, False),
    ("PATTERN", 8, 12, False),
    ("POD/CONTAINER OR CGROUP", 20, 40, False),
    ("VICTIM", 8, 16, False),
    ("HELD", 7, 8, True),
    ("LIMIT", 7, 8, True),
    ("EVENT", 9, 200, False),
)


def table(entries: Iterable[dict[str, Any]], width: int | None = None, has_head: bool = True) -> Iterator[str]:
    """A journal's entries (read_history()), a line each. width: of the terminal, in characters, where there is one."""
    widths = _widths(width)
    if has_head:
        yield _row([title for title, *_ in _COLUMNS], widths)
    for entry in entries:
        incident = from_json(entry)
        more = f" +{incident.victims_total - 1}" if incident.victims_total > 1 else ""
        limit = "" if incident.limit_bytes is None else size(incident.limit_bytes)
        held = size(sum(victim.held_bytes for victim in incident.victims))
        time = incident.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        reason, pattern = why(incident) or "", incident.trajectory.pattern if incident.trajectory else ""
        victim = incident.chosen.comm + more
        yield _row(
            [time, incident.scope, reason, pattern, place(incident), victim, held, limit, entry["events"]], widths
        )


def place(incident: Incident) -> str:
    """Where it happened: the Pod with its container; elsewhere the cgroup."""
    if not incident.pod:
        return incident.cgroup
    container = f"/{incident.container.name}" if incident.container and incident.container.name else ""
    return f"{incident.pod.namespace}/{incident.pod.name}{container}"


def _widths(width: int | None) -> list[int | None]:
    """Of the columns, in characters: the room beyond their least is shared out from the left; None: as it comes."""
    if width is None:
        return [most for _, _, most, _ in _COLUMNS[:-1]] + [None]
    room = width - sum(least + 2 for _, least, _, _ in _COLUMNS) + 2
    found: list[int | None] = []
    for _, least, most, _ in _COLUMNS:
        more = max(0, min(most - least, room))
        found.append(least + more)
        room -= more
    return found


def _row(values: list[str], widths: list[int | None]) -> str:
    cells = [
        value if width is None else (str.rjust if right else str.ljust)(_short(value, width), width)
        for value, width, (_, _, _, right) in zip(values, widths, _COLUMNS, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _short(text: str, width: int) -> str:
    """Its end, which tells a container from another, and a mark where more was."""
    return text if len(text) <= width else CUT + text[len(text) - width + 1 :]
