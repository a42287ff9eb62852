"""The agent seen from outside, over HTTP: /metrics, /livez, /readyz. Flows in: the agent's parts, when somebody asks.
Flows out: text.

Rules: nothing runs while nobody asks: no timer, no request. Whoever may connect is not trusted: a request has no body,
small headers and little time, and there are only so many at once. When there are more, whoever has most of them loses
one, so that nobody can keep the kubelet's probes out. Runtime and API server are asked for /readyz alone, never for
several callers at once, and not each time. A caller waits two seconds at most: give probes a timeout of five.

/livez is about what a restart can mend: that the ring holds records, and none of them comes out. /readyz is about what
Events need: each check has its line, `NAME ok` or `NAME: what is wrong`.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from oomeventer.cri import Client
from oomeventer.errors import OomeventerError
from oomeventer.probes.metrics import CONTENT_TYPE, Metrics
from oomeventer.text import cut_bytes, one_line

log = logging.getLogger(__name__)

#: The ring may hold records for so long with none coming out. Writing one down takes milliseconds; a disk that hangs
#: is given up after five seconds.
STUCK_SECONDS = 60.0
#: How old the runtime's, and the API server's, last answer may be.
RUNTIME_SECONDS, API_SECONDS = 10.0, 60.0
#: How long a caller waits for them. What comes later is the next caller's.
WAIT_SECONDS = 2.0
#: An idle connection, and one that does not get its request said, is closed after that.
IDLE_SECONDS = 10.0
CONNECTIONS = 32
_LINE_BYTES, _HEADER_BYTES, _HEADERS = 2048, 8190, 64
_TROUBLE_BYTES = 500

# aiohttp logs every request that is no HTTP, with a traceback: anybody could fill the log.
_silent = logging.getLogger(f"{__name__}.http")
_silent.setLevel(logging.CRITICAL)


class HealthError(OomeventerError):
    """The address cannot be listened on."""


class Progress:
    """Whether records come out of the ring. clock: seconds, any that only goes forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._freed = 0
        self._seen = (0, 0)
        self._since: float | None = None

    def freed(self) -> None:
        """A kill is out of the ring."""
        self._freed += 1

    def stuck_seconds(self, used_bytes: int) -> float:
        """For how long, as far as was looked, the ring has held records of which none came out."""
        now, (used_before, freed_before) = self._clock(), self._seen
        self._seen = used_bytes, self._freed
        if not used_bytes or used_bytes < used_before or self._freed != freed_before:
            self._since = None
        if not used_bytes:
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since


class _Asked:
    """Somebody's word, asked for anew when it is old. ask: returns what is wrong, or None."""

    def __init__(self, ask: Callable[[], Awaitable[str | None]], seconds: float, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None
        self._at: float | None = None
        self._trouble: str | None = None

    async def __call__(self) -> str | None:
        """What is wrong, or None."""
        if self._asking is None and (self._at is None or self._clock() - self._at >= self._seconds):
            self._asking = asyncio.create_task(self._refresh())
        if asking := self._asking:
            await asyncio.wait((asking,), timeout=WAIT_SECONDS)
            if not asking.done():
                return f"no answer within {WAIT_SECONDS:g} s"
        return self._trouble

    async def _refresh(self) -> None:
        try:
            self._trouble = await self._ask()
        except OomeventerError as e:
            self._trouble = str(e)
        except Exception as e:
            log.exception("a check could not be made, through a fault of this program")
            self._trouble = f"a fault of this program: {e}"
        finally:
            self._at, self._asking = self._clock(), None

    def close(self) -> None:
        """Ask no more."""
        if self._asking:
            self._asking.cancel()


class Health:
    """What the paths say. cri_endpoint: as in the settings; "none" where no runtime is to be asked."""

    def __init__(
        self,
        metrics: Metrics,
        cri_endpoint: str | None,
        cri_timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._cri_endpoint = cri_endpoint
        self._cri_timeout_seconds = cri_timeout_seconds
        self._clock = clock
        self.progress = Progress(clock)
        self._runtime = _Asked(self._ask_runtime, RUNTIME_SECONDS, clock)
        self._api = _Asked(self._ask_api, API_SECONDS, clock)
        self._journal = _Asked(self._ask_journal, 0.0, clock)

    def close(self) -> None:
        """Ask nobody any more."""
        for asked in (self._runtime, self._api, self._journal):
            asked.close()

    async def livez(self) -> tuple[int, str]:
        """Status and text."""
        used = self._metrics.parts.ring.used_bytes if self._metrics.parts else 0
        stuck = self.progress.stuck_seconds(used)
        if stuck > STUCK_SECONDS:
            return 503, f"no record came out of the kernel's ring for {stuck:.0f} s, and it holds {used} bytes\n"
        return 200, "ok\n"

    async def readyz(self) -> tuple[int, str]:
        """Status and text: a line for each check."""
        parts = self._metrics.parts
        if parts is None:
            return 503, "attached: not yet, or not any more\n"
        names = ["journal", "runtime", "api"] if self._cri_endpoint != "none" else ["journal", "api"]
        checks: dict[str, Callable[[], Awaitable[str | None]]]
        checks = {"journal": self._check_journal, "runtime": self._runtime, "api": self._check_api}
        troubles = dict(zip(names, await asyncio.gather(*(checks[name]() for name in names)), strict=True))
        self._metrics.answers |= {name: troubles[name] is None for name in names if name != "journal"}
        lines = ["attached ok", f"pins {parts.pins or 'none: kills are not recorded while no agent runs'}"]
        for name, trouble in troubles.items():
            lines.append(f"{name}: {cut_bytes(one_line(trouble), _TROUBLE_BYTES)}" if trouble else f"{name} ok")
        return 503 if any(troubles.values()) else 200, "\n".join(lines) + "\n"

    async def metrics(self) -> tuple[int, bytes]:
        """Status and text."""
        return 200, self._metrics.text()

    # -- checks: what is wrong, or None --------------------------------------------------------------------------------

    async def _check_journal(self) -> str | None:
        parts = self._metrics.parts
        if parts is None or parts.journal.trouble is None:
            return None
        await self._journal()
        return parts.journal.trouble

    async def _ask_journal(self) -> str | None:
        if parts := self._metrics.parts:
            await parts.journal.note("lost")  # whatever is asked: when it is time, the disk is tried again
        return None

    async def _ask_runtime(self) -> str | None:
        # Not by what the last kill was told: that may be long ago, and the runtime back, or gone, since.
        await Client.connect(self._cri_endpoint, timeout_seconds=self._cri_timeout_seconds)
        return None

    async def _check_api(self) -> str | None:
        parts = self._metrics.parts
        if parts and parts.delivery.trouble and parts.delivery.series:  # it is being tried again and again
            return parts.delivery.trouble
        accepted_at = self._metrics.accepted_at
        if accepted_at is not None and self._clock() - accepted_at < API_SECONDS:
            return None
        return await self._api()

    async def _ask_api(self) -> str | None:
        if (parts := self._metrics.parts) is None:
            return None
        answer = await parts.cluster.request("GET", "/version")
        # 403: it knows who asks, and this path is not for everybody there.
        well = 200 <= answer.status < 300 or answer.status == 403
        return None if well else f"{parts.cluster.server} answers {answer.words}"


@contextlib.asynccontextmanager
async def serve(listen: tuple[str, int] | None, health: Health) -> AsyncIterator[tuple[str, int] | None]:
    """Answer on that address, host and port, in the meantime; yields the one that was bound. "": all addresses; None:
    none. Raises HealthError."""
    if listen is None:
        yield None
        return
    host, port = listen
    pages = {"/metrics": health.metrics, "/livez": health.livez, "/readyz": health.readyz}

    async def answer(request: web.BaseRequest) -> web.Response:
        with server.busy(request.protocol):
            return await respond(request)

    async def respond(request: web.BaseRequest) -> web.Response:
        page = pages.get(request.path)
        if page is None:
            return web.Response(status=404, text=f"not here; there are {', '.join(pages)}\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="only GET\n", headers={"Allow": "GET, HEAD"})
        if request.body_exists:
            return web.Response(status=413, text="no body, please\n")
        try:
            status, content = await page()
        except Exception:
            log.exception("%s is not answered, through a fault of this program", request.path)
            status, content = 500, "a fault of this program\n"
        if isinstance(content, str):
            return web.Response(status=status, text=content)
        return web.Response(status=status, body=content, headers={"Content-Type": CONTENT_TYPE})

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


class _Server(web.Server):
    """Has CONNECTIONS at most. One more, and the address that has most of them (the kubelet has one or two) loses one:
    its oldest that is not being answered, else its newest."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._busy: set[web.RequestHandler] = set()

    @contextlib.contextmanager
    def busy(self, connection: web.RequestHandler) -> Iterator[None]:
        """A request of that connection is answered in the meantime."""
        self._busy.add(connection)
        try:
            yield
        finally:
            self._busy.discard(connection)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        there = [one for one in self.connections if one.connected]  # the oldest first; without those just closed
        if len(there) > CONNECTIONS:
            ((most, _),) = Counter(map(_host, there)).most_common(1)
            theirs = [one for one in there if _host(one) == most]
            next((one for one in theirs if one not in self._busy), theirs[-1]).force_close()


def _host(connection: web.RequestHandler) -> str:
    return str(connection.peername[0]) if connection.peername else ""
