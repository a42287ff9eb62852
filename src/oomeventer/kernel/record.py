"""Raw record to kill. In: one record's bytes, as bpf/oom.h lays them out. Out: a Kill or an Arguments.

Rules: pure; no I/O. The ctypes structures mirror bpf/oom.h field for field; a test holds them against the object's
own BTF. A record that is short, long, of another format or inconsistent raises RecordError and is never guessed at.
"""

import ctypes
import functools
import operator
import os
import resource
from ctypes import c_char, c_int32, c_uint16, c_uint32, c_uint64
from typing import Any

from oomeventer.errors import OomeventerError
from oomeventer.kernel.kill import Arguments, Kill, Level, Missing, Process, Trigger
from oomeventer.text import CUT

FORMAT = 2
LEVELS = 16
KIND_MARK, KIND_ARGUMENTS = 1, 2

CGROUP_CUT, TRIGGER_CGROUP_CUT, LEVELS_CUT, ARGUMENTS_CUT, ENVIRONMENT_CUT = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
ARGUMENTS_FOLLOW, ARGUMENTS_UNREADABLE, ENVIRONMENT_UNREADABLE = 1 << 5, 1 << 6, 1 << 7
UNIFIED, TRIGGER_SAME_CGROUP, LOCKS_KNOWN, DOMAIN_KNOWN, ARGUMENTS_OMITTED = (1 << bit for bit in range(8, 13))
LEVEL_GROUP, LEVEL_LOCKED = 1 << 0, 1 << 1

PAGE = resource.getpagesize()
#: PAGE_COUNTER_MAX (include/linux/page_counter.h): the limit of a memcg that has none.
NO_LIMIT_PAGES = (2**63 - 1) // PAGE

_MISSING = {
    CGROUP_CUT: Missing.CGROUP,
    TRIGGER_CGROUP_CUT: Missing.TRIGGER_CGROUP,
    LEVELS_CUT: Missing.LEVELS,
    ARGUMENTS_CUT: Missing.ARGUMENTS,
    ARGUMENTS_UNREADABLE: Missing.ARGUMENTS,
    ENVIRONMENT_CUT: Missing.ENVIRONMENT,
    ENVIRONMENT_UNREADABLE: Missing.ENVIRONMENT,
    ARGUMENTS_OMITTED: Missing.OMITTED,
}


class RecordError(OomeventerError):
    """A record that cannot be read: the object and this program are of different builds, or the ring is corrupt."""


class Header(ctypes.Structure):
    """struct oom_header."""

    _fields_ = (("format", c_uint16), ("kind", c_uint16), ("size", c_uint32), ("time_ns", c_uint64), ("lost", c_uint64))


class RawLevel(ctypes.Structure):
    """struct oom_level."""

    _fields_ = (
        ("inode", c_uint64),
        ("usage_pages", c_uint64),
        ("limit_pages", c_uint64),
        ("peak_pages", c_uint64),
        ("swap_usage_pages", c_uint64),
        ("swap_limit_pages", c_uint64),
        ("ooms", c_uint64),
        ("flags", c_uint32),
        ("padding", c_uint32),
    )


class RawMark(ctypes.Structure):
    """struct oom_mark."""

    _fields_ = (
        ("header", Header),
        ("flags", c_uint32),
        ("tgid", c_uint32),
        ("tid", c_uint32),
        ("ns_tgid", c_uint32),
        ("ns_level", c_uint32),
        ("uid", c_uint32),
        ("oom_score_adj", c_int32),
        ("init_tgid", c_uint32),
        ("start_ns", c_uint64),
        ("init_start_ns", c_uint64),
        ("init_inode", c_uint64),
        ("domain_inode", c_uint64),
        ("total_vm_pages", c_uint64),
        ("anon_pages", c_uint64),
        ("file_pages", c_uint64),
        ("shmem_pages", c_uint64),
        ("swap_pages", c_uint64),
        ("peak_rss_pages", c_uint64),
        ("pgtables_bytes", c_uint64),
        ("trigger_start_ns", c_uint64),
        ("trigger_tgid", c_uint32),
        ("trigger_tid", c_uint32),
        ("comm", c_char * 16),
        ("trigger_comm", c_char * 16),
        ("cgroup_length", c_uint32),
        ("trigger_cgroup_length", c_uint32),
        ("arguments_length", c_uint32),
        ("environment_length", c_uint32),
        ("levels", c_uint32),
        ("padding", c_uint32),
        ("level", RawLevel * LEVELS),
    )


class RawArguments(ctypes.Structure):
    """struct oom_arguments."""

    _fields_ = (
        ("header", Header),
        ("start_ns", c_uint64),
        ("tgid", c_uint32),
        ("flags", c_uint32),
        ("arguments_length", c_uint32),
        ("environment_length", c_uint32),
    )


def parse(raw: bytes) -> Kill | Arguments:
    """Read one record. Raises RecordError, whose message says what does not fit."""
    header = _fixed(Header, raw, "header")
    if header.format != FORMAT:
        raise RecordError(
            f"record of format {header.format}, this program reads {FORMAT}: it was written by another version"
        )
    if header.size != len(raw):
        raise RecordError(f"record of {len(raw)} bytes says that it has {header.size}")
    if header.kind == KIND_MARK:
        return _kill(raw)
    if header.kind == KIND_ARGUMENTS:
        return _arguments(raw)
    raise RecordError(f"record of unknown kind {header.kind}")


def _fixed(layout: Any, raw: bytes, name: str) -> Any:
    if len(raw) < ctypes.sizeof(layout):
        raise RecordError(f"record of {len(raw)} bytes is too short: its {name} takes {ctypes.sizeof(layout)}")
    return layout.from_buffer_copy(raw)


def _texts(raw: bytes, start: int, *lengths: int) -> list[bytes]:
    if start + sum(lengths) != len(raw):
        raise RecordError(f"record of {len(raw)} bytes has {len(raw) - start} of text and says {sum(lengths)}")
    texts = []
    for length in lengths:
        texts.append(raw[start : start + length])
        start += length
    return texts


def _kill(raw: bytes) -> Kill:
    mark = _fixed(RawMark, raw, "mark")
    if mark.levels > LEVELS:
        raise RecordError(f"record says it has {mark.levels} memcg levels, of {LEVELS} at most")
    cgroup, trigger_cgroup, arguments, environment = _texts(
        raw,
        ctypes.sizeof(RawMark),
        mark.cgroup_length,
        mark.trigger_cgroup_length,
        mark.arguments_length,
        mark.environment_length,
    )
    path = _path(cgroup, cut=bool(mark.flags & CGROUP_CUT))
    return Kill(
        time_ns=mark.header.time_ns,
        lost=mark.header.lost,
        process=Process(mark.tgid, mark.start_ns),
        tid=mark.tid,
        container_pid=mark.ns_tgid,
        namespace_level=mark.ns_level,
        init=Process(mark.init_tgid, mark.init_start_ns),
        init_inode=mark.init_inode,
        comm=mark.comm,
        uid=mark.uid,
        oom_score_adj=mark.oom_score_adj,
        total_vm_bytes=mark.total_vm_pages * PAGE,
        anon_bytes=mark.anon_pages * PAGE,
        file_bytes=mark.file_pages * PAGE,
        shmem_bytes=mark.shmem_pages * PAGE,
        swap_bytes=mark.swap_pages * PAGE,
        peak_rss_bytes=max(mark.peak_rss_pages, mark.anon_pages + mark.file_pages + mark.shmem_pages) * PAGE,
        pgtables_bytes=mark.pgtables_bytes,
        trigger=Trigger(
            process=Process(mark.trigger_tgid, mark.trigger_start_ns),
            tid=mark.trigger_tid,
            comm=mark.trigger_comm,
            cgroup=path
            if mark.flags & TRIGGER_SAME_CGROUP
            else _path(trigger_cgroup, cut=bool(mark.flags & TRIGGER_CGROUP_CUT)),
        ),
        cgroup=path,
        unified=bool(mark.flags & UNIFIED),
        locks_known=bool(mark.flags & LOCKS_KNOWN),
        domain_inode=mark.domain_inode if mark.flags & DOMAIN_KNOWN else None,
        levels=tuple(_level(level) for level in mark.level[: mark.levels]),
        arguments=arguments or None,
        environment=environment or None,
        arguments_follow=bool(mark.flags & ARGUMENTS_FOLLOW),
        missing=_missing(mark.flags),
    )


def _arguments(raw: bytes) -> Arguments:
    record = _fixed(RawArguments, raw, "arguments")
    arguments, environment = _texts(
        raw, ctypes.sizeof(RawArguments), record.arguments_length, record.environment_length
    )
    return Arguments(
        process=Process(record.tgid, record.start_ns),
        lost=record.header.lost,
        arguments=arguments or None,
        environment=environment or None,
        missing=_missing(record.flags),
    )


def _level(raw: RawLevel) -> Level:
    return Level(
        inode=raw.inode,
        usage_bytes=raw.usage_pages * PAGE,
        limit_bytes=_limit(raw.limit_pages),
        peak_bytes=raw.peak_pages * PAGE,
        swap_usage_bytes=raw.swap_usage_pages * PAGE,
        swap_limit_bytes=_limit(raw.swap_limit_pages),
        ooms=raw.ooms,
        group=bool(raw.flags & LEVEL_GROUP),
        locked=bool(raw.flags & LEVEL_LOCKED),
    )


def _limit(pages: int) -> int | None:
    return None if pages >= NO_LIMIT_PAGES else pages * PAGE


def _path(components: bytes, cut: bool) -> str:
    """The path of NUL-ended components, the deepest first; none of them is the root. Of one that is cut they are its
    beginning; where there is none of them, nothing is known of it, and it does not begin with a slash."""
    if components and not components.endswith(b"\0"):
        raise RecordError("record has a path whose last component does not end")
    if cut and not components:
        return CUT
    return "/" + "/".join(os.fsdecode(name) for name in reversed(components.split(b"\0")[:-1]))


def _missing(flags: int) -> Missing:
    return functools.reduce(operator.or_, (what for flag, what in _MISSING.items() if flags & flag), Missing(0))
