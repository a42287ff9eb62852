"""Nothing was found: what to check. In: options, what was asked. Out: sentences for stderr. Rules: asks the cluster one
thing more, whether an agent is there, if that may be asked."""

from __future__ import annotations

from collections.abc import Iterator

from kubectl_oom.errors import OomError
from kubectl_oom.kubectl import Kubectl, path
from kubectl_oom.lists import Listing
from kubectl_oom.options import Options


def sentences(kubectl: Kubectl, options: Options) -> Iterator[str]:
    """Why it may be empty."""
    where = "in any namespace" if options.everywhere else f"in namespace {kubectl.namespace}"
    chosen = options.chosen
    narrowed = any((options.selector, chosen.since, chosen.owner, chosen.node, chosen.container))
    yield f"No OOM kills found {where}{' with these filters' if narrowed else ''}."
    if not options.history:
        yield "Events are gone after an hour; --history reads what the agents keep on the nodes."
    try:
        agents = sum(1 for _ in Listing(kubectl, path("pods", None), labelSelector=options.agent_selector))
    except OomError:
        yield (
            "Whether the agent is there cannot be seen from here (kubectl auth can-i list pods -A): without it only "
            "containers that ended are known."
        )
        return
    if not agents:
        yield (
            f"There is no agent (no Pod with the labels {options.agent_selector}): without it only containers that "
            "ended are known, not killed processes."
        )
    if not options.everywhere:
        yield "-A looks in all namespaces."


def refused(options: Options) -> str:
    """Events may not be listed."""
    scope = "-A" if options.everywhere else f"-n {options.namespace}" if options.namespace else ""
    return f"you may not list Events there; see kubectl auth can-i list events {scope}".rstrip()
