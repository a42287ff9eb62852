"""Lists in pieces, figures in words, the one word for what filled the memory."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_oom import lists, plain, why
from kubectl_oom.errors import OomError
from kubectl_oom.kill import quantity
from kubectl_oom.reading import moment
from oomeventer import text
from oomeventer.incident.codec import as_json
from plugin import STORIES


def read(raw: bytes, chunk: int) -> tuple[Any, list[Any]]:
    reader = lists._Reader(io.BytesIO(raw))
    reader._step = chunk
    return reader.head(), list(reader.items())


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 16])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_list_in_pieces(monkeypatch: pytest.MonkeyPatch, chunk: int, separators: tuple[str, str]) -> None:
    monkeypatch.setattr(lists, "_CHUNK", chunk)
    items = [{"name": "é漢", "text": '"items":[{}]', "n": number} for number in range(20)]
    head = {"kind": "EventList", "metadata": {"continue": "x", "resourceVersion": "7"}}
    raw = json.dumps(head | {"items": items}, separators=separators, ensure_ascii=False).encode()
    assert read(raw, chunk) == (head, items)
    for cut in (raw[: len(raw) // 2], raw[:-2]):
        with pytest.raises(OomError, match="ended before its end"):
            read(cut, chunk)
    for empty in (b'{"items":[]}', b'{"items": null}', b'{"metadata":{},"items":null}\n'):
        assert read(empty, chunk)[1] == []
    assert lists._Reader(io.BytesIO(b"<html>")).head() is None


@given(st.integers(1024, 1 << 52))
def test_sizes_read_as_the_agents(number: int) -> None:
    assert plain.size(number) == text.size(number)


@given(st.floats(-10, 10**8))
def test_durations_read_as_the_agents(seconds: float) -> None:
    assert plain.duration(seconds) == text.duration(seconds)


@given(st.text() | st.text("ab\u202e\u200b\ufe0f\u3164\x1b\x85 \u00a0…", max_size=9))
def test_text_is_as_harmless_as_the_agents(given: str) -> None:
    assert plain.harmless(given) == text.one_line(given)


def test_times() -> None:
    for written, seconds in (("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1d", 86400)):
        assert plain.seconds(written) == seconds
    for wrong in ("", "2", "h", "-1h", "2h later"):
        with pytest.raises(ValueError, match="no duration"):
            plain.seconds(wrong)
    assert moment("2026-11-22T08:20:21.1234567Z") == moment("2026-11-22T09:20:21.123456+01:00")
    assert moment("2026-11-22T08:20:21Z") is not None
    assert [moment(wrong) for wrong in ("", "yesterday", "2026-13-01T00:00:00Z", 7, None)] == [None] * 5


def test_quantities() -> None:
    for written, bytes_ in (
        ("64Mi", 64 << 20),
        ("1.5Gi", 3 << 29),
        ("128974848", 128974848),
        ("1e3", 1000),
        ("2k", 2000),
    ):
        assert quantity(written) == bytes_
    assert [quantity(wrong) for wrong in ("", "x", "1Qi", "-1")] == [None] * 4


MEMORY = {"anon_bytes": 10, "file_bytes": 20, "shmem_bytes": 30, "kernel_bytes": 40}
VICTIM = {"anon_bytes": 5, "shmem_bytes": 0}


@pytest.mark.parametrize(
    ("incident", "word"),
    [
        ({"sandbox": True, "limit_lowered": True, "scope": "node"}, "sandbox"),
        ({"limit_lowered": True, "scope": "node"}, "lowered"),
        ({"scope": "node"}, "node"),
        ({"scope": "cgroup", "limit_cgroup": "/kubepods.slice"}, "node"),
        ({"scope": "cgroup", "limit_cgroup": "/kubepods/burstable"}, "node"),
        ({"scope": "cgroup", "limit_cgroup": "/system.slice", "memory": MEMORY}, "kernel"),
        ({"memory": MEMORY | {"shmem_bytes": 50}, "victims": [VICTIM]}, "tmpfs"),
        ({"memory": MEMORY | {"shmem_bytes": 50}, "victims": [{"anon_bytes": 5, "shmem_bytes": 48}]}, "process"),
        ({"memory": MEMORY | {"file_bytes": 50}, "victims": [VICTIM]}, "cache"),
        ({"memory": MEMORY | {"anon_bytes": 90}, "victims": [VICTIM]}, "others"),
        ({"memory": MEMORY | {"anon_bytes": 90}, "victims": [{"anon_bytes": 80}]}, "process"),
        (
            {"memory": MEMORY | {"kernel_bytes": None, "sock_bytes": 60, "stack_bytes": 1}, "victims": [VICTIM]},
            "kernel",
        ),
        ({"usage_bytes": 10, "victims": [VICTIM]}, "process"),
        ({"usage_bytes": 11, "victims": [VICTIM]}, "?"),
        ({"usage_bytes": 11, "victims": [VICTIM], "neighbours_bytes": 6}, "others"),
        ({}, "?"),
    ],
)
def test_one_word_for_what_filled_it(incident: dict[str, Any], word: str) -> None:
    assert why.why(incident) == word


def test_the_word_of_each_story() -> None:
    assert {name: why.why(as_json(told)) for name, told in STORIES.items()} == {
        "leak": "process",
        "spike": "process",
        "tmpfs": "tmpfs",
        "node": "node",
        "group": "process",
        "thin": "process",
        "others": "others",
        "kernel": "kernel",
        "cache": "cache",
        "sandbox": "sandbox",
        "lowered": "lowered",
    }
