"""Each further kill, as it comes. In: kubectl, where the list ended. Out: Kills, none twice.

Rules: the API server's watch, through kubectl; where it ends it goes on from the last revision, and where that is too
old (410) from a new list, of which only what changed is shown. Two watches at once: Pods' and Nodes' Events.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

from kubectl_oom.collect import Found, name, reasons, selector
from kubectl_oom.errors import KubectlError, OomError, warn
from kubectl_oom.kill import NODE_REASON, Kill, from_event
from kubectl_oom.kubectl import Kubectl, path
from kubectl_oom.lists import Listing
from kubectl_oom.options import Options
from kubectl_oom.reading import Json, at, number, parsed, text

#: Between two tries, so that a server that refuses is not asked without end.
_AGAIN_SECONDS = 1.0


def watch(kubectl: Kubectl, options: Options, found: Found) -> Iterator[Kill]:
    """Kills, without end. Raises OomError where it may not be watched."""
    came: queue.Queue[Json | OomError] = queue.Queue(maxsize=1000)
    asked = reasons(options, None if options.everywhere else kubectl.namespace)
    for reason, revision in found.revisions.items():
        follower = _Follower(kubectl, reason, asked[reason], came.put)
        threading.Thread(target=follower.follow, args=(revision,), daemon=True).start()
    seen, on_pods = dict(found.seen), {kill.key for kill in found.kills if kill.pod}
    while True:
        event = came.get()
        if isinstance(event, OomError):
            raise event
        kill = from_event(event, keep=options.output in ("json", "yaml"))
        if kill.count <= seen.get(name(event), 0):
            continue
        seen[name(event)] = kill.count
        if kill.pod:
            on_pods.add(kill.key)
        if kill.pod or not kill.key or kill.key not in on_pods:
            yield kill


class _Follower:
    """The Events of one reason. put: takes them, or the error that ends it."""

    def __init__(
        self, kubectl: Kubectl, reason: str, namespace: str | None, put: Callable[[Json | OomError], None]
    ) -> None:
        self._kubectl, self._reason, self._put = kubectl, reason, put
        self._path = path("events", namespace)
        self._selector = selector(reason)

    def follow(self, revision: str) -> None:
        """Without end, or until it is refused."""
        while True:
            try:
                revision = self._watched(revision or self._listed())
            except KubectlError as e:
                if e.forbidden and self._reason == NODE_REASON:
                    return warn(f"Events about Nodes are not watched: {e}")
                if e.forbidden:
                    return self._put(e)
                if not e.expired:
                    warn(f"the watch broke, and is begun again: {e}")
                revision = ""
            except OomError as e:
                return self._put(e)
            time.sleep(_AGAIN_SECONDS)

    def _listed(self) -> str:
        listing = Listing(self._kubectl, self._path, fieldSelector=self._selector)
        for event in listing:
            self._put(event)
        return listing.revision

    def _watched(self, revision: str) -> str:
        """Until its end: the revision to go on from. Raises KubectlError."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": revision}
        with self._kubectl.get(self._path, fieldSelector=self._selector, **query) as call:
            for line in call.out:
                told = parsed(line) or {}
                kind, event = text(told, "type"), at(told, "object")
                if kind == "ERROR":
                    code = number(event, "code")
                    raise KubectlError(f"{'(Expired) ' if code == 410 else ''}{text(event, 'message', limit=500)}")
                revision = text(event, "metadata", "resourceVersion") or revision
                if kind in ("ADDED", "MODIFIED"):
                    self._put(event)
            call.end()
        return revision
