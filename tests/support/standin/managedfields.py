"""Who set which field of an Event, or of a review: `metadata.managedFields`.

In: its content before and after a write, and who wrote. Out: the entries after it, and their JSON.
Rules, those of the operation Update (nobody here uses server-side apply):
- the writer owns each field that it added or changed, and others no longer do; a removed field has no owner;
- an object reference is one field, since its type is atomic;
- "." is the object itself; one that an empty one has already (`source`, `metadata`, `spec`) is owned by nobody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .status import Json, Resource

Path = tuple[str, ...]
_ATOMIC = {"involvedObject", "related"}
_ALWAYS_THERE = {"source", "metadata", "spec"}
_METADATA_OWNED = ("generateName", "labels", "annotations")


@dataclass
class ManagedFields:
    """The fields that one manager owns through one API version, under core/v1's names."""

    manager: str
    resource: Resource
    time: str
    paths: set[Path]

    def render(self, field_name: Callable[[str, Resource], str]) -> Json:
        """Return the JSON of this entry; `field_name` gives a field's name in an API version."""
        tree: Json = {}
        for path in self.paths:
            names = (field_name(path[0], self.resource), *path[1:])
            at = tree
            for name in names:
                at = at.setdefault(name if name == "." else f"f:{name}", {})
        return {
            "manager": self.manager,
            "operation": "Update",
            "apiVersion": self.resource.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": tree,
        }


def record(
    entries: list[ManagedFields], manager: str, resource: Resource, now: str, before: Json, after: Json
) -> list[ManagedFields]:
    """Return the entries after `manager` turned the content `before` into `after`."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    taken = {path for path, value in new.items() if path not in old or old[path] != value}
    lost = old.keys() - new.keys()
    own = ManagedFields(manager, resource, now, taken)
    kept = []
    for entry in entries:
        if (entry.manager, entry.resource) == (manager, resource):
            own.paths |= entry.paths - lost
            own.time = entry.time if own.paths == entry.paths else now
        elif remaining := entry.paths - lost - taken:
            kept.append(ManagedFields(entry.manager, entry.resource, entry.time, remaining))
    return [*kept, own] if own.paths else kept


def content(metadata: Json, fields: Json) -> Json:
    """Return what of an Event can be owned."""
    owned = {key: metadata[key] for key in _METADATA_OWNED if key in metadata}
    return fields | ({"metadata": owned} if owned else {})


def _leaves(tree: Json, above: Path = ()) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = []
    for name, value in tree.items():
        path = (*above, name)
        if not isinstance(value, dict) or name in _ATOMIC:
            found.append((path, value))
            continue
        if name not in _ALWAYS_THERE:
            found.append(((*path, "."), None))
        found += _leaves(value, path)
    return found
