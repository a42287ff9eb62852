"""Lists: selectors, pages and the `continue` token.

In: the stored objects with their keys, and a list request's query. Out: a page of them with its metadata.
Rules, those of the API server:
- objects come in the order of their keys; a page ends at the `limit`th object that matches;
- there is a `continue` token where any object comes after it, even if none of those matches, so that an
  empty last page is possible; `remainingItemCount` is reported only where there is no selector;
- weaker: a later page shows the present objects and not those of the first page's revision.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .event import CORE, EVENTS, field_name
from .status import ApiError, Json, Resource, not_served

PODS = Resource("", "v1", "pods")

_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_METADATA = ("metadata.name", "metadata.namespace")
_EVENT_LABELS = (*(f"involvedObject.{name}" for name in _REFERENCE), "reason", "reportingComponent", "type")
_NOT_SERVED = {"source", "spec.hostNetwork", "status.podIPs"}
_LABELS: dict[Resource, tuple[str, ...]] = {
    PODS: (
        *_METADATA,
        *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"),
        *("status.phase", "status.podIP", "status.nominatedNodeName"),
    ),
    CORE: (*_METADATA, *_EVENT_LABELS),
    EVENTS: (
        *_METADATA,
        *(".".join([field_name(label.split(".")[0], EVENTS), *label.split(".")[1:]]) for label in _EVENT_LABELS),
    ),
}


def page(found: Mapping[str, Json], resource: Resource, query: Mapping[str, str], revision: int) -> Json:
    """Return one page of a list.

    Args:
        found: The objects by key, in JSON of the API version of `resource`.
        query: The request's query; `fieldSelector`, `labelSelector`, `limit` and `continue` count.
        revision: The store's revision.
    """
    matches = matcher(query, resource)
    limit = int(query.get("limit") or 0)
    start = ""
    if token := query.get("continue"):
        revision, start = _read_token(token)
    keys = sorted(key for key in found if key >= start)
    items: list[Json] = []
    metadata: Json = {"resourceVersion": str(revision)}
    for position, key in enumerate(keys):
        if matches(item := found[key]):
            items.append(item)
        remaining = len(keys) - position - 1
        if limit and len(items) == limit and remaining:
            metadata["continue"] = _token(revision, key + "\0")
            if not query.get("fieldSelector") and not query.get("labelSelector"):
                metadata["remainingItemCount"] = remaining
            break
    kind = "PodList" if resource == PODS else "EventList"
    bare = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
    return {"kind": kind, "apiVersion": resource.api_version, "metadata": metadata, "items": bare}


def matcher(query: Mapping[str, str], resource: Resource) -> Callable[[Json], bool]:
    """Whether an object is among those that the query's `fieldSelector` and `labelSelector` name."""
    terms, labels = _parse(query.get("fieldSelector", ""), resource), _parse_labels(query.get("labelSelector", ""))
    return lambda item: _matches(item, terms) and _labelled(item, labels)


def _parse_labels(selector: str) -> list[tuple[str, bool, str]]:
    """Return the selector's terms as _parse() does; those of sets and of presence alone are not served."""
    terms = []
    for term in filter(None, selector.split(",")):
        if not (parts := re.fullmatch(r"([\w./-]+)(!=|==|=)([\w.-]*)", term)):
            raise not_served(f"the label selector {selector}")
        terms.append((parts[1], parts[2] != "!=", parts[3]))
    return terms


def _labelled(item: Json, terms: list[tuple[str, bool, str]]) -> bool:
    labels = item["metadata"].get("labels") or {}
    return all((labels.get(label) == value) == equal for label, equal, value in terms)


def _parse(selector: str, resource: Resource) -> list[tuple[str, bool, str]]:
    """Return the selector's terms: label, whether it shall be equal, value."""
    terms = []
    for term in filter(None, selector.split(",")):
        if not (parts := re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", term)):
            raise ApiError(400, f"invalid selector: '{selector}'; can't understand '{term}'")
        label, operator, value = parts.groups()
        if label in _NOT_SERVED:
            raise not_served(f"the field label {label}")
        if label not in _LABELS[resource]:
            raise ApiError(400, f"field label not supported: {label}")
        terms.append((label, operator != "!=", value))
    return terms


def _matches(item: Json, terms: list[tuple[str, bool, str]]) -> bool:
    return all((_value(item, label) == value) == equal for label, equal, value in terms)


def _value(item: Json, label: str) -> str:
    at: Any = item
    for name in label.split("."):
        at = at.get(name, {})
    return at or ""


def _token(revision: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(read["rv"]), str(read["start"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise ApiError(400, "continue key is not valid") from None
