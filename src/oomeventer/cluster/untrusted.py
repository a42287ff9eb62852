"""JSON of which nothing is believed. In: any value. Out: what is asked of it, if it is there and of its type."""

from typing import Any

from oomeventer.text import printable

#: Characters that are kept of a name. No valid one is longer (DNS subdomain, RFC 1123), but an owner's is not checked.
LONGEST = 253


def at(value: Any, *path: str) -> Any:
    """What lies at that path of JSON objects, None where something is in the way."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def entries(value: Any, *path: str) -> list[Any]:
    """The list at that path, an empty one where there is none."""
    found = at(value, *path)
    return found if isinstance(found, list) else []


def shown(value: Any) -> str | None:
    """What people read: printable and bounded. A valid name stays as it is."""
    return printable(value, LONGEST) if isinstance(value, str) and value else None


def exact(value: Any) -> str | None:
    """What is compared or sent back."""
    return value if isinstance(value, str) and value else None
