"""Leak or spike: what samples say of how a cgroup came to its limit. In: its history, when and at what it ended. Out:
a Shape.

Rules: pure. Judged is what came since the cgroup last began anew (store.py); the kill is the last point. Of these the
first that holds, else `unknown`:

0. Fewer than LEAST samples: unknown.
1. steady. A line fits (R2 of 0.95 or more) the whole day, or else the last 60, 30, 15 or 8 samples. Along it memory
   grew by 15% or more of what it ended at, each quarter by 0.6 to 1.5 of a quarter of that. What the line leaves is
   less than 2%, or noise, each sample's apart from the last one's. The kill lies within a quarter of the growth of it.
   And before those samples nothing was above their middle, or fell by a third of the growth and three times the noise:
   else it may be the flank of a tooth.
2. spike. Within the last two samples it rose, by 25% of what it ended at or more, and by 1.5 times all that the samples
   before had varied.
3. at the limit. Over 20 samples and 70% of its time, or more, nine in ten were within 10% of the limit, and
   none below 80% of it, or well above, as before a limit is lowered.
4. sawtooth. In the samples of the last half hour, or in the day's, three falls or more, each of a third of the range
   at least, in 0.4 of the time of the rises; peaks alike and troughs alike, within 0.4 of the range; a range of 20%
   or more.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean, median

from msgspec import Struct

from oomeventer.incident import Pattern
from oomeventer.trajectory.store import DAY_SECONDS, SPAN_SECONDS, History

LEAST = 8
_WINDOWS = (60, 30, 15, 8)
_LINE, _GROWTH, _QUARTER, _ON_THE_LINE = 0.95, 0.15, (0.6, 1.5), 0.25
_NOISE, _APART = 0.02, 0.5
_JUMP, _VARIED = 0.25, 1.5
_NEAR, _LOW, _NEAR_SHARE, _NEAR_SAMPLES, _LONG_SHARE = 0.9, 0.8, 0.9, 20, 0.7
_FALLS, _ALIKE, _RANGE, _STEEP = 3, 0.4, 0.2, 0.4

_Points = Sequence[tuple[float, int]]


class Shape(Struct, frozen=True):
    """See incident.Trajectory."""

    pattern: Pattern
    rate_bytes_per_hour: int | None = None
    lasts_seconds: float | None = None
    before_bytes: int | None = None
    highest_bytes: int | None = None
    since_seconds: float | None = None


def shape(history: History, killed_at: float, limit_bytes: int | None, usage_bytes: int | None) -> Shape:
    """By the module's rules. usage_bytes: what counted at the kill, None where that is not known."""
    fine = [point for point in history.fine if point[0] >= history.since and killed_at - point[0] <= DAY_SECONDS]
    coarse = [point for point in history.coarse if point[0] - SPAN_SECONDS >= history.since]
    highest = max((size for _, size in (*history.coarse, *history.fine[:-2])), default=None)
    if len(fine) < LEAST:
        return Shape("unknown", highest_bytes=highest)
    end = [(killed_at, usage_bytes)] if usage_bytes else []
    if (rate := _steady(coarse, fine, end)) is not None:
        lasts = None if limit_bytes is None else 2 * limit_bytes / rate
        return Shape("steady", round(rate * 3600), lasts, highest_bytes=highest)
    if (before := _spike(fine, end)) is not None:
        return Shape("spike", before_bytes=before, highest_bytes=highest)
    if limit_bytes and (since := _at_the_limit(coarse, fine, killed_at, limit_bytes)) is not None:
        return Shape("at the limit", since_seconds=since, highest_bytes=highest)
    if _teeth([*fine, *end]) or _teeth([*coarse, fine[-1], *end]):
        return Shape("sawtooth", highest_bytes=highest)
    return Shape("unknown", highest_bytes=highest)


def _steady(coarse: _Points, fine: _Points, end: _Points) -> float | None:
    """Bytes a second."""
    for before, window in _windows(coarse, fine):
        if line := _line(window, end):
            rate, noise = line
            growth = rate * (window[-1][0] - window[0][0])
            return rate if _is_calm(before, window[0][1] + growth / 2, growth / 3 + 3 * noise) else None
    return None


def _is_calm(before: _Points, middle: float, fall: float) -> bool:
    highest = 0
    for _, size in before:
        highest = max(highest, size)
        if size > middle or highest - size > fall:
            return False
    return True


def _windows(coarse: _Points, fine: _Points) -> Iterator[tuple[_Points, _Points]]:
    """Windows, the longest first, each with what was before it."""
    yield (), [*coarse, *_means(fine, max(1, len(fine) // 5))]
    for length in _WINDOWS:
        if len(fine) >= length or length == _WINDOWS[0]:
            yield [*coarse, *fine[:-length]], fine[-length:]


def _means(points: _Points, of: int) -> Iterator[tuple[float, int]]:
    for at in range(0, len(points), of):
        part = points[at : at + of]
        yield fmean(t for t, _ in part), round(fmean(size for _, size in part))


def _line(window: _Points, end: _Points) -> tuple[float, float] | None:
    """Bytes a second along a line, and the bytes of noise, if the window has one up to the end."""
    if len(window) < LEAST:
        return None
    start = window[0][0]
    xs, ys = [t - start for t, _ in window], [float(size) for _, size in window]
    x, y = fmean(xs), fmean(ys)
    spread = sum((one - x) ** 2 for one in xs)
    varied = sum((one - y) ** 2 for one in ys)
    if not spread or not varied:
        return None
    rate = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread
    growth, last = rate * (xs[-1] - xs[0]), y + rate * (xs[-1] - x)
    if growth < _GROWTH * last:
        return None
    left = [b - y - rate * (a - x) for a, b in zip(xs, ys, strict=True)]
    off = sum(one * one for one in left)
    if off > (1 - _LINE) * varied or not _is_noise(left, off, last):
        return None
    if not all(_QUARTER[0] <= part / (growth / 4) <= _QUARTER[1] for part in _quarters(xs, ys)):
        return None
    is_on = all(abs(size - y - rate * (t - start - x)) <= _ON_THE_LINE * growth for t, size in end)
    return (rate, (off / len(left)) ** 0.5) if is_on else None


def _is_noise(left: Sequence[float], off: float, last: float) -> bool:
    if not off or (off / len(left)) ** 0.5 <= _NOISE * last:
        return True
    return sum(a * b for a, b in pairwise(left)) / off <= _APART


def _quarters(xs: Sequence[float], ys: Sequence[float]) -> Iterator[float]:
    """How much each quarter of the time grew, from the means of its parts; three differences stand for the four."""
    length = (xs[-1] - xs[0]) / 4
    parts: list[list[float]] = [[], [], [], []]
    for x, y in zip(xs, ys, strict=True):
        parts[min(3, int((x - xs[0]) / length))].append(y)
    means = [fmean(part) for part in parts if part]
    if len(means) == 4:
        yield from (b - a for a, b in pairwise(means))


def _spike(fine: _Points, end: _Points) -> int | None:
    """What it was before."""
    before = [size for _, size in fine[:-2]]
    top, last = max(before), end[0][1] if end else max(size for _, size in fine[-2:])
    jump = last - top
    return round(median(before)) if jump >= max(_JUMP * last, _VARIED * (top - min(before))) else None


def _at_the_limit(coarse: _Points, fine: _Points, killed_at: float, limit: int) -> float | None:
    """For how long, in seconds."""
    near, since, samples = 0, None, [*coarse, *fine]
    for number, (t, size) in enumerate(reversed(samples), 1):
        if not _LOW * limit <= size <= limit / _NEAR:
            break
        near += size >= _NEAR * limit
        if size >= _NEAR * limit and near >= _NEAR_SHARE * number and number >= _NEAR_SAMPLES:
            since = killed_at - t
    return since if since is not None and since >= _LONG_SHARE * (killed_at - samples[0][0]) else None


def _teeth(points: _Points) -> bool:
    sizes = [size for _, size in points]
    whole = max(sizes) - min(sizes)
    if whole < _RANGE * max(sizes):
        return False
    turns = _turns(points, whole / 3)
    peaks, troughs = [turn[1] for turn in turns[::2]], [turn[1] for turn in turns[1::2]]
    if len(troughs) < _FALLS or max(max(of) - min(of) for of in (peaks, troughs)) > _ALIKE * whole:
        return False
    times = [b[0] - a[0] for a, b in pairwise(turns)]
    return median(times[::2]) <= _STEEP * median(times[1::2])


def _turns(points: _Points, least: float) -> list[tuple[float, int]]:
    """Peaks and troughs in turn, a peak first, each `least` from the next."""
    turns: list[tuple[float, int]] = []
    rising, best = True, points[0]
    for point in points:
        ahead = (point[1] - best[1]) if rising else (best[1] - point[1])
        if ahead >= 0:
            best = point
        elif -ahead >= least:
            turns.append(best)
            rising, best = not rising, point
    return turns
