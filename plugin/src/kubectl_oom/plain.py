"""Text and figures for people. In: untrusted text, bytes, seconds. Out: text that cannot break a line or a terminal.

Rules: pure; sizes and durations read as the agent writes them (Kubernetes' quantities, kubectl's ages).
"""

from __future__ import annotations

import re

_TAME = re.compile(r"[ -~]*\Z")
_SPANS = ((120, 1, "s", 0, ""), (600, 60, "m", 1, "s"), (10800, 60, "m", 0, ""), (28800, 3600, "h", 60, "m"))
_LONG = ((172800, 3600, "h", 0, ""), (691200, 86400, "d", 3600, "h"))
_KI, _MI, _GI = 1 << 10, 1 << 20, 1 << 30
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
#: Drawn as nothing, or as a blank, though letters or marks by their category.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def harmless(text: str, limit: int = 4096) -> str:
    r"""Controls, bidi, invisible characters and lone surrogates as `\xNN` or `\uNNNN`; cut after `limit` characters."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if _TAME.match(text) else "".join(map(_shown, text))


def size(bytes_: int) -> str:
    """A Kubernetes quantity: `31.4Mi`, `32Mi`, `1.5Gi`, `0`. What somebody wrote in Mi, such as 1100Mi, stays so."""
    if bytes_ < 1024:
        return f"{bytes_} bytes" if bytes_ else "0"
    if _tenths(bytes_, _MI) < 1:
        return _quantity(bytes_, _KI, "Ki")
    written_in_mi = bytes_ % _MI == 0 and bytes_ * 10 % _GI != 0
    if _tenths(bytes_, _MI) >= 10240 and not written_in_mi:
        return _quantity(bytes_, _GI, "Gi")
    return _quantity(bytes_, _MI, "Mi")


def duration(seconds: float) -> str:
    """Like kubectl's AGE: `5s`, `3m12s`, `2h5m`, `4d`; below zero is `0s`."""
    total = max(int(seconds), 0)
    for bound, unit, letter, smaller, smaller_letter in (*_SPANS, *_LONG):
        if total < bound:
            whole, rest = divmod(total, unit)
            part = rest // smaller if smaller else 0
            return f"{whole}{letter}{part}{smaller_letter}" if part else f"{whole}{letter}"
    return f"{total // 86400}d"


def seconds(text: str) -> float:
    """The other way: `90s`, `2h`, `1h30m`, `1d`. Raises ValueError."""
    found = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or not found:
        raise ValueError(f"no duration: {harmless(text, 40)!r}; such as 90s, 30m, 2h or 1d")
    return float(sum(int(n or 0) * unit for n, unit in zip(found.groups(), (86400, 3600, 60, 1))))


def times(count: int) -> str:
    """How often, in words."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _tenths(bytes_: int, unit: int) -> int:
    return (bytes_ * 20 + unit) // (2 * unit)


def _quantity(bytes_: int, unit: int, suffix: str) -> str:
    tenths = _tenths(bytes_, unit)
    return f"{bytes_ // unit}{suffix}" if bytes_ % unit == 0 else f"{tenths // 10}.{tenths % 10}{suffix}"


def _shown(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable() and character not in _BLANK and not _selects(code):
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _selects(code: int) -> bool:
    """A variation selector, which nobody sees."""
    return 0x180B <= code <= 0x180F or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
