"""An agent that is started again whenever it dies, as a kubelet would do."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from places import SUPPORT


class Restarted:
    """`oomeventer run FLAGS...`, again and again. crash: called before each start; (point, number) of crashing.py.

    command: what the command line begins with. program: what the flags are given to, in place of crashing.py. deaths:
    how often it was ended by SIGKILL. Leaving stops it by SIGTERM and waits for it.
    """

    def __init__(
        self,
        *flags: str,
        crash: Callable[[random.Random], tuple[str, int]] | None = None,
        seed: int = 0,
        command: Sequence[str] = (),
        program: Sequence[str] = (),
    ) -> None:
        self._flags = flags
        self._command = command
        self._program = program
        self._crash = crash
        self._random = random.Random(seed)
        self._going = True
        self.deaths = 0
        self.log: list[str] = []
        self.watches = asyncio.Event()
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        async with asyncio.timeout(30):
            await self.watches.wait()
        return self

    async def _run(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
        environment.pop("KUBECONFIG", None)
        while self._going:
            point, number = self._crash(self._random) if self._crash else ("none", 0)
            program = self._program or ("faults.crashing", point, str(number))
            self.process = await asyncio.create_subprocess_exec(
                *(*self._command, sys.executable, "-m", *program, "run", *self._flags),
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                limit=1 << 20,
            )
            assert self.process.stderr
            async for line in self.process.stderr:
                self.log.append(line.decode().rstrip())
                if "sends Events to" in self.log[-1]:
                    self.watches.set()
            status = await self.process.wait()
            self.watches.clear()
            if status == -signal.SIGKILL:
                self.deaths += 1
            elif self._going:
                raise RuntimeError(f"the agent ended with {status}:\n" + "\n".join(self.log[-20:]))

    def kill(self) -> None:
        """End it by SIGKILL, wherever it is."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._going = False
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await self._running
