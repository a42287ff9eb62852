"""One kill's story on one screen. In: a Kill with its incident, the Pod's spec as it is now. Out: lines of rich Text.

Rules: pure; from top to bottom the questions of somebody who never saw an OOM kill: what happened, where the memory
was, leak or spike, who, how often, which limits, what to do. What is not known is said, or left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.text import Text

from kubectl_oom import advice, graph
from kubectl_oom.kill import KUBERNETES, Kill, quantity
from kubectl_oom.paint import BLOCKS, COLOURS, DIM, TITLE, bar
from kubectl_oom.plain import duration, size, times
from kubectl_oom.reading import Json, at, moment, number, parsed, real, records, text, texts
from kubectl_oom.table import age, whose
from kubectl_oom.why import MEANING, shares

_INDENT = 2


def story(kill: Kill, others: Sequence[Kill], pod: Json | None, now: datetime, width: int) -> Iterator[Text]:
    """The screen. others: what else was killed under this name, and each kill that a journal tells of."""
    incident = parsed(kill.incident) or {}
    yield _head(kill, now)
    yield from _wrapped(kill.message, width, 0)
    if incident:
        yield from _section("WHERE THE MEMORY WAS", _memory(incident, width))
        yield from _section("LEAK OR SPIKE", _trajectory(kill, incident, others, width))
        yield from _section("WHO", _who(incident, width))
    yield from _section("HOW OFTEN", _often(kill, incident, others, now))
    yield from _section("REQUESTS AND LIMITS NOW", _limits(kill, pod))
    yield from _section("WHAT TO DO", advice.lines(kill, incident, lambda words, by: _wrapped(words, width, by)))
    if notes := texts(incident, "notes", most=8):
        yield from _section("WHAT IS MISSING", (line for note in notes for line in _wrapped(note, width, _INDENT)))


def _section(title: str, lines: Iterator[Text]) -> Iterator[Text]:
    found = list(lines)
    if found:
        yield Text()
        yield Text(title, TITLE)
        yield from found


def _head(kill: Kill, now: datetime) -> Text:
    about = f"{kill.namespace}/{kill.pod}" if kill.pod else f"node/{kill.node}"
    head = Text(about, TITLE)
    head.append(f"   container {kill.container}" if kill.container else "")
    head.append(f"   {kill.owner}" if kill.owner else "").append(f"   on {kill.node}" if kill.pod and kill.node else "")
    return head.append(f"   {age(kill, now)} ago", DIM)


def _wrapped(words: str, width: int, indent: int) -> Iterator[Text]:
    line = ""
    for word in words.split(" "):
        if line and len(line) + 1 + len(word) > width - indent:
            yield Text(" " * indent + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield Text(" " * indent + line)


def _memory(incident: Json, width: int) -> Iterator[Text]:
    scope = {"container": "the container's limit", "pod": "the Pod's limit", "node": "the node's memory"}
    limit, usage = number(incident, "limit_bytes"), number(incident, "usage_bytes")
    name = text(incident, "scope", limit=16)
    if name == "cgroup":
        what = f"the limit of cgroup {text(incident, 'limit_cgroup', limit=300)}"
    else:
        what = scope.get(name, "a limit that the kernel leaves open")
    used = f"; {size(usage)} were in use" if usage is not None else ""
    yield Text(" " * _INDENT + f"{what}{f', {size(limit)},' if limit is not None else ''} ran out{used}")
    if name == "node":
        yield from _node(incident, width)
        return
    parts = {part: bytes_ for part, bytes_ in shares(incident).items() if bytes_}
    if not parts:
        yield Text(" " * _INDENT + "Its parts are not known: the cgroup's files were not to be read.", DIM)
        return
    whole = limit or usage or sum(parts.values())
    yield Text(" " * _INDENT).append_text(bar(parts, whole, min(width - 2 * _INDENT, 72)))
    for part, bytes_ in sorted(parts.items(), key=lambda item: -item[1]):
        line = Text(" " * _INDENT).append(BLOCKS[part], COLOURS[part])
        line.append(f" {part:<8}{size(bytes_):>9}{bytes_ * 100 / whole:>6.0f}%   ")
        yield line.append(MEANING[part], DIM)


def _node(incident: Json, width: int) -> Iterator[Text]:
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
    yield Text(" " * _INDENT + f"of {size(total)}{f', {size(free)} still to be had' if free is not None else ''}{rest}")


def _trajectory(kill: Kill, incident: Json, others: Sequence[Kill], width: int) -> Iterator[Text]:
    earlier = [other.last for other in others if other.container == kill.container]
    earlier += [other.first for other in (*others, kill) if other.container == kill.container]
    if since := moment(incident, "repeats", "since"):
        earlier.append(since)
    yield from _wrapped(graph.in_words(incident), width, _INDENT)
    yield from graph.drawn(incident, earlier, width)


def _who(incident: Json, width: int) -> Iterator[Text]:
    killed = records(incident, "victims", most=16)
    for position, victim in enumerate(killed[:4]):
        yield from _victim(victim, incident, "victim" if position == 0 else "with it", width)
    total = number(incident, "victims_total") or len(killed)
    if total > 1:
        together = ", all that the group had (memory.oom.group)" if at(incident, "group_kill") is True else ""
        yield _fact("group", f"{total} processes{together}")
    trigger = at(incident, "trigger")
    chosen = number(killed[0], "pid") if killed else None
    if isinstance(trigger, dict):
        own = number(trigger, "pid") == chosen
        name = f"{text(trigger, 'comm', limit=64)}, pid {number(trigger, 'pid')} on the node"
        yield _fact("trigger", "the victim itself asked for the memory" if own else f"{name}, asked for the memory")
    if first := {
        "lives": "lives on: the container was not restarted",
        "killed": "was killed: the container ends with it",
        "gone": "has ended, and the container with it",
    }.get(text(incident, "pid1")):
        yield _fact("PID 1", first)
    living = records(incident, "neighbours", most=5)
    if living:
        named = ", ".join(f"{text(one, 'comm', limit=64)} {size(number(one, 'rss_bytes') or 0)}" for one in living)
        more = (number(incident, "neighbours_total") or len(living)) - len(living)
        yield from _facts("living", f"{named}{f' and {more} more' if more > 0 else ''}", width)


def _victim(victim: Json, incident: Json, title: str, width: int) -> Iterator[Text]:
    end, start = moment(incident, "time"), moment(victim, "started_at")
    ran = f", ran {duration((end - start).total_seconds())}" if end and start else ""
    held = ", ".join(
        f"{kind} {size(number(victim, f'{kind}_bytes') or 0)}"
        for kind in ("anon", "shmem", "file", "swap")
        if number(victim, f"{kind}_bytes")
    )
    where = f"pid {number(victim, 'container_pid')} in the container, " if at(incident, "container") else ""
    pid = f"{where}{number(victim, 'pid')} on the node"
    name = text(victim, "comm", limit=64)
    yield from _facts(title, f"{name} ({pid}){ran}, held {held or 'nothing'}", width)
    if words := texts(victim, "command", most=32, limit=256):
        yield from _facts("", " ".join(words)[:512], width)


def _facts(title: str, words: str, width: int) -> Iterator[Text]:
    for position, line in enumerate(_wrapped(words, width - 10 - _INDENT, 0)):
        yield _fact(title if position == 0 else "", line.plain)


def _fact(title: str, words: str) -> Text:
    return Text(" " * _INDENT).append(f"{title:<10}", DIM).append(words)


def _often(kill: Kill, incident: Json, others: Sequence[Kill], now: datetime) -> Iterator[Text]:
    since, count = moment(incident, "repeats", "since"), number(incident, "repeats", "count") or 0
    count, first = max(count, kill.count), min(filter(None, (since, kill.first)), default=kill.first)
    every = real(incident, "repeats", "every_seconds")
    if kill.source != KUBERNETES:
        span = f" in {duration((now - first).total_seconds())}" if count > 1 else ""
        apart = f", about every {duration(every)}" if every else ""
        yield Text(" " * _INDENT + f"this program in this container: {times(count)}{span}{apart}")
    for other in [one for one in others if one.series != kill.series][:4]:
        what = f"{other.process or 'a process'} in {other.container or 'no container'}, {whose(other)}, {other.why}"
        yield Text(" " * _INDENT + f"{age(other, now):>6} ago   {times(other.count)}   {what}")


def _limits(kill: Kill, pod: Json | None) -> Iterator[Text]:
    if not kill.pod:
        return
    if pod is None:
        yield Text(" " * _INDENT + "The Pod is gone, or may not be read.", DIM)
        return
    for container in (*records(pod, "spec", "initContainers"), *records(pod, "spec", "containers")):
        name = text(container, "name")
        line = Text(" " * _INDENT + f"{name:<20}  ", TITLE if name == kill.container else "")
        line.append(_resources(container))
        limit = quantity(text(container, "resources", "limits", "memory"))
        if name == kill.container and kill.scope == "container" and limit != kill.limit:
            line.append(f"   (at the kill: {size(kill.limit)})" if kill.limit is not None else "", "yellow")
        yield line
    if at(pod, "spec", "resources"):
        yield Text(" " * _INDENT + f"{'the Pod as a whole':<20}  {_resources(at(pod, 'spec'))}")


def _resources(of: Json) -> str:
    return ", ".join(
        f"{kind[:-1]} {text(of, 'resources', kind, 'memory') or 'none'}" for kind in ("requests", "limits")
    )
