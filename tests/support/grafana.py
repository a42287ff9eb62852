"""Grafana's own schema of a dashboard, as grafana-foundation-sdk has it (made of Grafana's sources), with those of its
kinds of panels and of Prometheus' queries. In: a dashboard's JSON. Out: what is wrong with it.

Grafana itself takes nearly anything, and leaves out what it does not understand. So a field that the schema does not
know is wrong here, too, and so is a kind of panel, a unit or a type. Fields of which the schema says nothing
(transformations' options, overrides' values) are not looked at.
"""

import enum
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import UnknownDataquery, panelcfg_config
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel

UNITS = {unit for name, unit in vars(units).items() if isinstance(unit, str) and not name.startswith("_")}
register_default_plugins()


def faults(dashboard: dict[str, Any]) -> list[str]:
    """None where there are none. Raises KeyError where a union has no type."""
    model = Dashboard.from_json(dashboard)
    written = json.loads(JSONEncoder().encode(model))
    found = [*_unknown(dashboard, written, ""), *_mistyped(model, "")]
    for panel in model.panels or []:
        if isinstance(panel, RowPanel):
            continue
        if panelcfg_config(panel.type_val) is None:
            found.append(f"{panel.title}: no kind of panel: {panel.type_val}")
        if any(isinstance(target, UnknownDataquery) for target in panel.targets or []):
            found.append(f"{panel.title}: a query without a data source")
        found += [f"{panel.title}: no unit: {unit}" for unit in _units(panel) if unit not in UNITS]
    return found


def asked(dashboard: dict[str, Any], span: str, step: str) -> dict[str, list[str]]:
    """Each panel's queries, by its title, as Grafana asks them with all variables at All, about a time of that span,
    a point each step, or as seldom as the panel says."""
    found: dict[str, list[str]] = {}
    for panel in dashboard["panels"]:
        values = {"range": span, "rate_interval": span, "interval": panel.get("interval", step)}
        for target in panel.get("targets", []):
            query = target["expr"].replace("$namespace", ".*").replace("$node", ".*")
            for name, value in values.items():
                query = query.replace(f"$__{name}", value)
            found.setdefault(panel["title"], []).append(query)
    return found


def _unknown(given: Any, written: Any, at: str) -> Iterator[str]:
    """What was not kept."""
    if isinstance(given, dict) and isinstance(written, dict):
        for key, value in given.items():
            if key in written:
                yield from _unknown(value, written[key], f"{at}/{key}")
            elif value is not None:
                yield f"{at}/{key}: unknown"
    elif isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        for number, (one, other) in enumerate(zip(given, written, strict=True)):
            yield from _unknown(one, other, f"{at}/{number}")
    elif given != written:
        yield f"{at}: {given!r} becomes {written!r}"


def _mistyped(model: Any, at: str) -> Iterator[str]:
    for name, hint in typing.get_type_hints(type(model)).items():
        value = getattr(model, name)
        if not _is(value, hint):
            yield f"{at}/{name}: {value!r} is no {hint}"
        for number, below in enumerate(value if isinstance(value, list) else [value]):
            if hasattr(below, "to_json"):
                yield from _mistyped(below, f"{at}/{name}/{number}")


def _is(value: Any, hint: Any) -> bool:
    of, parts = typing.get_origin(hint), typing.get_args(hint)
    if of in (typing.Union, types.UnionType):
        return any(_is(value, part) for part in parts)
    if of is typing.Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if of is list:
        return isinstance(value, list) and all(_is(each, parts[0]) for each in value)
    if of is dict:
        return isinstance(value, dict)
    if isinstance(value, dict) and hasattr(hint, "from_json"):  # from_json() leaves some lists as they are
        model = hint.from_json(value)
        return not [*_unknown(value, json.loads(JSONEncoder().encode(model)), ""), *_mistyped(model, "")]
    if issubclass(hint, enum.Enum):
        return value in [each.value for each in hint]
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _units(panel: Panel) -> Iterator[Any]:
    if config := panel.field_config:
        yield config.defaults.unit
        for override in config.overrides:
            yield from (each.value for each in override.properties if each.id_val == "unit")
