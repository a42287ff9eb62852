"""Columns, as kubectl prints them. In: rows of cells. Out: lines of rich Text, no wider than the terminal.

Rules: where the width is None (no terminal) nothing is cut; below 57 columns not all fits. Otherwise what is too wide
has its columns closer to each other, then is cut at the columns that may be cut, the widest first; then whole columns
go, the last named in `spare` first; at last the column that is a line's name is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Span, Text

from kubectl_oom.paint import TITLE

_GAP, _NARROW_GAP = 3, 2
_LEAST = 8


@dataclass(frozen=True)
class Column:
    """cut: it may be cut. name: so late that the rest has gone. spare: it may be left out; the highest first. right:
    figures."""

    title: str
    cut: bool = False
    name: bool = False
    spare: int = 0
    right: bool = False


@dataclass(frozen=True)
class Cell:
    """Text in a style."""

    text: str
    style: str = ""


class Layout:
    """The widths of the columns, by the rows that are there first; later ones are cut to fit."""

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Cell]],
        width: int | None,
        headers: bool,
        least: int = 0,
    ) -> None:
        self._columns, self._headers = columns, headers
        self._is_cut = width is not None
        self._widths = [
            max(
                [cell_len(row[index].text) for row in rows]
                + [len(column.title) * headers, least * (column.cut or column.name)]
            )
            for index, column in enumerate(columns)
        ]
        self._gap = _GAP if width is None else _fit(columns, self._widths, width)
        self._shown = [index for index, cells in enumerate(self._widths) if cells]

    def head(self) -> Iterator[Text]:
        """The line of titles, if there is one."""
        if self._headers:
            yield self.line([Cell(column.title, TITLE) for column in self._columns])

    def line(self, row: Sequence[Cell]) -> Text:
        """One line."""
        cells = [(self._columns[index], row[index], self._widths[index]) for index in self._shown]
        return _line(cells, self._gap, self._is_cut)


def _fit(columns: Sequence[Column], widths: list[int], width: int) -> int:
    """Make the widths so that a line has room; 0: left out. The gap between two."""
    if sum(widths) + _GAP * (sum(map(bool, widths)) - 1) <= width:
        return _GAP
    while (over := sum(widths) + _NARROW_GAP * (sum(map(bool, widths)) - 1) - width) > 0:
        cuttable = [index for index, column in enumerate(columns) if column.cut and widths[index] > _LEAST]
        spare = [index for index, column in enumerate(columns) if column.spare and widths[index]]
        room = sum(widths[index] - 2 * _LEAST for index in cuttable if widths[index] > 2 * _LEAST)
        if spare and room < over:
            widths[max(spare, key=lambda index: columns[index].spare)] = 0
        elif cuttable:
            widest = max(cuttable, key=lambda index: widths[index])
            others = [widths[index] for index in cuttable if index != widest]
            least = max([_LEAST, *(other for other in others if other < widths[widest])])
            widths[widest] -= max(min(over, widths[widest] - least), 1)
        else:
            names = [index for index, column in enumerate(columns) if column.name]
            for index in names:
                widths[index] = max(widths[index] - over, min(widths[index], _LEAST))
            break
    return _NARROW_GAP


def _line(cells: list[tuple[Column, Cell, int]], gap: int, is_cut: bool) -> Text:
    pieces: list[str] = []
    spans: list[Span] = []
    length = 0
    for position, (column, cell, width) in enumerate(cells):
        text = cell.text
        if is_cut and (column.cut or column.name) and cell_len(text) > width:
            text = set_cell_size(text, width - 1).rstrip() + "…"
        blanks = " " * (width - cell_len(text))
        before, after = (blanks, "") if column.right else ("", blanks)
        if position < len(cells) - 1:
            after += " " * gap
        if cell.style:
            spans.append(Span(length + len(before), length + len(before) + len(text), cell.style))
        pieces += (before, text, after)
        length += len(before) + len(text) + len(after)
    return Text("".join(pieces), no_wrap=True, spans=spans)
