"""Several runtimes on one host: which of them is asked. In: the runtime that a cgroup's path names, if any, and
questions. Out: the first record that one of them has, and who was asked.

Rules: the path's own runtime is asked, at its sockets; where the path names none (the cgroupfs driver), or the named
one has no socket in the usual places, all that are there are, one after the other, the one that knew last first. No
socket is connected to before it has a question to answer. One that has answered before, and does not now, is waited
for (CriError); one that never has is passed over where another answers, and left alone for a minute. So a socket
that hangs costs an incident one deadline.
"""

import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from oomeventer.cri import sockets
from oomeventer.cri.answers import ContainerInfo, SandboxInfo
from oomeventer.cri.client import Client, CriError, nobody_answers

_Record = TypeVar("_Record")

#: How long a socket that never answered is left alone, where another one answers.
REST_SECONDS = 60.0


class Runtimes:
    """Those of this host. endpoint: unix:///path, which is then the only one, or None for the usual places below
    root."""

    def __init__(self, endpoint: str | None, timeout_seconds: float, root: str = "/") -> None:
        self.is_set = endpoint is not None
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._root = root
        #: Those that have answered, by path; the one that knew last is the first.
        self._clients: dict[str, Client] = {}
        self._rests_until: dict[str, float] = {}
        #: The usual places, by the runtime that is named: links are resolved once.
        self._places: dict[str | None, list[str]] = {}

    async def any(self) -> Client:
        """One that answers. Raises CriError where there is none, and says where it looked."""
        if not self._clients:
            client = await Client.connect(self._endpoint, timeout_seconds=self._timeout_seconds, root=self._root)
            self._clients[client.path] = client
        return next(iter(self._clients.values()))

    def round(self, runtime: str | None) -> "Round":
        """The questions about one incident, whose path names `runtime`."""
        own = self._there(runtime) if runtime else []
        return Round(self, runtime, own or self._there(None) or self._found(None), is_own=bool(own))

    async def client(self, path: str) -> Client:
        """The runtime there. Raises CriError."""
        if path not in self._clients:
            try:
                self._clients[path] = await Client.at(path, self._timeout_seconds)
            except CriError:
                self._rests_until[path] = time.monotonic() + REST_SECONDS
                raise
        return self._clients[path]

    def has_answered(self, path: str) -> bool:
        """Whether there was a runtime there."""
        return path in self._clients

    def knew(self, path: str) -> None:
        """It is asked first from now on."""
        self._clients = {path: self._clients.pop(path)} | self._clients

    def _there(self, runtime: str | None) -> list[str]:
        found = self._found(runtime)
        answered = [path for path in self._clients if path in found]
        now = time.monotonic()
        others = [path for path in found if path not in answered and (self._endpoint or os.path.exists(path))]
        return answered + [path for path in others if not answered or self._rests_until.get(path, 0.0) <= now]

    def _found(self, runtime: str | None) -> list[str]:
        if runtime not in self._places:
            self._places[runtime] = sockets.find(self._endpoint, self._root, runtime)
        return self._places[runtime]


class Round:
    """Asks like a Client; each answer is that of the first runtime that has one. A question raises CriError where
    nobody answers, or where nobody knows and one that has answered before does not."""

    def __init__(self, runtimes: Runtimes, runtime: str | None, paths: list[str], is_own: bool) -> None:
        self._runtimes = runtimes
        self._runtime = runtime
        self._paths = paths
        self._is_own = is_own
        self._failures: dict[str, CriError] = {}
        self._asked: dict[str, Client] = {}
        #: The one that knew the last answer.
        self.knew: Client | None = None

    async def container(self, container_id: str) -> ContainerInfo | None:
        """As Client.container."""
        return await self._first(lambda client: client.container(container_id))

    async def sandbox(self, sandbox_id: str) -> SandboxInfo | None:
        """As Client.sandbox."""
        return await self._first(lambda client: client.sandbox(sandbox_id))

    async def sandbox_of_pod(self, pod_uid: str) -> SandboxInfo | None:
        """As Client.sandbox_of_pod."""
        return await self._first(lambda client: client.sandbox_of_pod(pod_uid))

    def unknown(self) -> str:
        """In words, that nobody knew: who was asked, and where, and whether that is whom the path names."""
        asked = list(self._asked.values())
        who = " and ".join(f"{client.runtime_name} at {client.path}" for client in asked)
        verb = "does" if len(asked) == 1 else "do"
        text = f"{who}{', as set,' if self._runtimes.is_set else ''} {verb} not know it"
        if failed := self._failed_there():
            text += f"; {', '.join(failed)} could not be asked"
        if not self._runtime or any(client.runtime_name == self._runtime for client in asked):
            return text
        missing = "" if self._runtimes.is_set or self._is_own else ", whose socket is in no usual place"
        return f"{text}; the path names {self._runtime}{missing}"

    def silent(self) -> str:
        """In words, that there was no answer: of which sockets, of those that are there."""
        there = self._failed_there()
        return "the runtime could not be asked" + (f" at {', '.join(there)}" if there else "")

    def _failed_there(self) -> list[str]:
        return [path for path in self._failures if self._runtimes.is_set or os.path.exists(path)]

    async def _first(self, question: Callable[[Client], Awaitable[_Record | None]]) -> _Record | None:
        for path in self._paths:
            if path in self._failures:
                continue
            try:
                client = await self._runtimes.client(path)
                found = await question(client)
            except CriError as e:
                self._failures[path] = e
                continue
            self._asked[path] = client
            if found is not None:
                self.knew = client
                self._runtimes.knew(path)
                return found
        waited_for = [e for path, e in self._failures.items() if self._runtimes.has_answered(path)]
        if waited_for:
            raise waited_for[0]
        if not self._asked:
            raise nobody_answers(list(self._failures.values()))
        return None
