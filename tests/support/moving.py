"""A time that the test moves, for what waits by `clock` and `sleep`: an hour's outage takes a moment.

It stands still until advance() is called, which goes to the end of the shortest sleep. The wall clock goes with it.
"""

import asyncio

#: What the wall clock shows at the beginning, in seconds of UNIX time.
START = 1_795_335_612.0
#: A sleeper wakes a little late, as everywhere: so that what it waited for is not still to come by a rounding error.
_LATE = 1e-6


class Time:
    """clock() and sleep() for one who takes them as parameters; time(), time_ns() and monotonic() as the module."""

    def __init__(self) -> None:
        self.now = 0.0
        self._set_by = 0.0
        self._asleep: dict[asyncio.Future[None], float] = {}

    def clock(self) -> float:
        return self.now

    monotonic = clock

    def time(self) -> float:
        return START + self.now + self._set_by

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock forward, or back, by so many."""
        self._set_by += seconds

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    async def sleep(self, seconds: float) -> None:
        awake = asyncio.get_running_loop().create_future()
        self._asleep[awake] = self.now + seconds
        try:
            await awake
        finally:
            del self._asleep[awake]

    def advance(self, until: float) -> bool:
        """Go to the end of the shortest sleep; False where that is later than `until`: then that is the time."""
        wakes = min((at for future, at in self._asleep.items() if not future.done()), default=None)
        if wakes is None or wakes > until:
            self.now = max(self.now, until)
            return False
        self.now = max(self.now, wakes) + _LATE
        for future, at in self._asleep.items():
            if at <= self.now and not future.done():
                future.set_result(None)
        return True
