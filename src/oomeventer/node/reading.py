"""Files of the kernel, read whole or not at all. In: a path. Out: bytes, None where it is gone or not for us."""

import re
from pathlib import Path

# pid (comm) state ppid ... flags is field 9, starttime 22; comm may hold anything, parentheses too: its end is the last
# one.
_STAT = re.compile(
    rb"\d+ \((?P<comm>.*)\) (?P<state>\S)(?: \S+){5} (?P<flags>\d+)(?: \S+){12} (?P<starttime>\d+) ", re.DOTALL
)


def read(path: Path, limit: int) -> bytes | None:
    """At most `limit` bytes of a file; None where it is gone or not for us."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(limit)
    except OSError:
        return None


def process_stat(proc: Path, pid: int) -> re.Match[bytes] | None:
    """/proc/PID/stat: comm, state, flags and starttime (proc_pid_stat(5))."""
    raw = read(proc / str(pid) / "stat", 4096)
    return _STAT.match(raw) if raw else None


def number(raw: bytes | None) -> int | None:
    """A file, or a word, that holds one number and nothing else."""
    stripped = (raw or b"").strip()
    return int(stripped) if stripped.isdigit() and len(stripped) < 20 else None
