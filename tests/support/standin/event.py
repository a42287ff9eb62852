"""An Event in one internal form, and its two faces: core/v1 and events.k8s.io/v1.

In: what `decoding` read, or what is stored. Out: the JSON of either API version.
Rules: the internal form has core/v1's field names, and a field that holds its type's zero value is absent, as
Go's `omitempty` has it; each version shows some of those nevertheless.
"""

from dataclasses import dataclass, field

from .managedfields import ManagedFields
from .status import Json, Resource

CORE = Resource("", "v1", "events")
EVENTS = Resource("events.k8s.io", "v1", "events")

CORE_TO_EVENTS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}

# What is shown although it is the zero value, in each of the two versions.
_SHOWN_CORE: Json = {
    "involvedObject": {},
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}
_SHOWN_EVENTS: Json = {
    key: value for key, value in _SHOWN_CORE.items() if key not in ("reportingComponent", "reportingInstance")
}


def field_name(core_name: str, resource: Resource) -> str:
    """Return a field's name in the API version of `resource`."""
    return CORE_TO_EVENTS.get(core_name, core_name) if resource == EVENTS else core_name


@dataclass
class Event:
    """An Event as it is stored: `fields` under core/v1's names."""

    metadata: Json
    fields: Json
    managed: list[ManagedFields] = field(default_factory=list)

    def as_core(self) -> Json:
        return self.render(CORE)

    def as_events(self) -> Json:
        return self.render(EVENTS)

    def render(self, resource: Resource) -> Json:
        """Return the JSON of this Event in one API version."""
        shown = (_SHOWN_EVENTS if resource == EVENTS else _SHOWN_CORE) | self.fields
        if "series" in shown:
            shown["series"] = {"lastObservedTime": None} | shown["series"]
        managed = [entry.render(field_name) for entry in self.managed]
        head: Json = {"kind": "Event", "apiVersion": resource.api_version}
        head["metadata"] = self.metadata | {"managedFields": managed}
        return head | {field_name(key, resource): value for key, value in shown.items()}
