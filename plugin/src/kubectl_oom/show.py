"""One kill's story on one screen. In: a Kill with its incident, the Pod's spec as it is now. Out: lines of rich Text.

Rules: pure; from top to bottom the questions of somebody who never saw an OOM kill: what happened, where the memory
was, leak or spike, who, how often, which limits, what to do. What is not known is said, or left out. Where that is
higher than the terminal it is told tight: no blank lines, a lower graph, nothing twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.text import Text

from kubectl_oom import advice, facts, graph
from kubectl_oom.kill import Kill
from kubectl_oom.paint import BLOCKS, COLOURS, DIM, TITLE, bar, wrapped
from kubectl_oom.plain import size
from kubectl_oom.reading import Json, at, moment, number, parsed, records, text, texts
from kubectl_oom.table import age
from kubectl_oom.why import MEANING, shares

_INDENT = 2
_FIRST = re.compile(r".*?\b[Tt]he kernel killed .*?(?=\. [A-Z0-9]|\.?\Z)")


def story(
    kill: Kill, others: Sequence[Kill], pod: Json | None, now: datetime, width: int, height: int | None = None
) -> Iterator[Text]:
    """The screen. others: what else was killed under this name, and each kill that a journal tells of. height: for as
    many hints as there is room; None for all of them."""
    lines = list(_story(kill, others, pod, now, width, height, is_tight=False))
    if height is not None and len(lines) >= height:  # the next prompt takes a line
        lines = list(_story(kill, others, pod, now, width, height, is_tight=True))
    yield from lines


def _story(
    kill: Kill,
    others: Sequence[Kill],
    pod: Json | None,
    now: datetime,
    width: int,
    height: int | None,
    *,
    is_tight: bool,
) -> Iterator[Text]:
    incident = parsed(kill.incident) or {}
    lines = [*_head(kill, now, width, is_tight), *wrapped(_sentence(kill, incident), width, 0)]
    space = [] if is_tight else [Text()]
    if incident:
        lines += _section(space, "WHERE THE MEMORY WAS", _memory(kill, incident, width, is_tight))
        lines += _section(space, "LEAK OR SPIKE", _trajectory(kill, incident, others, width, is_tight))
    who = facts.lines(kill, incident, others, pod, now, width, is_tight)
    lines += who if is_tight else _section(space, "WHO, AND HOW OFTEN", who)
    notes = [line for note in texts(incident, "notes", most=8) for line in wrapped(note, width, _INDENT)]
    missing = list(_section(space, "WHAT IS MISSING", iter(notes)))
    room = None if height is None else height - len([*lines, *missing, *space, "the title", "the next prompt"])
    lines += missing
    do = advice.lines(kill, incident, lambda words, by: wrapped(words, width, by), room, is_tight)
    yield from [*lines, *_section(space, "WHAT TO DO", do)]


def _sentence(kill: Kill, incident: Json) -> str:
    """Of the message what ran out and who was killed: the sections tell the rest."""
    found = _FIRST.match(kill.message) if incident else None
    return f"{found[0]}." if found else kill.message


def _section(space: list[Text], title: str, lines: Iterator[Text]) -> Iterator[Text]:
    found = list(lines)
    if found:
        yield from space
        yield Text(title, TITLE)
        yield from found


def _head(kill: Kill, now: datetime, width: int, is_tight: bool) -> Iterator[Text]:
    pieces = [
        f"{kill.namespace}/{kill.pod}" if kill.pod else f"node/{kill.node}",
        f"container {kill.container}" if kill.container else "",
        "" if is_tight else kill.owner,
        f"on {kill.node}" if kill.pod and kill.node else "",
        f"{age(kill, now)} ago",
    ]
    line = Text(pieces[0], TITLE)
    for piece in filter(None, pieces[1:]):
        if len(line) + 2 + len(piece) > width:
            yield line
            line = Text(" " * _INDENT + piece)
        else:
            line.append(f"  {piece}", "")
    yield line


def _memory(kill: Kill, incident: Json, width: int, is_tight: bool) -> Iterator[Text]:
    scope = {"container": "the container's limit", "pod": "the Pod's limit", "node": "the node's memory"}
    limit, usage = number(incident, "limit_bytes"), number(incident, "usage_bytes")
    name = text(incident, "scope", limit=16)
    if name == "cgroup":
        what = f"the limit of cgroup {text(incident, 'limit_cgroup', limit=300)}"
    else:
        what = scope.get(name, "a limit that the kernel leaves open")
    used = f"; {size(usage)} were in use" if usage is not None else ""
    parts = {part: bytes_ for part, bytes_ in shares(incident).items() if bytes_}
    if not is_tight or name == "node" or not parts:
        yield Text(" " * _INDENT + f"{what}{f', {size(limit)},' if limit is not None else ''} ran out{used}")
    if name == "node":
        yield from _node(kill, incident)
        return
    if not parts:
        yield Text(" " * _INDENT + "Its parts are not known: the cgroup's files were not to be read.", DIM)
        return
    whole = limit or usage or sum(parts.values())
    yield Text(" " * _INDENT).append_text(bar(parts, whole, min(width - 2 * _INDENT, 72)))
    small = [part for part, bytes_ in parts.items() if bytes_ * 100 < whole]
    for part, bytes_ in sorted(parts.items(), key=lambda item: -item[1]):
        if part not in small:
            line = Text(" " * _INDENT).append(BLOCKS[part], COLOURS[part])
            line.append(f" {part:<8}{size(bytes_):>9}{bytes_ * 100 / whole:>6.0f}%   ")
            yield line.append(MEANING[part], DIM)
    if small and not is_tight:
        rest = ", ".join(f"{part} {size(parts[part])}" for part in small)
        yield Text(" " * _INDENT).append(f"  under 1%: {rest}", DIM)


def _node(kill: Kill, incident: Json) -> Iterator[Text]:
    node = at(incident, "node_memory")
    total = number(node, "total_bytes")
    if total is None:
        return
    for pod in records(node, "pods", most=5):
        used = number(pod, "usage_bytes") or 0
        request = number(pod, "request_bytes")
        name = f"{text(pod, 'namespace')}/{text(pod, 'name')}" if text(pod, "name") else text(pod, "uid")
        line = Text(" " * _INDENT).append_text(bar({"others": used}, total, 20))
        over = f", {size(used - request)} above its request" if request is not None and used > request else ""
        yield line.append(f"{size(used):>9}   {name}{over or (', no request' if request is None else '')}")
    free = number(node, "available_bytes")
    pods = number(node, "pods_bytes")
    rest = f"; all Pods held {size(pods)}" if pods is not None else ""
    if kill.pod and not at(node, "pods"):
        yield Text(" " * _INDENT + f"which Pods held it: kubectl oom show node/{kill.node}")
    yield Text(" " * _INDENT + f"of {size(total)}{f', {size(free)} still to be had' if free is not None else ''}{rest}")


def _trajectory(kill: Kill, incident: Json, others: Sequence[Kill], width: int, is_tight: bool) -> Iterator[Text]:
    earlier = [other.last for other in others if other.container == kill.container]
    earlier += [other.first for other in (*others, kill) if other.container == kill.container]
    if since := moment(incident, "repeats", "since"):
        earlier.append(since)
    yield from wrapped(graph.in_words(incident, kill.why, is_tight), width, _INDENT)
    yield from graph.drawn(incident, earlier, width, is_tight)
