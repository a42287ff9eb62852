"""The kinds of panels that the dashboard has. In: a title, what it tells and what to do about it, queries. Out:
Grafana's JSON."""

from collections.abc import Mapping
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${source}"}
_PALETTE = {"mode": "palette-classic"}
_LAST = {"calcs": ["lastNotNull"], "values": False, "fields": ""}
_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_TOOLTIP = {"mode": "multi", "sort": "desc"}

Json = dict[str, Any]


def _panel(kind: str, title: str, size: tuple[int, int], tells: str, targets: tuple[Json, ...], **more: Any) -> Json:
    """size: columns of 24, and rows. unit, field, overrides: of fieldConfig. more: fields of the panel."""
    field = {"unit": more.pop("unit", "short"), **more.pop("field", {})}
    config = {"defaults": field, "overrides": more.pop("overrides", [])}
    lettered = [{"refId": chr(ord("A") + i), "datasource": SOURCE, **one} for i, one in enumerate(targets)]
    made = {"type": kind, "title": title, "description": tells, "gridPos": {"w": size[0], "h": size[1]}}
    return {**made, "datasource": SOURCE, "fieldConfig": config, **more, "targets": lettered}


# -- queries -----------------------------------------------------------------------------------------------------------


def now(expr: str, legend: str = "") -> Json:
    """For one moment, the end."""
    return {"expr": expr, "instant": True, "range": False, **({"legendFormat": legend} if legend else {})}


def rows_of(expr: str) -> Json:
    """The same, for a table."""
    return now(expr) | {"format": "table"}


def course(expr: str, legend: str) -> Json:
    """For the time shown."""
    return {"expr": expr, "legendFormat": legend}


# -- what they look like -----------------------------------------------------------------------------------------------


def colours(*steps: tuple[float | None, str]) -> Json:
    """From that value on that colour."""
    thresholds = [{"value": value, "color": color} for value, color in steps]
    return {"thresholds": {"mode": "absolute", "steps": thresholds}, "color": {"mode": "thresholds"}}


def stat(title: str, tells: str, *targets: Json, width: int = 4, wrong_from: int | None = None, **more: Any) -> Json:
    """One number, or some. wrong_from: red from there, green below."""
    options = {"reduceOptions": _LAST, "graphMode": "none", "colorMode": "value"}
    field = {"decimals": 0, **colours((None, "text"))}
    if wrong_from is not None:
        field |= colours((None, "green"), (wrong_from, "red"))
    return _panel("stat", title, (width, 4), tells, targets, options=options, field=field, **more)


def lines(title: str, tells: str, *targets: Json, width: int = 12, **more: Any) -> Json:
    """A graph over time."""
    field = {"custom": {"drawStyle": "line", "showPoints": "auto"}, "color": _PALETTE, "min": 0}
    options = {"legend": _LEGEND, "tooltip": _TOOLTIP}
    return _panel("timeseries", title, (width, 8), tells, targets, field=field, options=options, **more)


def bars(title: str, tells: str, *targets: Json, width: int = 12) -> Json:
    """Counts over time, each bar its own, one on the other. Their queries count over $__interval."""
    stacking = {"mode": "normal", "group": "A"}
    custom = {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": stacking}
    field = {"custom": custom, "color": _PALETTE, "decimals": 0, "min": 0}
    options = {"legend": _LEGEND, "tooltip": _TOOLTIP}
    return _panel("timeseries", title, (width, 8), tells, targets, field=field, options=options, interval="5m")


def heat(title: str, tells: str, target: Json, interval: str) -> Json:
    """A row a series, a cell an interval, by colour."""
    steps = colours((None, "transparent"), (1, "yellow"), (5, "orange"), (20, "red"))
    options = {"showValue": "auto", "rowHeight": 0.9, "legend": _LEGEND | {"showLegend": False}, "tooltip": _TOOLTIP}
    field = {"decimals": 0, **steps}
    return _panel("status-history", title, (12, 8), tells, (target,), field=field, options=options, interval=interval)


def shares(title: str, tells: str, target: Json) -> Json:
    """Bars side by side, of the whole time shown."""
    options = {"orientation": "horizontal", "displayMode": "gradient", "reduceOptions": _LAST}
    field = {"decimals": 0, "color": _PALETTE, "min": 0}
    return _panel("bargauge", title, (12, 8), tells, (target,), options=options, field=field)


def table(
    title: str, size: tuple[int, int], tells: str, columns: Mapping[str, str], *targets: Json, **more: Any
) -> Json:
    """columns: titles by field, in their order; "Value #A" is the first query's value where there are some."""
    order = {"indexByName": {field: i for i, field in enumerate(columns)}, "renameByName": dict(columns)}
    steps = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, **order}},
    ]
    return _panel("table", title, size, tells, targets, transformations=steps, **more)


def times(*columns: str) -> list[Json]:
    """Of a table: these columns are moments."""
    shown = [{"id": "unit", "value": "dateTimeFromNow"}]
    return [{"matcher": {"id": "byName", "options": column}, "properties": shown} for column in columns]
