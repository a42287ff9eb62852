"""The victim's statistics as the kernel's taskstats has them. In: a thread's id. Out: Statistics.

Rules: optional, and only where CAP_NET_ADMIN is held, since the kernel asks for it (TASKSTATS_CMD_GET is
GENL_ADMIN_PERM, kernel/taskstats.c). It asks for one task and never for all that exit: that would cost with every
process of the node. Whoever is gone is None. It is two requests of generic netlink (netlink(7),
Documentation/accounting/taskstats.rst), and blocks: call it from a thread.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from oomeventer.errors import OomeventerError

CAP_NET_ADMIN = 12

#: struct nlmsghdr: length, type, flags, sequence, port; genlmsghdr: command, version; nlattr: length, type.
_MESSAGE, _COMMAND, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBxx"), struct.Struct("=HH")
_NETLINK_GENERIC, _IS_REQUEST, _IS_ERROR, _TYPE = 16, 1, 2, 0x3FFF
#: The family that knows the others: its id, what it is asked, the name asked for and the id answered.
_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
#: TASKSTATS_CMD_GET and _ATTR_PID; TASKSTATS_TYPE_AGGR_PID, and in it TASKSTATS_TYPE_STATS.
_GET, _PID, _OF_PID, _STATISTICS = 1, 1, 4, 3
#: struct taskstats (linux/taskstats.h): version; count and delay of cpu, blkio, swapin; ac_etime; ac_minflt, ac_majflt;
#: hiwater_rss. Fields are only added at its end, but in version 15 (Linux 6.14), which put some between these.
_FIELDS = struct.Struct("=H14x6Q80xQ16xQQ16xQ")
_OTHER_LAYOUT = 15
_SECONDS = 1.0
_BYTES = 1 << 14


class TaskstatsError(OomeventerError):
    """The kernel has no taskstats (CONFIG_TASKSTATS) or does not give it to us."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one task (struct taskstats, Documentation/accounting/taskstats-struct.rst), times in seconds.

    peak_rss_bytes: None once the task has dropped its memory, as a victim mostly has; the kernel's record has its own.
    Delays: None where delay accounting is off (delayacct).
    """

    age_seconds: float
    peak_rss_bytes: int | None
    minor_faults: int
    major_faults: int
    cpu_delay_seconds: float | None
    io_delay_seconds: float | None
    swapin_delay_seconds: float | None


def taskstats_permitted() -> bool:
    """Whether this process holds CAP_NET_ADMIN (capabilities(7), CapEff in /proc/self/status)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & 1 << CAP_NET_ADMIN)
    return False


class Taskstats:
    """An open socket, for one thread at a time. Raises TaskstatsError where it cannot be had."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        except OSError as e:
            raise _error(e) from e
        try:
            self._socket.settimeout(_SECONDS)
            answer = self._ask(_CONTROL, _GET_FAMILY, _FAMILY_NAME, b"TASKSTATS\0")
            (self._family,) = struct.unpack("=H", answer[_FAMILY_ID])
        except (OSError, LookupError, struct.error) as e:
            self.close()
            raise _error(e) from e

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self, tid: int) -> Statistics | None:
        """Of the task with that id, or None where there is none any more. Raises TaskstatsError."""
        try:
            answer = self._ask(self._family, _GET, _PID, struct.pack("=I", tid))
            return _statistics(dict(_attributes(answer[_OF_PID]))[_STATISTICS])
        except OSError as e:
            if e.errno == errno.ESRCH:
                return None
            raise _error(e) from e
        except (LookupError, struct.error) as e:
            raise _error(e) from e

    def _ask(self, family: int, command: int, attribute: int, value: bytes) -> dict[int, bytes]:
        """The answer's attributes. Raises OSError, also the kernel's own, LookupError and struct.error."""
        value += bytes(-len(value) % 4)
        content = _COMMAND.pack(command, 1) + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), attribute) + value
        self._socket.send(_MESSAGE.pack(_MESSAGE.size + len(content), family, _IS_REQUEST, 0, 0) + content)
        answer = self._socket.recv(_BYTES)
        length, kind, *_ = _MESSAGE.unpack_from(answer)
        if kind == _IS_ERROR:
            (number,) = struct.unpack_from("=i", answer, _MESSAGE.size)
            raise OSError(-number, os.strerror(-number))
        return dict(_attributes(answer[_MESSAGE.size + _COMMAND.size : length]))


def _attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """By their types."""
    while len(raw) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(raw)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE, raw[_ATTRIBUTE.size : length]
        raw = raw[(length + 3) // 4 * 4 :]


def _error(error: Exception) -> TaskstatsError:
    return TaskstatsError(f"no taskstats: {error!r}. It needs CAP_NET_ADMIN and CONFIG_TASKSTATS=y")


def _statistics(raw: bytes) -> Statistics | None:
    version, cpus, cpu, _, io, _, swapin, age, minor, major, peak_kib = _FIELDS.unpack_from(raw)
    if version == _OTHER_LAYOUT:
        return None

    def seconds(delay: int) -> float | None:
        return delay / 1e9 if cpus else None

    return Statistics(
        age_seconds=age / 1e6,
        peak_rss_bytes=peak_kib * 1024 or None,
        minor_faults=minor,
        major_faults=major,
        cpu_delay_seconds=seconds(cpu),
        io_delay_seconds=seconds(io),
        swapin_delay_seconds=seconds(swapin),
    )
