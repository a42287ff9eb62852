"""Every metric that the agent has: name, type, labels, meaning. Out: FAMILIES, of which docs/metrics.md is made
(`make docs`). Rules: data alone; what is counted is metrics.py's.
"""

from typing import Literal

from msgspec import Struct

#: Sets of namespace, Pod, container and scope whose kills are counted apart: those killed last. Prometheus keeps a
#: series for each.
NAMED = 1000


class Family(Struct, frozen=True):
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
            "oomeventer_kills_elsewhere_total",
            "counter",
            "Processes that the OOM killer ended outside this node's own cgroup, where the node is a container (kind): "
            "they are not reported.",
        ),
        Family(
            "oomeventer_incidents_total",
            "counter",
            "Times that the OOM killer struck: a group kill is one. By what ran out.",
            ("scope",),
        ),
        Family(
            "oomeventer_kills_by_pattern_total",
            "counter",
            "Processes that the OOM killer ended, by how memory came to its limit (--sample-seconds): steady (a leak), "
            "spike, at the limit, sawtooth, unknown; none where nothing was sampled.",
            ("pattern",),
        ),
        Family("oomeventer_stage_seconds", "histogram", "What a stage took for one kill.", ("stage",)),
        Family(
            "oomeventer_event_delay_seconds",
            "histogram",
            "From a kill to the API server's answer that it has the Event. Of kills that were merged: from the latest.",
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
            f"Events that were merged into another's request, which counts them, {_JOURNAL}.",
        ),
        Family("oomeventer_events_given_up_total", "counter", f"Events that nobody will see, {_JOURNAL}.", ("reason",)),
        Family("oomeventer_events_waiting", "gauge", "The journal's depth: Events that are still to be delivered."),
        Family(
            "oomeventer_queue_length",
            "gauge",
            "Kills that wait before a stage; before event: series of kills that have Events pending.",
            ("stage",),
        ),
        Family("oomeventer_request_retries_total", "counter", "Requests to the API server that are to be made again."),
        Family(
            "oomeventer_ring_lost_records_total",
            "counter",
            "Records that found the kernel's ring full, or their cgroup's share of it: their kills, or only their "
            "arguments, are not reported.",
        ),
        Family("oomeventer_ring_used_bytes", "gauge", "What waits in the kernel's ring to be read and written down."),
        Family("oomeventer_unreadable_records_total", "counter", "Records that this program could not read."),
        Family(
            "oomeventer_faults_total",
            "counter",
            "Kills that were dropped through a fault of this program.",
            ("pipeline",),
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
