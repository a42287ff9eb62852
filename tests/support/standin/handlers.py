"""What each verb does: create, get, list and patch of Events, get and list of Pods.

In: the cluster, and what a request names. Out: the answer's status and body; or an `ApiError`.
Rules: the steps and their order are the API server's, since the first that fails gives the answer: the body
is read, then the namespace is looked at, then the content is checked, then the name must be free.
"""

import copy
import random
import uuid
from collections.abc import Iterator, Mapping
from typing import TypeVar

from . import managedfields
from .cluster import Change, Cluster, now
from .decoding import decode
from .event import Event
from .selection import PODS, page
from .status import (
    ApiError,
    Cause,
    Json,
    Resource,
    already_exists,
    conflict,
    invalid,
    not_found,
    not_served,
    terminating,
)
from .validation import create_causes, update_causes

T = TypeVar("T")
NAMESPACES = Resource("", "v1", "namespaces")
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_PATCHABLE_METADATA = {"labels", "annotations", "resourceVersion"}


def create_event(
    cluster: Cluster, resource: Resource, namespace: str, body: Json, manager: str, dry_run: bool = False
) -> Json:
    """Store a new Event and return it; in a dry run do all but store it."""
    event = decode(body, resource)
    metadata = event.metadata
    if metadata.setdefault("namespace", namespace) != namespace:
        raise ApiError(400, "the namespace of the provided object does not match the namespace sent on the request")
    if "name" not in metadata and "generateName" in metadata:
        metadata["name"] = metadata["generateName"][:58] + "".join(random.choices(_SUFFIX_LETTERS, k=5))
    name = metadata.setdefault("name", "")
    if namespace not in cluster.namespaces:
        raise not_found(NAMESPACES, namespace)
    if cluster.namespaces[namespace] == "Terminating":
        raise terminating(resource, name, namespace)
    if not name:
        required = Cause("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")
        raise invalid("Event", name, [required])
    if causes := create_causes(event, resource):
        raise invalid("Event", name, causes)
    if (namespace, name) in cluster.events:
        raise already_exists(resource, name)
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
    _manage(event, Event({}, {}), resource, manager)
    if not dry_run:
        _store(cluster, event)
    return event.render(resource)


def get_event(cluster: Cluster, resource: Resource, namespace: str, name: str) -> Json:
    """Return one Event."""
    if (namespace, name) not in cluster.events:
        raise not_found(resource, name)
    return cluster.events[namespace, name].render(resource)


def patch_event(cluster: Cluster, resource: Resource, namespace: str, name: str, patch: Json, manager: str) -> Json:
    """Change an Event and return it.

    A merge patch and a strategic merge patch are the same here: an Event has no list that a patch may name.
    """
    shown = get_event(cluster, resource, namespace, name)
    old = cluster.events[namespace, name]
    metadata = patch.get("metadata") or {}
    if unknown := metadata.keys() - _PATCHABLE_METADATA:
        raise not_served(f"a patch of metadata.{min(unknown)}")
    event = decode(_merge(copy.deepcopy(shown), patch), resource)
    if metadata.get("resourceVersion", old.metadata["resourceVersion"]) != old.metadata["resourceVersion"]:
        raise conflict(resource, name)
    if causes := update_causes(event, old, resource):
        raise invalid("Event", name, causes)
    event.metadata = {
        key: old.metadata[key] for key in ("uid", "resourceVersion", "creationTimestamp")
    } | event.metadata
    event.managed = old.managed
    if (event.metadata, event.fields) != (old.metadata, old.fields):
        _manage(event, old, resource, manager)
        _store(cluster, event)
    return event.render(resource)


def list_events(cluster: Cluster, resource: Resource, namespace: str, query: dict[str, str]) -> Json:
    """Return a page of the Events of one namespace, or of all where it is empty."""
    return page(_Rendered(_keyed(cluster.events, namespace), resource), resource, query, cluster.revision)


def get_pod(cluster: Cluster, namespace: str, name: str) -> Json:
    """Return one Pod."""
    if (namespace, name) not in cluster.pods:
        raise not_found(PODS, name)
    return {"kind": "Pod", "apiVersion": "v1"} | cluster.pods[namespace, name]


def list_pods(cluster: Cluster, namespace: str, query: dict[str, str]) -> Json:
    """Return a page of the Pods of one namespace, or of all where it is empty."""
    return page(_keyed(cluster.pods, namespace), PODS, query, cluster.revision)


class _Rendered(Mapping[str, Json]):
    """Events, each rendered only when it is looked at: a page of thousands would else cost as much as all."""

    def __init__(self, events: dict[str, Event], resource: Resource) -> None:
        self._events, self._resource = events, resource

    def __getitem__(self, key: str) -> Json:
        return self._events[key].render(self._resource)

    def __iter__(self) -> Iterator[str]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)


def _keyed(found: dict[tuple[str, str], T], namespace: str) -> dict[str, T]:
    """Return objects under their keys as the store has them below the list's prefix."""
    if not namespace:
        return {f"{space}/{name}": item for (space, name), item in found.items()}
    return {name: item for (space, name), item in found.items() if space == namespace}


def _merge(target: Json, patch: Json) -> Json:
    """Apply a merge patch (RFC 7386) to `target`, in place."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            target[key] = _merge(inner if isinstance(inner, dict) else {}, value)
        else:
            target[key] = value
    return target


def _manage(event: Event, old: Event, resource: Resource, manager: str) -> None:
    """Record who wrote `event` in place of `old`."""
    before = managedfields.content(old.metadata, old.fields)
    after = managedfields.content(event.metadata, event.fields)
    event.managed = managedfields.record(old.managed, manager, resource, now(), before, after)


def _store(cluster: Cluster, event: Event) -> None:
    """Write `event`."""
    is_new = "resourceVersion" not in event.metadata
    event.metadata["resourceVersion"] = cluster.next_revision()
    cluster.changes.append(Change(cluster.revision, "ADDED" if is_new else "MODIFIED", copy.deepcopy(event)))
    cluster.events[event.metadata["namespace"], event.metadata["name"]] = event
