"""How many requests may be made, and when again. In: the time. Out: when the next one is free.

Rules: pure; the clock is a parameter, in seconds, any that only goes forward.
"""

from collections import OrderedDict

#: Objects whose budget is kept, 0.3 MiB. A node has 110 Pods by default, and seldom 500.
OBJECTS = 1024


class Budget:
    """A token bucket: `burst` at once, then one every `seconds`."""

    def __init__(self, burst: float, seconds: float) -> None:
        self._burst = burst
        self._seconds = seconds
        self._full_at = 0.0  # when it will be full again if nothing is taken

    def free_at(self, now: float) -> float:
        """When a request may be made; now or before, if at once."""
        return max(self._full_at, now) - (self._burst - 1) * self._seconds

    def take(self, now: float) -> None:
        """A request is made."""
        self._full_at = max(self._full_at, now) + self._seconds

    def give_back(self) -> None:
        """A request that was made is not to count."""
        self._full_at -= self._seconds

    def owes(self, now: float) -> float:
        """In how many seconds it is full again if nothing is taken."""
        return max(0.0, self._full_at - now)

    def owe(self, seconds: float, now: float) -> None:
        """It is full again in so many seconds; as if all were taken, at most."""
        self._full_at = now + min(seconds, self._burst * self._seconds)

    def is_full(self, now: float) -> bool:
        """Whether it is as good as new."""
        return self._full_at <= now


class Budgets:
    """One Budget for each object. Full ones are forgotten; there are never more than `most`."""

    def __init__(self, burst: float, seconds: float, most: int = OBJECTS) -> None:
        self._burst = burst
        self._seconds = seconds
        self._most = most
        self._budgets: OrderedDict[str, Budget] = OrderedDict()

    def free_at(self, name: str, now: float) -> float:
        """As Budget.free_at(), of the object of that name."""
        budget = self._budgets.get(name)
        return budget.free_at(now) if budget else now

    def take(self, name: str, now: float) -> None:
        """As Budget.take()."""
        budget = self._budgets.setdefault(name, Budget(self._burst, self._seconds))
        budget.take(now)
        self._budgets.move_to_end(name)
        while len(self._budgets) > self._most or next(iter(self._budgets.values())).is_full(now):
            self._budgets.popitem(last=False)

    def owes(self, name: str, now: float) -> float:
        """As Budget.owes()."""
        budget = self._budgets.get(name)
        return budget.owes(now) if budget else 0.0

    def owe(self, name: str, seconds: float, now: float) -> None:
        """As Budget.owe(), of an object of which nothing was taken yet."""
        if name not in self._budgets and len(self._budgets) < self._most:
            self._budgets[name] = Budget(self._burst, self._seconds)
            self._budgets[name].owe(seconds, now)

    def give_back(self, name: str) -> None:
        """As Budget.give_back()."""
        if budget := self._budgets.get(name):
            budget.give_back()
