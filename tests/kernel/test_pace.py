"""When episodes are handed on: at once, in a storm together. In: times. Out: when the next may be."""

from oomeventer.kernel.pace import STORM, STORM_SECONDS, TOGETHER_SECONDS, Pace


def test_at_first_at_once() -> None:
    """Whatever the clock says."""
    pace = Pace()
    assert pace.due() < -1e9
    pace.handed_on(0, 5.0)
    assert pace.due() < -1e9


def test_apart_at_once() -> None:
    """Kills that come one by one never wait, however many there were."""
    pace = Pace()
    for number in range(10 * STORM):
        now = number * 2 * STORM_SECONDS / STORM
        assert pace.due() < now
        pace.handed_on(1, now)


def test_a_storm_together() -> None:
    """Those behind the first ones wait for each other."""
    pace, every = Pace(), STORM_SECONDS / STORM / 4
    for number in range(STORM):
        assert pace.due() < number * every
        pace.handed_on(1, number * every)
    latest = (STORM - 1) * every
    assert pace.due() == latest + TOGETHER_SECONDS
    pace.handed_on(12, latest + TOGETHER_SECONDS)
    assert pace.due() == latest + 2 * TOGETHER_SECONDS


def test_what_is_read_at_once_is_a_storm() -> None:
    """After a restart the ring is full: that is handed on at once, and what follows together."""
    pace = Pace()
    pace.handed_on(10 * STORM, 7.0)
    assert pace.due() == 7.0 + TOGETHER_SECONDS


def test_a_storm_ends() -> None:
    """The next one after a while does not wait."""
    pace = Pace()
    pace.handed_on(STORM, 7.0)
    later = 7.0 + 2 * STORM_SECONDS
    assert pace.due() < later
    pace.handed_on(1, later)
    assert pace.due() < later
