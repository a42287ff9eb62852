"""The kernel's taskstats, for a process of this machine, also as another reader of theirs has them."""

import os
import struct
import subprocess
import sys
import time

import pytest
from pyroute2.netlink.taskstats import TaskStats

from machine.capabilities import without
from oomeventer.node.taskstats import Taskstats, TaskstatsError, _statistics, taskstats_permitted

pytestmark = pytest.mark.kernel


def test_a_process_that_lives() -> None:
    """Peak, age and faults of this process agree with what /proc says of it."""
    assert taskstats_permitted()
    with Taskstats() as taskstats:
        statistics = taskstats.read(os.getpid())
    assert statistics
    assert statistics.peak_rss_bytes
    assert statistics.peak_rss_bytes > 10 << 20
    assert statistics.age_seconds > 0
    assert statistics.minor_faults > 0


def test_as_another_reader_has_them() -> None:
    """pyroute2's, of a process that sleeps: the same figures."""
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
        Taskstats() as taskstats,
    ):
        time.sleep(0.5)
        found = taskstats.read(process.pid)
        other = TaskStats()
        other.bind()
        (message,) = other.get_pid_stat(process.pid)
        other.close()
    raw = dict(message.get_nested("TASKSTATS_TYPE_AGGR_PID", "TASKSTATS_TYPE_STATS"))
    assert found
    assert (found.minor_faults, found.major_faults) == (raw["ac_minflt"], raw["ac_majflt"])
    assert found.peak_rss_bytes == raw["hiwater_rss"] * 1024
    assert found.age_seconds == pytest.approx(raw["ac_etime"] / 1e6, abs=5)
    if raw["cpu_count"]:
        delays = found.cpu_delay_seconds, found.io_delay_seconds, found.swapin_delay_seconds
        assert delays == tuple(raw[f"{name}_delay_total"] / 1e9 for name in ("cpu", "blkio", "swapin"))


def test_another_layout() -> None:
    """Of version 15 nothing is said: its fields lie elsewhere."""
    assert _statistics(struct.pack("=H", 16) + bytes(400))
    assert _statistics(struct.pack("=H", 15) + bytes(400)) is None


def test_a_process_that_is_gone() -> None:
    """Gone is None, not an error; the socket can be used again."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with Taskstats() as taskstats:
        assert taskstats.read(pid) is None
        assert taskstats.read(os.getpid())


def test_not_permitted() -> None:
    """Without CAP_NET_ADMIN it says so."""

    def refused() -> bool:
        try:
            with Taskstats() as taskstats:
                taskstats.read(os.getpid())
                return False
        except TaskstatsError as e:
            return not taskstats_permitted() and "CAP_NET_ADMIN" in str(e)

    assert without(refused)
