"""docs/metrics.md and docs/configuration.md, made of the tables of metrics and of settings, and the plugin's hints.md,
made of docs/hints.md (`make docs`). In: FAMILIES, SETTINGS, that page. Out: the pages."""

import re

from chart.queries import WORKLOAD
from oomeventer.probes.families import FAMILIES, NAMED
from oomeventer.setting_table import SETTINGS
from places import REPOSITORY

METRICS = REPOSITORY / "docs/metrics.md"
CONFIGURATION = REPOSITORY / "docs/configuration.md"
HINTS = REPOSITORY / "docs/hints.md"
PLUGINS_HINTS = REPOSITORY / "plugin/src/kubectl_oom/hints.md"

_PAGE = """# Metrics

At `/metrics`, in Prometheus' text format, where `--listen` is set. Made by `make docs`. What to do about an
alert: [alerts](alerts.md).

{table}

Beside these: what `prometheus_client` says of every process (`process_resident_memory_bytes`,
`process_cpu_seconds_total`, `process_open_fds` and others).

A scrape asks nobody: it reads what the agent knows. Counters begin at 0 with each start of the agent, but for those
over the journal's life, which go on with its file, and `oomeventer_ring_lost_records_total`, which goes on while the
kernel's side stays attached (`--pins`).

Each scope and each reason is there from the start, at 0, so that `increase()` sees also the first. A container's series
of `oomeventer_kills_total` begins with its first kill, which `increase()` does not see, and ends when {named} others
were killed since. What it had is then in the series without names, for `increase()` once more: leave that out
(`pod!=""`), or ask `oomeventer_incidents_total`. The chart's alert and dashboard count the first kills, too.

No metric names a Pod's owner. The dashboard's `workload` is the Pod's name without the parts that controllers add
(`checkout-5d4f7c8b9-x2k9p`, `report-29400000-k4z8d` and `db-0` are `checkout`, `report` and `db`), by
`label_replace()`: `{workload}`. A bare Pod that is named so is taken for theirs. The Event has the real owner.

In every scrape while the agent watches:

```
oomeventer_events_seen_total
  == oomeventer_events_delivered_total + oomeventer_events_merged_total
   + sum(oomeventer_events_given_up_total) + oomeventer_events_waiting
```
"""


def page() -> str:
    """docs/metrics.md."""
    rows = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    for family in FAMILIES.values():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.help} |")
    return _PAGE.format(table="\n".join(rows), named=NAMED, workload=WORKLOAD)


_SETTINGS = """# Configuration

Each setting is a flag, and a variable that is read where the flag is missing. All mistakes are reported at once, each
with what would do. In the chart: `settings.NAME`, where the chart has no value of its own for it. Made by `make docs`.

{table}

Sizes are in bytes, or with Ki, Mi, Gi. `OOMEVENTER_LIBBPF` names libbpf's file where it is not found by itself.
"""


def configuration() -> str:
    """docs/configuration.md."""
    rows = ["| flag | variable | default | commands | meaning |", "|---|---|---|---|---|"]
    for setting in SETTINGS:
        default = "" if setting.default is None else f"`{setting.default}`" if setting.default else "none"
        commands = ", ".join(f"`{command}`" for command in setting.commands)
        rows.append(f"| `{setting.flag}` | `{setting.variable}` | {default} | {commands} | {setting.help} |")
    return _SETTINGS.format(table="\n".join(rows))


def plugins_hints() -> str:
    """docs/hints.md without its links, which lead nowhere in a terminal."""
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", HINTS.read_text())


if __name__ == "__main__":
    METRICS.write_text(page())
    CONFIGURATION.write_text(configuration())
    PLUGINS_HINTS.write_text(plugins_hints())
