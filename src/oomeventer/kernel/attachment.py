"""One load of the BPF object, attached: its ring, its counters, its links. In: the object's bytes, or pins that
an earlier agent left. Out: an Attachment, which owns what it holds open.

Rules: what is pinned outlives close(). The links are held open also where they are pinned, so that removing the pins
does not blind an agent that runs.
"""

import contextlib
import ctypes
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oomeventer.errors import OomeventerError
from oomeventer.kernel import heap
from oomeventer.kernel.libbpf import KernelError, Library
from oomeventer.kernel.pins import Generation
from oomeventer.kernel.ring import Ring

log = logging.getLogger(__name__)

PROGRAMS = ("signal_deliver", "mark_victim")  # the one that waits for victims first
#: What user space reads. Before there was an account of losses a ring had none.
MAPS = ("ring", "counters", "losses")
#: They record which memcg ran out, where the kernel allows them.
OPTIONAL = ("oom_end", "oom_begin")


class ObjectError(OomeventerError):
    """The package lacks its BPF object, which no Python build tool makes by itself."""


def object_bytes() -> bytes:
    """The BPF object that the package ships. Raises ObjectError where it cannot be read."""
    file = Path(__file__).with_name("oom.bpf.o")
    try:
        return file.read_bytes()
    except OSError as e:
        raise ObjectError(
            f"cannot read the BPF object {file}: {e.strerror}; build it with 'make object' in the source tree, and "
            "install the package again"
        ) from e


def code(ring_bytes: int) -> str:
    """What tells a load of this object with that ring from any other."""
    return hashlib.sha256(object_bytes() + b"%d" % ring_bytes).hexdigest()[:12]


class Attachment:
    """See load() and adopt(). knows_what_ran_out: whether the kernel lets us know which memcg it was."""

    def __init__(self, library: Library, generation: Generation | None) -> None:
        self._library = library
        self._free: list[Callable[[], Any]] = []
        self.generation = generation
        self.knows_what_ran_out = False
        self.ring: Ring
        self._counters: int
        self._losses: int | None

    def close(self) -> None:
        """Let go, in the reverse order of making. What is not pinned is detached by it."""
        while self._free:
            self._free.pop()()

    @property
    def lost(self) -> int:
        """Records that found the ring full since the object was loaded, as the kernel counts them now."""
        key, value = ctypes.c_uint32(0), ctypes.c_uint64()
        self._library.bpf_map_lookup_elem(self._counters, ctypes.byref(key), ctypes.byref(value))
        return value.value

    def take_losses(self) -> dict[int, int]:
        """Of which memcgs, by the inode, they were, since this was last asked. Now and then one is missing here."""
        found: dict[int, int] = {}
        key, value = ctypes.c_uint64(), ctypes.c_uint64()
        losses = self._losses
        while losses is not None and not self._library.bpf_map_get_next_key(losses, None, ctypes.byref(key)):
            with contextlib.suppress(KernelError):  # an older one has made room
                self._library.bpf_map_lookup_elem(losses, ctypes.byref(key), ctypes.byref(value))
                found[key.value] = found.get(key.value, 0) + value.value
            self._library.bpf_map_delete_elem(losses, ctypes.byref(key))
        return found

    def own(self, thing: Any, free: Callable[[Any], Any]) -> Any:
        """Keep a thing until close()."""
        self._free.append(lambda: free(thing))
        return thing

    def hold(self, ring: int, counters: int, losses: int | None) -> None:
        """Read that ring and those counters, by their fds."""
        self.ring = self.own(Ring(ring), Ring.close)
        self._counters = counters
        self._losses = losses


def load(library: Library, ring_bytes: int, generation: Generation | None = None) -> Attachment:
    """Load and attach the object, and pin it where a generation is given. Raises KernelError; then no pin is left."""
    try:
        if library.permits_tracing():  # 0.1 ms; a load for nothing takes 50
            try:
                return _load(library, ring_bytes, generation, OPTIONAL)
            except KernelError as e:
                log.debug("going on without %s: %s", OPTIONAL, e)
                if generation:
                    generation.unpin()
        return _load(library, ring_bytes, generation, ())
    except BaseException:
        if generation:
            generation.remove()
        raise


def adopt(library: Library, generation: Generation) -> Attachment:
    """Open what an earlier agent pinned; without links, where a crash left only the ring. Raises KernelError."""
    attachment = Attachment(library, generation)
    try:

        def opened(name: str) -> int:
            return int(attachment.own(library.bpf_obj_get(generation.path(name)), os.close))

        losses = opened("losses") if generation.has("losses") else None
        attachment.hold(opened("ring"), opened("counters"), losses)
        links = [f"link_{name}" for name in PROGRAMS + OPTIONAL if generation.has(f"link_{name}")]
        for link in links:
            opened(link)
        attachment.knows_what_ran_out = all(f"link_{name}" in links for name in OPTIONAL)
    except BaseException:
        attachment.close()
        raise
    return attachment


def is_whole(generation: Generation) -> bool:
    """Whether all that must be attached is, so that it can be gone on with."""
    return generation.has("ring", "counters", "losses", *(f"link_{name}" for name in PROGRAMS))


def _load(library: Library, ring_bytes: int, generation: Generation | None, optional: tuple[str, ...]) -> Attachment:
    c, code_bytes = library, object_bytes()
    attachment = Attachment(library, generation)
    try:
        obj = attachment.own(c.bpf_object__open_mem(code_bytes, len(code_bytes), None), c.bpf_object__close)
        for name in OPTIONAL:  # one that the kernel refuses refuses the whole
            c.bpf_program__set_autoload(c.bpf_object__find_program_by_name(obj, name.encode()), name in optional)
        maps = {name: c.bpf_object__find_map_by_name(obj, name.encode()) for name in MAPS}
        c.bpf_map__set_max_entries(maps["ring"], ring_bytes)
        c.bpf_object__load(obj)
        attachment.hold(*(c.bpf_map__fd(maps[name]) for name in MAPS))
        if generation:
            for name in MAPS:
                c.bpf_map__pin(maps[name], generation.path(name))
        for name in optional + PROGRAMS:
            program = c.bpf_object__find_program_by_name(obj, name.encode())
            link = attachment.own(c.bpf_program__attach(program), c.bpf_link__destroy)
            if generation:
                c.bpf_link__pin(link, generation.path(f"link_{name}"))
        attachment.knows_what_ran_out = bool(optional)
    except BaseException:
        attachment.close()
        raise
    finally:
        heap.give_back()  # to load an object libbpf has the kernel's types there, 10 MiB
    c.log.clear()
    return attachment
