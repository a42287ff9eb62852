"""From a request to the handler that carries it out.

In: a request and who made it. Out: the answer's status and body; or an `ApiError`.
Rules: the order is the API server's: may they (403), does the resource have the method (405), is the body's
type known (415), then the handler. Only paths, methods, query parameters and types named here are served.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import handlers, managedfields
from .cluster import Cluster, now
from .event import CORE, EVENTS
from .selection import PODS
from .status import ApiError, Json, Resource, forbidden, not_found, not_served
from .watching import Watched

_VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64"}
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_REVIEW = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
_DAEMONSET, _DAEMONSETS = (
    re.compile(r"/apis/apps/v1/namespaces/([^/]+)/daemonsets/([^/]+)"),
    Resource("apps", "v1", "daemonsets"),
)
_PATH = re.compile(
    r"/(?P<api>api/v1|apis/events\.k8s\.io/v1)"
    r"(/namespaces/(?P<namespace>[^/]+)/(?P<plural>events|pods)(/(?P<name>[^/]+))?|/(?P<all>events|pods))"
)
_RESOURCES = {
    ("api/v1", "events"): CORE,
    ("apis/events.k8s.io/v1", "events"): EVENTS,
    ("api/v1", "pods"): PODS,
}
_WRITE_QUERY = {"fieldManager", "fieldValidation"}
_QUERY = {
    "get": set[str](),
    "list": {"timeout", "fieldSelector", "labelSelector", "limit", "continue"},
    "watch": {"fieldSelector", "labelSelector", "watch", "resourceVersion", "allowWatchBookmarks"},
    "create": _WRITE_QUERY | {"dryRun"},
    "patch": _WRITE_QUERY,
}
_SERVED_TYPES = {
    "create": ("application/json",),
    "patch": ("application/merge-patch+json", "application/strategic-merge-patch+json"),
}
_OTHER_TYPES = {
    "create": ("application/yaml", "application/vnd.kubernetes.protobuf"),
    "patch": ("application/json-patch+json", "application/apply-patch+yaml"),
}


@dataclass(frozen=True)
class Request:
    """One request as it came; `body` is its JSON, bytes if it is none, None if empty; `time` is monotonic."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any
    time: float


def carry_out(cluster: Cluster, asked: Request, user: str, powerful: bool) -> tuple[int, Json | Watched]:
    """Do what is asked and return the answer's status and body, or which objects are to be watched.

    Args:
        cluster: What is read and written.
        asked: The request.
        user: Who asks, as messages name them.
        powerful: Whether they may do everything, or else nothing but what everybody may.
    """
    if (asked.method, asked.path) == ("GET", "/version"):
        return 200, _VERSION
    if (asked.method, asked.path) == ("POST", _REVIEWS):
        return 201, _review(asked, powerful)
    if asked.method == "GET" and (daemonset := _DAEMONSET.fullmatch(asked.path)):
        raise (
            not_found(_DAEMONSETS, daemonset[2])
            if powerful
            else forbidden(user, "get", _DAEMONSETS, *daemonset.groups())
        )
    parts = _PATH.fullmatch(asked.path)
    resource = _RESOURCES.get((parts["api"], parts["plural"] or parts["all"])) if parts else None
    if parts is None or resource is None:
        raise not_served(f"{asked.method} {asked.path}")
    namespace, name = parts["namespace"] or "", parts["name"] or ""
    verb = {"GET": "get" if name else "list", "POST": "create", "PATCH": "patch"}.get(asked.method)
    if verb is None or (resource == PODS and verb in _SERVED_TYPES):
        raise not_served(f"{asked.method} of {resource.qualified}")
    if verb == "list" and asked.query.get("watch") == "true":
        verb = "watch"
    if not powerful:
        raise forbidden(user, verb, resource, namespace, name)
    if (verb == "create" and (name or not namespace)) or (verb == "patch" and not name):
        raise ApiError(405, "the server does not allow this method on the requested resource", {})
    if unknown := asked.query.keys() - _QUERY[verb]:
        raise not_served(f"the query parameter {min(unknown)} in a {verb}")
    if verb in _SERVED_TYPES:
        return _write(cluster, asked, verb, resource, namespace, name)
    if verb == "watch":
        if resource == PODS:
            raise not_served("a watch of pods")
        return 200, Watched(resource, namespace, dict(asked.query))
    return 200, _read(cluster, asked.query, resource, namespace, name)


def _review(asked: Request, powerful: bool) -> Json:
    """Whether they may do what is asked for: everything or nothing."""
    review = _object(asked)
    fields = {name: review[name] for name in ("spec",) if name in review}
    entries = managedfields.record([], _manager(asked), _REVIEW, now(), {}, fields)
    managed = [entry.render(lambda name, _: name) for entry in entries]
    return review | {"metadata": {"managedFields": managed}, "status": {"allowed": powerful}}


def _read(cluster: Cluster, query: dict[str, str], resource: Resource, namespace: str, name: str) -> Json:
    if resource == PODS:
        if name:
            return handlers.get_pod(cluster, namespace, name)
        return handlers.list_pods(cluster, namespace, query)
    if name:
        return handlers.get_event(cluster, resource, namespace, name)
    return handlers.list_events(cluster, resource, namespace, query)


def _write(
    cluster: Cluster, asked: Request, verb: str, resource: Resource, namespace: str, name: str
) -> tuple[int, Json]:
    given = asked.headers.get("Content-Type", "application/json").split(";")[0]
    if given in _OTHER_TYPES[verb]:
        raise not_served(f"the content type {given}")
    if given not in _SERVED_TYPES[verb]:
        accepted = ", ".join((*_SERVED_TYPES[verb], *_OTHER_TYPES[verb]))
        message = "the body of the request was in an unknown format - accepted media types include: "
        raise ApiError(415, message + accepted)
    if verb == "create":
        dry_run = "dryRun" in asked.query
        return 201, handlers.create_event(cluster, resource, namespace, _object(asked), _manager(asked), dry_run)
    return 200, handlers.patch_event(cluster, resource, namespace, name, _object(asked), _manager(asked))


def _manager(asked: Request) -> str:
    """Who owns what is written, as managedFields name them."""
    return asked.query.get("fieldManager") or asked.headers.get("User-Agent", "").split("/")[0]


def _object(asked: Request) -> Json:
    if not isinstance(asked.body, dict):
        raise ApiError(400, "the object provided is unrecognized: the body is not a JSON object")
    return asked.body
