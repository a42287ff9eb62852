"""The kernel's room: the BPF object, its record, and the reader. ctypes lives here and nowhere else."""

from oomeventer.kernel.episodes import Episode
from oomeventer.kernel.libbpf import KernelError, LibraryError
from oomeventer.kernel.pins import DEFAULT as DEFAULT_PINS
from oomeventer.kernel.pins import Pins, PinsError, filesystem
from oomeventer.kernel.tracer import RING_BYTES, RING_BYTES_LEAST, Tracer

__all__ = [
    "DEFAULT_PINS",
    "RING_BYTES",
    "RING_BYTES_LEAST",
    "Episode",
    "KernelError",
    "LibraryError",
    "Pins",
    "PinsError",
    "Tracer",
    "filesystem",
]
