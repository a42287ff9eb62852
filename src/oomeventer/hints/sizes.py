"""How programs write sizes. In: text that a victim chose. Out: bytes, or a number; None for all that is no such thing.

Rules: pure, nothing raises, and no figure is larger than MOST. Each program has rules of its own: redis has 1g and 1gb
for two sizes, PostgreSQL counts blocks where no unit is.
"""

import re
from collections.abc import Mapping

#: No machine has that much.
MOST = 1 << 60
_KI, _MI, _GI, _TI = 1 << 10, 1 << 20, 1 << 30, 1 << 40

_FIGURE = re.compile(r"(?P<figure>[0-9]{1,19})(?P<unit>[A-Za-z]{0,3})")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")

_JVM = {"": 1, "k": _KI, "m": _MI, "g": _GI, "t": _TI}
_GO = {"": 1, "B": 1, "KiB": _KI, "MiB": _MI, "GiB": _GI, "TiB": _TI}
_POSTGRES = {"": 8 * _KI, "B": 1, "kB": _KI, "MB": _MI, "GB": _GI, "TB": _TI}
_REDIS = {"": 1, "b": 1, "k": 10**3, "kb": _KI, "m": 10**6, "mb": _MI, "g": 10**9, "gb": _GI}
_MYSQL = {"": 1, "k": _KI, "m": _MI, "g": _GI, "t": _TI}


def jvm(text: str) -> int | None:
    """-Xmx8g, in bytes."""
    return _with_unit(text.lower(), _JVM)


def go(text: str) -> int | None:
    """GOMEMLIMIT=30MiB, in bytes; off is none."""
    return _with_unit(text, _GO)


def postgres(text: str) -> int | None:
    """shared_buffers=16MB, in bytes; without a unit, blocks of 8 kB."""
    return _with_unit(text, _POSTGRES)


def redis(text: str) -> int | None:
    """maxmemory 64mb, in bytes; 0 is no limit, so none."""
    return _with_unit(text.lower(), _REDIS)


def mysql(text: str) -> int | None:
    """innodb-buffer-pool-size=1G, in bytes."""
    return _with_unit(text.lower(), _MYSQL)


def mebibytes(text: str) -> int | None:
    """--max-old-space-size=4096, in bytes."""
    return _with_unit(text, {"": _MI})


def gibibytes(text: str) -> int | None:
    """wiredTigerCacheSizeGB 0.25, in bytes."""
    return _bounded(int(float(text) * _GI)) if _DECIMAL.fullmatch(text) else None


def percent(text: str) -> float | None:
    """MaxRAMPercentage=80.0; above 0, and 100 at most."""
    found = float(text) if _DECIMAL.fullmatch(text) else 0.0
    return found if 0 < found <= 100 else None


def count(text: str) -> int | None:
    """--workers 8; from 1 to 9999."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,3}", text) else None


def _with_unit(text: str, units: Mapping[str, int]) -> int | None:
    found = _FIGURE.fullmatch(text)
    factor = units.get(found["unit"]) if found else None
    return None if found is None or factor is None else _bounded(int(found["figure"]) * factor)


def _bounded(figure: int) -> int | None:
    return figure if 0 < figure <= MOST else None
