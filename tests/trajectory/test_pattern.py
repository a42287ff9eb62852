"""The patterns' rules, held to lives that were made up without them (tests/support/leaks.py), and to each rule's edge.
Out: how often each kind is told as what; `pytest -s` prints it."""

import random
import statistics

import pytest

from leaks import KINDS, Life, lives, matrix
from oomeventer.trajectory.pattern import shape
from oomeventer.trajectory.store import History

LIMIT = 1 << 30
MI = 1 << 20


@pytest.fixture(scope="module")
def made() -> list[Life]:
    found = list(lives(seed=12, count=500))
    print(f"\n{matrix(found)}")
    return found


def test_unknown_is_better_than_wrong(made: list[Life]) -> None:
    """Of 500 lives at most 2% are told as what they were not."""
    wrong = [life for life in made if life.shape.pattern not in life.right | {"unknown"}]
    assert len(wrong) <= len(made) // 50, [(life.kind, life.shape.pattern) for life in wrong]


@pytest.mark.parametrize(("kind", "most"), [("leak", 0.25), ("spike", 0.15), ("plateau", 0.1), ("sawtooth", 0.6)])
def test_what_is_clear_is_told(made: list[Life], kind: str, most: float) -> None:
    """unknown is the exception, but for teeth: 30 s are too coarse for some, and the day's spans for others."""
    of_kind = [life for life in made if life.kind == kind]
    assert len(of_kind) >= 500 // len(KINDS)
    assert sum(life.shape.pattern == "unknown" for life in of_kind) <= most * len(of_kind)


def test_a_rate_is_near_the_true_one(made: list[Life]) -> None:
    """Within 5% for half of the leaks, and 30% for nine in ten."""
    off = sorted(
        abs(life.shape.rate_bytes_per_hour / life.rate - 1)
        for life in made
        if life.kind == "leak" and life.shape.rate_bytes_per_hour and life.rate
    )
    half, nine = statistics.median(off), off[len(off) * 9 // 10]
    print(f"rates of {len(off)} leaks: half are off by {half:.1%} at most, nine in ten by {nine:.1%}")
    assert half <= 0.05
    assert nine <= 0.3


def history(*sizes: float, period: float = 30.0, coarse: tuple[float, ...] = (), since: float = 0.0) -> History:
    """Samples in Mi up to time 100,000, and the highest of the spans before."""
    start = 100_000 - len(sizes) * period
    fine = [(start + at * period, int(size * MI)) for at, size in enumerate(sizes)]
    before = [(start - 1200 * (len(coarse) - 1 - at), int(size * MI)) for at, size in enumerate(coarse)]
    return History(fine, before, since)


def test_a_leak_has_its_rate() -> None:
    """10Mi a minute are 600Mi an hour, so twice a limit of 1Gi lasts 3.4 hours."""
    found = shape(history(*(100 + 5 * at for at in range(60))), 100_000, LIMIT, 400 * MI)
    assert found.pattern == "steady"
    assert found.rate_bytes_per_hour == pytest.approx(600 * MI, rel=0.001)
    assert found.lasts_seconds == pytest.approx(2 * 1024 / 600 * 3600, rel=0.001)
    assert shape(history(*(100 + 5 * at for at in range(60))), 100_000, None, None).lasts_seconds is None


def test_a_spike_has_what_was_before() -> None:
    """And the day's highest, which was another spike."""
    found = shape(history(*[200.0] * 40, coarse=(200, 700, 210)), 100_000, LIMIT, LIMIT)
    assert found.pattern == "spike"
    assert (found.before_bytes, found.highest_bytes) == (200 * MI, 700 * MI)


def test_the_spike_itself_is_not_the_highest_before() -> None:
    """A sample that fell into the rise."""
    found = shape(history(*[200.0] * 40, 900), 100_000, LIMIT, LIMIT)
    assert (found.pattern, found.highest_bytes) == ("spike", 200 * MI)


def test_at_the_limit_says_since_when() -> None:
    found = shape(history(*[1000.0, 990.0] * 30, coarse=(1000, 1000)), 100_000, LIMIT, LIMIT)
    assert (found.pattern, found.since_seconds) == ("at the limit", 60 * 30 + 1200)


def test_it_was_not_at_a_limit_that_was_lowered() -> None:
    """What is well above the limit was not held by it."""
    assert shape(history(*[900.0] * 60), 100_000, 512 * MI, 900 * MI).pattern == "unknown"


def test_teeth() -> None:
    sizes = [300 + 100 * (at % 7) for at in range(60)]
    assert shape(history(*sizes), 100_000, LIMIT, 950 * MI).pattern == "sawtooth"


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few(count: int) -> None:
    """However clear they look."""
    assert shape(history(*[100.0 + 100 * at for at in range(count)]), 100_000, LIMIT, LIMIT).pattern == "unknown"


def test_a_flank_is_no_leak() -> None:
    """An hour's climb is one tooth of many, where the day had others."""
    climb = [400 + 10 * at for at in range(60)]
    assert shape(history(*climb), 100_000, LIMIT, LIMIT).pattern == "steady"
    assert shape(history(*climb, coarse=(600, 950, 400)), 100_000, LIMIT, LIMIT).pattern != "steady"


def test_what_came_before_a_kill_is_not_judged() -> None:
    """A leak whose container was killed half an hour ago, at 1Gi, leaks again."""
    sizes = [*(1000 + at for at in range(20)), *(100 + 20 * at for at in range(40))]
    assert shape(history(*sizes, since=100_000 - 40 * 30), 100_000, LIMIT, 900 * MI).pattern == "steady"
    assert shape(history(*sizes), 100_000, LIMIT, 900 * MI).pattern != "steady"


def test_page_cache_aside_the_usage_at_the_kill_counts() -> None:
    """Memory that grew evenly, and then stood at the kill for much more, is none of these."""
    rng = random.Random(1)
    sizes = [100 + 5 * at + rng.gauss(0, 1) for at in range(60)]
    assert shape(history(*sizes), 100_000, LIMIT, 400 * MI).pattern == "steady"
    assert shape(history(*sizes), 100_000, LIMIT, LIMIT).pattern != "steady"
