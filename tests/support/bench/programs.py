"""What an agent's BPF programs take, by the kernel's own count (BPF_ENABLE_STATS, bpf(2)).

Rules: the kernel counts while measured() lasts, for all programs on the machine, and no longer; no setting is changed.
"""

import ctypes
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench import BenchError

BPFTOOL = "/usr/sbin/bpftool"
_SYSCALL = {"x86_64": 321, "aarch64": 280}
_BPF_ENABLE_STATS, _RUN_TIME = 32, 0


@contextmanager
def measured() -> Iterator[None]:
    """The kernel counts in the meantime."""
    if platform.machine() not in _SYSCALL:
        raise BenchError(f"the number of bpf() on {platform.machine()} is not known: add it to {__file__}")
    what = ctypes.create_string_buffer(_RUN_TIME.to_bytes(4, "little"), 128)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(_SYSCALL[platform.machine()], _BPF_ENABLE_STATS, what, 128)
    if fd < 0:
        raise BenchError(f"the kernel does not count what BPF programs take: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.close(fd)


def runs(pid: int) -> dict[str, tuple[float, int]]:
    """By name of the programs that a process has open: seconds, and how often they ran."""
    texts = []
    for file in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            texts.append(file.read_text())
    own = {int(found[1]) for text in texts if (found := re.search(r"^prog_id:\s+(\d+)$", text, re.MULTILINE))}
    return {
        program["name"]: (program.get("run_time_ns", 0) / 1e9, program.get("run_cnt", 0))
        for program in _shown()
        if program["id"] in own
    }


def agents() -> int:
    """How many agents, anybody's, are attached to this kernel."""
    return sum(program.get("name") == "mark_victim" for program in _shown())


def _shown() -> list[dict[str, object]]:
    shown = subprocess.run([BPFTOOL, "-j", "prog", "show"], check=True, capture_output=True)
    return json.loads(shown.stdout)
