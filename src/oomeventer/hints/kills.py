"""Who was killed, and why it. In: an Incident. Out: findings.

Rules: pure. Neighbours and triggers of another Pod are not named: whoever reads the Event may read this Pod alone.
"""

from oomeventer.hints.rule import Finding, found, names_nobody_else, share
from oomeventer.incident import Incident, Neighbour, is_nodes, others_bytes
from oomeventer.node import identify
from oomeventer.text import size

#: Of the limit; less is no cause.
_OTHERS = 0.25


def limit_lowered(incident: Incident) -> Finding | None:
    """The limit came down on it."""
    limit, usage = incident.limit_bytes, incident.usage_bytes
    if not incident.limit_lowered or limit is None or usage is None:
        return None
    return found(
        f"The limit was lowered to {size(limit)} while {size(usage)} were in use, which kills at once",
        "raise it again, and have whoever lowered it (VPA in place, a resize, a write to memory.max) leave room",
        f"usage {size(usage)}",
        f"limit {size(limit)}",
    )


def sandbox(incident: Incident) -> Finding | None:
    """The Pod's own process."""
    if not incident.sandbox:
        return None
    return found(
        "The Pod's sandbox was killed, which restarts all its containers",
        "it is small, so look at who else holds the "
        "Pod's memory; with Kata it is the VM, and its overhead belongs into the RuntimeClass",
        f"{incident.chosen.comm} is of the sandbox",
    )


def neighbours_hold_most(incident: Incident) -> Finding | None:
    """Others below the same limit hold more than the victim."""
    together, held = others_bytes(incident) or 0, incident.chosen.held_bytes
    # Those that live on may have taken what the victim gave back.
    if is_nodes(incident) or together < 2 * held or share(together, incident) < _OTHERS:
        return None
    largest = max(incident.neighbours, key=lambda other: other.rss_bytes, default=None)
    is_told = largest and largest.rss_bytes <= together and names_nobody_else(incident)
    named = f", the largest is {_named(largest, incident)}" if largest and is_told else ""
    return found(
        f"Other processes below the limit hold {size(together)}, the one that was killed held {size(held)}{named}",
        "look at the largest of the other processes first",
        f"neighbours {size(together)}",
        f"victim {size(held)}",
    )


def oom_score(incident: Incident) -> Finding | None:
    """A larger process was spared."""
    victim = incident.chosen
    if not names_nobody_else(incident) or incident.group_kill or victim.swap_bytes:
        return None
    # One that holds more than twice as much was larger at the kill, even if it has taken all the victim gave back.
    larger = [other for other in incident.neighbours if other.rss_bytes > 2 * victim.rss_bytes]
    if not larger:
        return None
    who = "the kubelet sets it by QoS class and request" if incident.identity.pod_uid else "who starts it sets it"
    return found(
        f"A larger process, {_named(larger[0], incident)}, was spared, so oom_score_adj decided ({victim.comm} has "
        f"{victim.oom_score_adj})",
        f"{who}, a program can raise its own",
        f"oom_score_adj {victim.oom_score_adj}",
        f"{larger[0].comm} holds {size(larger[0].rss_bytes)}",
    )


def child_killed(incident: Incident) -> Finding | None:
    """Kubernetes shows nothing."""
    if incident.container is None or incident.pid1 != "lives":
        return None
    shown = ", and Kubernetes shows neither a restart nor OOMKilled" if incident.identity.pod_uid else ""
    return found(
        f"The container goes on without this process{shown}",
        "see that PID 1 notices (exit status 137 of its child) and starts it again or ends",
        "PID 1 lives",
    )


def group_kill(incident: Incident) -> Finding | None:
    """All of the container went."""
    if not incident.group_kill or incident.victims_total < 2:
        return None
    killed = f"All {incident.victims_total} processes were killed, since"
    evidence = f"{incident.victims_total} victims"
    if incident.identity.pod_uid is None:
        return found(
            f"{killed} memory.oom.group is set on their cgroup",
            "to lose only the chosen one, set OOMPolicy=continue, where systemd has set it for its unit",
            evidence,
        )
    return found(
        f"{killed} the kubelet sets memory.oom.group on containers (cgroup v2)",
        "to lose only the chosen one, set singleProcessOOMKill: true in the node's kubelet configuration (1.32 on)",
        evidence,
    )


def trigger(incident: Incident) -> Finding | None:
    """Another program allocated, of the same Pod. Of a pool's processes one is as good as the other."""
    by = incident.trigger
    if by is None or incident.limit_lowered or by.pid in {victim.pid for victim in incident.victims}:
        return None
    if by.comm == incident.chosen.comm or (incident.pod and identify(by.cgroup).pod_uid != incident.identity.pod_uid):
        return None
    return found(
        f"The page that was one too many was asked for by {by.comm}, and {incident.chosen.comm} was killed as the "
        f"largest or the first choice",
        "neither needs to be at fault, so compare what both hold with what they need",
        f"trigger {by.comm}",
    )


def _named(other: Neighbour, incident: Incident) -> str:
    own = incident.container.id if incident.container else None
    is_elsewhere = other.container and other.container_id != own
    return f"{other.comm}{f' of container {other.container}' if is_elsewhere else ''} ({size(other.rss_bytes)})"
