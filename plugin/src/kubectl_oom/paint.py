"""Colours and blocks. In: figures, the width that there is. Out: rich Text. Rules: pure; Text alone, no markup, so that
nothing from the cluster is ever taken for a style; what a colour says a letter or word says, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

#: Of each share of the memory: its colour, and the block that tells it from the others without one.
COLOURS = {
    "process": "red",
    "others": "yellow",
    "tmpfs": "magenta",
    "kernel": "blue",
    "cache": "cyan",
    "free": "bright_black",
    "sandbox": "red",
    "lowered": "yellow",
    "node": "red",
    "?": "bright_black",
}
BLOCKS = {"process": "█", "others": "▓", "tmpfs": "▒", "kernel": "▚", "cache": "░", "free": "·"}
_EIGHTHS = " ▁▂▃▄▅▆▇█"
TITLE = "bold"
DIM = "bright_black"


def bar(parts: dict[str, int], whole: int, width: int) -> Text:
    """A whole with its parts, each as wide as its share: one that is there has at least one block, if there is room."""
    whole = max(whole, sum(parts.values()), 1)
    widths = {part: max(round(bytes_ * width / whole), 1) for part, bytes_ in parts.items() if bytes_ * 200 >= whole}
    while sum(widths.values()) > width:
        widest = max(widths, key=lambda part: widths[part])
        widths[widest] -= 1
    drawn = Text()
    for part, blocks in widths.items():
        drawn.append(BLOCKS[part] * blocks, COLOURS[part])
    return drawn.append(BLOCKS["free"] * (width - sum(widths.values())), COLOURS["free"])


def spark(samples: Sequence[int], top: int | None, width: int = 10) -> str:
    """Samples as a line of small bars, the newest last; of more than fit each column has the highest of its span."""
    columns = thinned(samples, width)
    highest = max([top or 0, *columns], default=0)
    return "".join(_EIGHTHS[max(round(value * 8 / highest), 1)] for value in columns) if highest else ""


def thinned(samples: Sequence[int], width: int) -> list[int]:
    """As many as there is room for: the highest of each span."""
    if len(samples) <= width:
        return list(samples)
    edges = [len(samples) * column // width for column in range(width + 1)]
    return [max(samples[start:end]) for start, end in zip(edges, edges[1:])]


def column(value: int, top: int, height: int) -> list[str]:
    """One column of a graph, from above: blocks of eighths."""
    eighths = round(value * 8 * height / max(top, 1))
    return [_EIGHTHS[min(max(eighths - 8 * row, 0), 8)] for row in reversed(range(height))]


def wrapped(words: str, width: int, indent: int) -> Iterator[Text]:
    """Lines of at most so many characters, where no word is longer."""
    line = ""
    for word in words.split(" "):
        if line and len(line) + 1 + len(word) > width - indent:
            yield Text(" " * indent + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield Text(" " * indent + line)
