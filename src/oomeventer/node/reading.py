"""Files of the kernel, read whole or not at all. In: a path. Out: bytes, None where it is gone or not for us.

Rules: what is made of a pid, or of a cgroup's name, is a str and never a Path. pathlib interns each part of a path
(sys.intern), and CPython's table of interned strings, 2 MiB here, does not use the places again of those that are gone:
after so many new names it is made anew, in the memory of the thread that comes by (glibc has a heap for each), and the
old one's place stays with the thread that made that.
"""

import os
import re
from pathlib import Path

# pid (comm) state ppid ... flags is field 9, starttime 22; comm may hold anything, parentheses too: its end is the last
# one.
_STAT = re.compile(
    rb"\d+ \((?P<comm>.*)\) (?P<state>\S)(?: \S+){5} (?P<flags>\d+)(?: \S+){12} (?P<starttime>\d+) ", re.DOTALL
)


def read(path: str, limit: int) -> bytes | None:
    """At most `limit` bytes of a file; None where it is gone or not for us."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(file, limit)
    except OSError:
        return None
    finally:
        os.close(file)


def process_stat(proc: Path, pid: int) -> re.Match[bytes] | None:
    """/proc/PID/stat: comm, state, flags and starttime (proc_pid_stat(5))."""
    raw = read(f"{proc}/{pid}/stat", 4096)
    return _STAT.match(raw) if raw else None


def number(raw: bytes | None) -> int | None:
    """A file, or a word, that holds one number and nothing else."""
    stripped = (raw or b"").strip()
    return int(stripped) if stripped.isdigit() and len(stripped) < 20 else None
