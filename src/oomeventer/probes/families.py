"""Every metric that the agent has: name, type, labels, meaning. Out: FAMILIES, and docs/metrics.md, which is made
of it (`python -m oomeventer.probes.families`). Rules: data alone; what is counted is metrics.py's.
"""

from dataclasses import dataclass
from typing import Literal

#: Sets of namespace, Pod, container and scope whose kills are counted apart: those killed last. Prometheus keeps a
#: series for each.
NAMED = 1000


@dataclass(frozen=True, slots=True)
class Family:
    """One metric."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


_JOURNAL = "over the journal's life"
FAMILIES = {
    family.name: family
    for family in (
        Family(
            "oomeventer_kills_total",
            "counter",
            "Processes that the OOM killer ended: every victim counts, also of a group kill. By the container of the "
            f"one that the kernel chose. Without names: outside any Pod, and what sets of labels had before {NAMED} "
            "others were killed after them.",
            ("namespace", "pod", "container", "scope"),
        ),
        Family(
            "oomeventer_kills_unnamed_total",
            "counter",
            f"Those of oomeventer_kills_total that have lost their names to {NAMED} later sets of labels.",
        ),
        Family(
            "oomeventer_incidents_total",
            "counter",
            "Times that the OOM killer struck: a group kill is one. By what ran out.",
            ("scope",),
        ),
        Family("oomeventer_stage_seconds", "histogram", "What a stage took for one kill.", ("stage",)),
        Family(
            "oomeventer_event_delay_seconds",
            "histogram",
            "From a kill to the API server's word that it has the Event. Of kills told together: from the latest.",
        ),
        Family(
            "oomeventer_events_seen_total",
            "counter",
            f"Events that kills asked for, {_JOURNAL}: delivered, merged, given up and waiting are as many together.",
        ),
        Family("oomeventer_events_delivered_total", "counter", f"Events that the API server accepted, {_JOURNAL}."),
        Family(
            "oomeventer_events_merged_total",
            "counter",
            f"Events that were told within another's request, which counts them, {_JOURNAL}.",
        ),
        Family("oomeventer_events_given_up_total", "counter", f"Events that nobody will see, {_JOURNAL}.", ("reason",)),
        Family("oomeventer_events_waiting", "gauge", "The journal's depth: Events that are still to be told."),
        Family(
            "oomeventer_queue_length",
            "gauge",
            "Kills that wait before a stage; before event: series of kills that have something to tell.",
            ("stage",),
        ),
        Family("oomeventer_request_retries_total", "counter", "Requests to the API server that are to be made again."),
        Family(
            "oomeventer_ring_lost_records_total",
            "counter",
            "Records that found the kernel's ring full; their kills are not told.",
        ),
        Family("oomeventer_ring_used_bytes", "gauge", "What waits in the kernel's ring to be read and written down."),
        Family("oomeventer_unreadable_records_total", "counter", "Records that this program could not read."),
        Family(
            "oomeventer_faults_total", "counter", "Kills whose way ended in a fault of this program.", ("pipeline",)
        ),
        Family("oomeventer_journal_failures_total", "counter", "How often the journal's disk has failed."),
        Family("oomeventer_journal_on_disk", "gauge", "Whether the journal is kept on disk, not in memory alone."),
        Family("oomeventer_pinned", "gauge", "Whether kills are recorded while no agent runs."),
        Family(
            "oomeventer_ready",
            "gauge",
            "Whether a check of /readyz holds: runtime and api as of the last time that somebody asked there.",
            ("check",),
        ),
        Family("oomeventer_build_info", "gauge", "Always 1.", ("version", "python")),
    )
}

_PAGE = """# Metrics

At `/metrics`, in Prometheus' text format, where `--listen` is set. Made by `python -m oomeventer.probes.families`.

{table}

Beside these: what `prometheus_client` says of every process (`process_resident_memory_bytes`,
`process_cpu_seconds_total`, `process_open_fds` and others).

A scrape asks nobody: it reads what the agent knows. Counters begin at 0 with each start of the agent, but for those
over the journal's life, which go on with its file, and `oomeventer_ring_lost_records_total`, which goes on while the
kernel's side stays attached (`--pins`).

Each scope and each reason is there from the start, at 0, so that `increase()` sees also the first. A container's series
of `oomeventer_kills_total` begins with its first kill, which `increase()` does not see, and ends when {named} others
were killed since. What it had is then in the series without names, for `increase()` once more: leave that out
(`pod!=""`), or ask `oomeventer_incidents_total`. The chart's alert and dashboard count the first kills, too.

In every scrape while the agent watches:

```
oomeventer_events_seen_total
  == oomeventer_events_delivered_total + oomeventer_events_merged_total
   + sum(oomeventer_events_given_up_total) + oomeventer_events_waiting
```
"""


def page() -> str:
    """docs/metrics.md."""
    rows = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    for family in FAMILIES.values():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.help} |")
    return _PAGE.format(table="\n".join(rows), named=NAMED)


if __name__ == "__main__":
    print(page(), end="")
