"""Bytes of a record to a Kill or Arguments, and every way in which bytes are refused.

In: records as bpf/oom.h lays them out, built by samples. Out: what record.parse() makes of them.
"""

import contextlib
import ctypes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomeventer.kernel import record
from oomeventer.kernel.kill import Arguments, Kill, Level, Missing, Process, Trigger
from oomeventer.kernel.record import PAGE, RawLevel, RawMark, RecordError, parse
from samples import raw_arguments, raw_mark


def kill_of(raw: bytes) -> Kill:
    parsed = parse(raw)
    assert isinstance(parsed, Kill)
    return parsed


def test_every_field_of_a_mark() -> None:
    """Each field comes out in its place and in the unit that its name says: pages become bytes."""
    raw = raw_mark(
        cgroup=[b"c", b"p"],
        trigger_cgroup=[b"t"],
        arguments=b"hog\x001\0",
        environment=b"A=1\0",
        levels=[
            RawLevel(7, 11, 13, 17, 19, 23, 29, record.LEVEL_GROUP),
            RawLevel(8, 12, record.NO_LIMIT_PAGES, 18, 20, 2**64 - 1, 30, record.LEVEL_LOCKED),
        ],
        time_ns=29,
        lost=31,
        flags=record.UNIFIED | record.LOCKS_KNOWN | record.DOMAIN_KNOWN | record.ARGUMENTS_FOLLOW,
        tgid=37,
        tid=41,
        ns_tgid=43,
        ns_level=2,
        uid=47,
        oom_score_adj=-53,
        init_tgid=59,
        start_ns=61,
        init_start_ns=67,
        init_inode=71,
        domain_inode=72,
        total_vm_pages=73,
        anon_pages=79,
        file_pages=83,
        shmem_pages=89,
        swap_pages=97,
        peak_rss_pages=1009,
        pgtables_bytes=101,
        trigger_start_ns=103,
        trigger_tgid=107,
        trigger_tid=109,
        comm=b"hog",
        trigger_comm=b"trig",
    )
    assert parse(raw) == Kill(
        time_ns=29,
        lost=31,
        process=Process(37, 61),
        tid=41,
        container_pid=43,
        namespace_level=2,
        init=Process(59, 67),
        init_inode=71,
        comm=b"hog",
        uid=47,
        oom_score_adj=-53,
        total_vm_bytes=73 * PAGE,
        anon_bytes=79 * PAGE,
        file_bytes=83 * PAGE,
        shmem_bytes=89 * PAGE,
        swap_bytes=97 * PAGE,
        peak_rss_bytes=1009 * PAGE,
        pgtables_bytes=101,
        trigger=Trigger(process=Process(107, 103), tid=109, comm=b"trig", cgroup="/t"),
        cgroup="/p/c",
        unified=True,
        locks_known=True,
        domain_inode=72,
        levels=(
            Level(7, 11 * PAGE, 13 * PAGE, 17 * PAGE, 19 * PAGE, 23 * PAGE, ooms=29, group=True, locked=False),
            Level(8, 12 * PAGE, None, 18 * PAGE, 20 * PAGE, None, ooms=30, group=False, locked=True),
        ),
        arguments=b"hog\x001\0",
        environment=b"A=1\0",
        arguments_follow=True,
        missing=Missing(0),
    )


def test_every_field_of_arguments() -> None:
    """The record that follows brings the process, what was lost, both texts and what was cut."""
    raw = raw_arguments(b"hog\0", b"A=1\0B=2\0", lost=3, start_ns=5, tgid=7, flags=record.ENVIRONMENT_CUT)
    assert parse(raw) == Arguments(Process(7, 5), 3, b"hog\0", b"A=1\0B=2\0", Missing.ENVIRONMENT)


@pytest.mark.parametrize(
    ("flag", "missing"),
    [
        (0, Missing(0)),
        (record.CGROUP_CUT, Missing.CGROUP),
        (record.TRIGGER_CGROUP_CUT, Missing.TRIGGER_CGROUP),
        (record.LEVELS_CUT, Missing.LEVELS),
        (record.ARGUMENTS_CUT, Missing.ARGUMENTS),
        (record.ARGUMENTS_UNREADABLE, Missing.ARGUMENTS),
        (record.ENVIRONMENT_CUT, Missing.ENVIRONMENT),
        (record.ENVIRONMENT_UNREADABLE, Missing.ENVIRONMENT),
        (record.ARGUMENTS_OMITTED, Missing.OMITTED),
        (record.CGROUP_CUT | record.ARGUMENTS_CUT, Missing.CGROUP | Missing.ARGUMENTS),
    ],
)
def test_what_is_missing(flag: int, missing: Missing) -> None:
    """Cut and unreadable are one to a reader; flags of other meaning are not in it."""
    kill = kill_of(raw_mark(flags=flag))
    assert (kill.missing, kill.unified, kill.locks_known, kill.arguments_follow) == (missing, False, False, False)


def test_no_text_is_none() -> None:
    """Arguments and environment of no length were not to be had."""
    kill = kill_of(raw_mark())
    assert (kill.arguments, kill.environment) == (None, None)


def test_peak_is_never_below_what_is_held() -> None:
    """The kernel updates the peak late; what the victim held at the end counts where it is more."""
    assert kill_of(raw_mark(anon_pages=5, file_pages=3, shmem_pages=2, peak_rss_pages=9)).peak_rss_bytes == 10 * PAGE


@pytest.mark.parametrize(
    ("components", "path"),
    [
        ([], "/"),
        ([b"a"], "/a"),
        ([b"leaf", b"mid", b"top"], "/top/mid/leaf"),
        ([b"\xff\xfe", b"caf\xe9"], "/caf\udce9/\udcff\udcfe"),
        (["ü".encode(), b"a\nb\x1b"], "/a\nb\x1b/ü"),
        ([b"x" * 200] * 16, "/" + "/".join(["x" * 200] * 16)),
    ],
)
def test_paths(components: list[bytes], path: str) -> None:
    """A path reads from the root down and keeps every byte, by surrogate escapes where it is no UTF-8."""
    kill = kill_of(raw_mark(cgroup=components, trigger_cgroup=components))
    assert (kill.cgroup, kill.trigger.cgroup) == (path, path)


def test_paths_that_are_cut() -> None:
    """What is there is the beginning; where nothing is there, the path does not begin with a slash."""
    flags = record.CGROUP_CUT | record.TRIGGER_CGROUP_CUT
    kill = kill_of(raw_mark(cgroup=[b"mid", b"top"], trigger_cgroup=[], flags=flags))
    assert (kill.cgroup, kill.trigger.cgroup) == ("/top/mid", "…")


def test_trigger_in_the_same_cgroup() -> None:
    """The flag stands for the victim's own path, which is not written twice."""
    assert kill_of(raw_mark(cgroup=[b"c", b"p"], flags=record.TRIGGER_SAME_CGROUP)).trigger.cgroup == "/p/c"


def test_sixteen_levels_are_the_most() -> None:
    """All levels that the record has room for are read, and no more than it says."""
    levels = [RawLevel(inode=inode) for inode in range(16)]
    assert [level.inode for level in kill_of(raw_mark(levels=levels)).levels] == list(range(16))
    assert kill_of(raw_mark(levels=levels[:3])).levels == kill_of(raw_mark(levels=levels)).levels[:3]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "record of 0 bytes is too short: its header"),
        (raw_mark()[:23], "record of 23 bytes is too short: its header"),
        (raw_mark()[:-1], "says that it has"),
        (raw_mark() + b"\0", "says that it has"),
        (raw_mark(size=7), "says that it has 7"),
        (raw_mark(format=1), "format 1, this program reads 2"),
        (raw_mark(kind=0), "unknown kind 0"),
        (raw_mark(kind=3), "unknown kind 3"),
        (raw_arguments(kind=1), "too short: its mark takes"),
        (bytes(record.Header(record.FORMAT, 2, 24)), "too short: its arguments takes 48"),
        (raw_mark(cgroup=(), size=ctypes.sizeof(RawMark) + 5) + b"12345", "has 5 of text and says 0"),
        (raw_mark(arguments_length=1), "says 11"),
        (raw_mark(environment_length=2**32 - 1), "says 4294967305"),
        (raw_arguments(b"hog\0", arguments_length=5), "has 4 of text and says 5"),
    ],
)
def test_what_does_not_fit_is_refused(raw: bytes, says: str) -> None:
    """A record that is short, long, of another build or at odds with itself is refused, and the message names what."""
    with pytest.raises(RecordError, match=says):
        parse(raw)


def test_too_many_levels_are_refused() -> None:
    """A count beyond the record's own room is no count."""
    raw = bytearray(raw_mark())
    raw[RawMark.levels.offset] = 17
    with pytest.raises(RecordError, match="17 memcg levels, of 16 at most"):
        parse(bytes(raw))


def refused_or_read(raw: bytes) -> None:
    with contextlib.suppress(RecordError):
        assert isinstance(parse(raw), (Kill, Arguments))


@given(st.binary(max_size=2048))
def test_any_bytes(raw: bytes) -> None:
    """No bytes raise anything but RecordError."""
    refused_or_read(raw)


VALID = [
    raw_mark(arguments=b"hog\0", environment=b"A=1\0", levels=[RawLevel(1), RawLevel(2)], comm=b"hog"),
    raw_mark(cgroup=[b"\xff" * 255] * 16),
    raw_arguments(b"hog\0", b"A=1\0"),
]


@given(st.sampled_from(VALID), st.data())
def test_mutations_of_valid_records(valid: bytes, data: Any) -> None:
    """A valid record with bytes changed, cut off or added raises nothing but RecordError."""
    raw = bytearray(valid)
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=8)):
        raw[place] = byte
    cut = data.draw(st.integers(0, len(raw)) | st.just(len(raw)))
    refused_or_read(bytes(raw[:cut]) + data.draw(st.binary(max_size=16) | st.just(b"")))


@given(st.data())
def test_mutations_behind_the_header(data: Any) -> None:
    """With its size kept right, what follows the header may be anything."""
    length = data.draw(st.integers(0, 2 * ctypes.sizeof(RawMark)))
    kind = data.draw(st.sampled_from([1, 2]))
    head = bytes(record.Header(record.FORMAT, kind, ctypes.sizeof(record.Header) + length, 0, 0))
    refused_or_read(head + data.draw(st.randoms(use_true_random=False)).randbytes(length))


def test_a_path_that_does_not_end() -> None:
    """A path whose last component has no end is refused: part of it would be missing."""
    raw = raw_mark(cgroup=[b"c"])
    size = ctypes.sizeof(RawMark)
    assert raw[size : size + 2] == b"c\0"
    with pytest.raises(RecordError, match="does not end"):
        parse(raw[:size] + b"cc" + raw[size + 2 :])
