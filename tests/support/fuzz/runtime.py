"""A runtime that answers anything. In: bytes: of an answer, or of a whole connection. Out: the record, or CriError.

Rules: wire.exchange() is called as the client calls it, in an event loop of its own, to which nothing may be reported,
and leaves nothing of its own in the task that calls it.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

from betterproto2 import Message

from oomeventer.cri import CriError, answers, wire
from oomeventer.cri._cri.runtime import v1

#: No answer here takes as long: an exchange that does has hung.
TIMEOUT_SECONDS = 60.0

_Ask = Callable[[v1.RuntimeServiceStub], Awaitable[Any]]


class Runtime:
    """Listens on a socket of its own, until it is closed."""

    def __init__(self) -> None:
        self._complaints: list[object] = []
        self._sent = b""
        self._handlers: set[asyncio.Task[Any]] = set()
        self._path = f"\0oomeventer-fuzz-{os.getpid()}-{id(self)}"  # abstract (unix(7)): libFuzzer cleans nothing up
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self._complaints.append(context))
        self._server = self._loop.run_until_complete(asyncio.start_unix_server(self._serve, self._path))

    def close(self) -> None:
        """Nothing is left."""
        self._server.close()
        self._loop.run_until_complete(self._server.wait_closed())
        self._loop.close()

    def answer(self, message: type[Message], data: bytes, read: Callable[[Any], Any]) -> Any:
        """What the client makes of an answer of these bytes."""

        async def ask(_: v1.RuntimeServiceStub) -> Message:
            return message.parse(data)

        return self._exchange(ask, read)

    def connection(self, data: bytes) -> tuple[str, str] | CriError:
        """What the client makes of a server that sends these bytes and closes."""
        self._sent = data
        return self._exchange(lambda runtime: runtime.version(), answers.version)

    def _exchange(self, ask: _Ask, read: Callable[[Any], Any]) -> Any:
        return self._loop.run_until_complete(self._call(ask, read))

    async def _call(self, ask: _Ask, read: Callable[[Any], Any]) -> Any:
        given: Any
        try:
            given = await wire.exchange(self._path, TIMEOUT_SECONDS, ask, read)
        except CriError as e:
            given = CriError(str(e).removeprefix(f"{self._path}: "))
            given.__cause__ = e.__cause__
        while self._handlers:
            await asyncio.wait(self._handlers)
        assert not self._complaints, self._complaints
        task = asyncio.current_task()
        assert task
        assert task.cancelling() == 0
        return given

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._handlers.add(task)
        try:
            with contextlib.suppress(ConnectionError):
                writer.write(self._sent)
                await writer.drain()
                await reader.read(4096)  # so that the request is read, and closing is not a reset
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        finally:
            self._handlers.discard(task)
