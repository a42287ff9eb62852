"""The facts below the story: who was killed, who asked, what lives, how often, which limits. In: a Kill with its
incident, other Kills, the Pod's spec as it is now. Out: lines of rich Text. Rules: pure; what is not known is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.text import Text

from kubectl_oom.kill import KUBERNETES, Kill, quantity
from kubectl_oom.paint import DIM, wrapped
from kubectl_oom.plain import duration, size, times
from kubectl_oom.reading import Json, at, moment, number, real, records, text, texts
from kubectl_oom.table import age, whose

_INDENT = 2
_TITLE = 12
#: Processes that are named.
_NAMED = 5
#: What a process held, in words.
_HELD = {"anon": "of its own", "shmem": "shared", "file": "of mapped files", "swap": "in swap"}


def lines(
    kill: Kill, incident: Json, others: Sequence[Kill], pod: Json | None, now: datetime, width: int, is_tight: bool
) -> Iterator[Text]:
    """others: what else was killed under this name. is_tight: only what the sentence does not say, and what is set."""
    if incident:
        yield from _who(incident, width, is_tight)
    yield from _often(kill, incident, others, now, width, is_tight)
    yield from _limits(kill, pod, width, is_tight)


def _who(incident: Json, width: int, is_tight: bool) -> Iterator[Text]:
    killed = records(incident, "victims", most=16)
    for victim in killed[:1]:
        yield from _victim(victim, incident, width, is_tight)
    total = number(incident, "victims_total") or len(killed)
    if total > 1:
        together = ", all that the group had (memory.oom.group)" if at(incident, "group_kill") is True else ""
        held = [number(one, "anon_bytes") or 0 for one in killed]
        others = [f"{text(one, 'comm', limit=64)} {size(anon)}" for one, anon in zip(killed, held)][1:_NAMED]
        rest = f" and {total - 1 - len(others)} more" if total - 1 > len(others) else ""
        yield from _facts("group", f"{total} processes{together}; with it {', '.join(others)}{rest}", width)
    trigger = at(incident, "trigger")
    chosen = number(killed[0], "pid") if killed else None
    if isinstance(trigger, dict) and number(trigger, "pid") != chosen:
        name = f"{text(trigger, 'comm', limit=64)}, pid {number(trigger, 'pid')} on the node"
        yield _fact("trigger", f"{name}, asked for the memory")
    if first := {
        "lives": "lives on: the container was not restarted",
        "killed": "was killed: the container ends with it",
        "gone": "has ended, and the container with it",
    }.get(text(incident, "pid1")):
        yield _fact("PID 1", first)
    living = records(incident, "neighbours", most=_NAMED)
    if living:
        named = ", ".join(_neighbour(one, text(incident, "container", "name")) for one in living)
        more = (number(incident, "neighbours_total") or len(living)) - len(living)
        yield from _facts("living", f"{named}{f' and {more} more' if more > 0 else ''}", width)


def _neighbour(one: Json, container: str) -> str:
    """container: the victim's; another one is named."""
    of = text(one, "container")
    where = f" (container {of})" if of and of != container else ""
    return f"{text(one, 'comm', limit=64)} {size(number(one, 'rss_bytes') or 0)}{where}"


def _victim(victim: Json, incident: Json, width: int, is_tight: bool) -> Iterator[Text]:
    end, start = moment(incident, "time"), moment(victim, "started_at")
    ran = f", ran {duration((end - start).total_seconds())}" if end and start else ""
    parts = {kind: number(victim, f"{kind}_bytes") or 0 for kind in _HELD}
    least = sum(parts.values()) / 16
    held = ", ".join(f"{size(bytes_)} {_HELD[kind]}" for kind, bytes_ in parts.items() if bytes_ > least)
    where = f"pid {number(victim, 'container_pid')} in the container, " if at(incident, "container") else ""
    name, pid = text(victim, "comm", limit=64), number(victim, "pid")
    command = " ".join(texts(victim, "command", most=32, limit=256))[:512]
    if is_tight:
        first, *rest = _facts("victim", f"pid {pid} on the node{ran}{f': {command}' if command else ''}", width)
        yield first.append("…" if rest else "")
        return
    yield from _facts("victim", f"{name} ({where}{pid} on the node){ran}, held {held or 'nothing'}", width)
    if command:
        yield from _facts("", command, width)


def _facts(title: str, words: str, width: int) -> Iterator[Text]:
    for position, line in enumerate(wrapped(words, width - _TITLE - _INDENT, 0)):
        yield _fact(title if position == 0 else "", line.plain)


def _fact(title: str, words: str) -> Text:
    return Text(" " * _INDENT).append(f"{title:<{_TITLE}}", DIM).append(words)


def _often(
    kill: Kill, incident: Json, others: Sequence[Kill], now: datetime, width: int, is_tight: bool
) -> Iterator[Text]:
    since, count = moment(incident, "repeats", "since"), number(incident, "repeats", "count") or 0
    count, first = max(count, kill.count), min(filter(None, (since, kill.first)), default=kill.first)
    last = max(kill.last, moment(incident, "time") or kill.last)  # an Event has whole seconds
    every = real(incident, "repeats", "every_seconds")
    if kill.source != KUBERNETES and (count > 1 or not is_tight):
        span = f" within {duration((last - first).total_seconds())}" if count > 1 else ""
        apart = f", about every {duration(every)}" if every else ""
        what = "" if is_tight else "this program in this container: "
        yield from _facts("often", f"{what}{times(count)}{span}{apart}", width)
    for position, other in enumerate([one for one in others if one.series != kill.series][:4]):
        what = f"{other.process or 'a process'} in {other.container or 'no container'}, {whose(other)}, {other.why}"
        yield _fact("" if position else "also", f"{age(other, now)} ago, {times(other.count)}: {what}")


def _limits(kill: Kill, pod: Json | None, width: int, is_tight: bool) -> Iterator[Text]:
    """As the spec has them now."""
    if not kill.pod:
        return
    if pod is None:
        yield _fact("limits now", "the Pod is gone, or may not be read")
        return
    told = []
    for container in (*records(pod, "spec", "initContainers"), *records(pod, "spec", "containers")):
        name = text(container, "name")
        limit = quantity(text(container, "resources", "limits", "memory"))
        changed = name == kill.container and kill.scope == "container" and kill.limit not in (None, limit)
        if is_tight and not at(container, "resources") and not changed:
            continue
        told.append(f"{name}: {_resources(container)}{f' (at the kill: {size(kill.limit or 0)})' if changed else ''}")
    if at(pod, "spec", "resources"):
        told.append(f"the Pod: {_resources(at(pod, 'spec'))}")
    yield from _facts("limits now", "; ".join(told) or "none", width)


def _resources(of: Json) -> str:
    return ", ".join(
        f"{kind[:-1]} {text(of, 'resources', kind, 'memory') or 'none'}" for kind in ("requests", "limits")
    )
