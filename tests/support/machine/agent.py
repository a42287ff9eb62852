"""The agent as a user runs it: a process, with a kubeconfig of its own."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_SECONDS = 30


def kubeconfig(directory: Path, server: str, token: str) -> Path:
    """A kubeconfig file for that server. JSON is YAML."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    file = directory / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


def free_port() -> int:
    """A TCP port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Agent:
    """`oomeventer COMMAND FLAGS...` as a process. Entering waits until it watches; leaving stops it by SIGTERM.

    program: what these are the arguments of, where it is not this checkout's.
    """

    def __init__(
        self, *arguments: str, ready: str, program: Sequence[str] = (sys.executable, "-m", "oomeventer")
    ) -> None:
        self._arguments = [*program, *arguments]
        self._ready = ready
        self.log: list[str] = []

    async def __aenter__(self) -> Self:
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        self.process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            limit=1 << 20,
        )
        watches = asyncio.Event()
        self._logging = asyncio.create_task(self._follow(watches))
        try:
            async with asyncio.timeout(START_SECONDS):
                await watches.wait()
        except TimeoutError:
            await self._end()
            raise RuntimeError("the agent did not start:\n" + "\n".join(self.log)) from None
        if not any(self._ready in line for line in self.log):
            await self._end()
            raise RuntimeError("the agent ended:\n" + "\n".join(self.log))
        return self

    async def _follow(self, watches: asyncio.Event) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            self.log.append(line.decode().rstrip())
            if self._ready in self.log[-1]:
                watches.set()
        watches.set()

    async def says(self, words: str) -> None:
        """Wait until a line of its log has them. Raises RuntimeError where it ends before."""
        async with asyncio.timeout(START_SECONDS):
            while not any(words in line for line in self.log):
                if self._logging.done():
                    raise RuntimeError("the agent ended:\n" + "\n".join(self.log))
                await asyncio.wait((self._logging,), timeout=0.005)

    async def lines(self) -> AsyncIterator[Any]:
        """What it prints, one JSON value a line."""
        assert self.process.stdout
        async for line in self.process.stdout:
            yield json.loads(line)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(20):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise
        await self._logging
