"""Untrusted bytes and figures as text: nothing gets through that a terminal or a log would act on."""

import json
import os
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oomeventer.text import GI, KI, MI, apart, cut_bytes, duration, printable, size

# Bytes that hypothesis alone would seldom find: escapes, UTF-8 in all lengths, and its broken forms.
AWKWARD = [
    b"\\",
    b"x85",
    b"\x85",
    b"\xc2\x85",
    b"\n",
    b"n",
    b"\xe2\x80\xae",
    b"u202e",
    b"\xed\xa0\x80",
    b"\xf0\x9f",
]
raw_bytes = st.binary(max_size=40) | st.lists(st.sampled_from(AWKWARD)).map(b"".join)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"", ""),
        (b"hog --size 100", "hog --size 100"),
        ("café 東京 🐗".encode(), "café 東京 🐗"),
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"a\nb\rc\td\0e\x7f", r"a\nb\rc\td\x00e\x7f"),
        (b"C:\\n", r"C:\\n"),
        (b"caf\xe9", r"caf\xe9"),
        (b"\xc0\xaf", r"\xc0\xaf"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        ("\x85\x9b".encode(), r"\u0085\u009b"),
        ("\u202etxt.exe".encode(), r"\u202etxt.exe"),
        ("a\u200bb\ufeff".encode(), r"a\u200bb\ufeff"),
        ("a\u2028b\u2029c".encode(), r"a\u2028b\u2029c"),
        ("a\u00a0b".encode(), r"a\u00a0b"),
        ("a\u3164\ufe0f".encode(), r"a\u3164\ufe0f"),
        ("\ue000\U000e0041".encode(), r"\ue000\U000e0041"),
        ('{"a": "b"}', '{"a": "b"}'),
        ("\ud800", r"\ud800"),
    ],
)
def test_escapes(raw: bytes | str, shown: str) -> None:
    """What deceives or breaks something is shown as an escape, and everything else as it is."""
    assert printable(raw) == shown


@given(raw_bytes | st.text())
@example("".join(map(chr, range(0x3000))))
def test_nothing_unprintable_remains(raw: bytes | str) -> None:
    """No control, format, separator, surrogate, private or unassigned character comes through."""
    shown = printable(raw)
    assert {unicodedata.category(character)[0] for character in shown.replace(" ", "")}.isdisjoint("CZ")
    assert len(shown.splitlines()) <= 1
    assert json.loads(json.dumps(shown).encode()) == shown
    assert shown.encode().decode() == shown


@given(raw_bytes, raw_bytes)
@example(b"\x85", b"\xc2\x85")
@example(b"\\n", b"\n")
@example(b"\\x1b", b"\x1b")
def test_different_bytes_differ(one: bytes, other: bytes) -> None:
    """Two names that differ never look the same."""
    assert (printable(one) == printable(other)) == (one == other)


@given(raw_bytes)
def test_reversible(raw: bytes) -> None:
    """The bytes can be read back from the text."""
    shown = printable(raw)
    back = bytearray()
    while shown:
        if shown[0] != "\\":
            back += shown[0].encode()
            shown = shown[1:]
        elif shown[1] in "nrt\\":
            back += {"n": b"\n", "r": b"\r", "t": b"\t", "\\": b"\\"}[shown[1]]
            shown = shown[2:]
        else:
            digits = {"x": 2, "u": 4, "U": 8}[shown[1]]
            code = int(shown[2 : 2 + digits], 16)
            back += bytes([code]) if shown[1] == "x" else chr(code).encode()
            shown = shown[2 + digits :]
    assert bytes(back) == raw


@given(raw_bytes)
def test_filesystem_strings_read_like_their_bytes(raw: bytes) -> None:
    """It makes no difference whether Python has already decoded a file name."""
    assert printable(os.fsdecode(raw)) == printable(raw)


@pytest.mark.parametrize(
    ("raw", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc…fg"),
        ("abcdefg", 5, "ab…fg"),
        ("abcdefg", 1, "…"),
        ("abcdefg", 0, ""),
        ("a\x1b\x1b\x1b", 9, r"a…\x1b"),
        ("\x1b\x1b", 8, r"\x1b\x1b"),
    ],
)
def test_cut_in_the_middle(raw: str, limit: int, shown: str) -> None:
    """A text that is too long loses its middle, and no escape is broken."""
    assert printable(raw, limit) == shown


@given(raw_bytes, st.integers(0, 60))
def test_cut_is_bounded(raw: bytes, limit: int) -> None:
    """The limit counts the characters that are shown, and nothing is cut that fits."""
    whole, shown = printable(raw), printable(raw, limit)
    assert len(shown) <= limit
    assert shown == whole or len(whole) > limit


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghij", 9, "abc…hij"),
        ("abcdefghijk", 10, "abcd…ijk"),
        ("ääääää", 11, "ää…ää"),
        ("ääääää", 8, "ä…ä"),
        ("abc", 2, "ab"),
        ("äb", 1, ""),
        ("abcdef", 3, "…"),
        ("abc", -1, ""),
        ("a\ud800", 9, "a?"),
    ],
)
def test_cut_bytes(text: str, limit: int, cut: str) -> None:
    """The middle goes, whole characters stay."""
    assert cut_bytes(text, limit) == cut


@given(st.text(), st.integers(0, 40))
def test_cut_bytes_is_bounded(text: str, limit: int) -> None:
    """The limit holds in bytes, what remains are the text's two ends, and no more goes than must."""
    cut = cut_bytes(text, limit)
    encoded = text.encode()
    assert len(cut.encode()) <= limit
    if len(encoded) <= limit:
        assert cut == text
    elif limit >= 3:
        assert len(cut.encode()) >= limit - 6  # up to three bytes of a character at either side
        assert any(
            text.startswith(cut[:index]) and text.endswith(cut[index + 1 :])
            for index, character in enumerate(cut)
            if character == "…"
        )


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0"),
        (1, "1 byte"),
        (512, "512 bytes"),
        (1023, "1023 bytes"),
        (KI, "1Ki"),
        (1100, "1.1Ki"),
        (4096, "4Ki"),
        (52428, "51.2Ki"),
        (52429, "0.1Mi"),
        (104858, "0.1Mi"),
        (32925286, "31.4Mi"),
        (33554432, "32Mi"),
        (33554431, "32.0Mi"),
        (500_000_000, "476.8Mi"),
        (GI - MI, "1023Mi"),
        (GI - 1, "1.0Gi"),
        (GI, "1Gi"),
        (1536 * MI, "1.5Gi"),
        (1100 * MI, "1100Mi"),
        (1100 * MI + 4096, "1.1Gi"),
        (64 * GI, "64Gi"),
        (2048 * GI, "2048Gi"),
        (-MI, "-1Mi"),
    ],
)
def test_size(bytes_: int, text: str) -> None:
    """Sizes read as a person writes them in a manifest; a whole number is exact."""
    assert size(bytes_) == text


@given(st.integers(1, 1 << 50))
def test_size_is_near(bytes_: int) -> None:
    """What is shown is never zero, and within half of the last digit that is shown."""
    text = size(bytes_)
    number = text.rstrip("KMGi bytes")
    unit = {"Ki": KI, "Mi": MI, "Gi": GI}.get(text[-2:], 1)
    assert float(number) > 0
    if "." in number:
        assert abs(round(float(number) * 10) * unit - bytes_ * 10) <= unit / 2
    else:
        assert int(number) * unit == bytes_


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0, "0s"),
        (0.9, "0s"),
        (5.2, "5s"),
        (119, "119s"),
        (120, "2m"),
        (192, "3m12s"),
        (600, "10m"),
        (659, "10m"),
        (7500, "125m"),
        (10800, "3h"),
        (11100, "3h5m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (2 * 86400 + 3600, "2d1h"),
        (4 * 86400, "4d"),
        (9 * 86400 + 3600, "9d"),
        (900 * 86400, "900d"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Durations are as coarse as kubectl's AGE column."""
    assert duration(seconds) == text


def test_apart() -> None:
    """Of what comes many times a second no zero is said."""
    assert (apart(0.06), apart(47 * 60)) == ("less than a second apart", "about every 47m")
