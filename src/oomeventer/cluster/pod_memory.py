"""The memory in a Pod's spec. In: its JSON, of which nothing is believed. Out: bytes; the volumes that are memory.

Rules: pure. What containers have together is added up as the kubelet does for the Pod's cgroup (kubernetes,
component-helpers/resource/helpers.go): the containers and the sidecars, init containers that are always restarted; or
what an init container has with the sidecars before it, if that is more; and the Pod's overhead.
"""

import re
from collections.abc import Collection
from decimal import Decimal
from typing import Any, Literal

from oomeventer.cluster.untrusted import LONGEST, at, entries, exact, shown
from oomeventer.incident import MemoryVolume
from oomeventer.text import printable

#: So many volumes are kept, and of each so many of the containers that mount it.
_VOLUMES, _MOUNTING = 8, 8

Which = Literal["limits", "requests"]

# A Quantity (apimachinery, pkg/api/resource): a decimal number, then a binary or decimal suffix or an exponent. More
# digits than an int64 has are nobody's limit.
_SUFFIXES = {"": Decimal(1), "n": Decimal(10) ** -9, "u": Decimal(10) ** -6, "m": Decimal(10) ** -3}
_SUFFIXES |= {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)}
_SUFFIXES |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
_QUANTITY = re.compile(
    r"\+?(?P<number>[0-9]{1,19}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,2}))?"
)


def quantity(value: Any) -> int | None:
    """Bytes, of a quantity in any form; None where it is none, or nothing."""
    found = _QUANTITY.fullmatch(exact(value) or "")
    if found is None:
        return None
    number = Decimal(found["number"]) * _SUFFIXES[found["suffix"] or ""] * Decimal(10) ** int(found["exponent"] or 0)
    return int(number) or None


def memory(entry: Any, which: Which) -> int | None:
    """limits.memory or requests.memory of what has `resources`, in bytes; None where there is none."""
    return quantity(at(entry, "resources", which, "memory"))


def containers_limit(item: Any) -> int | None:
    """The Pod's containers' limits together, in bytes. None where a container or a sidecar has none."""
    apps, inits = entries(item, "spec", "containers"), entries(item, "spec", "initContainers")
    if not all(memory(entry, "limits") for entry in (*apps, *filter(_is_sidecar, inits))):
        return None
    return _together(item, "limits")


def containers_request(item: Any) -> int | None:
    """The Pod's containers' requests together, in bytes; None where none of them has any."""
    return _together(item, "requests")


def memory_volumes(item: Any) -> tuple[MemoryVolume, ...]:
    """The first of the volumes whose files are memory."""
    volumes = [entry for entry in entries(item, "spec", "volumes") if at(entry, "emptyDir", "medium") == "Memory"]
    limits = {
        name: quantity(at(entry, "emptyDir", "sizeLimit"))
        for entry in volumes[:_VOLUMES]
        if (name := exact(at(entry, "name")))
    }
    mounting = _mounting(item, limits.keys())
    return tuple(MemoryVolume(printable(name, LONGEST), limit, tuple(mounting[name])) for name, limit in limits.items())


def _together(item: Any, which: Which) -> int | None:
    most = sidecars = 0
    for entry in entries(item, "spec", "initContainers"):
        own = memory(entry, which) or 0
        sidecars += own if _is_sidecar(entry) else 0
        most = max(most, sidecars + (0 if _is_sidecar(entry) else own))
    running = sidecars + sum(memory(entry, which) or 0 for entry in entries(item, "spec", "containers"))
    if not (total := max(running, most)):
        return None
    return total + (quantity(at(item, "spec", "overhead", "memory")) or 0)


def _is_sidecar(entry: Any) -> bool:
    return bool(at(entry, "restartPolicy") == "Always")


def _mounting(item: Any, volumes: Collection[str]) -> dict[str, list[str]]:
    """The first containers that mount each. All mounts are gone through once, since there may be very many."""
    found: dict[str, list[str]] = {volume: [] for volume in volumes}
    for kind in ("containers", "initContainers"):
        for entry in entries(item, "spec", kind):
            mounts = {exact(at(mount, "name")) for mount in entries(entry, "volumeMounts")}
            for volume, names in found.items():
                if volume in mounts and len(names) < _MOUNTING and (name := shown(at(entry, "name"))):
                    names.append(name)
    return found
