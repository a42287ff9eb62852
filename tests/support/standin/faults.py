"""Faults that a test scripts: what goes wrong between the program and the API server.

In: a request and the means to carry it out. Out: what the connection gets in place of the answer.
Rules: a fault is used up by one request; `method` limits it to requests of that method, `resource` to those of that
one ("events"); the docstring of each says whether it is carried out. Waiting ends early when the server shuts down.
"""

import asyncio
import json
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from .status import status as status_body

CarryOut = Callable[[], web.Response]
Closing = asyncio.Event
Given = web.StreamResponse


@dataclass(frozen=True)
class Fault(ABC):
    """One scripted fault."""

    method: str | None = field(default=None, kw_only=True)
    resource: str | None = field(default=None, kw_only=True)

    def is_for(self, method: str, path: str) -> bool:
        return self.method in (None, method) and (self.resource is None or self.resource in path.split("/"))

    @abstractmethod
    async def answer(self, request: web.Request, carry_out: CarryOut, closing: Closing) -> Given:
        """Answer a request; `carry_out` does what it asks for, `closing` is set at the server's end."""


@dataclass(frozen=True)
class Answer(Fault):
    """The given status, with a Status object of that code unless `body` is given. Not carried out."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    async def answer(self, request: web.Request, carry_out: CarryOut, closing: Closing) -> Given:
        body = self.body
        if body is None:
            body = json.dumps(status_body(self.status, f"scripted fault {self.status}")).encode()
        return web.Response(status=self.status, body=body, headers={"Content-Type": "application/json", **self.headers})


@dataclass(frozen=True)
class Garbage(Fault):
    """Success, with a body that is not JSON though it says so. Not carried out."""

    body: bytes = b"<html>nobody expects this</html>"

    async def answer(self, request: web.Request, carry_out: CarryOut, closing: Closing) -> Given:
        status = 201 if request.method == "POST" else 200
        return web.Response(status=status, body=self.body, headers={"Content-Type": "application/json"})


@dataclass(frozen=True)
class Truncated(Fault):
    """The first half of the answer, as if it were all of it. Carried out."""

    async def answer(self, request: web.Request, carry_out: CarryOut, closing: Closing) -> Given:
        response = carry_out()
        body = _bytes(response)
        response.body = body[: len(body) // 2]
        return response


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset (RST) without an answer. Not carried out."""

    async def answer(self, request: web.Request, carry_out: CarryOut, closing: Closing) -> Given:
        if request.transport is not None:
            linger_off = struct.pack("ii", 1, 0)
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_off)
        return _drop(request)


@dataclass(frozen=True)
class LostAnswer(Fault):
    """The connection is closed without an answer, after the request was carried out."""

    async def answer(self, request: web.Request, carry_out: CarryOut, closing: Closing) -> Given:
        carry_out()
        return _drop(request)


@dataclass(frozen=True)
class Hang(Fault):
    """Nothing for `seconds`, then the connection is closed without an answer. Not carried out."""

    seconds: float

    async def answer(self, request: web.Request, carry_out: CarryOut, closing: Closing) -> Given:
        await _wait(self.seconds, closing)
        return _drop(request)


@dataclass(frozen=True)
class Trickle(Fault):
    """The answer in ten pieces, spread over `seconds`. Carried out, at the start."""

    seconds: float

    async def answer(self, request: web.Request, carry_out: CarryOut, closing: Closing) -> Given:
        whole = carry_out()
        body = _bytes(whole)
        response = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.headers["Content-Type"]})
        response.content_length = len(body)
        await response.prepare(request)
        size = -(-len(body) // 10)
        for start in range(0, len(body), size):
            await _wait(self.seconds / 10, closing)
            await response.write(body[start : start + size])
        return response


def _bytes(response: web.Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def _drop(request: web.Request) -> web.Response:
    """Close the connection; the response returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _wait(seconds: float, closing: Closing) -> None:
    try:
        await asyncio.wait_for(closing.wait(), seconds)
    except TimeoutError:
        return
