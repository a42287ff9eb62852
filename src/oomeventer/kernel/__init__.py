"""The kernel's side: the BPF object, its record, and the reader.

In: kills on this machine. Out: episodes of Kills, each the kernel's own word, with nothing added. ctypes lives here.
"""

from oomeventer.kernel.episodes import Episode
from oomeventer.kernel.heap import give_back as give_back_heap
from oomeventer.kernel.heap import share as share_heap
from oomeventer.kernel.kill import Kill, Missing, Process, ancestor, is_lowered, ran_out_here
from oomeventer.kernel.libbpf import KernelError, LibraryError
from oomeventer.kernel.lock import Held, Lock
from oomeventer.kernel.pins import DEFAULT as DEFAULT_PINS
from oomeventer.kernel.pins import Pins, PinsError, filesystem
from oomeventer.kernel.tracer import RING_BYTES_LEAST, Tracer

__all__ = [
    "DEFAULT_PINS",
    "RING_BYTES_LEAST",
    "Episode",
    "Held",
    "KernelError",
    "Kill",
    "LibraryError",
    "Lock",
    "Missing",
    "Pins",
    "PinsError",
    "Process",
    "Tracer",
    "ancestor",
    "filesystem",
    "give_back_heap",
    "is_lowered",
    "ran_out_here",
    "share_heap",
]
