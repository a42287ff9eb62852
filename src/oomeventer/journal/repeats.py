"""Which time it is: kills of one series, as far as the file goes back. In: whom an incident's Event is about. Out:
Repeats.

Rules: counted are the series' Events in the file, whatever became of them, and the one that is asked about. A series
is read from the file once; then its summary is kept with the open file, and each Event that is put counts it up, so
that a storm costs no more with each kill. Whatever else changes the rows (retention, a take-over, a transaction that is
rolled back) forgets all summaries. Bounded: so many series, and of each the latest times.
"""

import json
import sqlite3
from bisect import insort
from collections import OrderedDict
from datetime import UTC
from itertools import pairwise
from statistics import median

from msgspec import Struct

from oomeventer.incident import Moment, Repeats

#: Series whose summary is kept, and the latest kills of each between which the distances are taken.
SERIES, LATEST = 256, 64
#: Whatever a row has instead (it was damaged) is no time of a kill. In seconds of UNIX time; the end is that of 9999.
_TIMES = "killed_at BETWEEN 0 AND 253402300799"


class Summary(Struct):
    """Of one series. first, latest: when the kills were, in seconds of UNIX time; the latest in their order."""

    count: int
    first: float
    latest: list[float]

    def add(self, killed_at: float) -> None:
        """One more."""
        self.count += 1
        self.first = min(self.first, killed_at)
        insort(self.latest, killed_at)
        del self.latest[:-LATEST]

    def repeats(self, killed_at: float | None) -> Repeats:
        """With a kill that is not counted yet; None: it is."""
        after = Summary(self.count, self.first, [*self.latest])
        if killed_at is not None:
            after.add(killed_at)
        distances = [later - earlier for earlier, later in pairwise(after.latest)]
        every = median(distances) if after.count > 2 else None
        return Repeats(after.count, Moment.fromtimestamp(after.first, UTC), every)


class Summaries:
    """Those of one open file; used by one thread at a time, as that is."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Summary] = OrderedDict()

    def look(self, db: sqlite3.Connection, about: str, series: str) -> Summary:
        """The series' summary; of the object `about`."""
        summary = self._kept.pop(series, None) or _read(db, about, series)
        self._kept[series] = summary
        if len(self._kept) > SERIES:
            self._kept.popitem(last=False)
        return summary

    def add(self, series: str, killed_at: float) -> None:
        """An Event of that series was put."""
        if summary := self._kept.get(series):
            summary.add(killed_at)

    def forget(self) -> None:
        """All of them: the file is to be read again."""
        self._kept.clear()


def _read(db: sqlite3.Connection, about: str, series: str) -> Summary:
    # A series that stays apart (see transfer.py) has something behind it.
    those = f"FROM events WHERE object = ? AND (series = ? OR substr(series, 1, ?) = ?) AND {_TIMES}"
    values = about, series, len(series) + 1, f"{series} "
    count, first = db.execute(f"SELECT count(*), min(killed_at) {those}", values).fetchone()
    latest = db.execute(f"SELECT killed_at {those} ORDER BY seen_at DESC LIMIT {LATEST}", values)
    return Summary(count, float("inf") if first is None else first, sorted(row[0] for row in latest))


def text(series: tuple[str, ...]) -> str:
    """A series as the tables have it."""
    return json.dumps(series)
