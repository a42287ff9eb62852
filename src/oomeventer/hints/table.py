"""The table of rules, and who goes through it. In: an Incident. Out: the same with its hints.

Rules: pure. The order of the table is the order of what is likely to be the cause, or of use; of several that speak the
first ones are kept. An incident that is shown to fewer people has hints of its own: make them of what is shown.
"""

from dataclasses import replace

from oomeventer.hints import course, kills, nodes, parts, runtimes, servers
from oomeventer.hints.rule import Rule
from oomeventer.incident import Hint, Incident
from oomeventer.text import cut_bytes

#: Hints of an incident.
MOST = 5
#: Of one hint's sentence, in bytes. Names in it can be long.
_TEXT_BYTES = 500

RULES = (
    Rule("limit-lowered", kills.limit_lowered),
    Rule("sandbox", kills.sandbox),
    Rule("left-behind", parts.left_behind),
    Rule("tmpfs", parts.tmpfs),
    Rule("jvm-heap", runtimes.jvm_heap),
    Rule("jvm-direct-memory", runtimes.jvm_direct_memory),
    Rule("jvm-outside-heap", runtimes.jvm_outside_heap),
    Rule("node-heap", runtimes.node_heap),
    Rule("node-outside-heap", runtimes.node_outside_heap),
    Rule("postgres-shared-buffers", servers.cache(servers.POSTGRES)),
    Rule("redis-maxmemory", servers.cache(servers.REDIS)),
    Rule("mongodb-cache", servers.cache(servers.MONGODB)),
    Rule("mysql-buffer-pool", servers.cache(servers.MYSQL)),
    Rule("shared-memory", parts.shared_memory),
    Rule("socket-buffers", parts.socket_buffers),
    Rule("page-tables", parts.page_tables),
    Rule("kernel-memory", parts.kernel_memory),
    Rule("dirty-page-cache", parts.dirty_page_cache),
    Rule("no-limit", nodes.no_limit),
    Rule("node-overcommitted", nodes.node_overcommitted),
    Rule("request-below-use", nodes.request_below_use),
    Rule("outside-pods", nodes.outside_pods),
    Rule("limit-too-low", course.limit_too_low),
    Rule("leak", course.leak),
    Rule("spike", course.spike),
    Rule("worker-pool", servers.worker_pool),
    Rule("neighbours-hold-most", kills.neighbours_hold_most),
    Rule("go-memlimit", runtimes.go_memlimit),
    Rule("go-beyond-memlimit", runtimes.go_beyond_memlimit),
    Rule("sawtooth", course.sawtooth),
    Rule("oom-score", kills.oom_score),
    Rule("child-killed", kills.child_killed),
    Rule("group-kill", kills.group_kill),
    Rule("crash-loop", course.crash_loop),
    Rule("swap", parts.swap),
    Rule("page-cache", parts.page_cache),
    Rule("pressure", course.pressure),
    Rule("trigger", kills.trigger),
)


def advise(incident: Incident) -> Incident:
    """The incident with what a person may do about it, instead of hints that it had."""
    said = ((rule.name, rule.finds(incident)) for rule in RULES)
    hints = [Hint(name, cut_bytes(says.text, _TEXT_BYTES), says.evidence) for name, says in said if says]
    return replace(incident, hints=tuple(hints[:MOST]))
