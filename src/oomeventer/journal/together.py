"""Calls of the journal that are carried out together. In: functions of its tables. Out: their results, in their order.

What waits while the file is busy shares one transaction, and one way to its thread and back: in a storm that is most of
what a call costs. Rules: a result is given when all of them are committed. One that fails takes the others' changes
back; then each is to be made by itself. A caller can be cancelled at any moment: what has not begun is not done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from msgspec import Struct, field

from oomeventer.journal.database import Database

#: So many at once: none waits long for the others.
MOST = 32

T = TypeVar("T")


class Call(Struct, frozen=True, eq=False):
    """function(database, *arguments), and what becomes of it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def give(self, result: Any) -> None:
        """To the caller, if it still waits."""
        if not self.result.done():
            self.result.set_result(result)

    def fail(self, error: Exception) -> None:
        """Likewise."""
        if not self.result.done():
            self.result.set_exception(error)


class Together:
    """carry_out: makes calls, one after another, and says each one's result; it is not called again before it ends."""

    def __init__(self, carry_out: Callable[[Sequence[Call]], Awaitable[None]]) -> None:
        self._carry_out = carry_out
        self._waiting: list[Call] = []
        self._carrying: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether any is made or waits."""
        return self._carrying is not None

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Make it, with those that wait then."""
        call = Call(function, arguments)
        self._waiting.append(call)
        if self._carrying is None:
            self._carrying = asyncio.create_task(self._carry())
        result: T = await call.result
        return result

    async def ended(self) -> None:
        """All are made."""
        if self._carrying:
            await asyncio.wait((self._carrying,))

    async def _carry(self) -> None:
        calls: Sequence[Call] = ()
        try:
            while self._waiting:
                calls, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                calls = [call for call in calls if not call.result.done()]
                try:
                    await self._carry_out(calls)
                except Exception as e:  # a fault of this program: no caller shall wait for ever
                    for call in calls:
                        call.fail(e)
        finally:
            self._carrying = None
            for call in (*calls, *self._waiting):
                call.result.cancel()


def in_one_transaction(database: Database, calls: Sequence[Call]) -> list[Any]:
    """Their results. Raises what one of them raises; then none has changed anything."""
    with database.transaction():
        return [call.function(database, *call.arguments) for call in calls]
