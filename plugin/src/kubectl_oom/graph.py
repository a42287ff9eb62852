"""The trajectory as a small graph, and in words. In: an incident's JSON, moments of earlier kills. Out: lines of rich
Text.

Rules: pure. A column is one sample, or the highest of several: the agent keeps fewer the older they are, so the left
is more compressed than the right; the labels below say how far back each is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.text import Text

from kubectl_oom.course import course
from kubectl_oom.paint import DIM, column, thinned
from kubectl_oom.plain import duration, size
from kubectl_oom.reading import Json, at, moment, number, real, text

#: Lines, and of them where there is little room.
_HEIGHT, _LOW = 5, 2
#: Columns.
_LEAST, _MOST = 8, 64
#: Columns of one sample, where there is room.
_WIDEST = 3
_LABEL = 9
_EVERY = 16
_LEGEND = " killed (x: before)"
#: What grows steadily, where it is no heap.
_LIKE = {
    "tmpfs": "files in memory pile up",
    "cache": "page cache piles up",
    "kernel": "kernel objects pile up",
}


def drawn(incident: Json, earlier: Sequence[datetime], width: int, is_tight: bool) -> Iterator[Text]:
    """The graph's lines; none where there are fewer than two samples, or no room."""
    values, before = course(incident)
    room = min(width - _LABEL - 2 - len(_LEGEND), _MOST)
    if len(values) < 2 or room < _LEAST:
        return
    limit = number(incident, "limit_bytes")
    shown = thinned(values, room)
    before = [before[(position + 1) * len(before) // len(shown) - 1] for position in range(len(shown))]
    each = min(room // len(shown), _WIDEST)
    values, before = [value for value in shown for _ in range(each)], [ago for ago in before for _ in range(each)]
    top = limit or max(values)
    if limit:
        yield Text(f"{size(limit):>{_LABEL}} ┤").append("┄" * len(values) + " limit", "red")
    lines = _LOW if is_tight else _HEIGHT
    columns = [column(min(value, top), top, lines) for value in values]
    for height in range(lines):
        label = "0" if height == lines - 1 else "" if limit or height else size(top)
        line = Text(f"{label:>{_LABEL}} {'┼' if label == '0' else '│'}")
        yield line.append("".join(cells[height] for cells in columns), "red" if height == 0 else "yellow")
    marks = _marks(incident, earlier, before)
    if not is_tight or "x" in marks:
        yield Text(" " * (_LABEL + 2)).append(marks + (_LEGEND if "x" in marks else _LEGEND.partition(" (")[0]), "red")
    if not is_tight:
        yield _ages(before)


def _marks(incident: Json, earlier: Sequence[datetime], before: list[float]) -> str:
    marks = [" "] * len(before)
    end = moment(incident, "time")
    for when in earlier:
        ago = (end - when).total_seconds() if end else -1.0
        if 1.5 < ago <= before[0]:
            marks[min(range(len(before)), key=lambda position: abs(before[position] - ago))] = "x"
    marks[-1] = "✕"
    return "".join(marks)


def _ages(before: list[float]) -> Text:
    line = ""
    for position in range(0, len(before), _EVERY):
        line = line.ljust(position) + f"╵-{duration(before[position])}"
    return Text(" " * (_LABEL + 2)).append(line, DIM)


def in_words(incident: Json, why: str, is_tight: bool) -> str:
    """Leak or spike, with the figures that it rests on. why: what filled the memory. is_tight: without what the hint
    on it says."""
    story = at(incident, "trajectory")
    pattern = text(story, "pattern", limit=16)
    highest = number(story, "highest_bytes")
    rest = f" The highest before was {size(highest)}." if highest is not None else ""
    if pattern == "steady":
        rate, lasts = number(story, "rate_bytes_per_hour"), real(story, "lasts_seconds")
        like = _LIKE.get(why, "as a leak does, or a cache without bound")
        grew = f"It grew steadily{f', {size(rate)} an hour' if rate else ''}: {like}."
        return grew + (f" Twice the limit would last {duration(lasts)}." if lasts and not is_tight else "")
    if pattern == "spike":
        was = number(story, "before_bytes")
        rest = "" if was == highest else rest
        rose = f"It rose within a moment{f' from {size(was)}' if was is not None else ''}"
        return f"{rose}: a spike, which does not look like a leak.{rest}"
    if pattern == "at the limit":
        since = real(story, "since_seconds")
        return f"It has lived near its limit{f' for {duration(since)}' if since else ''}: the limit is tight.{rest}"
    if pattern == "sawtooth":
        return f"It rises and falls again: load, or a garbage collector; its peaks reach the limit.{rest}"
    if story is None:
        return "Not known: the agent took no samples before this kill."
    return f"Cannot be told: too few samples since its start, or no clear form.{rest}"
