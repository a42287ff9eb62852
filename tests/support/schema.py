"""incident/schema.json, made of the incident's types (`make schema`). In: the types. Out: the file.

Rules: each object is closed and requires all its keys, as it is written.
"""

import json
from typing import Any

import msgspec

from oomeventer.incident.fields import Moment
from oomeventer.incident.incident import Incident
from places import REPOSITORY

FILE = REPOSITORY / "src/oomeventer/incident/schema.json"

_TIME = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
}
_TITLE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:oomeventer:incident:v1",
    "title": "oomeventer incident",
    "description": "One OOM kill, or one group kill, as `oomeventer trace --json` prints it and as an Event's "
    "annotation oomeventer/incident holds it. All keys are always there; null means not known, gone or not applicable.",
}


def schema() -> dict[str, Any]:
    """Of an incident."""
    _, types = msgspec.json.schema_components((Incident,), schema_hook=_of_type)
    whole = _TITLE | {key: value for key, value in _closed(types.pop("Incident")).items() if key not in _TITLE}
    return whole | {"$defs": {name: _closed(found) for name, found in types.items()}}


def text() -> str:
    """The file's."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _closed(found: dict[str, Any]) -> dict[str, Any]:
    properties = found["properties"]
    for value in properties.values():
        value.pop("default", None)
    return found | {"additionalProperties": False, "required": list(properties)}


def _of_type(kind: type) -> dict[str, Any]:
    if kind is Moment:
        return dict(_TIME)
    raise NotImplementedError(f"no schema for {kind}")


if __name__ == "__main__":
    FILE.write_text(text())
