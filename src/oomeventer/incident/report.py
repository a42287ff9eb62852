"""An incident for a terminal. In: an Incident, or an Event. Out: text, one block. Rules: pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from oomeventer.incident.codec import from_json
from oomeventer.incident.events import message
from oomeventer.incident.fields import rfc3339
from oomeventer.incident.incident import Incident
from oomeventer.redaction import quote
from oomeventer.text import duration, size


def block(incident: Incident) -> str:
    """One readable block: what happened in a sentence, then the facts, each on its line."""
    victim = incident.chosen
    lines = [f"{rfc3339(incident.time)}  {message(incident)}"]
    if pod := incident.pod:
        owner = f", of {pod.owner.kind} {pod.owner.name}" if pod.owner else ""
        lines.append(f"pod        {pod.namespace}/{pod.name}{owner}")
    if container := incident.container:
        lines.append(f"container  {container.name or '?'}  {container.id[:12]}  {container.image or ''}".rstrip())
        if container.service:
            lines.append(f"compose    service {container.service} of project {container.project or '?'}")
    lines.append(f"cgroup     {incident.cgroup}")
    if incident.limit_cgroup:
        figures = f"{size(incident.usage_bytes or 0)} of {size(incident.limit_bytes or 0)} used"
        lines.append(f"ran out    {incident.limit_cgroup}: {figures}")
    for killed in incident.victims:
        age = duration((incident.time - killed.started_at).total_seconds())
        facts = (
            f"pid {killed.pid} ({killed.container_pid} inside), uid {killed.uid}, "
            f"oom_score_adj {killed.oom_score_adj}, ran {age}, "
            f"held {size(killed.rss_bytes)}, at most {size(killed.peak_rss_bytes)}, "
            f"page tables {size(killed.pgtables_bytes)}, address space {size(killed.total_vm_bytes)}"
        )
        lines.append(f"victim     {killed.comm}: {facts}")
        if killed.command:
            lines.append(f"           {quote(killed.command)}")
        if killed.environment:
            lines.append("           " + " ".join(f"{k}={v}" for k, v in killed.environment.items()))
    if unnamed := incident.victims_total - len(incident.victims):
        lines.append(f"           and {unnamed} more")
    if incident.trigger and incident.trigger.pid != victim.pid:
        lines.append(f"trigger    {incident.trigger.comm}: pid {incident.trigger.pid} in {incident.trigger.cgroup}")
    if incident.neighbours:
        others = ", ".join(f"{n.comm} ({n.pid}) {size(n.rss_bytes)}" for n in incident.neighbours)
        lines.append(f"still in   {others}; {incident.neighbours_total} in all")
    lines += [f"note       {note}" for note in incident.notes]
    return "\n  ".join(lines)


def table(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A journal's entries (read_history()), a line each."""
    row = "{:<20}  {:<11}  {:<40}  {:<16}  {:>8}  {:>8}  {}".format
    yield row("TIME", "SCOPE", "POD/CONTAINER OR CGROUP", "VICTIM", "HELD", "LIMIT", "EVENT")
    for entry in entries:
        incident = from_json(entry)
        where = incident.cgroup
        if incident.pod:
            container = f"/{incident.container.name}" if incident.container and incident.container.name else ""
            where = f"{incident.pod.namespace}/{incident.pod.name}{container}"
        more = f" +{incident.victims_total - 1}" if incident.victims_total > 1 else ""
        limit = "" if incident.limit_bytes is None else size(incident.limit_bytes)
        held = size(sum(victim.rss_bytes for victim in incident.victims))
        time = incident.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        yield row(time, incident.scope, where, incident.chosen.comm + more, held, limit, entry["events"])


def described(event: dict[str, Any]) -> str:
    """An Event as the Events of `kubectl describe` show it."""
    age = f"0s (x{event['count']})" if event["count"] > 1 else "0s"
    values = [event["type"], event["reason"], age, event["source"]["component"], event["message"]]
    titles = ["Type", "Reason", "Age", "From", "Message"]
    widths = [max(len(title), len(value)) for title, value in zip(titles, values, strict=True)]
    rows = (titles, ["-" * len(title) for title in titles], values)
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
