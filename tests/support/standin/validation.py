"""The API server's rules for an Event's content.

In: an Event in its internal form, the one it replaces, and the API version used. Out: causes to refuse it.
Rules:
- lengths are bytes of UTF-8, whatever the messages say;
- the old rules hold for everything; the new ones where `eventTime` is set; the rest of events.k8s.io/v1 only
  where that API is used. Causes name core/v1's fields in both, but for reportingController.
"""

import json
import re
from typing import Any

from .event import EVENTS, Event, field_name
from .status import Cause, Json, Resource

_NOTE_LIMIT = 1024
_SHORT_LIMIT = 128
_ANNOTATIONS_LIMIT = 256 * 1024
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
# `reason` is compared twice by the API server too, and so reported twice.
_IMMUTABLE = (
    *("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason"),
    *("type", "eventTime", "action", "related", "reportingComponent", "reportingInstance"),
)


def create_causes(event: Event, resource: Resource) -> list[Cause]:
    """Return why this Event may not be created."""
    causes = _common(event, resource)
    if resource == EVENTS:
        fields = event.fields
        name = event.metadata["name"]
        causes += [_invalid("metadata.name", name, rule) for rule in _subdomain(name)]
        causes += _series(event)
        if "eventTime" not in fields:
            causes.append(_required("eventTime"))
        if fields.get("type") not in ("Normal", "Warning"):
            causes.append(_invalid("type", "", f"has invalid value: {fields.get('type', '')}"))
        unset = ("firstTimestamp", "lastTimestamp", "count", "source")
        causes += [_invalid(name, "", "needs to be unset") for name in unset if name in fields]
    return causes or _metadata(event.metadata)


def update_causes(event: Event, old: Event, resource: Resource) -> list[Cause]:
    """Return why `old` may not become this Event."""
    causes = _common(event, resource)
    if resource == EVENTS:
        if event.fields.get("series") != old.fields.get("series"):
            causes += _series(event)
        for name in _IMMUTABLE:
            value = event.fields.get(name)
            if value != old.fields.get(name):
                reported_as = "reportingController" if name == "reportingComponent" else name
                causes.append(_invalid(reported_as, value, "field is immutable"))
    return causes or _metadata(event.metadata)


def _common(event: Event, resource: Resource) -> list[Cause]:
    fields, namespace = event.fields, event.metadata["namespace"]
    about = fields.get("involvedObject", {}).get("namespace", "")
    mismatch = _invalid("involvedObject.namespace", about, "does not match event.namespace")
    if "eventTime" not in fields:
        return [mismatch] if (about or "default") != namespace else []
    causes = [mismatch] if not about and namespace not in ("default", "kube-system") else []
    controller, own_name = fields.get("reportingComponent", ""), field_name("reportingComponent", resource)
    if not controller:
        causes.append(_required(own_name))
    causes += [_invalid(own_name, controller, rule) for rule in _qualified_name(controller)]
    for name in ("reportingInstance", "action", "reason"):
        if name not in fields:
            causes.append(_required(name))
        causes += _length(name, fields.get(name, ""), _SHORT_LIMIT)
    return causes + _length("message", fields.get("message", ""), _NOTE_LIMIT)


def _series(event: Event) -> list[Cause]:
    series = event.fields.get("series")
    if series is None:
        return []
    causes = []
    if series.get("count", 0) < 2:
        causes.append(_invalid("series.count", "", "should be at least 2"))
    if "lastObservedTime" not in series:
        causes.append(_required("series.lastObservedTime"))
    return causes


def _metadata(metadata: Json) -> list[Cause]:
    causes = []
    for key, value in metadata.get("labels", {}).items():
        causes += [_invalid("metadata.labels", key, rule) for rule in _qualified_name(key)]
        if len(value.encode()) > 63 or not re.fullmatch(f"({_NAME})?", value):
            causes.append(_invalid("metadata.labels", value, "a valid label must be an empty string or a name"))
    annotations: dict[str, str] = metadata.get("annotations", {})
    for key in annotations:
        causes += [_invalid("metadata.annotations", key, rule) for rule in _qualified_name(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        message = f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
        causes.append(Cause("metadata.annotations", "FieldValueTooLong", message))
    return causes


def _qualified_name(text: str) -> list[str]:
    """Return how `text` fails to be a name, or a DNS subdomain, "/" and a name."""
    rules = []
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return [f"a qualified name {_NAME_RULE} with an optional DNS subdomain prefix and '/'"]
    if slash:
        rules += [f"prefix part {rule}" for rule in (_subdomain(prefix) if prefix else ["must be non-empty"])]
    if not name:
        rules.append("name part must be non-empty")
    elif len(name.encode()) > 63:
        rules.append("name part must be no more than 63 bytes")
    if not re.fullmatch(_NAME, name):
        rules.append(f"name part {_NAME_RULE}")
    return rules


def _subdomain(text: str) -> list[str]:
    rules = ["must be no more than 253 bytes"] if len(text.encode()) > 253 else []
    if not re.fullmatch(_SUBDOMAIN, text):
        rules.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
            f"validation is '{_SUBDOMAIN}')"
        )
    return rules


def _length(name: str, text: str, limit: int) -> list[Cause]:
    too_long = len(text.encode()) > limit
    return [_invalid(name, "", f"can have at most {limit} characters")] if too_long else []


def _required(name: str) -> Cause:
    return Cause(name, "FieldValueRequired", "Required value")


def _invalid(name: str, value: Any, rule: str) -> Cause:
    return Cause(name, "FieldValueInvalid", f"Invalid value: {json.dumps(value, ensure_ascii=False)}: {rule}")
