"""HTTP: /metrics, /livez, /readyz. In: requests, and Health. Out: text.

Rules: whoever may connect is not trusted: a request has no body, small headers and little time, and there are only so
many at once. When there are more, whoever has most of them loses one, so that nobody can keep the kubelet's probes out.
"""

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

# Not aiohttp.web, which has applications, routes, files and their types beside these: 0.6 MiB, 10 to 25 ms.
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response
from aiohttp.web_server import Server

from oomeventer.errors import OomeventerError
from oomeventer.probes.health import Health
from oomeventer.probes.metrics import CONTENT_TYPE

log = logging.getLogger(__name__)

#: An idle connection, and one whose request does not come to its end, is closed after that.
IDLE_SECONDS = 10.0
CONNECTIONS = 32
_LINE_BYTES, _HEADER_BYTES, _HEADERS = 2048, 8190, 64

# aiohttp logs every request that is no HTTP, with a traceback: anybody could fill the log.
_silent = logging.getLogger(f"{__name__}.http")
_silent.setLevel(logging.CRITICAL)


class HealthError(OomeventerError):
    """The address cannot be listened on."""


@contextlib.asynccontextmanager
async def serve(listen: tuple[str, int] | None, health: Health) -> AsyncIterator[tuple[str, int] | None]:
    """Answer on that address, host and port, in the meantime; yields the one that was bound. "": all addresses; None:
    none. Raises HealthError."""
    if listen is None:
        yield None
        return
    host, port = listen
    pages = {"/metrics": health.metrics, "/livez": health.livez, "/readyz": health.readyz}

    async def answer(request: BaseRequest) -> Response:
        with server.busy(request.protocol):
            return await respond(request)

    async def respond(request: BaseRequest) -> Response:
        page = pages.get(request.path)
        if page is None:
            return Response(status=404, text=f"not here; there are {', '.join(pages)}\n")
        if request.method not in ("GET", "HEAD"):
            return Response(status=405, text="only GET\n", headers={"Allow": "GET, HEAD"})
        if request.body_exists:
            return Response(status=413, text="no body, please\n")
        try:
            status, content = await page()
        except Exception:
            log.exception("%s is not answered, through a fault of this program", request.path)
            status, content = 500, "a fault of this program\n"
        if isinstance(content, str):
            return Response(status=status, text=content)
        return Response(status=status, body=content, headers={"Content-Type": CONTENT_TYPE})

    server = _Server(
        answer,
        access_log=None,
        logger=_silent,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=0,
        max_line_size=_LINE_BYTES,
        max_field_size=_HEADER_BYTES,
        max_headers=_HEADERS,
    )

    try:
        listening = await asyncio.get_running_loop().create_server(server, host or None, port)
    except OSError as e:
        why = os.strerror(e.errno) if e.errno and e.errno > 0 else str(e)
        raise HealthError(f"{_address(host, port)} cannot be listened on: {why}: name another (--listen)") from e
    try:
        bound = listening.sockets[0].getsockname()
        log.info("/metrics, /livez and /readyz at %s", _address(bound[0], bound[1]))
        yield bound[0], bound[1]
    finally:
        listening.close()
        health.close()
        await server.shutdown(1.0)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Server(Server):
    """Has CONNECTIONS at most. One more, and the address that has most of them (the kubelet has one or two) loses one:
    its oldest that is not being answered, else its newest."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._busy: set[RequestHandler] = set()

    @contextlib.contextmanager
    def busy(self, connection: RequestHandler) -> Iterator[None]:
        """A request of that connection is answered in the meantime."""
        self._busy.add(connection)
        try:
            yield
        finally:
            self._busy.discard(connection)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        there = [one for one in self.connections if one.connected]  # the oldest first; without those just closed
        if len(there) > CONNECTIONS:
            ((most, _),) = Counter(map(_host, there)).most_common(1)
            theirs = [one for one in there if _host(one) == most]
            next((one for one in theirs if one not in self._busy), theirs[-1]).force_close()


def _host(connection: RequestHandler) -> str:
    return str(connection.peername[0]) if connection.peername else ""
