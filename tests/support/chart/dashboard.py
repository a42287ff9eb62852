"""The Grafana dashboard, question by question (`make chart`). Out: its JSON. Each panel says what it tells, and what to
do about it."""

import json
from collections.abc import Iterator

from chart import CHART
from chart.panels import SOURCE, Json, bars, course, heat, lines, now, rows_of, shares, stat, table, times
from chart.queries import NODE, killed, kills, lost, most, of_agents, quantile, seen, unaccounted

FILE = CHART / "dashboards/oomeventer.json"
_RANGE = "$__range"
_STEP = "$__interval"
_INCIDENTS = "oomeventer_incidents_total"
_AN_AGENTS = "and on (instance) oomeventer_build_info"
_NOT_A_PODS = 'scope=~"node|cgroup"'

QUESTIONS: dict[str, list[Json]] = {
    "What is being killed now, and whose is it?": [
        stat(
            "OOM kills",
            "Times that the OOM killer struck, in all namespaces and outside Pods; a group kill is one. 0, with an "
            "agent on each node: the kernel killed nothing; for Pods that end all the same, look for evictions.",
            now(f"sum({of_agents(_INCIDENTS, _RANGE)})"),
            width=8,
        ),
        stat(
            "Processes killed in Pods",
            "Each victim counts. More than OOM kills: groups were killed as a whole.",
            now(f"sum({kills(_RANGE)}) or vector(0)"),
            width=8,
        ),
        stat(
            "Workloads hit",
            "With at least one victim. One: its own limit, or a leak. Many at once: see whether a node ran out.",
            now(f"count({killed('namespace, workload', _RANGE)}) or vector(0)"),
            width=8,
        ),
        table(
            "Killed most",
            (24, 9),
            "The 20 containers with most victims, and when they had the first and the last of the time shown. "
            "Workload: the Pod's name without what its controller added. Why: kubectl get events -n NAMESPACE "
            "--field-selector reason=OOMKilled.",
            {
                "namespace": "Namespace",
                "workload": "Workload",
                "container": "Container",
                "Value #A": "Killed",
                "Value #B": "First",
                "Value #C": "Last",
            },
            rows_of(most(20)),
            rows_of(seen("min", 20)),
            rows_of(seen("max", 20)),
            field={"decimals": 0},
            overrides=times("First", "Last"),
            options={"showHeader": True, "frameIndex": 0, "sortBy": [{"displayName": "Killed", "desc": True}]},
        ),
    ],
    "How often, and since when?": [
        bars(
            "Processes killed, by workload",
            "The ten most of each bar. A regular beat: a job, or a container that fills up again after each restart. A "
            "beginning: look for the rollout, or the change of a limit, at that time.",
            course(f"topk(10, {killed('namespace, workload', _STEP)})", "{{namespace}}/{{workload}}"),
        ),
        heat(
            "Processes killed, by hour",
            "A row is a namespace. A column of colour: all were hit at once, so look at the nodes. The same hour each "
            "day: a schedule, or load.",
            course(killed("namespace", _STEP), "{{namespace}}"),
            interval="1h",
        ),
    ],
    "By whose limit?": [
        shares(
            "Processes killed in Pods, by what ran out",
            "container, pod: raise that limit, or use less. cgroup: a limit that is in no Pod's spec, such as a "
            "namespace's or kubepods' own. node: the node's memory; lower what is on it. unknown: the kernel left it "
            "open.",
            now(killed("scope", _RANGE), "{{scope}}"),
        ),
        bars(
            "OOM kills, by what ran out",
            "In all namespaces and outside Pods; a group kill is one. node: nobody's limit held; compare the requests "
            "with what Pods use.",
            course(f"sum by (scope) ({of_agents(_INCIDENTS, _STEP)})", "{{scope}}"),
        ),
        table(
            "Nodes that ran out of memory",
            (24, 6),
            "Times that the OOM killer struck since the node itself, or a cgroup that is no Pod's, was full. Empty is "
            "well. Else: kubectl describe node NODE, and reserve more for the system.",
            {"node": "Node", "scope": "What ran out", "Value": "OOM kills"},
            rows_of(f"sum by (node, scope) ({of_agents(_INCIDENTS, _RANGE, _NOT_A_PODS)}) > 0"),
            field={"decimals": 0},
        ),
    ],
    "A leak, or a spike?": [
        shares(
            "Processes killed, by pattern",
            "How memory came to its limit, in all namespaces. steady: a leak; a higher limit only delays it. spike: "
            "one piece of work; bound it, or raise the limit. at the limit: too small. sawtooth: a heap that is "
            "collected late; tell it its limit. none: nothing was sampled (settings.sample_seconds).",
            now(f"sum by (pattern) ({of_agents('oomeventer_kills_by_pattern_total', _RANGE)}) > 0", "{{pattern}}"),
        ),
        bars(
            "Processes killed, by pattern, over time",
            "In all namespaces. steady that begins with a rollout: that version leaks. The Event of a kill has the "
            "samples, and the rate.",
            course(f"sum by (pattern) ({of_agents('oomeventer_kills_by_pattern_total', _STEP)})", "{{pattern}}"),
        ),
    ],
    "Is the agent well?": [
        stat(
            "Agents",
            "Nodes whose agent is scraped, and those of them where all checks of /readyz hold. Fewer than nodes: "
            "kubectl get daemonset, and its Pods.",
            now(f"count(count by (node) (oomeventer_build_info{{{NODE}}})) or vector(0)", "agents"),
            now(f"count(min by (node) (oomeventer_ready{{{NODE}}}) == 1) or vector(0)", "ready"),
            width=8,
        ),
        stat(
            "Not reported",
            "Lost in the kernel's ring, given up, unreadable, or ended in a fault. Not 0: the agent's log says why; "
            "see the alerts' page.",
            now(lost()),
            wrong_from=1,
        ),
        stat(
            "Unaccounted for",
            "What was seen, less what was delivered, merged, given up and waits. Not 0 for minutes: a fault of the "
            "agent; please report it.",
            now(unaccounted()),
            wrong_from=1,
        ),
        stat(
            "Journals in memory",
            "Nodes whose disk does not take the journal: a restart loses what waits. /readyz says why. Where it is "
            "turned off: all.",
            now(f"count(oomeventer_journal_on_disk{{{NODE}}} == 0) or vector(0)"),
            wrong_from=1,
        ),
        stat(
            "Not pinned",
            "Nodes where kills are not recorded while no agent runs. Mount a BPF file system there. Where pins are "
            "turned off: all.",
            now(f"count(oomeventer_pinned{{{NODE}}} == 0) or vector(0)"),
            wrong_from=1,
        ),
        table(
            "Checks that fail",
            (12, 8),
            "Of /readyz, which says what is wrong. Empty is well. attached: kills are missed; all else: they are kept, "
            "and reported later.",
            {"node": "Node", "check": "Check", "Value": "Holds"},
            rows_of(f"min by (node, check) (oomeventer_ready{{{NODE}}}) == 0"),
        ),
        lines(
            "Waiting",
            "Events that are still to be delivered, and kills before each stage. It rises and does not fall: the API "
            "server does not take them (retries, below), or a namespace is over its budget of Events.",
            course(f"sum(oomeventer_events_waiting{{{NODE}}})", "Events"),
            course(f"sum by (stage) (oomeventer_queue_length{{{NODE}}})", "before {{stage}}"),
        ),
        bars(
            "Events",
            "What became of those that kills asked for. retries: requests that the API server did not take. given up: "
            "nobody will see them; the reason is the legend's.",
            course(f"sum({of_agents('oomeventer_events_delivered_total', _STEP)})", "delivered"),
            course(f"sum({of_agents('oomeventer_events_merged_total', _STEP)})", "merged"),
            course(
                f"sum by (reason) ({of_agents('oomeventer_events_given_up_total', _STEP)}) > 0", "given up: {{reason}}"
            ),
            course(f"sum({of_agents('oomeventer_request_retries_total', _STEP)})", "retries"),
        ),
        lines(
            "From kill to Event",
            "Half of all Events, and 99 of 100, were at the API server within that. Minutes: look at Waiting.",
            course(quantile("0.5", "oomeventer_event_delay_seconds"), "50 %"),
            course(quantile("0.99", "oomeventer_event_delay_seconds"), "99 %"),
            unit="s",
        ),
        lines(
            "A stage's time for a kill",
            "99 of 100 take less. The slow one is whom to ask: container is the runtime, pod the API server; record "
            "and outbox the disk.",
            course(quantile("0.99", "oomeventer_stage_seconds", "le, stage"), "{{stage}}"),
            unit="s",
        ),
        lines(
            "Agent: memory",
            "Resident. Near resources.limits.memory: raise that, or lower settings.ring_bytes.",
            course(f"process_resident_memory_bytes{{{NODE}}} {_AN_AGENTS}", "{{node}}"),
            width=6,
            unit="bytes",
        ),
        lines(
            "Agent: CPU",
            "Cores. At rest next to none; it rises with kills alone. High without kills: please report it.",
            course(f"rate(process_cpu_seconds_total{{{NODE}}}[$__rate_interval]) {_AN_AGENTS}", "{{node}}"),
            width=6,
        ),
    ],
}


def _variable(name: str, label: str, query: str) -> Json:
    """Its values are those of a label; any of them, and all at first."""
    asked = {"query": query, "refId": "A"}
    chosen = {"includeAll": True, "allValue": ".*", "multi": True, "current": {"text": "All", "value": "$__all"}}
    made = {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": asked}
    return made | chosen | {"refresh": 2, "sort": 1}


VARIABLES = [
    {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
    _variable("namespace", "Namespace", "label_values(oomeventer_kills_total, namespace)"),
    _variable("node", "Node", "label_values(oomeventer_build_info, node)"),
]


def _placed() -> Iterator[Json]:
    """All panels, from left to right, each question in a row of its own."""
    number = top = 0
    for question, panels in QUESTIONS.items():
        left, height = 0, 1
        row = {"type": "row", "title": question, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}
        for panel in (row, *panels):
            if left + panel["gridPos"]["w"] > 24:
                left, top = 0, top + height
            number += 1
            place = {"x": left, "y": top, **panel["gridPos"]}
            left, height = left + place["w"], place["h"]
            yield {"id": number, **panel, "gridPos": place}
        top += height


def text() -> str:
    """The file."""
    whole = {
        "uid": "oomeventer",
        "title": "OOM kills",
        "tags": ["oomeventer"],
        "schemaVersion": 39,
        "version": 2,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": VARIABLES},
        "panels": list(_placed()),
    }
    return json.dumps(whole, indent=1) + "\n"
