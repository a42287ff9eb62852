"""Pictures of figures, as SVG. In: points, by the name of their line. Out: text. Rules: pure, and of one size."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 64, 16, 34, 46
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_TICKS = 5


def drawn(title: str, across: str, up: str, lines: Mapping[str, Points], log: bool = False, bars: bool = False) -> str:
    """A picture with an axis across and one up, which begins at 0. log: the one across is logarithmic (from 1 on).
    bars: steps of the width between two points, in place of lines."""
    xs = [max(x, 1.0) if log else x for points in lines.values() for x, _ in points]
    least, most = min(xs), max(xs)
    highest = _round(max(y for points in lines.values() for _, y in points) or 1.0)

    def place(x: float, y: float) -> str:
        low, high, at = (math.log10(v) if log else v for v in (least, most, max(x, 1.0) if log else x))
        share = (at - low) / ((high - low) or 1.0)
        right = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        down = _HEIGHT - _BOTTOM - y / highest * (_HEIGHT - _TOP - _BOTTOM)
        return f"{right:.1f},{down:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="11">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="13">{escape(title)}</text>',
        _text(_WIDTH / 2, _HEIGHT - 8, across, "middle"),
        f'<text transform="translate(14 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    for step in range(_TICKS + 1):
        value = highest * step / _TICKS
        left, down = place(least, value).split(",")
        parts.append(f'<path d="M{left} {down}H{_WIDTH - _RIGHT}" stroke="#dddddd"/>')
        parts.append(_text(_LEFT - 6, float(down) + 4, f"{value:.4g}", "end"))
    for x in _marks(sorted(set(xs)), least, most, log):
        parts.append(_text(float(place(x, 0).split(",")[0]), _HEIGHT - _BOTTOM + 16, f"{x:,.4g}", "middle"))
    for number, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        steps = [(x, y) for pair in pairwise(points) for x, y in _step(*pair)] if bars else points
        path = " ".join(place(x, y) for x, y in steps)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if not bars:
            dots = (place(*point).split(",") for point in points)
            parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in dots]
        parts.append(
            f'<text x="{_WIDTH - _RIGHT}" y="{_TOP + 14 * number}" text-anchor="end" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    return "\n".join((*parts, "</svg>\n"))


def _step(one: tuple[float, float], other: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    return one, (other[0], one[1])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _marks(xs: list[float], least: float, most: float, log: bool) -> list[float]:
    if log:
        return xs if len(xs) < 8 else xs[:: len(xs) // 6]
    return [least + (most - least) * step / _TICKS for step in range(_TICKS + 1)]


def _round(value: float) -> float:
    """The next larger of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)
