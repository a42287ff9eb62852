"""The C library's heap, where it is glibc's; another one stays as it is. In: nothing. Out: less memory.

Source: mallopt(3), malloc_trim(3).
"""

import ctypes

#: malloc.h
_M_ARENA_MAX = -8


def share() -> None:
    """All threads have one heap from now on; call it before there is a second thread. glibc gives each one of its own,
    and what one frees there the others do not use."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """What was freed goes back to the kernel."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(ctypes.c_size_t(0))
