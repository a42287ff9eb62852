"""What is asked of the cluster. In: options. Out: Kills, and sentences on what could not be read.

Rules: filters that the API server has are the API server's; requests are under way at the same time. Without the right
to list Events nothing can be said (KubectlError); all else that is refused is a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from kubectl_oom.choice import ordered
from kubectl_oom.errors import KubectlError
from kubectl_oom.history import read_history
from kubectl_oom.kill import NODE_REASON, REASON, Kill, from_event, from_journal, from_pod
from kubectl_oom.kubectl import Kubectl, path
from kubectl_oom.lists import Listing
from kubectl_oom.merge import merged
from kubectl_oom.options import Options
from kubectl_oom.reading import Json, text

#: Where Events about Nodes are.
NODES_NAMESPACE = "default"

Pods = set[tuple[str, str]]


class Found(NamedTuple):
    """each: before they were merged, where one is asked about. selected: the Pods with the labels that were asked for.
    pod: the one that is asked about, as it is now. For a watch: revisions, by reason, where it goes on; seen: the count
    of each Event."""

    kills: list[Kill]
    each: list[Kill]
    warnings: list[str]
    selected: Pods | None
    pod: Json | None
    revisions: dict[str, str]
    seen: dict[str, int]


def collect(kubectl: Kubectl, options: Options, about: str = "") -> Found:
    """about: the name of the one Pod or Node that is asked about, in options.target's namespace; "" for all."""
    namespace = None if options.everywhere else kubectl.namespace
    keep = options.output in ("json", "yaml") or bool(about)
    warnings: list[str] = []
    lists = {reason: _events(kubectl, reason, where, about) for reason, where in reasons(options, namespace).items()}
    pods = _pods(kubectl, options, namespace, about) if _asks_for_pods(options, about) else None
    kills: list[Kill] = []
    seen: dict[str, int] = {}
    for reason, listing in lists.items():
        try:
            for event in listing:
                kills.append(from_event(event, keep))
                if options.watch:
                    seen[name(event)] = kills[-1].count
        except KubectlError as e:
            if reason == REASON or len(lists) == 1:
                raise
            warnings.append(f"Events about Nodes were not read: {e}")
    if options.history:
        told, unreached = read_history(kubectl, options.agent_selector, options.chosen.since)
        warnings += unreached
        older = [from_journal(entry, keep) for entry in told if _is_about(entry, namespace, about)]
        kills += filter(options.chosen.takes, older)  # before they are counted: each has its own time
    if pods is None and not kills and not _is_node(options):
        pods = _pods(kubectl, options, namespace, about)
    selected: Pods | None = set() if options.selector else None
    pod: Json | None = None
    try:
        for pod in pods or ():
            if selected is not None:
                selected.add((text(pod, "metadata", "namespace"), text(pod, "metadata", "name")))
            kills += from_pod(pod)
    except KubectlError as e:
        if options.selector:
            raise
        warnings.append(f"Pods were not read, so what Kubernetes itself knows of them is not here: {e}")
    shown = [kill for kill in merged(kills) if takes(options, selected)(kill)]
    revisions = {reason: listing.revision for reason, listing in lists.items()}
    each, one = (kills, pod) if about else ([], None)
    return Found(ordered(shown, options.sort), each, warnings, selected, one, revisions, seen)


def reasons(options: Options, namespace: str | None) -> dict[str, str | None]:
    """The Events that are asked for: reason and namespace."""
    if _is_node(options):
        return {NODE_REASON: NODES_NAMESPACE}
    found: dict[str, str | None] = {REASON: namespace}
    if namespace in (None, NODES_NAMESPACE) and options.command != "show" and not options.selector:
        found[NODE_REASON] = NODES_NAMESPACE
    return found


def takes(options: Options, selected: Pods | None) -> Callable[[Kill], bool]:
    """What is shown of what was read."""
    return lambda kill: options.chosen.takes(kill) and (selected is None or (kill.namespace, kill.pod) in selected)


def selector(reason: str, about: str = "") -> str:
    """The field selector of Events."""
    return f"reason={reason}" + (f",involvedObject.name={about}" if about else "")


def _events(kubectl: Kubectl, reason: str, namespace: str | None, about: str) -> Listing:
    return Listing(kubectl, path("events", namespace), fieldSelector=selector(reason, about))


def _pods(kubectl: Kubectl, options: Options, namespace: str | None, about: str) -> Iterator[Json]:
    fields = [f"metadata.name={about}"] if about else []
    fields += [f"spec.nodeName={options.chosen.node}"] if options.chosen.node else []
    return iter(
        Listing(kubectl, path("pods", namespace), labelSelector=options.selector, fieldSelector=",".join(fields))
    )


def _asks_for_pods(options: Options, about: str) -> bool:
    if _is_node(options):
        return False
    return bool(not options.everywhere or options.pods or options.selector or about)


def _is_node(options: Options) -> bool:
    return options.target.startswith(("node/", "no/", "nodes/"))


def _is_about(entry: Json, namespace: str | None, about: str) -> bool:
    pod = text(entry, "pod", "name")
    if about:
        return about == (pod or text(entry, "node")) and (not pod or text(entry, "pod", "namespace") == namespace)
    if not pod:
        return namespace in (None, NODES_NAMESPACE)
    return namespace in (None, text(entry, "pod", "namespace"))


def name(event: Json) -> str:
    """What tells an Event from others."""
    return text(event, "metadata", "namespace") + "/" + text(event, "metadata", "name")
