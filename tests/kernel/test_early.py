"""Whose arguments a SIGKILL leaves behind in the kernel, for a mark that is still to come: the map `early`.

In: processes that are killed, by the kernel or by us. Out: which of them are in that map.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.programs import BPFTOOL
from machine import Cgroup, Victim
from oomeventer.kernel.attachment import Attachment, load
from oomeventer.kernel.libbpf import Library
from oomeventer.kernel.tracer import RING_BYTES_LEAST

pytestmark = pytest.mark.kernel


class Key(ctypes.Structure):
    """struct victim."""

    _fields_ = (("start_ns", ctypes.c_uint64), ("tgid", ctypes.c_uint32), ("padding", ctypes.c_uint32))


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def attached(library: Library) -> Iterator[Attachment]:
    attachment = load(library, RING_BYTES_LEAST)
    yield attachment
    attachment.close()


def early(library: Library) -> set[int]:
    """The processes in the map of the object that this process has loaded."""
    fd, key, found = _fd("early"), Key(), set[int]()
    at = None
    while not library.bpf_map_get_next_key(fd, at, ctypes.byref(key)):
        found.add(key.tgid)
        at = ctypes.byref(key)
    return found


def _fd(name: str) -> int:
    """Of an open map."""
    for file in Path("/proc/self/fdinfo").iterdir():
        if file.exists() and (number := re.search(r"^map_id:\s+(\d+)$", file.read_text(), re.MULTILINE)):
            shown = subprocess.run([BPFTOOL, "-j", "map", "show", "id", number[1]], check=True, capture_output=True)
            if json.loads(shown.stdout)["name"] == name:
                return int(file.name)
    raise AssertionError(f"no map {name} is open")


def test_a_victim_whose_mark_has_its_arguments(attached: Attachment, library: Library, program: Path) -> None:
    """Nothing is read at its SIGKILL, nor kept: that would be 16 KiB, for each kill. Who is killed by another is no
    victim yet, and is kept."""
    with Cgroup(4 << 20) as cgroup:
        with Victim(program, cgroup, ["hog", "100"]) as victim:
            victim.go()
            assert victim.wait() == -signal.SIGKILL
        with Victim(program, cgroup, ["hog", "1"]) as other:
            other.go()
            os.kill(other.pid, signal.SIGKILL)
            assert other.wait() == -signal.SIGKILL
    kept = early(library)
    assert other.pid in kept
    assert victim.pid not in kept
