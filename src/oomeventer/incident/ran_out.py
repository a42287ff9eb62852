"""Whose limit ran out, in words: a message's first sentence. In: an Incident. Out: a sentence. Rules: pure."""

import os

from oomeventer.incident.incident import Incident
from oomeventer.node import allocatable
from oomeventer.text import size

#: Parts of the limit between which what was in use is not worth a word.
_USUAL = 0.5, 1.05
_PAGE = os.sysconf("SC_PAGE_SIZE")


def sentence(incident: Incident) -> str:
    """Without a stop at its end."""
    return f"{_who(incident)}{_in_use(incident)}"


def _who(incident: Incident) -> str:
    limit = size(incident.limit_bytes) if incident.limit_bytes is not None else "its"
    if incident.limit_lowered:
        used = f"{size(incident.usage_bytes)} were" if incident.usage_bytes else "more was"
        return f"The memory limit of {_whose(incident)} was lowered to {limit} while {used} in use"
    match incident.scope:
        case "container":
            whose = _whose(incident)
            return f"{whose[0].upper()}{whose[1:]} {_ran_out(incident, _limit_set(incident))}"
        case "pod":
            pod = incident.pod
            if pod and pod.limit_bytes is None and _same(pod.containers_limit_bytes, incident.limit_bytes):
                return f"{_whose(incident)} ran out of {limit} of memory (its containers' limits together)"
            return f"{_whose(incident)} {_ran_out(incident, _limit_set(incident))}"
        case "cgroup":
            return _cgroup(incident, limit)
        case "node":
            return f"Node {incident.node} ran out of memory"
        case "unknown" if incident.limit_cgroup is None:
            return f"The memory limit of a cgroup above {incident.cgroup} ran out"
        case "unknown":
            return f"A memory limit ran out, most likely that of cgroup {incident.limit_cgroup} ({limit})"


def _cgroup(incident: Incident, limit: str) -> str:
    match allocatable(incident.limit_cgroup or ""):
        case "node":
            return f"Node {incident.node} ran out of the {limit} that its Pods may use together (node allocatable)"
        case "burstable" | "besteffort" as qos:
            which = "Burstable" if qos == "burstable" else "BestEffort"
            return f"Node {incident.node} ran out of the {limit} that its {which} Pods may use together"
        case None:
            within = f"{incident.identity.container_path or ''}/"
            name = incident.limit_cgroup or ""
            if incident.container and name.startswith(within):
                name = f"{name.removeprefix(within)} within container {container(incident)}"
            return f"Cgroup {name} {_ran_out(incident, None)}"


def _ran_out(incident: Incident, as_set: int | None) -> str:
    if incident.limit_bytes is None:
        return "ran out of its memory limit"
    limit = size(incident.limit_bytes)
    if as_set is None or _same(as_set, incident.limit_bytes):
        return f"ran out of its {limit} memory limit"
    return f"ran out of the {limit} memory limit in force (its spec says {size(as_set)})"


def _in_use(incident: Incident) -> str:
    """Where that is not about the limit: much was given back before the kernel had chosen, as after a kill just
    before; or the limit was lowered just before, and a process inside allocated first."""
    limit, usage = incident.limit_bytes, incident.usage_bytes
    if incident.limit_lowered or not limit or not usage or _USUAL[0] * limit <= usage <= _USUAL[1] * limit:
        return ""
    return f" ({size(usage)} were in use when the victim was chosen)"


def _limit_set(incident: Incident) -> int | None:
    of = incident.container if incident.scope == "container" else incident.pod
    return of.limit_bytes if of else None


def _same(set_bytes: int | None, kernel_bytes: int | None) -> bool:
    """The kernel keeps limits in pages and rounds down."""
    return set_bytes is not None and kernel_bytes is not None and set_bytes // _PAGE == kernel_bytes // _PAGE


def _whose(incident: Incident) -> str:
    pod = f"Pod {incident.pod.name if incident.pod else incident.identity.pod_uid}"
    match incident.scope:
        case "container" if incident.sandbox:
            return f"the sandbox of {pod}"
        case "container":
            return f"container {container(incident)}"
        case "pod":
            return pod
        case _:
            return f"cgroup {incident.limit_cgroup or incident.cgroup}"


def container(incident: Incident) -> str:
    """Its container, by the shortest name that it has."""
    found = incident.container
    return (found.name or found.id[:12]) if found else incident.cgroup
