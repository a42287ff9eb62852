"""Made-up lives of a cgroup up to its kill, with noise, to which the patterns' rules are held. In: a seed. Out: the
history that the agent's store has of each, and what it truly was. `python -m leaks` (make trajectories) prints how
often each is told as what.

Rules: a life is made by what a program does (rates, times, levels, noise), never by the rules' own thresholds. It is
sampled every 30 s by the real store, and ends between two samples, when it reaches the limit.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from oomeventer.trajectory.pattern import Shape, shape
from oomeventer.trajectory.store import Store

LIMIT = 1 << 30
PERIOD, STEP = 30.0, 5.0
PATH = "/kubepods/pod0/c"

#: How much of the limit is in use, so many seconds after the start.
Level = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Life:
    """kind: what it was. right: what may be said of it."""

    kind: str
    right: frozenset[str]
    shape: Shape
    rate: float | None


def lives(seed: int, count: int) -> Iterator[Life]:
    """So many of them, of all kinds in turn."""
    rng = random.Random(seed)
    kinds = list(KINDS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        make, right = KINDS[kind]
        level, seconds, restarts, rate = make(rng)
        found = _lived(rng, level, seconds, restarts)
        yield Life(kind, right, found, rate)


def _lived(rng: random.Random, level: Level, seconds: float, restarts: int) -> Shape:
    """Sampled over the last 26 hours of its life; after so many earlier lives that ended in kills."""
    store, noise = Store(), rng.choice((0.002, 0.005, 0.01, 0.02, 0.03))
    now = rng.uniform(1e5, 1e6)
    for _ in range(restarts):
        for part in range(int(min(seconds, 6 * 3600) // PERIOD)):
            store.tick(now, [(PATH, 7, _bytes(rng, level(seconds - min(seconds, 6 * 3600) + part * PERIOD), noise))])
            now += PERIOD
        store.disturbed(PATH)
        now += rng.uniform(1, PERIOD)
    age = max(0.0, seconds - 26 * 3600) + rng.uniform(0, PERIOD)
    while age < seconds:
        store.tick(now, [(PATH, 7, _bytes(rng, level(age), noise))])
        now, age = now + PERIOD, age + PERIOD
    now -= age - seconds
    history = store.history(PATH, now)
    assert history is not None
    return shape(history, now, LIMIT, LIMIT - (rng.randrange(64) << 12))


def _bytes(rng: random.Random, level: float, noise: float) -> int:
    return max(1 << 20, int(LIMIT * min(1.0, level + rng.gauss(0, noise))))


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _leak(rng: random.Random) -> tuple[Level, float, int, float | None]:
    base, fill = rng.uniform(0.05, 0.5), _log_uniform(rng, 480, 4 * 86400)
    idle = rng.choice((0.0, 0.0, rng.uniform(600, 20 * 3600)))
    restarts = rng.choice((0, 0, 1, 3)) if fill + idle < 6 * 3600 else 0
    rate = (1 - base) / fill

    def level(t: float) -> float:
        return base * min(1.0, (t + 1) / 20) + rate * max(0.0, t - idle)

    return level, fill + idle, restarts, rate * LIMIT * 3600


def _spike(rng: random.Random) -> tuple[Level, float, int, float | None]:
    base, length, rise = rng.uniform(0.05, 0.6), _log_uniform(rng, 900, 30 * 3600), _log_uniform(rng, 0.1, 25)
    earlier = [(rng.uniform(0, length - 300), rng.uniform(0.05, 0.3)) for _ in range(rng.choice((0, 0, 1, 2)))]

    def level(t: float) -> float:
        more = sum(height for at, height in earlier if at <= t < at + 60)
        return base + more + (1 - base) * max(0.0, (t - length + rise) / rise)

    return level, length, rng.choice((0, 0, 1)) if length < 6 * 3600 else 0, None


def _plateau(rng: random.Random) -> tuple[Level, float, int, float | None]:
    top, warm, length = rng.uniform(0.93, 0.99), rng.uniform(60, 600), _log_uniform(rng, 3600, 30 * 3600)
    return (lambda t: 0.1 + (top - 0.1) * min(1.0, t / warm)), length, 0, None


def _sawtooth(rng: random.Random) -> tuple[Level, float, int, float | None]:
    period, low = _log_uniform(rng, 150, 4 * 3600), rng.uniform(0.2, 0.7)
    high, teeth = rng.uniform(0.8, 0.97), rng.randrange(5, 40)
    heights = [rng.uniform(0.9, 1.0) for _ in range(teeth)]

    def level(t: float) -> float:
        tooth = min(teeth, int(t / period))
        height = high * heights[tooth] if tooth < teeth else high
        return low + (height - low) * (t - tooth * period) / period

    return level, period * (teeth + (1 - low) / (high - low)), 0, None  # the last one goes on up to the limit


def _walk(rng: random.Random) -> tuple[Level, float, int, float | None]:
    step, at = _log_uniform(rng, 0.003, 0.03), rng.uniform(0.2, 0.6)
    walked = [at]
    while at < 1:
        at = max(0.1, at + rng.gauss(0, step))
        walked.append(at)
    return (lambda t: walked[min(len(walked) - 1, int(t // PERIOD))]), len(walked) * PERIOD, 0, None


def _wave(rng: random.Random) -> tuple[Level, float, int, float | None]:
    period, height = _log_uniform(rng, 600, 86400), rng.uniform(0.15, 0.35)
    length = period * (rng.randrange(2, 6) + 0.25)
    return (lambda t: 1 + height * (math.sin(2 * math.pi * t / period) - 1)), length, 0, None


def _short(rng: random.Random) -> tuple[Level, float, int, float | None]:
    make = rng.choice((_leak, _spike, _plateau, _sawtooth))
    level, _, _, _ = make(rng)
    return level, rng.uniform(31, 180), 0, None


_UNKNOWN = frozenset({"unknown"})
KINDS: dict[str, tuple[Callable[[random.Random], tuple[Level, float, int, float | None]], frozenset[str]]] = {
    "leak": (_leak, frozenset({"steady"})),
    "spike": (_spike, frozenset({"spike"})),
    "plateau": (_plateau, frozenset({"at the limit"})),
    "sawtooth": (_sawtooth, frozenset({"sawtooth"})),
    "random walk": (_walk, frozenset({"at the limit", "unknown"})),  # it can have lived there
    "wave": (_wave, frozenset({"sawtooth", "unknown"})),
    "too short": (_short, _UNKNOWN),
}
PATTERNS = ("steady", "spike", "at the limit", "sawtooth", "unknown")


def matrix(of: list[Life]) -> str:
    """How often each kind is told as what, as Markdown."""
    told = Counter((life.kind, life.shape.pattern) for life in of)
    rows = [("", *PATTERNS), ("---",) * (len(PATTERNS) + 1)]
    rows += [(kind, *(str(told[kind, pattern] or "") for pattern in PATTERNS)) for kind in KINDS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(matrix(list(lives(seed=12, count=500))))
