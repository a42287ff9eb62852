"""Which series may be sent next, and when. In: series that have Events pending, and how their requests end. Out:
series.

Rules: pure; the clock is a parameter. One request at a time for a series. Namespaces take turns, and within one its
objects; of an object the oldest series goes first. So whoever has many kills waits for those who have few, and not they
for it. A request needs room in two budgets: its object's, and this node's. A request that fails costs its object
nothing; its series waits, longer each time, and so does everybody while the server fails for everybody.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from oomeventer.cluster.rate_limit import Budget, Budgets
from oomeventer.cluster.retry import backoff, spread
from oomeventer.journal import Plan, Spent, Waiting

#: A server that asks to be left alone for longer (Retry-After) is asked again nevertheless.
RETRY_AFTER_SECONDS = 600.0
#: Namespaces and objects whose last turn is remembered. A forgotten one is next.
TURNS = 1024
#: Requests about an object that the next process need not know of: most objects never have more.
LITTLE = 3


class Limits(Struct, frozen=True):
    """What this node may ask of the server: of each object `object_burst` requests at once and then one every
    `object_seconds` (client-go's spam filter has 25 and 300 s); of all together `burst`, and then so many a second.
    give_up_seconds: for how long one process tries an Event."""

    object_burst: int = 25
    object_seconds: float = 300.0
    burst: int = 50
    per_second: float = 5.0
    give_up_seconds: float = 86400.0


class Series(Struct):
    """A series that has Events pending. not_before: when it may next be tried, by the clock."""

    waiting: Waiting
    more: Waiting | None = None  # came while a request was under way, which may not have seen it
    not_before: float = 0.0
    retries: int = 0
    refusals: int = 0  # in a row, that may end by themselves
    failing_since: float | None = None  # by the clock
    busy: bool = False
    waits: Iterator[float] = field(default_factory=backoff)

    def take_plan(self) -> Plan | None:
        """The request that came with it, once: when it is made again, the journal says what it is then."""
        plan, self.waiting = self.waiting.plan, replace(self.waiting, plan=None)
        return plan


class Schedule:
    """The series, by name."""

    def __init__(self, limits: Limits) -> None:
        self._budget = Budget(limits.burst, 1 / limits.per_second)
        self._budgets = Budgets(limits.object_burst, limits.object_seconds)
        self._series: dict[str, Series] = {}
        self._object_seconds = limits.object_seconds
        self._turns = Turns()
        self._pauses = backoff()
        self._paused_until = 0.0

    def __len__(self) -> int:
        return len(self._series)

    def add(self, waiting: Iterable[Waiting]) -> None:
        """Series that have Events pending."""
        for one in waiting:
            if known := self._series.get(one.series):
                known.more = one
            else:
                self._series[one.series] = Series(one)

    def remove(self, series: Series) -> None:
        """All that was planned of it is settled."""
        del self._series[series.waiting.series]

    def take(self, most: int, now: float, is_failing: bool) -> tuple[list[Series], float | None]:
        """Those that may be sent now, so many at most: they are busy from now on, and their budgets are charged. And
        when the next one may be; None: not before something changes."""
        taken: list[Series] = []
        while len(taken) < most:
            idle = [(self._due(series, now), series) for series in self._series.values() if not series.busy]
            ready = [series for due, series in idle if due <= now]
            if not ready:
                return taken, min((due for due, _ in idle), default=None)
            series = min(ready, key=lambda one: self._rank(one, is_failing))
            self.charge(series, now)
            if not is_failing:
                self._turns.take(series.waiting.object)
            series.busy = True
            taken.append(series)
        return taken, None

    def is_free(self, about: str, now: float) -> bool:
        """Whether a request about that object could be made now, and nothing of its budget is to be written down."""
        has_budget = self._budgets.free_at(about, now) <= now and self._budget.free_at(now) <= now
        has_spent_little = self._budgets.owes(about, now) <= (LITTLE - 1) * self._object_seconds
        return has_budget and has_spent_little and self._paused_until <= now

    def charge(self, series: Series, now: float, requests: int = 1) -> None:
        """Requests about its object are made."""
        for _ in range(requests):
            self._budgets.take(series.waiting.object, now)
            self._budget.take(now)

    def spent(self, series: Series, now: float) -> Spent | None:
        """Of its object's budget, for the next process; None: so little that it is not worth to be written down."""
        seconds = self._budgets.owes(series.waiting.object, now)
        return Spent(series.waiting.object, seconds) if seconds > LITTLE * self._object_seconds else None

    def restore(self, spent: Iterable[Spent], now: float) -> None:
        """What an earlier process has spent."""
        for one in spent:
            self._budgets.owe(one.object, one.seconds, now)

    def retry(self, series: Series, now: float, retry_after_seconds: float) -> float:
        """Its request failed. Returns in how many seconds it is made again; until then it is not taken."""
        series.retries += 1
        self._budgets.give_back(series.waiting.object)
        self._turns.give_back(series.waiting.object)
        asked = spread(min(retry_after_seconds, RETRY_AFTER_SECONDS))
        wait = max(next(series.waits), asked)
        series.not_before = now + wait
        if now >= self._paused_until:  # and not for each of several that failed together
            self._paused_until = now + max(next(self._pauses), asked)
        return wait

    def resume(self) -> None:
        """The server takes requests."""
        self._pauses, self._paused_until = backoff(), 0.0

    def _due(self, series: Series, now: float) -> float:
        of_object = self._budgets.free_at(series.waiting.object, now)
        return max(series.not_before, self._paused_until, of_object, self._budget.free_at(now))

    def _rank(self, series: Series, is_failing: bool) -> tuple[int, ...]:
        """Whose turn it is; while requests fail, what was tried least, as it may be the series that fails."""
        if is_failing:
            return series.retries, series.waiting.oldest
        return *self._turns.last(series.waiting.object), series.waiting.oldest


class Turns:
    """When namespaces, and objects (NAMESPACE/UID), had their last turn, in turns of all; 0 for those that had none."""

    def __init__(self, most: int = TURNS) -> None:
        self._most = most
        self._count = 0
        self._last: OrderedDict[str, int] = OrderedDict()

    def last(self, about: str) -> tuple[int, int]:
        """Of an object's namespace, and of the object."""
        return self._last.get(_namespace(about), 0), self._last.get(about, 0)

    def take(self, about: str) -> None:
        """It is the object's turn."""
        self._count += 1
        for name in (about, _namespace(about)):
            self._last[name] = self._count
            self._last.move_to_end(name)
        while len(self._last) > self._most:
            self._last.popitem(last=False)

    def give_back(self, about: str) -> None:
        """The object had no turn: its request failed. Its namespace had one, or it could fail for ever before
        others."""
        self._last.pop(about, None)


def _namespace(about: str) -> str:
    return about.partition("/")[0]
