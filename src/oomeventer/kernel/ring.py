"""The BPF ring buffer, read through its memory. In: a map's fd. Out: records, and later room for new ones.

libbpf's own reader frees each record as it hands it out. This one reads first and frees when the agent asks, so that a
record stays in the kernel, which outlives this process, until what it says is on disk.

Layout (kernel/bpf/ringbuf.c): a page with the consumer's position, which we write; a page with the producer's; then the
data, mapped twice in a row so that no record is ever split. A record is a header of 8 bytes (its length with two flags,
and what the kernel needs to find its way back), then its bytes, rounded up to 8. Positions only grow, and are taken
modulo the size. Rules: one reader at a time; records are freed in any order, their room in the ring's. The consumer's
position is written whole: struct.pack_into() writes zeroes first, and a kernel that sees those takes the ring for full,
and loses what it has to write. Of the data only what is to be read is mapped, and as long as it is: the kernel maps it
page by page at once, so that it would count as this process's memory, twice.
"""

import mmap
import os
import struct
from collections.abc import Iterable

BUSY, DISCARD = 1 << 31, 1 << 30
_HEADER = 8
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Ring:
    """An open ring buffer map; fd stays the caller's. Records that nobody freed are read again by the next reader."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = max_entries(fd)
        self._consumer = memoryview(mmap.mmap(fd, _PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE)).cast("Q")
        self._producer = memoryview(mmap.mmap(fd, _PAGE, prot=mmap.PROT_READ, offset=_PAGE)).cast("Q")
        self._next = self._consumer[0]
        self._held: dict[int, None] = {}  # positions of records that are read and not freed, in the ring's order

    def close(self) -> None:
        """Unmap; the map's fd is not closed."""
        self._consumer.release()
        self._producer.release()

    def read(self) -> list[tuple[int, bytes]]:
        """Records that were not read before, each with its position, copied. They stay until free()."""
        records: list[tuple[int, bytes]] = []
        end = self._producer[0]
        os.getppid()  # a system call: what is read from here on is read after `end`, on arm64 too
        if self._next < end:
            offset = self._next // _PAGE * _PAGE
            begin = 2 * _PAGE + offset % self.size
            with mmap.mmap(self.fd, end - offset, prot=mmap.PROT_READ, offset=begin) as data:
                records = self._read(data, offset, end)
        if not self._held:
            self._give_back()
        return records

    def _read(self, data: mmap.mmap, offset: int, end: int) -> list[tuple[int, bytes]]:
        """Those from the next one to `end`. offset: the position of the data's first byte."""
        records = []
        while self._next < end:
            at = self._next - offset
            (length,) = struct.unpack_from("=I", data, at)
            if length & BUSY:  # reserved, and being written on another CPU; a wake-up follows
                break
            size = length & ~(BUSY | DISCARD)
            if not length & DISCARD:
                records.append((self._next, data[at + _HEADER : at + _HEADER + size]))
                self._held[self._next] = None
            self._next += _HEADER + (size + 7) // 8 * 8
        return records

    def free(self, positions: Iterable[int]) -> None:
        """Those records are not needed any more. Their room is given back once all before them are free, too."""
        for position in positions:
            self._held.pop(position, None)
        self._give_back()

    @property
    def is_empty(self) -> bool:
        """Whether all that was written is read and freed."""
        return not self._held and self._next >= self._producer[0]

    @property
    def used_bytes(self) -> int:
        """What waits to be read or freed."""
        return self._producer[0] - self._consumer[0]

    def _give_back(self) -> None:
        self._consumer[0] = next(iter(self._held), self._next)


def max_entries(fd: int) -> int:
    """A map's size, by the kernel's word (Documentation/filesystems/proc.rst, fdinfo)."""
    with open(f"/proc/self/fdinfo/{fd}") as info:
        return next(int(line.split()[1]) for line in info if line.startswith("max_entries:"))
