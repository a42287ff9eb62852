"""How untrusted bytes, and figures, become text that a person reads.

In: bytes that the victim of a kill may have chosen itself (comm, arguments, environment, cgroup names),
numbers of bytes and of seconds. Out: `str` that cannot break a line, a terminal or a log, and always
encodes as UTF-8. Quotes are left alone: whoever writes JSON or YAML quotes by its own rules.

Nothing here raises for any content, and nothing does I/O.
"""

from collections.abc import Iterable

KI, MI, GI = 1 << 10, 1 << 20, 1 << 30

CUT = "…"
_CUT_BYTES = len(CUT.encode())

_SHORT_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

# Letters and marks by Unicode's categories, yet nothing is drawn for them: two names that differ only in
# these would look the same. (The invisible ones of category Cf are caught by `str.isprintable`.)
_BLANKS = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers, with the next two below
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x180B, 0x180F),  # Mongolian variation selectors
        (0x2800, 0x2800),  # Braille blank
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),  # variation selectors, supplement
    )
    for code in range(first, last + 1)
)

# (upper bound, unit, its letter, smaller unit, its letter), all in seconds; 0 where no smaller unit is
# shown. As in kubectl's AGE column the precision falls as the time grows.
_DURATIONS = (
    (120, 1, "s", 0, ""),
    (600, 60, "m", 1, "s"),
    (3 * 3600, 60, "m", 0, ""),
    (8 * 3600, 3600, "h", 60, "m"),
    (48 * 3600, 3600, "h", 0, ""),
    (8 * 86400, 86400, "d", 3600, "h"),
)


def printable(raw: bytes | str, limit: int | None = None) -> str:
    r"""Show `raw` with every character that could deceive or break something as a backslash escape.

    A byte that is not UTF-8 becomes `\xNN` (so does a lone surrogate that `os.fsdecode` made of such a
    byte), an ASCII control `\xNN`, `\n`, `\r` or `\t`, a backslash `\\`, anything else that does not print
    `\uNNNN` or `\UNNNNNNNN`: C1 controls, bidi and zero-width characters, all spaces but the ordinary one,
    separators, private and unassigned code points, other surrogates. Without a cut, different bytes give
    different text.

    With `limit` the result has at most that many characters; what is too long loses its middle to `…`,
    between two escapes and never inside one.
    """
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    fits = limit is None or len(text) <= limit
    # Nearly everything is plain ASCII, and arguments may be megabytes.
    if fits and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    pieces = [_shown(character) for character in text]
    if limit is None or sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    if limit < 1:
        return ""
    head = _fitting(pieces, limit // 2)
    tail = _fitting(reversed(pieces), limit - 1 - sum(map(len, head)))
    return "".join([*head, CUT, *reversed(tail)])


def one_line(text: str) -> str:
    """As printable(), but for backslashes, which stay as they are: what is printable already stays the same."""
    return "\\".join(printable(part) for part in text.split("\\"))


def cut_bytes(text: str, limit: int) -> str:
    """Cut `text` to at most `limit` bytes of UTF-8, which is how the API server counts.

    What is too long loses its middle to `…`, never a part of a character; the ends of a message say most.
    Below the three bytes of `…` the start alone is kept. A lone surrogate, which has no UTF-8, becomes `?`.
    """
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    if limit < _CUT_BYTES:
        return encoded[: max(limit, 0)].decode("utf-8", "ignore")
    room = limit - _CUT_BYTES
    head = encoded[: (room + 1) // 2].decode("utf-8", "ignore")
    tail = encoded[len(encoded) - room // 2 :].decode("utf-8", "ignore")
    return head + CUT + tail


def size(bytes_: int) -> str:
    """Say a number of bytes as a Kubernetes quantity for people: `31.4Mi`, `32Mi`, `1.5Gi`, `12Ki`, `0`.

    An integer is exact and a decimal is rounded (so `32.0Mi` is only nearly 32Mi). A whole number of Mi
    which tenths of a Gi would misstate stays in Mi: that is how somebody wrote a limit. Below 1Ki, which no
    page-sized figure is, the text says `512 bytes`. A negative number, a difference say, carries its sign.
    """
    if bytes_ < 0:
        return "-" + size(-bytes_)
    if bytes_ == 0:
        return "0"
    if bytes_ < KI:
        return "1 byte" if bytes_ == 1 else f"{bytes_} bytes"
    if _tenths(bytes_, MI) < 1:
        return _quantity(bytes_, KI, "Ki")
    rounds_to_gi = _tenths(bytes_, MI) >= 10 * GI // MI
    written_in_mi = bytes_ % MI == 0 and bytes_ * 10 % GI != 0
    if rounds_to_gi and not written_in_mi:
        return _quantity(bytes_, GI, "Gi")
    return _quantity(bytes_, MI, "Mi")


def duration(seconds: float) -> str:
    """Say a finite number of seconds like kubectl's AGE: `5s`, `3m12s`, `2h5m`, `4d`; below zero is `0s`."""
    total = max(int(seconds), 0)
    for bound, unit, letter, smaller, smaller_letter in _DURATIONS:
        if total < bound:
            whole, rest = divmod(total, unit)
            part = rest // smaller if smaller else 0
            return f"{whole}{letter}{part}{smaller_letter}" if part else f"{whole}{letter}"
    return f"{total // 86400}d"


def apart(seconds: float) -> str:
    """Say how far things are apart that come again and again."""
    return f"about every {duration(seconds)}" if seconds >= 1 else "less than a second apart"


def _shown(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if character.isprintable() and character not in _BLANKS:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as "surrogateescape" hands it over
        return f"\\x{code - 0xDC00:02x}"
    # From 0x80 on never \xNN: U+0085 and the stray byte 0x85 are two different things.
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _fitting(pieces: Iterable[str], room: int) -> list[str]:
    """The first of `pieces` that together have at most `room` characters."""
    kept: list[str] = []
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return kept


def _tenths(bytes_: int, unit: int) -> int:
    return (bytes_ * 20 + unit) // (2 * unit)


def _quantity(bytes_: int, unit: int, suffix: str) -> str:
    if bytes_ % unit == 0:
        return f"{bytes_ // unit}{suffix}"
    tenths = _tenths(bytes_, unit)
    return f"{tenths // 10}.{tenths % 10}{suffix}"
