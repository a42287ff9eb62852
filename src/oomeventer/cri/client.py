"""The calls, by ID.

In: IDs. Out: the records of answers.py, None where the runtime has no such thing, or `CriError`.
"""

import re
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from oomeventer.cri import answers, sockets
from oomeventer.cri._cri.runtime import v1
from oomeventer.cri.answers import ContainerInfo, SandboxInfo
from oomeventer.cri.wire import CriError, GoneError, exchange

__all__ = ["Client", "CriError", "nobody_answers"]

_Answer = TypeVar("_Answer")
_Record = TypeVar("_Record")

_ID = re.compile(r"[A-Za-z0-9._-]{64,128}")
_POD_UID = re.compile(r"[A-Za-z0-9._-]{1,63}")


class Client:
    """A container runtime that has answered once; `connect` makes it. It holds nothing open between calls."""

    def __init__(self, path: str, runtime_name: str, runtime_version: str, timeout_seconds: float) -> None:
        self.path = path
        self.runtime_name = runtime_name
        """As the runtime calls itself: "containerd", "cri-o", "docker"."""
        self.runtime_version = runtime_version
        self._timeout_seconds = timeout_seconds

    @classmethod
    async def connect(cls, endpoint: str | None = None, *, timeout_seconds: float = 5.0, root: str = "/") -> Self:
        """The first runtime that answers CRI's Version, on `endpoint` or in the usual places below `root`.

        `timeout_seconds` bounds each call, of this method and of the client. CriError names every socket
        tried and what is wrong with it; an endpoint that is none is a ValueError (see `sockets.find`).
        """
        failures = []
        for path in sockets.find(endpoint, root):
            try:
                return await cls.at(path, timeout_seconds)
            except CriError as e:
                failures.append(e)
        raise nobody_answers(failures)

    @classmethod
    async def at(cls, path: str, timeout_seconds: float) -> Self:
        """The runtime that answers CRI's Version at `path`. CriError names the socket and what is wrong."""
        name, version = await exchange(path, timeout_seconds, lambda runtime: runtime.version(), answers.version)
        return cls(path, name, version, timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None
    ) -> None:
        """Nothing to close."""

    async def container(self, container_id: str) -> ContainerInfo | None:
        """CRI's ContainerStatus. None: the runtime knows no such container; the ID may be a sandbox's.

        `container_id` is the full ID, 64 characters or more: a shorter one is a ValueError, since a runtime
        would take it for the start of one, as is a character that no runtime puts into an ID.
        """
        _check(_ID, container_id)
        request = v1.ContainerStatusRequest(container_id=container_id)
        return await self._find(
            lambda runtime: runtime.container_status(request),
            lambda answer: answers.container(answer, container_id),
        )

    async def sandbox(self, sandbox_id: str) -> SandboxInfo | None:
        """CRI's PodSandboxStatus. None: the runtime knows no such sandbox. ValueError as for `container`."""
        _check(_ID, sandbox_id)
        request = v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
        return await self._find(
            lambda runtime: runtime.pod_sandbox_status(request),
            lambda answer: answers.sandbox(answer, sandbox_id),
        )

    async def sandbox_of_pod(self, pod_uid: str) -> SandboxInfo | None:
        """CRI's ListPodSandbox by the kubelet's label. None: that Pod has none. ValueError: not a uid."""
        _check(_POD_UID, pod_uid)
        of_pod = v1.PodSandboxFilter(label_selector={answers.POD_UID: pod_uid})
        request = v1.ListPodSandboxRequest(filter=of_pod)
        return await self._find(
            lambda runtime: runtime.list_pod_sandbox(request),
            lambda answer: answers.sandbox_of_pod(answer, pod_uid),
        )

    async def _find(
        self, ask: Callable[[v1.RuntimeServiceStub], Awaitable[_Answer]], read: Callable[[_Answer], _Record]
    ) -> _Record | None:
        try:
            return await exchange(self.path, self._timeout_seconds, ask, read)
        except GoneError:
            return None


def nobody_answers(failures: list[CriError]) -> CriError:
    """That no runtime can be asked: what is wrong at each socket, and what to do."""
    error = CriError(
        f"no container runtime answers CRI v1: {'; '.join(map(str, failures))}. Is the runtime running, "
        "and its socket mounted here? If it is elsewhere, configure the endpoint that the kubelet uses."
    )
    error.__cause__ = ExceptionGroup("the sockets tried", failures) if failures else None
    return error


def _check(pattern: re.Pattern[str], value: str) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(f"{value!r:.100} is not an ID to ask a runtime for: it would have to match {pattern.pattern}")
