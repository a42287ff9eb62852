"""An incident for a terminal. In: an Incident, or an Event. Out: text, one block. Rules: pure; what is not known, or
nothing, takes no line."""

from collections.abc import Iterable, Iterator
from typing import Any

from oomeventer.incident import words
from oomeventer.incident.codec import from_json
from oomeventer.incident.fields import rfc3339
from oomeventer.incident.incident import Incident
from oomeventer.incident.memory import Memory
from oomeventer.incident.message import message
from oomeventer.incident.story import Trajectory
from oomeventer.incident.victim import Victim
from oomeventer.incident.why import kernel_bytes, kernel_kinds, why
from oomeventer.node import unit
from oomeventer.redaction import quote
from oomeventer.text import CUT, duration, size

_BARS = "▁▂▃▄▅▆▇█"
#: Samples that are drawn.
_WIDTH = 60


def block(incident: Incident) -> str:
    """One readable block: what happened in a sentence, then the facts, each on its line."""
    return "\n  ".join([f"{rfc3339(incident.time)}  {message(incident)}", *_facts(incident)])


def _facts(incident: Incident) -> Iterator[str]:
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
        yield f"ran out    {incident.limit_cgroup}: {figures}"
    yield from _memory(incident)
    yield from _victims(incident)
    if incident.trigger and incident.trigger.pid != incident.chosen.pid:
        yield f"trigger    {incident.trigger.comm}: pid {incident.trigger.pid} in {incident.trigger.cgroup}"
    yield from _neighbours(incident)
    yield from _story(incident)
    for hint in incident.hints:
        yield f"hint       {hint.text} (docs/hints.md#{hint.rule})"
    for note in incident.notes:
        yield f"note       {note}"


def _memory(incident: Incident) -> Iterator[str]:
    if incident.memory:
        yield f"memory     {_parts(incident.memory)}"
    if incident.container_memory and incident.container_memory != incident.memory:
        yield f"           the container: {_parts(incident.container_memory)}"
    if node := incident.node_memory:
        available = "" if node.available_bytes is None else f", {size(node.available_bytes)} available"
        pods = "" if node.pods_bytes is None else f"; {node.pods_total} Pods hold {size(node.pods_bytes)}"
        yield f"node       {size(node.total_bytes)}{available}{pods}"
        for usage in node.pods:
            yield f"           {words.usage(usage)}"


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


def _story(incident: Incident) -> Iterator[str]:
    if (story := incident.trajectory) and len(story.samples) > 1:
        yield f"samples    {_line(story, incident.limit_bytes)}"
    for name, sentence in (
        ("pattern", words.pattern(incident)),
        ("repeats", words.repeats(incident)),
        ("pressure", words.pressure(incident)),
    ):
        if sentence:
            yield f"{name:<11}{sentence}"


def _line(story: Trajectory, limit_bytes: int | None) -> str:
    """Drawn from nothing to the limit."""
    samples = story.samples[-_WIDTH:]
    highest = max(*(sample.bytes for sample in samples), limit_bytes or 1)
    drawn = "".join(_BARS[min(sample.bytes * len(_BARS) // highest, len(_BARS) - 1)] for sample in samples)
    limit = f" of {size(limit_bytes)}" if limit_bytes else ""
    return (
        f"{drawn}  {duration(samples[0].seconds_before)}, {size(samples[0].bytes)} to {size(samples[-1].bytes)}{limit}"
    )


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
        where = incident.cgroup
        if incident.pod:
            container = f"/{incident.container.name}" if incident.container and incident.container.name else ""
            where = f"{incident.pod.namespace}/{incident.pod.name}{container}"
        more = f" +{incident.victims_total - 1}" if incident.victims_total > 1 else ""
        limit = "" if incident.limit_bytes is None else size(incident.limit_bytes)
        held = size(sum(victim.held_bytes for victim in incident.victims))
        time = incident.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        reason, pattern = why(incident) or "", incident.trajectory.pattern if incident.trajectory else ""
        victim = incident.chosen.comm + more
        yield _row([time, incident.scope, reason, pattern, where, victim, held, limit, entry["events"]], widths)


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


def described(event: dict[str, Any]) -> str:
    """An Event as the Events of `kubectl describe` show it."""
    age = f"0s (x{event['count']})" if event["count"] > 1 else "0s"
    values = [event["type"], event["reason"], age, event["source"]["component"], event["message"]]
    titles = ["Type", "Reason", "Age", "From", "Message"]
    widths = [max(len(title), len(value)) for title, value in zip(titles, values, strict=True)]
    rows = (titles, ["-" * len(title) for title in titles], values)
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
