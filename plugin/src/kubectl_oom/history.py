"""What the agents' journals keep. In: kubectl, the labels of the agents' Pods. Out: incidents, and who was not reached.

Rules: `oomeventer history --json` in each agent's Pod, several at a time, with --since where the agent knows it; who
may not exec is told so once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

from kubectl_oom.errors import KubectlError, OomError
from kubectl_oom.kubectl import Kubectl, path
from kubectl_oom.lists import Listing
from kubectl_oom.reading import Json, at, parsed, records, text

_CONTAINER = "kubectl.kubernetes.io/default-container"
_AT_ONCE = 8


def read_history(kubectl: Kubectl, labels: str, since: datetime | None) -> tuple[list[Json], list[str]]:
    """Incidents of all nodes, older ones than `since`, too, from agents that send all; a sentence for each agent that
    was not reached."""
    try:
        agents = list(Listing(kubectl, path("pods", None), labelSelector=labels))
    except KubectlError as e:
        return [], [f"no journal was read, since the agents' Pods could not be listed: {e}"]
    if not agents:
        return [], [f"no journal was read: there is no Pod with the labels {labels} (--agent-selector)"]
    found: list[Json] = []
    unreached: dict[str, list[str]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for agent, told in zip(agents, pool.map(lambda agent: _journal(kubectl, agent, since), agents)):
            if isinstance(told, OomError):
                unreached.setdefault(_reason(told), []).append(text(agent, "spec", "nodeName") or "a Pod without node")
            else:
                found += told
    sentences = [
        f"the journals of {_named(nodes)} were not read: {why}; older kills there are missing"
        for why, nodes in unreached.items()
    ]
    return found, sentences


def _journal(kubectl: Kubectl, agent: Json, since: datetime | None) -> list[Json] | OomError:
    namespace, name = text(agent, "metadata", "namespace"), text(agent, "metadata", "name")
    if text(agent, "status", "phase") != "Running":
        return OomError("the agent is not running")
    annotations = at(agent, "metadata", "annotations")
    container = text(annotations, _CONTAINER) or text(next(iter(records(agent, "spec", "containers")), {}), "name")
    command = ["-n", namespace, f"pod/{name}", "-c", container, "--", "oomeventer", "history", "--json"]
    try:
        if since:
            seconds = int((datetime.now(timezone.utc) - since).total_seconds()) + 1
            try:
                return _read(kubectl, [*command, f"--since={seconds}s"])
            except KubectlError as e:
                if e.forbidden or e.not_found:
                    raise
        return _read(kubectl, command)  # so do agents without --since
    except OomError as e:
        return e


def _read(kubectl: Kubectl, command: list[str]) -> list[Json]:
    with kubectl.run("exec", *command) as call:
        told = [incident for line in call.out if (incident := parsed(line))]
        call.end()
    return told


def _reason(error: OomError) -> str:
    if isinstance(error, KubectlError) and error.forbidden:
        return "you may not exec into the agents' Pods (kubectl auth can-i create pods/exec)"
    return str(error)


def _named(nodes: list[str]) -> str:
    shown = ", ".join(sorted(nodes)[:3])
    return shown + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")
