"""Reading JSON that anybody may have written. In: what json.loads gave. Out: the value of the type that is asked for,
made harmless, or None. Rules: nothing raises, whatever is there; text that comes from here may be printed."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timezone
from typing import Any

from kubectl_oom.plain import harmless

Json = dict[str, Any]

_MOST = 1 << 63
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def at(value: Any, *path: str) -> Any:
    """What lies there; None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Any, *path: str, limit: int = 253) -> str:
    """The text there; "" where there is none."""
    for name in path:  # as at() does it, which takes longer for thousands
        if not isinstance(value, dict):
            return ""
        value = value.get(name)
    return harmless(value, limit) if isinstance(value, str) else ""


def number(value: Any, *path: str) -> int | None:
    """The number there, from 0 on, without its fraction."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    found = value
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    if isinstance(found, float) and not math.isfinite(found):
        return None
    return int(found) if 0 <= found < _MOST else None


def real(value: Any, *path: str) -> float | None:
    """The number there, from 0 on."""
    found = number(value, *path)
    return None if found is None else float(at(value, *path))


def numbers(value: Any, *path: str, name: str) -> list[int]:
    """Of each object of the list there the number of that name, 0 where there is none; the first ones."""
    found = [item.get(name) for item in records(value, *path, most=512)]
    return [one if type(one) is int and 0 <= one < _MOST else 0 for one in found]


def records(value: Any, *path: str, most: int = 64) -> list[Json]:
    """The objects of the list there, the first ones."""
    found = at(value, *path)
    return [item for item in found[:most] if isinstance(item, dict)] if isinstance(found, list) else []


def texts(value: Any, *path: str, most: int = 64, limit: int = 1024) -> list[str]:
    """The texts of the list there, the first ones."""
    found = at(value, *path)
    return [harmless(item, limit) for item in found[:most] if isinstance(item, str)] if isinstance(found, list) else []


def moment(value: Any, *path: str) -> datetime | None:
    """The time there (RFC 3339), in UTC."""
    given = at(value, *path)
    found = _TIME.fullmatch(given) if isinstance(given, str) and len(given) < 64 else None
    if not found:
        return None
    whole, fraction, zone = found.groups()
    try:
        read = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return read.replace(microsecond=int((fraction or "")[:6].ljust(6, "0")))


def parsed(given: Any) -> Json | None:
    """The object that a JSON text holds."""
    if not isinstance(given, (str, bytes)):
        return None
    try:
        found = json.loads(given)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
