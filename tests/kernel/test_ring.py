"""The ring buffer as its reader sees it: nothing is forgotten that was not freed, and nothing comes twice that was.

In: a ring that the test writes as the kernel does, and the kernel's own with real kills. Out: records, and the position
of the consumer.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine import Cgroup, Victim
from oomeventer.kernel import ring as module
from oomeventer.kernel.attachment import Attachment, load
from oomeventer.kernel.kill import Kill
from oomeventer.kernel.libbpf import Library
from oomeventer.kernel.record import parse
from oomeventer.kernel.ring import BUSY, DISCARD, Ring

PAGE = os.sysconf("SC_PAGE_SIZE")
LIMIT = 4 << 20
KERNEL = 1 << 16


class Written:
    """A file that looks like the kernel's ring, with a writer. Records that do not fit are refused."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fd = os.memfd_create("ring")
        os.truncate(self.fd, 2 * PAGE + 2 * size)
        self.end = 0

    def close(self) -> None:
        os.close(self.fd)

    @property
    def start(self) -> int:
        """The consumer's position, as the kernel reads it."""
        (position,) = struct.unpack("=Q", os.pread(self.fd, 8, 0))
        return int(position)

    def write(self, content: bytes, flags: int = 0) -> int | None:
        """The record's position."""
        length = 8 + (len(content) + 7) // 8 * 8
        if self.end + length - self.start > self.size:
            return None
        position = self.end
        self._put(position, struct.pack("=II", len(content) | flags, 0) + content)
        self.end += length
        os.pwrite(self.fd, struct.pack("=Q", self.end), PAGE)
        return position

    def commit(self, position: int, size: int, flags: int = 0) -> None:
        """A record that was busy is no longer."""
        self._put(position, struct.pack("=I", size | flags))

    def _put(self, position: int, data: bytes) -> None:
        for index, byte in enumerate(data):
            at = (position + index) % self.size
            for copy in (0, self.size):  # the data is mapped twice in a row
                os.pwrite(self.fd, bytes([byte]), 2 * PAGE + copy + at)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    ring = Written(4096)
    monkeypatch.setattr(module, "max_entries", lambda _fd: ring.size)
    yield ring
    ring.close()


def test_an_empty_ring(written: Written) -> None:
    """There is nothing to read, and nothing waits."""
    ring = Ring(written.fd)
    assert (ring.read(), ring.is_empty, ring.used_bytes) == ([], True, 0)
    ring.close()


def test_records_in_their_order(written: Written) -> None:
    """Each once, of any length, with its position; they stay until they are freed."""
    contents = [b"", b"a", b"12345678", b"x" * 100]
    positions = [written.write(content) for content in contents]
    ring = Ring(written.fd)
    assert ring.read() == list(zip(positions, contents, strict=True))
    assert ring.read() == []
    assert (written.start, ring.is_empty, ring.used_bytes) == (0, False, written.end)
    ring.free(position for position in positions if position is not None)
    assert (written.start, ring.is_empty, ring.used_bytes) == (written.end, True, 0)
    ring.close()


def test_what_is_freed_out_of_order(written: Written) -> None:
    """Room is given back once all before it is free, too; freeing twice, or what is no record, is nothing."""
    first, second, third = (written.write(b"record %d" % number) for number in range(3))
    ring = Ring(written.fd)
    ring.read()
    ring.free([third])
    assert written.start == first
    ring.free([first])
    assert written.start == second
    ring.free([first, 12345])
    assert written.start == second
    ring.free([second])
    assert written.start == written.end
    ring.close()


def test_a_record_that_is_being_written(written: Written) -> None:
    """It is waited for, and those behind it, so that the order stays."""
    written.write(b"before")
    busy = written.write(b"busy", BUSY)
    written.write(b"behind")
    ring = Ring(written.fd)
    assert [content for _, content in ring.read()] == [b"before"]
    assert [content for _, content in ring.read()] == []
    assert not ring.is_empty
    assert busy is not None
    written.commit(busy, 4)
    assert [content for _, content in ring.read()] == [b"busy", b"behind"]
    ring.close()


def test_a_record_that_was_discarded(written: Written) -> None:
    """Its room is given back with what is before it, and nobody reads it."""
    first = written.write(b"first")
    written.write(b"never", DISCARD)
    ring = Ring(written.fd)
    assert [content for _, content in ring.read()] == [b"first"]
    ring.free([first])
    assert written.start == written.end
    written.write(b"never", DISCARD)
    assert ring.read() == []
    assert written.start == written.end
    assert ring.is_empty
    ring.close()


#: Looks at the consumer's position, as the kernel does from another CPU, until it is told to stop.
LOOKING = """
import mmap, select, sys
page = memoryview(mmap.mmap(int(sys.argv[1]), mmap.PAGESIZE, prot=mmap.PROT_READ)).cast("Q")
seen = {page[0]}
print("looking", flush=True)
while True:
    seen.update(page[0] for _ in range(1000))
    if select.select([sys.stdin], [], [], 0)[0]:
        break
print(*seen)
"""


def test_a_position_is_written_whole(written: Written) -> None:
    """However often it is written, the kernel never sees another one: it would take the ring for full."""
    written.write(b"r" * 500)
    ring = Ring(written.fd)
    ring.free([position for position, _ in ring.read()])
    command = [sys.executable, "-c", LOOKING, str(written.fd)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[written.fd], text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "looking\n"
        for _ in range(300_000):
            ring.free([])
        out, _ = other.communicate("")
    assert out.split() == [str(written.end)]
    ring.close()


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 900)),
        st.tuples(st.just("discard"), st.integers(0, 900)),
        st.tuples(st.just("read")),
        st.tuples(st.just("free"), st.integers(0, 10)),
        st.tuples(st.just("reopen")),
    ),
    max_size=60,
)


@given(OPERATIONS)
def test_any_order(operations: list[tuple[str, int]]) -> None:
    """Whatever is written, read, freed, and read by the next: all that was not freed before comes again, in its order,
    whole, also around the ring's end; and the kernel is never given room that is still in use."""
    with pytest.MonkeyPatch.context() as patch:
        written = Written(4096)
        patch.setattr(module, "max_entries", lambda _fd: written.size)
        ring = Ring(written.fd)
        unread: dict[int, bytes] = {}
        held: dict[int, bytes] = {}
        number = 0
        for what, *numbers in operations:
            match what:
                case "write" | "discard":
                    number += 1
                    content = bytes([number % 256]) * numbers[0]
                    position = written.write(content, DISCARD if what == "discard" else 0)
                    if position is not None and what == "write":
                        unread[position] = content
                case "read":
                    assert ring.read() == list(unread.items())
                    held |= unread
                    unread = {}
                case "free" if held:
                    position = list(held)[numbers[0] % len(held)]
                    del held[position]
                    ring.free([position])
                case "reopen":
                    ring.close()
                    ring = Ring(written.fd)
                    # What is free behind something that is not comes again: the kernel keeps one position only.
                    again = dict(ring.read())
                    assert (held | unread).items() <= again.items()
                    ring.free(position for position in again if position not in held | unread)
                    held |= unread
                    unread = {}
            assert written.start <= min([*held, *unread, written.end])
            assert (ring.used_bytes, ring.is_empty) == (written.end - written.start, written.start == written.end)
        ring.read()
        ring.free([*held, *unread])
        assert ring.is_empty
        ring.close()
        written.close()


# -- the kernel's ------------------------------------------------------------------------------------------------------


@pytest.fixture
def attached() -> Iterator[Attachment]:
    """A ring of 64 KiB that real kills are written to."""
    attachment = load(Library(), KERNEL)
    yield attachment
    attachment.close()


def dies(program: Path, *arguments: str) -> int:
    """A process that is killed. Its pid."""
    with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["hog", "100", *arguments]) as victim:
        victim.go()
        assert victim.wait() == -9
        return victim.pid


def kills(ring: Ring) -> dict[int, tuple[int, Kill]]:
    """What is read of kills, by pid, with the position."""
    records = [(position, parse(raw)) for position, raw in ring.read()]
    return {record.process.pid: (position, record) for position, record in records if isinstance(record, Kill)}


@pytest.mark.kernel
def test_the_kernels_size(attached: Attachment) -> None:
    """It is the map's own word."""
    assert attached.ring.size == KERNEL
    assert attached.ring.is_empty


@pytest.mark.kernel
def test_what_was_not_freed_comes_again(attached: Attachment, program: Path) -> None:
    """To the next reader of the same map, and to the one after it, until it is freed."""
    first, second, third = (dies(program, f"number-{number}") for number in range(3))
    found = kills(attached.ring)
    assert [pid for pid in found if pid in (first, second, third)] == [first, second, third]
    again = Ring(attached.ring.fd)
    assert kills(again) == found
    again.free(position for pid, (position, _) in found.items() if pid != third)
    again.close()
    last = Ring(attached.ring.fd)
    left = kills(last)
    assert third in left
    assert first not in left
    assert second not in left
    last.close()


@pytest.mark.kernel
def test_many_times_around(attached: Attachment, program: Path) -> None:
    """Kills for several times the ring's size, freed in time: all are reported, each with its own arguments, none
    lost."""
    texts, reported = {}, {}
    for number in range(70):
        mine = chr(ord("a") + number % 26) * 3000
        texts[dies(program, mine)] = mine
        for pid, (position, kill) in kills(attached.ring).items():
            reported[pid] = kill
            attached.ring.free([position])
    assert attached.lost == 0
    for pid, mine in texts.items():
        assert reported[pid].arguments is not None
        assert reported[pid].arguments.split(b"\0")[3] == mine.encode()
    assert attached.ring._next > 3 * KERNEL


@pytest.mark.kernel
def test_a_full_ring_counts_what_it_has_no_room_for(attached: Attachment, program: Path) -> None:
    """While nothing is freed, what fits is kept and the rest counted, one for one; what is freed is used again."""
    mine = [dies(program, "x" * 3000) for _ in range(40)]
    found = kills(attached.ring)
    kept = [pid for pid in mine if pid in found]
    assert kept == mine[: len(kept)]
    assert 10 < len(kept) < 40
    assert attached.lost >= 40 - len(kept)
    assert attached.ring.used_bytes <= KERNEL
    lost = attached.lost
    attached.ring.free(position for position, _ in found.values())
    later = dies(program)
    assert kills(attached.ring)[later][1].lost == lost


@pytest.mark.kernel
def test_the_data_count_as_nobodys_memory(attached: Attachment, program: Path) -> None:
    """When all is read nothing of the ring is mapped but its two positions."""
    dies(program)
    assert kills(attached.ring)
    maps = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if "bpf-map" in line]
    sizes = [int(end, 16) - int(begin, 16) for begin, end in (at.split("-") for at in maps)]
    assert sizes == [PAGE, PAGE]


@pytest.mark.kernel
def test_loading_leaves_nothing_in_the_heap() -> None:
    """What libbpf takes to load the object, the kernel's types, is given back."""
    code = f"""
from pathlib import Path
from oomeventer.kernel.attachment import load
from oomeventer.kernel.libbpf import Library
def anonymous():
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Anonymous:"))
before = anonymous()
load(Library(), {KERNEL})
print(anonymous() - before)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 6 << 10
