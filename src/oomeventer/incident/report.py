"""An incident for a terminal. In: an Incident, or an Event. Out: text, one block. Rules: pure; what is not known, or
nothing, takes no line; lines break between words."""

import textwrap
from collections.abc import Iterator
from typing import Any

from oomeventer.incident import picture, words
from oomeventer.incident.fields import rfc3339
from oomeventer.incident.incident import Incident
from oomeventer.incident.memory import Memory
from oomeventer.incident.message import message
from oomeventer.incident.story import Trajectory
from oomeventer.incident.victim import Victim
from oomeventer.incident.why import is_nodes, kernel_bytes, kernel_kinds, shares
from oomeventer.node import unit
from oomeventer.redaction import quote
from oomeventer.text import duration, size

#: Before what a line is about, and before its words.
_INDENT, _TITLE = 2, 13
#: Of pictures, in characters: the most, and the least that is worth one.
_DRAWN, _LEAST = 60, 8


def block(incident: Incident, width: int | None = None) -> str:
    """One readable block: what happened in a sentence, then the facts, each on its line. width: of the terminal, in
    characters, where there is one."""
    first = f"{rfc3339(incident.time)}  {message(incident)}"
    room = _DRAWN + picture.BESIDE if width is None else width - _TITLE
    facts = [" " * _INDENT + fact for fact in _facts(incident, room)]
    if width is None:
        return "\n".join([first, *facts])
    lines = [_wrapped(first, width, _INDENT), *(_wrapped(fact, width, _TITLE) for fact in facts)]
    return "\n".join(line for wrapped in lines for line in wrapped)


def _wrapped(line: str, width: int, indent: int) -> list[str]:
    if len(line) <= width:
        return [line]
    words = line.lstrip()
    before = " " * (len(line) - len(words))  # textwrap would drop it where the first word is longer than a line
    wrapper = textwrap.TextWrapper(width, before, " " * indent, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(words)


def _facts(incident: Incident, room: int) -> Iterator[str]:
    """room: for pictures, in characters."""
    if pod := incident.pod:
        owner = f", of {pod.owner.kind} {pod.owner.name}" if pod.owner else ""
        yield f"pod        {pod.namespace}/{pod.name}{owner}"
    if container := incident.container:
        yield f"container  {container.name or '?'}  {container.id[:12]}  {container.image or ''}".rstrip()
        if container.service:
            yield f"compose    service {container.service} of project {container.project or '?'}"
    if of := unit(incident.cgroup):
        yield f"unit       {of}"
    yield f"cgroup     {incident.cgroup}"
    if incident.limit_cgroup:
        figures = f"{size(incident.usage_bytes or 0)} of {size(incident.limit_bytes or 0)} used"
        which = "this cgroup" if incident.limit_cgroup == incident.cgroup else incident.limit_cgroup
        yield f"ran out    {which}: {figures}"
    yield from _memory(incident, room)
    yield from _victims(incident)
    if incident.trigger and incident.trigger.pid != incident.chosen.pid:
        yield f"trigger    {incident.trigger.comm}: pid {incident.trigger.pid} in {incident.trigger.cgroup}"
    yield from _neighbours(incident)
    yield from _story(incident, room)
    for hint in incident.hints:
        yield f"hint       {hint.text} (docs/hints.md#{hint.rule})"
    for note in incident.notes:
        yield f"note       {note}"


def _memory(incident: Incident, room: int) -> Iterator[str]:
    if incident.memory:
        yield f"memory     {_parts(incident.memory)}"
        yield from _bar(incident, room)
    if incident.container_memory and incident.container_memory != incident.memory:
        yield f"           the container: {_parts(incident.container_memory)}"
    if node := incident.node_memory:
        available = "" if node.available_bytes is None else f", {size(node.available_bytes)} available"
        pods = "" if node.pods_bytes is None else f"; {node.pods_total} Pods hold {size(node.pods_bytes)}"
        yield f"node       {size(node.total_bytes)}{available}{pods}"
        for usage in node.pods:
            yield f"           {words.usage(usage)}"


def _bar(incident: Incident, room: int) -> Iterator[str]:
    parts = {share: bytes_ for share, bytes_ in shares(incident).items() if bytes_}
    whole = incident.limit_bytes or incident.usage_bytes
    if parts and whole and not is_nodes(incident):
        if room >= _LEAST:
            yield f"           {picture.bar(parts, whole, min(room, _DRAWN))}"
        yield f"           {picture.legend(parts)}"


def _parts(memory: Memory) -> str:
    parts = {
        "anon": memory.anon_bytes,
        "tmpfs": memory.shmem_bytes,
        "page cache": memory.file_bytes,
        "dirty": memory.dirty_bytes,
        "kernel": kernel_bytes(memory),
        **kernel_kinds(memory),
        "swap": memory.swap_bytes,
        "left behind": memory.left_behind_bytes,
    }
    return ", ".join(f"{name} {size(bytes_)}" for name, bytes_ in parts.items() if bytes_) or "nothing"


def _victims(incident: Incident) -> Iterator[str]:
    for victim in incident.victims:
        yield f"victim     {victim.comm}: {_figures(victim, incident)}"
        if victim.command:
            yield f"           {quote(victim.command)}"
        if victim.environment:
            yield "           " + " ".join(f"{name}={value}" for name, value in victim.environment.items())
    if unnamed := incident.victims_total - len(incident.victims):
        yield f"           and {unnamed} more"


def _figures(victim: Victim, incident: Incident) -> str:
    figures = {
        "held": victim.held_bytes,
        "of it shared": victim.shmem_bytes,
        "in swap": victim.swap_bytes,
        "mapped of files": victim.file_bytes,
        "at most": victim.peak_rss_bytes,
        "page tables": victim.pgtables_bytes,
        "address space": victim.total_vm_bytes,
    }
    age = duration((incident.time - victim.started_at).total_seconds())
    return (
        f"pid {victim.pid} ({victim.container_pid} inside), uid {victim.uid}, oom_score_adj {victim.oom_score_adj}, "
        f"ran {age}, " + ", ".join(f"{name} {size(bytes_)}" for name, bytes_ in figures.items() if bytes_)
    )


def _neighbours(incident: Incident) -> Iterator[str]:
    if not incident.neighbours:
        return
    own = incident.container.id if incident.container else None
    told = []
    for one in incident.neighbours:
        other = one.container_id is not None and one.container_id != own
        place = f" in {one.container or (one.container_id or '')[:12]}" if other else ""
        told.append(f"{one.comm} ({one.pid}{place}) {size(one.rss_bytes)}")
    total = "" if incident.neighbours_total is None else f"; {incident.neighbours_total} in all"
    held = "" if incident.neighbours_bytes is None else f", {size(incident.neighbours_bytes)}"
    yield f"still in   {', '.join(told)}{total}{held}"


def _story(incident: Incident, room: int) -> Iterator[str]:
    if (story := incident.trajectory) and len(story.samples) > 1:
        yield from _samples(story, incident, room)
    for name, sentence in (
        ("pattern", words.pattern(incident)),
        ("repeats", words.repeats(incident)),
        ("pressure", words.pressure(incident)),
    ):
        if sentence:
            yield f"{name:<11}{sentence}"


def _samples(story: Trajectory, incident: Incident, room: int) -> Iterator[str]:
    """With the kill itself at the right, where the samples are of the cgroup that ran out."""
    bytes_ = [sample.bytes for sample in story.samples]
    since = duration(story.samples[0].seconds_before)
    yield f"samples    {size(bytes_[0])} {since} before, {size(bytes_[-1])} at last, {size(max(bytes_))} at most"
    at_kill = incident.memory.counted_bytes if incident.memory else incident.usage_bytes
    last = at_kill if story.cgroup == incident.limit_cgroup else None
    width = min(room - picture.BESIDE, _DRAWN)
    if width < _LEAST:
        return
    for line in picture.graph(bytes_ if last is None else [*bytes_, last], incident.limit_bytes, width):
        yield f"           {line}"


def described(event: dict[str, Any]) -> str:
    """An Event as the Events of `kubectl describe` show it."""
    age = f"0s (x{event['count']})" if event["count"] > 1 else "0s"
    values = [event["type"], event["reason"], age, event["source"]["component"], event["message"]]
    titles = ["Type", "Reason", "Age", "From", "Message"]
    widths = [max(len(title), len(value)) for title, value in zip(titles, values, strict=True)]
    rows = (titles, ["-" * len(title) for title in titles], values)
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
