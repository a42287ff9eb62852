"""The kernel's room: the BPF object, its record, and the reader. ctypes lives here and nowhere else."""

from oomeventer.kernel.episodes import Episode
from oomeventer.kernel.libbpf import KernelError, LibraryError
from oomeventer.kernel.tracer import RING_BYTES, RING_BYTES_LEAST, Tracer

__all__ = ["RING_BYTES", "RING_BYTES_LEAST", "Episode", "KernelError", "LibraryError", "Tracer"]
