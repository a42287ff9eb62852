"""libbpf through ctypes: the one place that knows it. In: an object's bytes. Out: handles, errors.

Rules: one signature table, one checker for each C convention of failure, and libbpf's own log in every error. A
pointer is owned by whoever opened it (see tracer.py). libbpf 1.0 or newer (soname libbpf.so.1).
"""

import ctypes
import errno
import os
import re
from collections import deque
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

from oomeventer.errors import OomeventerError

#: Another library in place of the system's; for hosts that keep it elsewhere.
LIBRARY_VARIABLE = "OOMEVENTER_LIBBPF"
SONAME = "libbpf.so.1"

#: linux/bpf.h: BPF_PROG_TYPE_TRACING
_PROG_TYPE_TRACING = 26

_Print = CFUNCTYPE(c_int, c_int, c_void_p, c_void_p)
_Check = Callable[[Any, Any, tuple[Any, ...]], Any]


class KernelError(OomeventerError):
    """The kernel, or libbpf on its behalf, refused; the message has libbpf's log, and what to do."""


class LibraryError(OomeventerError):
    """libbpf is missing or too old."""


def advice(number: int, libbpf_log: str) -> str:
    """What to do about an errno of loading or attaching, by libbpf's log of it: one sentence."""
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return (
            "this kernel has no BTF (/sys/kernel/btf/vmlinux is missing): it needs CONFIG_DEBUG_INFO_BTF=y, "
            "which distributions' kernels from 5.10 on have"
        )
    if re.search(r"(unknown func|cannot use helper) bpf_probe_read", libbpf_log):  # LOCKDOWN_BPF_READ_KERNEL
        return (
            "this kernel is locked down for confidentiality, so that BPF may not read its memory: boot it with "
            "lockdown=integrity, or without lockdown"
        )
    if "map 'ring'" in libbpf_log and number == errno.EINVAL:
        return "this kernel has no BPF ring buffer: it needs Linux 5.8 or newer"
    if number in (errno.EPERM, errno.EACCES):
        return "run as root or with CAP_BPF and CAP_PERFMON (before kernel 5.11 also CAP_SYS_RESOURCE)"
    if number == errno.ENOMEM:
        return "not enough memory for the ring: choose a smaller one (--ring-bytes)"
    if number == errno.ENOSYS:
        return "this kernel has no bpf(2): it needs CONFIG_BPF_SYSCALL=y"
    return "this kernel does not take the BPF object: it needs Linux 5.10 or newer"


class Library:
    """The loaded library. Raises LibraryError where there is none."""

    def __init__(self) -> None:
        name = os.environ.get(LIBRARY_VARIABLE) or SONAME
        try:
            self._c = ctypes.CDLL(name, use_errno=True)
        except OSError as e:
            raise LibraryError(
                f"cannot load {name}: {e}. Install libbpf 1.0 or newer (Debian: libbpf1), or name its file "
                f"in {LIBRARY_VARIABLE}"
            ) from e
        #: libbpf's last words, for errors; the log of a refused program can be long, and its end says why.
        self.log: deque[str] = deque(maxlen=40)
        self._bind("libbpf_set_print", c_void_p, [_Print], None)
        self._bind("libbpf_probe_bpf_prog_type", c_int, [c_int, c_void_p], None)
        self._bind("bpf_object__open_mem", c_void_p, [c_char_p, c_size_t, c_void_p], self._pointer)
        self._bind("bpf_object__load", c_int, [c_void_p], self._status)
        self._bind("bpf_object__close", None, [c_void_p], None)
        self._bind("bpf_object__find_map_by_name", c_void_p, [c_void_p, c_char_p], self._pointer)
        self._bind("bpf_object__find_program_by_name", c_void_p, [c_void_p, c_char_p], self._pointer)
        self._bind("bpf_program__set_autoload", c_int, [c_void_p, c_bool], self._status)
        self._bind("bpf_map__set_max_entries", c_int, [c_void_p, c_uint32], self._status)
        self._bind("bpf_map__fd", c_int, [c_void_p], self._status)
        self._bind("bpf_map_lookup_elem", c_int, [c_int, c_void_p, c_void_p], self._status)
        self._bind("bpf_map_get_next_key", c_int, [c_int, c_void_p, c_void_p], None)
        self._bind("bpf_map_delete_elem", c_int, [c_int, c_void_p], None)
        self._bind("bpf_program__attach", c_void_p, [c_void_p], self._pointer)
        self._bind("bpf_link__destroy", c_int, [c_void_p], None)
        self._bind("bpf_link__pin", c_int, [c_void_p, c_char_p], self._status)
        self._bind("bpf_map__pin", c_int, [c_void_p, c_char_p], self._status)
        self._bind("bpf_obj_get", c_int, [c_char_p], self._status)
        vsnprintf = ctypes.CDLL(None).vsnprintf
        vsnprintf.argtypes = [c_char_p, c_size_t, c_void_p, c_void_p]
        line = ctypes.create_string_buffer(4096)

        def keep(level: int, template: int, arguments: int) -> int:
            if level > 1:  # LIBBPF_DEBUG: every relocation
                return 0
            vsnprintf(line, len(line), template, arguments)
            self.log.append(line.value.decode(errors="replace").rstrip())
            return 0

        # A va_list goes through as a pointer: so it is passed by the ABIs of x86-64 and arm64 alike.
        self._print = _Print(keep)  # held here: libbpf keeps only the address
        self._c.libbpf_set_print(self._print)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._c, name)

    def permits_tracing(self) -> bool:
        """Whether the kernel takes fentry and fexit programs at all from us; what they name may be refused yet."""
        return bool(self.libbpf_probe_bpf_prog_type(_PROG_TYPE_TRACING, None) > 0)

    def _bind(self, name: str, result: Any, arguments: list[Any], check: _Check | None) -> None:
        try:
            function = getattr(self._c, name)
        except AttributeError as e:
            raise LibraryError(f"{SONAME} has no {name}: libbpf 1.0 or newer is needed") from e
        function.restype, function.argtypes = result, arguments
        if check:
            function.errcheck = check

    def _pointer(self, result: Any, function: Any, _arguments: tuple[Any, ...]) -> Any:
        """Null means failure, with errno."""
        if not result:
            raise self._error(ctypes.get_errno(), function.__name__)
        return result

    def _status(self, result: int, function: Any, _arguments: tuple[Any, ...]) -> int:
        """Negative means failure: minus the errno."""
        if result < 0:
            raise self._error(-result, function.__name__)
        return result

    def _error(self, number: int, function: str) -> KernelError:
        lines = "\n  ".join(self.log)
        self.log.clear()
        sentence = f"{advice(number, lines)} ({function}: {os.strerror(number)})"
        return KernelError(sentence + (f"\nlibbpf's log:\n  {lines}" if lines else ""))
