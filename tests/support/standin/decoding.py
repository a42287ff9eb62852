"""Reading an Event from the JSON of either API version.

In: a parsed body and the API version used. Out: an `Event` in its internal form, or 400.
Rules:
- types are checked, a zero value is dropped, and so is an unknown field;
- half a surrogate pair in a string becomes U+FFFD, as in Go;
- Time has whole seconds, MicroTime exactly six digits of a second: any other spelling of it is refused;
- of metadata only what a client may set on an Event is read: not ownerReferences, not finalizers;
- weaker: the wording of these refusals is not recorded, but for a body of another kind.
"""

import re
from datetime import UTC, datetime
from typing import Any

from .event import Event, field_name
from .status import ApiError, Json, Resource

_STRING, _INT32, _TIME, _MICROTIME = "string", "int32", "Time", "MicroTime"
_REFERENCE = dict.fromkeys(("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"), _STRING)
_FIELDS: dict[str, str | dict[str, str]] = {
    "involvedObject": _REFERENCE,
    "reason": _STRING,
    "message": _STRING,
    "source": {"component": _STRING, "host": _STRING},
    "firstTimestamp": _TIME,
    "lastTimestamp": _TIME,
    "count": _INT32,
    "type": _STRING,
    "eventTime": _MICROTIME,
    "series": {"count": _INT32, "lastObservedTime": _MICROTIME},
    "action": _STRING,
    "related": _REFERENCE,
    "reportingComponent": _STRING,
    "reportingInstance": _STRING,
}
_POINTERS = {"series", "related"}  # an empty one differs from none; other empty objects are the zero value
_NAMES = ("name", "generateName", "namespace")


def decode(body: Json, resource: Resource) -> Event:
    """Read an Event of the API version of `resource`.

    Raises:
        ApiError: 400; it is another kind, another version, or a field has a wrong type.
    """
    kind, version = body.get("kind") or "Event", body.get("apiVersion") or resource.api_version
    refused = f'{kind} in version "{version}" cannot be handled as a Event'
    if kind != "Event":
        raise ApiError(400, f"{refused}: converting ({version}.{kind}) to (core.Event): unknown conversion")
    if version != resource.api_version:
        raise ApiError(
            400,
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})",
        )
    try:
        return Event(_read_metadata(body.get("metadata") or {}), _read_fields(body, resource))
    except ValueError as wrong:
        raise ApiError(400, f"{refused}: {wrong}") from None


def _read_fields(body: Json, resource: Resource) -> Json:
    fields = {}
    for name, kind in _FIELDS.items():
        own_name = field_name(name, resource)
        value = _read(body.get(own_name), kind, f"Event.{own_name}")
        if value or (value is not None and name in _POINTERS):
            fields[name] = value
    return fields


def _read_metadata(given: Json) -> Json:
    read: Json = {name: _read(given.get(name), _STRING, f"ObjectMeta.{name}") for name in _NAMES}
    for name in ("labels", "annotations"):
        entries = given.get(name) or {}
        read[name] = {key: _read(value, _STRING, f"ObjectMeta.{name}") or "" for key, value in entries.items()}
    return {name: value for name, value in read.items() if value}


def _read(value: Any, kind: str | dict[str, str], where: str) -> Any:
    """Return `value` as the Go type `kind` holds it; None where it is null or absent."""
    if value is None:
        return None
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            raise ValueError(f"json: cannot unmarshal {_json_type(value)} into Go struct field {where}")
        read = {name: _read(value.get(name), of, f"{where}.{name}") for name, of in kind.items()}
        return {name: inner for name, inner in read.items() if inner}
    if (kind == _INT32 and type(value) is not int) or (kind != _INT32 and not isinstance(value, str)):
        go_type = kind if kind == _INT32 else "string"
        raise ValueError(f"json: cannot unmarshal {_json_type(value)} into Go struct field {where} of type {go_type}")
    if kind == _INT32:
        return value
    text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text if kind == _STRING else _read_time(text, kind)


def _read_time(text: str, kind: str) -> str:
    layout, fraction = ("2006-01-02T15:04:05.000000Z07:00", r"\.\d{6}")
    if kind == _TIME:
        layout, fraction = ("2006-01-02T15:04:05Z07:00", r"(\.\d+)?")
    if not re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d{fraction}(Z|[+-]\d\d:\d\d)", text):
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse it')
    at = datetime.fromisoformat(text).astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ" if kind == _TIME else "%Y-%m-%dT%H:%M:%S.%fZ")


def _json_type(value: Any) -> str:
    names: dict[type, str] = {bool: "bool", str: "string", dict: "object", list: "array"}
    return names.get(type(value), "number")
