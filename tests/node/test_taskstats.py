"""The kernel's taskstats through pyroute2, for a process of this machine."""

import os
import sys
import time

import pytest

from machine.capabilities import without
from oomeventer.node.taskstats import Taskstats, TaskstatsError, taskstats_permitted

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


def test_no_name_is_interned_anew() -> None:
    """What each of its event loops asks the clock for is interned already: the agent does not grow by it. See
    reading.py."""
    names = ["".join(list(name)) for name in vars(time.get_clock_info("monotonic"))]
    assert "".join(("adjust", "able")) in names
    assert [name for name in names if sys.intern(name) is name] == []
