"""What exists in the cluster: namespaces, Pods, Events and the revision of the store.

In: what a test puts there and what requests write. Out: the same, to handlers and to the test's assertions.
Rules: each write of an Event adds one to `revision`, which is then its resourceVersion; an Event that a test
deletes from `events` has expired; namespaces of a new cluster exist already.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from .event import Event
from .status import Json

Key = tuple[str, str]


def now() -> str:
    """Return the present as a Time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Change:
    """A write of an Event, for watches: the revision that it made, ADDED or MODIFIED, the Event as it was then."""

    revision: int
    kind: str
    event: Event


class Cluster:
    """The content of the API server's store; keys are (namespace, name)."""

    def __init__(self) -> None:
        self.revision = 1
        self.events: dict[Key, Event] = {}
        self.changes: list[Change] = []
        self.compacted = 0  # changes up to this revision are forgotten: a watch from there is answered 410
        self.pods: dict[Key, Json] = {}
        self.namespaces = dict.fromkeys(("default", "kube-node-lease", "kube-public", "kube-system"), "Active")

    def next_revision(self) -> str:
        self.revision += 1
        return str(self.revision)

    def put_namespace(self, name: str) -> None:
        """Make a namespace exist."""
        self.namespaces[name] = "Active"

    def terminate_namespace(self, name: str) -> None:
        """Have a namespace being deleted: what is in it stays, nothing new comes in."""
        self.namespaces[name] = "Terminating"

    def put_pod(self, pod: Json) -> None:
        """Make a Pod exist, and its namespace; it is answered as it is given.

        Only `metadata.name` must be there. A namespace (default), uid, resourceVersion and creationTimestamp
        are added where absent.
        """
        given = pod["metadata"]
        version = given.get("resourceVersion") or self.next_revision()
        absent = {"namespace": "default", "uid": str(uuid.uuid4()), "creationTimestamp": now()}
        metadata = absent | given | {"resourceVersion": version}
        self.namespaces.setdefault(metadata["namespace"], "Active")
        stored = {key: value for key, value in pod.items() if key not in ("kind", "apiVersion")}
        self.pods[metadata["namespace"], metadata["name"]] = stored | {"metadata": metadata}

    def delete_pod(self, namespace: str, name: str) -> None:
        """Make a Pod exist no longer."""
        del self.pods[namespace, name]
