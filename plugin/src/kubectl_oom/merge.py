"""One line for a series, whatever it is known from. In: Kills. Out: Kills, each series once.

Rules: pure. An Event speaks for the kills between its first and its last; a journal adds those before and after, each
by its key once. A node's kill has an Event on the Pod and one on the Node: the Pod's is shown. What Kubernetes itself
knows is shown where nobody else told of that container.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from kubectl_oom.kill import EVENT, JOURNAL, KUBERNETES, Kill

#: Events' times are whole seconds.
_SECOND = timedelta(seconds=1)


def merged(kills: Iterable[Kill]) -> list[Kill]:
    """Each series once, counted."""
    events: list[Kill] = []
    journal: dict[str, Kill] = {}
    statuses: list[Kill] = []
    for kill in kills:
        if kill.source == JOURNAL:
            journal[kill.key or str(len(journal))] = kill
        elif kill.source == KUBERNETES:
            statuses.append(kill)
        else:
            events.append(kill)
    on_pods = {kill.key for kill in events if kill.pod and kill.key}
    found: dict[tuple[str, ...], list[Kill]] = {}
    for kill in events:
        if kill.pod or kill.key not in on_pods:
            found.setdefault(kill.series, []).append(kill)
    for kill in journal.values():
        told = found.setdefault(kill.series, [])
        if not any(event.source == EVENT and _covers(event, kill) for event in told):
            told.append(kill)
    result = [_one(told) for told in found.values()]
    known = {(kill.namespace, kill.pod, kill.container) for kill in result}
    unnamed = {(kill.namespace, kill.pod) for kill in result if not kill.container}
    for kill in statuses:
        if (kill.namespace, kill.pod, kill.container) not in known and (kill.namespace, kill.pod) not in unnamed:
            result.append(kill)
    return result


def _covers(event: Kill, kill: Kill) -> bool:
    return event.key == kill.key or event.first <= kill.last < event.last + _SECOND


def _one(told: list[Kill]) -> Kill:
    if len(told) == 1:
        return told[0]
    newest = max(told, key=lambda kill: (kill.last, kill.source == EVENT))
    return replace(
        newest,
        count=sum(kill.count for kill in told),
        first=min(kill.first for kill in told),
        last=newest.last,
    )
