"""A process without capabilities: still root by its uid, so that it reads the same files."""

import ctypes
import os
from collections.abc import Callable

#: capability.h's numbers of those that tests keep.
CAP_PERFMON, CAP_BPF = 38, 39
_VERSION_3 = 0x20080522


def drop(*keep: int) -> None:
    """Give up all capabilities of this process but those (capset(2))."""
    mask = sum(1 << number for number in keep)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


def without(check: Callable[[], bool], *keep: int) -> bool:
    """Whether `check` holds in a process of its own that has only those capabilities."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            drop(*keep)
            status = 0 if check() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
