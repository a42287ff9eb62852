"""The table of rules, and who goes through it. In: an Incident. Out: the same with its hints.

Rules: pure. The order of the table is the order of what is likely to be the cause, or of use; of several that speak the
first ones are kept. An incident that is shown to fewer people has hints of its own: make them of what is shown.
"""

from msgspec.structs import replace

from oomeventer.hints import course, kills, nodes, parts, runtimes, servers
from oomeventer.hints.rule import Finding, Rule
from oomeventer.incident import Hint, Incident
from oomeventer.text import cut_bytes

#: Hints of an incident.
MOST = 5
#: Of one hint's sentence, in bytes. Names in it can be long.
_TEXT_BYTES = 500

RULES = (
    Rule("limit-lowered", kills.limit_lowered, is_told=True),
    Rule("sandbox", kills.sandbox, is_told=True),
    Rule("left-behind", parts.left_behind, is_told=True),
    Rule("tmpfs", parts.tmpfs, is_told=True),
    Rule("jvm-heap", runtimes.jvm_heap),
    Rule("jvm-direct-memory", runtimes.jvm_direct_memory),
    Rule("jvm-outside-heap", runtimes.jvm_outside_heap),
    Rule("node-heap", runtimes.node_heap),
    Rule("node-outside-heap", runtimes.node_outside_heap),
    Rule("postgres-shared-buffers", servers.cache(servers.POSTGRES)),
    Rule("redis-maxmemory", servers.cache(servers.REDIS)),
    Rule("mongodb-cache", servers.cache(servers.MONGODB)),
    Rule("mysql-buffer-pool", servers.cache(servers.MYSQL)),
    Rule("shared-memory", parts.shared_memory, is_told=True),
    Rule("socket-buffers", parts.socket_buffers, is_told=True),
    Rule("page-tables", parts.page_tables, is_told=True),
    Rule("kernel-memory", parts.kernel_memory, is_told=True),
    Rule("dirty-page-cache", parts.dirty_page_cache, is_told=True),
    Rule("no-limit", nodes.no_limit),
    Rule("node-overcommitted", nodes.node_overcommitted),
    Rule("request-below-use", nodes.request_below_use),
    Rule("outside-pods", nodes.outside_pods),
    Rule("limit-too-low", course.limit_too_low, is_told=True),
    Rule("leak", course.leak, is_told=True),
    Rule("worker-pool", servers.worker_pool, is_told=True),
    Rule("neighbours-hold-most", kills.neighbours_hold_most, is_told=True),
    Rule("spike", course.spike, is_told=True),
    Rule("page-cache", parts.page_cache, is_told=True),
    Rule("go-memlimit", runtimes.go_memlimit),
    Rule("go-beyond-memlimit", runtimes.go_beyond_memlimit),
    Rule("sawtooth", course.sawtooth, is_told=True),
    Rule("oom-score", kills.oom_score),
    Rule("child-killed", kills.child_killed, is_told=True),
    Rule("group-kill", kills.group_kill, is_told=True),
    Rule("crash-loop", course.crash_loop, is_told=True),
    Rule("swap", parts.swap),
    Rule("pressure", course.pressure, is_told=True),
    Rule("trigger", kills.trigger, is_told=True),
)


def advise(incident: Incident) -> Incident:
    """The incident with what a person may do about it, instead of hints that it had."""
    hints = [_hint(rule, found) for rule in RULES if (found := rule.finds(incident))]
    return replace(incident, hints=tuple(hints[:MOST]))


def _hint(rule: Rule, found: Finding) -> Hint:
    advice = cut_bytes(found.advice, _TEXT_BYTES) if rule.is_told else None
    return Hint(rule.name, cut_bytes(found.text, _TEXT_BYTES), found.evidence, advice)
