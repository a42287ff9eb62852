"""What the incident's JSON needs beyond Python's own types: its times, and what its schema says of a field.

In: a moment, or words and bounds. Out: text, or an annotation that msgspec reads. Rules: pure.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec import Meta

#: Of a pid, a uid: the kernel's u32.
U32: dict[str, Any] = {"minimum": 0, "maximum": (1 << 32) - 1}
#: Of bytes, of counts.
NATURAL: dict[str, Any] = {"minimum": 0}
NOT_EMPTY: dict[str, Any] = {"minLength": 1}


class Moment(datetime):
    """A datetime that is always written with its microseconds. msgspec leaves them off its own where they are 0."""


def rfc3339(time: datetime) -> str:
    """In UTC, with microseconds and Z, as the API's MicroTime."""
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def meaning(description: str, bounds: dict[str, Any] | None = None) -> Meta:
    """What a field means, for the schema. bounds: JSON Schema's, for readers; what is read is not held to them."""
    return Meta(description=description, extra_json_schema=bounds)
