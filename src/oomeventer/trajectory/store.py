"""What was sampled, by cgroup. In: at each tick, what counts in each cgroup. Out: a cgroup's history.

Rules: pure. Bounded: so many cgroups, those unseen longest go first; of each the last FINE ticks, and the highest of
each of the last SPANS spans of a day. One array holds all, a row for each cgroup, in pages; so 1,000 take less than
1 MiB. Times are CLOCK_BOOTTIME's, in seconds. A cgroup is its path and its inode: another one by that path begins anew.
What never held LEAST_BYTES, such as a Pod's sandbox, gets no row.
"""

from array import array
from collections.abc import Iterable

from msgspec import Struct, field

FINE = 60
SPAN_SECONDS, SPANS = 1200, 72
DAY_SECONDS = SPAN_SECONDS * SPANS
CGROUPS = 1000
LEAST_BYTES = 1 << 20

_PAGE = 4096
#: Rows that are made at once.
_CHUNK = 50
#: Of a row, in values.
WIDTH = FINE + SPANS
#: No sample: more than any machine has pages.
_NONE = 0xFFFFFFFF
#: A cgroup in which a process was killed, or a container ended, has begun anew if it has less than that share left.
_FALL = 0.75


class History(Struct, frozen=True):
    """A cgroup's samples, the oldest first: when, and bytes. coarse: the end of each span before the first of `fine`,
    and its highest. since: when it began anew, by a kill or the end of a container; 0.0 if it did not."""

    fine: list[tuple[float, int]] = field(default_factory=list)
    coarse: list[tuple[float, int]] = field(default_factory=list)
    since: float = 0.0


class Store:
    """most: of cgroups."""

    def __init__(self, most: int = CGROUPS) -> None:
        self._most = most
        self.rows: dict[str, int] = {}
        self.times = array("d", [0.0]) * FINE
        self.ticks = 0
        self.span = 0
        # By row:
        self.values = array("I")
        self.inodes = array("Q")
        self.seen = array("d")
        self.since = array("d")
        #: Since the last tick: what it held then, and when a kill has taken so much of that that it begins anew.
        self._disturbed: dict[int, tuple[int, float]] = {}
        self._full_at = -1

    def tick(self, now: float, found: Iterable[tuple[str, int, int]]) -> None:
        """What counts now: path, inode and bytes of each cgroup."""
        at = self.ticks % FINE
        self._clear(at)
        self.times[at] = now
        self._advance(int(now // SPAN_SECONDS))
        span = FINE + self.span % SPANS
        rows, values, inodes, seen = self.rows, self.values, self.inodes, self.seen
        for path, inode, size in found:
            row = rows.get(path)
            if row is None or inodes[row] != inode:
                row = self._begin(path, inode, now, size, row)
                if row is None:
                    continue
            pages, base = size // _PAGE, row * WIDTH
            values[base + at] = pages
            highest = values[base + span]
            if highest == _NONE or pages > highest:
                values[base + span] = pages
            seen[row] = now
        self.ticks += 1
        for row, (before, _) in self._disturbed.items():
            if self.seen[row] == now and self.values[row * WIDTH + at] < before * _FALL:
                self.since[row] = now
        self._disturbed.clear()

    def disturbed(self, path: str, at: float = 0.0, held: int = 0) -> None:
        """A process of it was killed, or a container of it ended: if it holds much less at the next tick, it has begun
        anew. at, held: when what held so much was killed; the next kill may come before the next tick."""
        row = self.rows.get(path)
        if row is not None and self.ticks:
            last = self.values[row * WIDTH + (self.ticks - 1) % FINE]
            if last != _NONE:
                began = at if held // _PAGE >= last * (1 - _FALL) else 0.0
                self._disturbed[row] = last, max(began, self._disturbed.get(row, (0, 0.0))[1])

    def history(self, path: str, until: float) -> History | None:
        """What was sampled before a moment; None of a cgroup that is not known."""
        row = self.rows.get(path)
        if row is None:
            return None
        base = row * WIDTH
        fine = [
            (self.times[at], self.values[base + at] * _PAGE)
            for at in (number % FINE for number in range(max(0, self.ticks - FINE), self.ticks))
            if self.values[base + at] != _NONE and self.times[at] < until
        ]
        first = fine[0][0] if fine else until
        coarse = [
            ((span + 1) * float(SPAN_SECONDS), self.values[base + FINE + span % SPANS] * _PAGE)
            for span in range(max(0, self.span - SPANS + 1), self.span + 1)
            if self.values[base + FINE + span % SPANS] != _NONE and (span + 1) * SPAN_SECONDS <= first
        ]
        _, began = self._disturbed.get(row, (0, 0.0))
        return History(fine, coarse, max(self.since[row], began if began < until else 0.0))

    def _begin(self, path: str, inode: int, now: float, size: int, row: int | None) -> int | None:
        if row is None:
            if size < LEAST_BYTES:
                return None
            row = self._free(now)
            if row is None:
                return None
            self.rows[path] = row
        self.values[row * WIDTH : (row + 1) * WIDTH] = array("I", [_NONE]) * WIDTH
        self.inodes[row], self.since[row] = inode, 0.0
        self._disturbed.pop(row, None)
        return row

    def _free(self, now: float) -> int | None:
        """A row for one more; None where all are of cgroups that are seen."""
        if len(self.rows) == len(self.seen) < self._most:
            more = min(_CHUNK, self._most - len(self.seen))
            self.values.extend(array("I", [_NONE]) * (WIDTH * more))
            for by_row in (self.inodes, self.seen, self.since):
                by_row.extend([0] * more)
        if len(self.rows) < len(self.seen):
            return len(self.rows)
        if self._full_at == self.ticks:
            return None
        path, row = min(self.rows.items(), key=lambda item: self.seen[item[1]])
        before = self.times[(self.ticks - 1) % FINE] if self.ticks else 0.0
        if self.seen[row] >= min(before, now):
            self._full_at = self.ticks
            return None
        del self.rows[path]
        return row

    def _clear(self, column: int) -> None:
        self.values[column::WIDTH] = array("I", [_NONE]) * len(self.seen)

    def _advance(self, span: int) -> None:
        for new in range(max(self.span + 1, span - SPANS + 1), span + 1):
            self._clear(FINE + new % SPANS)
        self.span = max(self.span, span)
