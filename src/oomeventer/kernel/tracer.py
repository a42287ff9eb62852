"""The kernel's side of the agent: loads the BPF object, attaches it, and reads episodes from its ring.

Flows in: kills on this machine. Flows out: episodes, through an async iterator. Rules: no thread, no timer while
nothing is open, and the callback from C only copies bytes: an exception in it would vanish, and a record must be out
of the ring before it is parsed. While nobody takes episodes, records stay in the ring; a full ring is counted.
"""

import asyncio
import ctypes
import logging
import math
from collections.abc import AsyncIterator, Callable
from importlib import resources
from types import TracebackType
from typing import Any, Self

from oomeventer.kernel.episodes import Episode, Episodes
from oomeventer.kernel.libbpf import KernelError, Library, Sample
from oomeventer.kernel.record import RecordError, parse
from oomeventer.kill import ran_out_here

log = logging.getLogger(__name__)

PROGRAMS = (b"signal_deliver", b"mark_victim")  # the one that waits for victims first
#: They tell which memcg ran out, where the kernel allows them.
OPTIONAL = (b"oom_end", b"oom_begin")
#: A record takes 1.5 to 3 KiB, at most 22: this holds a storm of some hundred kills while the agent is not running.
RING_BYTES = 1 << 20
RING_BYTES_LEAST = 1 << 16


def object_bytes() -> bytes:
    """The BPF object that the package ships."""
    return resources.files(__package__).joinpath("oom.bpf.o").read_bytes()


class Tracer:
    """The attached object. A context manager: entering loads and attaches, leaving detaches and frees.

    ring_bytes: from 64 KiB on; the kernel takes the next power of two. Raises LibraryError or KernelError.
    """

    def __init__(self, ring_bytes: int = RING_BYTES) -> None:
        if ring_bytes < RING_BYTES_LEAST:
            raise KernelError(
                f"a ring of {ring_bytes} bytes is too small: one record can take 22 KiB; "
                f"give it {RING_BYTES_LEAST} or more (--ring-bytes)"
            )
        self._ring_bytes = ring_bytes
        self._library = Library()
        self._free: list[Callable[[], None]] = []
        self._raw: list[bytes] = []
        #: Whether the kernel lets us know which memcg ran out; else it is inferred (kill.what_ran_out).
        self.is_told_what_ran_out = False

    def __enter__(self) -> Self:
        try:
            self._load()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Detach and free, in the reverse order of making."""
        while self._free:
            self._free.pop()()

    def _load(self) -> None:
        c = self._library
        try:
            obj = self._object(OPTIONAL)
            for name in OPTIONAL:
                self._attach(obj, name)
            self.is_told_what_ran_out = True
        except KernelError as e:
            log.debug("going on without %s: %s", OPTIONAL, e)
            self.close()
            obj = self._object(())
        ring = c.bpf_object__find_map_by_name(obj, b"ring")
        self._counters = c.bpf_map__fd(c.bpf_object__find_map_by_name(obj, b"counters"))
        self._sample = Sample(self._copy)  # held here: libbpf keeps only the address
        self._ring = self._own(c.ring_buffer__new(c.bpf_map__fd(ring), self._sample, None, None), c.ring_buffer__free)
        for name in PROGRAMS:
            self._attach(obj, name)
        c.log.clear()

    def _object(self, optional: tuple[bytes, ...]) -> Any:
        """The object, loaded with those of the optional programs. One that the kernel refuses refuses the whole."""
        c, code = self._library, object_bytes()
        obj = self._own(c.bpf_object__open_mem(code, len(code), None), c.bpf_object__close)
        for name in OPTIONAL:
            c.bpf_program__set_autoload(c.bpf_object__find_program_by_name(obj, name), name in optional)
        c.bpf_map__set_max_entries(c.bpf_object__find_map_by_name(obj, b"ring"), self._ring_bytes)
        c.bpf_object__load(obj)
        return obj

    def _attach(self, obj: Any, name: bytes) -> None:
        program = self._library.bpf_object__find_program_by_name(obj, name)
        self._own(self._library.bpf_program__attach(program), self._library.bpf_link__destroy)

    def _own(self, pointer: Any, free: Callable[[Any], Any]) -> Any:
        self._free.append(lambda: free(pointer))
        return pointer

    def _copy(self, _context: int | None, data: int, size: int) -> int:
        self._raw.append(ctypes.string_at(data, size))
        return 0

    @property
    def lost(self) -> int:
        """Records that found the ring full since the object was loaded, as the kernel counts them now."""
        key, value = ctypes.c_uint32(0), ctypes.c_uint64()
        self._library.bpf_map_lookup_elem(self._counters, ctypes.byref(key), ctypes.byref(value))
        return value.value

    def consume(self) -> list[bytes]:
        """Take what is in the ring now, without waiting."""
        self._library.ring_buffer__consume(self._ring)
        raw, self._raw = self._raw, []
        return raw

    async def episodes(self, stop: asyncio.Event | None = None) -> AsyncIterator[Episode]:
        """The episodes as they are completed, until `stop` is set; then what is open, as it is. See episodes.py."""
        loop = asyncio.get_running_loop()
        episodes = Episodes(ran_out_here)
        stopping = loop.create_task((stop or asyncio.Event()).wait())
        try:
            while True:
                for raw in self.consume():
                    try:
                        episodes.feed(parse(raw), loop.time())
                    except RecordError as e:
                        log.error("a record was not readable, its kill is not reported: %s", e)
                ends = stopping.done()
                for episode in episodes.take(math.inf if ends else loop.time()):
                    yield episode
                if ends:
                    return
                await self._readable(episodes.due(), stopping)
        finally:
            stopping.cancel()

    async def _readable(self, until: float | None, stopping: asyncio.Task[bool]) -> None:
        """Wait until the ring has records, until that loop time, or until we are to stop."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        fd = self._library.ring_buffer__epoll_fd(self._ring)
        loop.add_reader(fd, _settle, ready)
        try:
            timeout = None if until is None else max(0.0, until - loop.time())
            await asyncio.wait((ready, stopping), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(fd)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
