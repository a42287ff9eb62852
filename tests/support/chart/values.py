"""values.yaml as documentation. In: its text. Out: a row and a schema for each value.

Rules: the comment right above a key is its meaning, and every value has one; its lines from `schema:` on are JSON
Schema (in YAML), which adds to what the default says of the type. A map that is not empty and has no schema of its own
is a group: it has rows for what is in it, and takes no other keys.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from oomeventer.setting_table import SETTINGS, Setting

#: Settings that the chart has values for, or that it sets itself.
SET = (
    *("node_name", "daemonset", "listen", "cri_endpoint", "pins", "journal", "taskstats"),
    *("log_level", "log_format"),
)
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class Value:
    """path: as for --set. schema: all that is asked of it."""

    path: str
    meaning: str
    default: Any
    schema: dict[str, Any]


def read(text: str) -> list[Value]:
    """All values, in order. Raises ValueError where one has no comment."""
    lines = text.splitlines()
    return list(_values(yaml.compose(text), lines, ""))


def _values(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Value]:
    for key, value in node.value:
        path = prefix + key.value
        meaning, given = _comment(lines, key.start_mark.line)
        default = yaml.safe_load(yaml.serialize(value))
        if isinstance(default, dict) and default and given is None:
            yield from _values(value, lines, f"{path}.")
            continue
        if not meaning:
            raise ValueError(f"values.yaml: {path} has no comment")
        if given == "settings":
            given = _settings()
        yield Value(path, meaning, default, {"type": _TYPES[type(default)], **(given or {})})


def _comment(lines: list[str], at: int) -> tuple[str, Any]:
    """What stands right above a line: text, and schema if there is one."""
    above: list[str] = []
    while at and (found := re.fullmatch(r" *# ?(.*)", lines[at - 1])):
        above.insert(0, found[1])
        at -= 1
    text, _, schema = " ".join(above).partition("schema: ")
    return text.strip(), yaml.safe_load(schema) if schema else None


def _settings() -> dict[str, Any]:
    known = {each.name: _setting(each) for each in SETTINGS if each.name not in SET and "run" in each.commands}
    return {"additionalProperties": False, "properties": known}


def _setting(setting: Setting) -> dict[str, Any]:
    """By what a setting says to a text that it can never be: what the agent would not start with is refused before."""
    try:
        setting.parse("\n;")
    except ValueError as e:
        complaint = str(e)
    if found := re.match("is not one of (.*)", complaint):
        schema: dict[str, Any] = {"enum": found[1].split(", ")}
    elif found := re.match("must be a (whole )?number.* from (.*) to (.*)", complaint):
        schema = {"type": "integer" if found[1] else "number"}
        schema |= {"minimum": json.loads(found[2]), "maximum": json.loads(found[3])}
    elif found := re.match("must be 0 or a number.* from (.*) to (.*)", complaint):
        bounds = {"minimum": json.loads(found[1]), "maximum": json.loads(found[2])}
        schema = {"type": "number", "anyOf": [{"enum": [0]}, bounds]}
    elif found := re.match("must be a power of two from ([0-9]+) to ([0-9]+)", complaint):
        schema = {"enum": _powers(int(found[1]), int(found[2]))}
    elif found := re.match("must be a size from ([0-9]+)Mi to ([0-9]+)Gi", complaint):
        schema = _size(int(found[1]) << 20, int(found[2]) << 30)
    elif complaint.startswith("has names that no variable can have"):
        schema = {"type": "string", "pattern": "^( *([A-Za-z_][A-Za-z0-9_]*[*]?)? *(,|$))*$"}
    elif complaint in ("is not a directory", "is no file"):
        schema = {"type": "string", "pattern": "^/."}
    elif complaint.startswith("must be auto or the path of a cgroup"):
        schema = {"type": "string", "pattern": "^(auto|/.*)$"}
    else:
        raise ValueError(f"no schema is known for {setting.name}, which {complaint}")
    return {"description": setting.help, **schema}


def _powers(least: int, most: int) -> list[int | str]:
    """Powers of two from least to most, in all ways to write them."""
    sizes = [1 << bits for bits in range(most.bit_length()) if 1 << bits >= least]
    return [*sizes, *(f"{size // unit}{name}" for name, unit in _UNITS.items() for size in sizes if size >= unit)]


def _size(least: int, most: int) -> dict[str, Any]:
    """Bytes as a number, or a text with a unit. For simplicity not all that are within bounds: each has fewer digits
    than the most that there may be."""
    texts = (_number(max(1, least // unit), len(str(most // unit)) - 1) + name for name, unit in _UNITS.items())
    maximum = 10 ** (len(str(most)) - 1) - 1
    return {"type": ["integer", "string"], "minimum": least, "maximum": maximum, "pattern": f"^({'|'.join(texts)})$"}


def _number(least: int, digits: int) -> str:
    """A pattern for whole numbers from that on, of so many digits at most."""
    text = str(least)
    larger = [
        f"{text[:at]}[{int(digit) + 1}-9]{'[0-9]' * (len(text) - at - 1)}"
        for at, digit in enumerate(text)
        if digit != "9"
    ]
    return f"({'|'.join([text, *larger])}|[1-9][0-9]{{{len(text)},{digits - 1}}})"


def schema(values: list[Value]) -> dict[str, Any]:
    """values.schema.json."""
    root: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {}}
    for value in values:
        at = root
        *groups, name = value.path.split(".")
        for group in groups:
            empty = {"type": "object", "additionalProperties": False, "properties": {}}
            at = at["properties"].setdefault(group, empty)
        at["properties"][name] = {"description": value.meaning, **value.schema}
    # What Helm adds where this chart is another's.
    root["properties"]["global"] = {"type": "object"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root}


def table(values: list[Value]) -> str:
    """The table of the chart's README."""
    rows = ["| value | meaning | default |", "|---|---|---|"]
    for value in values:
        default = json.dumps(value.default, ensure_ascii=False)
        rows.append(f"| `{value.path}` | {value.meaning} | `{default}` |")
    return "\n".join(rows)
