"""Pictures of characters. In: bytes. Out: lines. Rules: pure; a share's block is the same as kubectl oom's."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from oomeventer.incident.why import Share
from oomeventer.text import size

_BLOCKS: dict[Share, str] = {"process": "█", "others": "▓", "tmpfs": "▒", "kernel": "▚", "cache": "░"}
_FREE = "·"
_EIGHTHS = " ▁▂▃▄▅▆▇█"
#: Of a graph, in lines and in characters.
_HEIGHT, _LABEL = 3, 9
_LIMIT = " limit"
#: What a graph has beside its columns, in characters.
BESIDE = _LABEL + 2 + len(_LIMIT)


def bar(parts: Mapping[Share, int], whole: int, width: int) -> str:
    """Each part as wide as its share of the whole; one of a half percent or more has a block."""
    whole = max(whole, sum(parts.values()))
    widths = {part: max(round(parts[part] * width / whole), 1) for part in _BLOCKS if parts.get(part, 0) * 200 >= whole}
    while sum(widths.values()) > width:
        widths[max(widths, key=lambda part: widths[part])] -= 1
    return "".join(_BLOCKS[part] * blocks for part, blocks in widths.items()).ljust(width, _FREE)


def legend(parts: Mapping[Share, int]) -> str:
    """What the blocks are, the largest first."""
    return "  ".join(f"{_BLOCKS[part]} {part} {size(parts[part])}" for part in sorted(parts, key=lambda of: -parts[of]))


def graph(samples: Sequence[int], limit: int | None, width: int) -> Iterator[str]:
    """From the oldest, at the left, to the newest; each column is one sample, or the highest of several."""
    count = min(len(samples), width)
    edges = [len(samples) * column // count for column in range(count + 1)]
    shown = [max(samples[start:end]) for start, end in itertools.pairwise(edges)]
    top = limit or max(shown) or 1
    if limit:
        yield f"{size(limit):>{_LABEL}} ┤{'┄' * count}{_LIMIT}"
    for row in reversed(range(_HEIGHT)):
        label = "0" if row == 0 else size(top) if row == _HEIGHT - 1 and not limit else ""
        eighths = (min(max(round(value * 8 * _HEIGHT / top) - 8 * row, 0), 8) for value in shown)
        yield f"{label:>{_LABEL}} {'┼' if row == 0 else '│'}{''.join(_EIGHTHS[height] for height in eighths)}".rstrip()
