"""Kills for scripts. In: Kills. Out: JSON, YAML, names. Rules: keys are the incident's own, and those of Row; nothing
is printable only on a terminal (JSON and YAML quote)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from kubectl_oom.kill import Kill
from kubectl_oom.reading import parsed


def as_json(kills: Iterable[Kill]) -> Iterator[str]:
    """A list of objects, each on lines of its own."""
    first = True
    yield "["
    for kill in kills:
        yield ("" if first else ",") + json.dumps(_object(kill), indent=2)
        first = False
    yield "]"


def as_yaml(kills: Iterable[Kill]) -> Iterator[str]:
    """The same as a list of YAML."""
    empty = True
    for kill in kills:
        empty = False
        lines = list(_yaml(_object(kill), "  "))
        yield "- " + lines[0][2:]
        yield from lines[1:]
    if empty:
        yield "[]"


def as_names(kills: Iterable[Kill]) -> Iterator[str]:
    """`pod/NAME`, each once."""
    yield from dict.fromkeys(f"pod/{kill.pod}" if kill.pod else f"node/{kill.node}" for kill in kills)


def _object(kill: Kill) -> dict[str, Any]:
    return {
        "source": kill.source,
        "firstSeen": kill.first.isoformat().replace("+00:00", "Z"),
        "lastSeen": kill.last.isoformat().replace("+00:00", "Z"),
        "count": kill.count,
        "namespace": kill.namespace or None,
        "pod": kill.pod or None,
        "container": kill.container or None,
        "node": kill.node or None,
        "process": kill.process or None,
        "scope": kill.scope or None,
        "limitBytes": kill.limit,
        "heldBytes": kill.held,
        "filledBy": kill.why,
        "pattern": kill.pattern or None,
        "owner": kill.owner or None,
        "image": kill.image or None,
        "message": kill.message,
        "incident": parsed(kill.incident),
    }


def _yaml(value: Any, indent: str) -> Iterator[str]:
    """Lines of a mapping or a list that is not empty; texts are quoted, which YAML reads as JSON does."""
    pairs = [(f"{_key(key)}:", inner) for key, inner in value.items()] if isinstance(value, dict) else []
    for head, inner in pairs or [("-", inner) for inner in value]:
        if isinstance(inner, (dict, list)) and inner:
            if head == "-":
                lines = list(_yaml(inner, indent + "  "))
                yield f"{indent}- {lines[0].lstrip()}"
                yield from lines[1:]
            else:
                yield f"{indent}{head}"
                yield from _yaml(inner, indent + "  ")
        else:
            yield f"{indent}{head} {json.dumps(inner)}"


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").isalpha() else json.dumps(key)
