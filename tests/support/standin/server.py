"""The HTTP side of the stand-in.

In: HTTP requests. Out: the requests as recorded, and the bytes of answers: those of a scripted fault, of a
refusal or of a handler.
Rules: every request is recorded, also one that a fault or a refusal answers. One without a token is refused
with 401, as where anonymous access is off.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from .cluster import Cluster
from .faults import Fault
from .routing import Request, carry_out
from .status import ApiError, Json
from .watching import Watched, stream

_BODY_LIMIT = 3 * 1024 * 1024


class ApiServer(Cluster):
    """An API server on a free port of one address, over plain HTTP or TLS, while its `async with` block runs.

    Attributes:
        url: Where it listens.
        token: The bearer token that may do everything.
        powerless_token: The bearer token of a service account without a role.
        requests: The requests that came, in order.
        faults: Scripted faults; each request uses up the first one that is for it.
    """

    token = "token-of-the-cluster-admin"
    powerless_token = "token-of-a-service-account-without-a-role"

    def __init__(self, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._tls = tls
        self._address = address
        self.url = ""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._closing = asyncio.Event()
        self._changed = asyncio.Condition()
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        self._users = {
            self.token: "kubernetes-admin",
            self.powerless_token: "system:serviceaccount:default:default",
        }

    def replace_token(self, token: str) -> None:
        """The token that may do everything is another from now on; the one before is not known any more."""
        self._users[token] = self._users.pop(self.token)
        self.token = token

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, 0, ssl_context=self._tls).start()
        host, port = self._runner.addresses[0]
        self.url = f"http{'s' if self._tls else ''}://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        await self.notify()
        await self._runner.cleanup()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is looked at now and whenever a request or its answer came."""
        async with self._changed:
            await self._changed.wait_for(condition)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._respond(request)
        finally:
            await self.notify()

    async def notify(self) -> None:
        """Have watches and until() look again, after a test itself has written."""
        async with self._changed:
            self._changed.notify_all()

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _json(413, ApiError(413, f"Request entity too large: limit is {_BODY_LIMIT}").body)
        query, headers = dict(request.query), request.headers.copy()
        asked = Request(request.method, request.path, query, headers, _parse(raw), time.monotonic())
        self.requests.append(asked)
        await self.notify()
        for fault in self.faults:
            if fault.is_for(request.method, request.path):
                self.faults.remove(fault)
                return await fault.answer(request, lambda: self._answer(asked), self._closing)
        status, body = self._carried_out(asked)
        if isinstance(body, Watched):
            return await stream(self, body, request, self._changed, self._closing)
        return body if isinstance(body, web.Response) else _json(status, body)

    def _answer(self, asked: Request) -> web.Response:
        status, body = self._carried_out(asked)
        if isinstance(body, Watched):
            raise TypeError("a fault scripts no watch")
        return body if isinstance(body, web.Response) else _json(status, body)

    def _carried_out(self, asked: Request) -> tuple[int, Json | Watched | web.Response]:
        token = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            if token not in self._users:
                raise ApiError(401, "Unauthorized")
            if (asked.method, asked.path) == ("GET", "/readyz"):
                return 200, web.Response(text="ok")
            return carry_out(self, asked, self._users[token], token == self.token)
        except ApiError as refusal:
            return refusal.code, refusal.body


def _parse(raw: bytes) -> Any:
    """Return a body's JSON; what is not UTF-8 in it becomes U+FFFD, as in Go."""
    try:
        return json.loads(raw.decode(errors="replace")) if raw else None
    except ValueError:
        return raw


def _json(status: int, body: Json) -> web.Response:
    content = json.dumps(body, ensure_ascii=False).encode()
    return web.Response(status=status, body=content, headers={"Content-Type": "application/json"})
