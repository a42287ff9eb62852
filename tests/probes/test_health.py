"""/metrics, /livez and /readyz over real HTTP: what each says of each part that is broken, and what a caller may do.

In: parts that are broken on purpose, a clock of the test's own, requests and bytes that are no request. Out: status and
text; the API server's stand-in tells who was asked.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from fakecri import grpc_server, version
from machine import Agent, Cgroup, Victim, kubeconfig
from oomeventer.cluster import Describer, Pods
from oomeventer.cluster.api import Api
from oomeventer.cluster.connection import connect
from oomeventer.cluster.delivery import Delivery
from oomeventer.cluster.rights import START_SECONDS, warn_of_lacking
from oomeventer.journal.journal import Journal
from oomeventer.probes import health as module
from oomeventer.probes import server
from oomeventer.probes.health import (
    API_SECONDS,
    API_WELL_SECONDS,
    METRICS_SECONDS,
    RUNTIME_SECONDS,
    STUCK_SECONDS,
    Health,
    Progress,
)
from oomeventer.probes.metrics import Metrics, Parts
from oomeventer.probes.server import CONNECTIONS, HealthError, serve
from samples import NODE, POD, incident
from standin import Answer, ApiServer, Hang
from stores import composed

WELL = "attached ok\npins none: kills are not recorded while no agent runs\njournal ok\napi ok\n"


@dataclass
class Ring:
    lost: int = 0
    used_bytes: int = 0
    unreadable: int = 0


#: What a check of the API server asks: is it there, and may we do what we must.
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ASKED = ["/version", REVIEWS, REVIEWS]
ROLE = "give the account a ClusterRole with it (rbac.create)"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """An agent's parts, with the server in front of them. get: status and text of a path."""

    def __init__(self, parts: Parts, metrics: Metrics, health: Health, clock: Clock, port: int) -> None:
        self.parts = parts
        self.metrics = metrics
        self.health = health
        self.clock = clock
        self.port = port

    async def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        if path == "/metrics":
            self.clock.now += METRICS_SECONDS  # else it may be the page of before
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url) as response:
            return response.status, await response.text()

    async def say(self, raw: bytes) -> bytes:
        """What comes back for those bytes, until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(raw)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def figures(self) -> dict[str, float]:
        """Sums over the labels, by name, of one scrape."""
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families((await self.get("/metrics"))[1]):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums

    async def requests(self, api: ApiServer) -> list[str]:
        return [request.path for request in api.requests]


Start = Callable[..., Awaitable[Watched]]


@pytest.fixture
async def start(cluster: Api) -> AsyncIterator[Start]:
    """Starts a server before an agent's parts; journal: its file, None for memory."""
    async with AsyncExitStack() as stack:

        async def started(cri_endpoint: str | None = "none", journal: Path | None = None) -> Watched:
            clock = Clock()
            metrics = Metrics(clock)
            health = Health(metrics, cri_endpoint, 1.0, clock)
            bound = await stack.enter_async_context(serve(("127.0.0.1", 0), health))
            kept = await stack.enter_async_context(Journal(journal))
            delivery = Delivery(cluster, kept, delivered=metrics.delivered)
            parts = Parts(Ring(), None, kept, cluster, delivery, {})
            stack.enter_context(metrics.watching(parts))
            assert bound
            return Watched(parts, metrics, health, clock, bound[1])

        yield started


# /livez


def test_progress() -> None:
    """Only a ring that holds records, of which none comes out while it is looked at, is stuck."""
    clock = Clock()
    progress = Progress(clock)
    clock.now += 9999  # nothing was killed for hours
    assert progress.stuck_seconds(0) == 0
    clock.now += 9999
    assert progress.stuck_seconds(100) == 0  # it has just come, for all we know
    clock.now += 59
    assert progress.stuck_seconds(300) == 59
    progress.freed()
    clock.now += 10
    assert progress.stuck_seconds(300) == 0  # one came out, another in
    clock.now += 70
    assert progress.stuck_seconds(300) == 70
    assert progress.stuck_seconds(200) == 0  # what was not readable, say
    clock.now += 50
    assert progress.stuck_seconds(200) == 50
    assert progress.stuck_seconds(0) == 0
    clock.now += 50
    assert progress.stuck_seconds(200) == 0


async def test_livez(start: Start) -> None:
    """200 until records stay in the ring for more than a minute; 200 again once they come out."""
    watched = await start()
    assert await watched.get("/livez") == (200, "ok\n")
    watched.parts.ring.used_bytes = 4096  # type: ignore[misc]
    assert (await watched.get("/livez"))[0] == 200
    watched.clock.now += STUCK_SECONDS
    assert (await watched.get("/livez"))[0] == 200
    watched.clock.now += 1
    assert await watched.get("/livez") == (
        503,
        "no record came out of the kernel's ring for 61 s, and it holds 4096 bytes\n",
    )
    watched.health.progress.freed()
    assert (await watched.get("/livez"))[0] == 200


# /readyz


async def test_ready(start: Start, api: ApiServer) -> None:
    """All is well: a line for each check. One request for it, and for five minutes no other."""
    watched = await start()
    assert await watched.get("/readyz") == (200, WELL)
    assert await asyncio.gather(*(watched.get("/readyz") for _ in range(10))) == [(200, WELL)] * 10
    assert await watched.requests(api) == ASKED
    watched.clock.now += API_WELL_SECONDS / 2 - 1
    assert await watched.get("/readyz") == (200, WELL)
    assert await watched.requests(api) == ASKED
    watched.clock.now += API_WELL_SECONDS / 2 + 1
    assert await asyncio.gather(*(watched.get("/readyz") for _ in range(10))) == [(200, WELL)] * 10
    assert await watched.requests(api) == ASKED * 2


async def test_starts_ask_at_no_one_moment(cluster: Api, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents that start together ask for their rights spread over START_SECONDS."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("oomeventer.cluster.rights.asyncio.sleep", sleep)
    for _ in range(40):
        await warn_of_lacking(cluster)
    assert len(waits) == 40
    assert max(waits) - min(waits) > START_SECONDS / 2
    assert max(waits) <= START_SECONDS


async def test_agents_ask_at_no_one_moment(start: Start, api: ApiServer) -> None:
    """How long it is believed that all is well differs from agent to agent, and each time."""
    watched = await start()
    times, before = [], 0.0
    for _ in range(8):
        asked = len(api.requests)
        while len(api.requests) == asked:
            watched.clock.now += 10
            await watched.get("/readyz")
        times.append(watched.clock.now - before)
        before = watched.clock.now
    assert all(API_WELL_SECONDS / 2 <= time <= API_WELL_SECONDS + 20 for time in times[1:])
    assert len(set(times[1:])) > 3


async def test_without_rights(
    api: ApiServer, start: Start, tmp_path: Path, cluster: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """An account that may create no Events is not ready, and the start says so once."""
    caplog.set_level("WARNING")
    watched = await start()
    async with await connect(str(kubeconfig(tmp_path, api.url, api.powerless_token))) as powerless:
        watched.metrics.parts = replace(watched.parts, cluster=powerless)
        status, text = await watched.get("/readyz")
        await warn_of_lacking(powerless, 0.0)
    wrong = f"this account may not create events, patch events, so there are no Events: {ROLE}"
    assert (status, text) == (503, WELL.replace("api ok", f"api: {wrong}"))
    assert caplog.messages == [wrong]
    watched.metrics.parts = watched.parts
    watched.clock.now += API_SECONDS
    assert await watched.get("/readyz") == (200, WELL)
    await warn_of_lacking(cluster, 0.0)
    assert caplog.messages == [wrong]


async def test_not_attached() -> None:
    """Before the agent watches it lives, and is not ready."""
    health = Health(Metrics(), "none", 1.0)
    assert await health.livez() == (200, "ok\n")
    assert await health.readyz() == (503, "attached: not yet, or not any more\n")


async def test_the_pins_are_named(start: Start) -> None:
    """Without pins the agent works: the line says what it is without."""
    watched = await start()
    watched.metrics.parts = replace(watched.parts, pins=Path("/sys/fs/bpf/oomeventer"))
    assert (await watched.get("/readyz"))[1].splitlines()[1] == "pins /sys/fs/bpf/oomeventer"


async def test_the_journal_is_broken(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why it is kept in memory. The disk is tried again because somebody asks, not only at the next kill."""
    monkeypatch.setattr("oomeventer.journal.failover.RETRY_SECONDS", 0.0)
    (tmp_path / "state").touch()  # where the directory should be
    watched = await start(journal=tmp_path / "state" / "journal.db")
    status, text = await watched.get("/readyz")
    assert status == 503
    assert re.search(r"^journal: .*state", text, re.MULTILINE)
    assert text.count("ok\n") == 2
    figures = await watched.figures()
    assert figures["oomeventer_journal_on_disk"] == 0
    assert figures["oomeventer_journal_failures_total"] >= 1
    (tmp_path / "state").unlink()
    assert await watched.get("/readyz") == (200, WELL)
    assert (await watched.figures())["oomeventer_journal_on_disk"] == 1


async def test_the_runtime_is_broken(start: Start, tmp_path: Path) -> None:
    """No socket, then one that answers, then none: asked at most every ten seconds."""
    socket = tmp_path / "cri.sock"
    watched = await start(cri_endpoint=f"unix://{socket}")
    status, text = await watched.get("/readyz")
    assert status == 503
    assert re.search(rf"^runtime: .*{socket}", text, re.MULTILINE)
    assert "api ok" in text
    async with grpc_server(socket, {"Version": version()}):
        assert (await watched.get("/readyz"))[0] == 503  # as it was
        watched.clock.now += RUNTIME_SECONDS
        status, text = await watched.get("/readyz")
        assert (status, text) == (200, WELL.replace("api", "runtime ok\napi"))
    watched.clock.now += RUNTIME_SECONDS
    assert (await watched.get("/readyz"))[0] == 503


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (401, "api: .* answers 401"),
        (403, "api ok"),
        (404, "api: .* answers 404"),
        (500, "api: .* answers 500 scripted"),
    ],
)
async def test_the_api_answers(start: Start, api: ApiServer, answer: int, says: str) -> None:
    """403 is an answer to somebody it knows; the others are what they are."""
    watched = await start()
    api.faults += [Answer(answer)] * (2 if answer == 401 else 1)  # after a 401 credentials are read again
    status, text = await watched.get("/readyz")
    assert status == (200 if answer == 403 else 503)
    assert re.search(f"^{says}", text, re.MULTILINE)


async def test_the_api_hangs(start: Start, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers do not wait for it, and each other's request serves them all; metrics do not wait at all."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.2)
    watched = await start()
    api.faults.append(Hang(60))
    started = time.monotonic()
    answers = await asyncio.gather(*(watched.get("/readyz") for _ in range(5)))
    assert {status for status, _ in answers} == {503}
    assert all("api: no answer within 0.2 s" in text for _, text in answers)
    assert (await watched.get("/readyz"))[0] == 503
    assert (await watched.get("/livez"))[0] == 200
    assert 'oomeventer_ready{check="api"} 0.0' in (await watched.get("/metrics"))[1]
    assert time.monotonic() - started < 10
    assert await watched.requests(api) == ["/version"]


async def test_the_api_is_gone(start: Start, cluster: Api, api: ApiServer) -> None:
    """No connection: the line says to whom."""
    watched = await start()
    await api.__aexit__(None, None, None)
    status, text = await watched.get("/readyz")
    assert status == 503
    assert f"api: the API server is unreachable: GET {cluster.server}/version: " in text


async def test_incidents_that_wait_say_how_the_api_is(start: Start, api: ApiServer, cluster: Api) -> None:
    """While they wait for an API server that is unreachable nobody else is asked, nor believed."""
    watched = await start()
    assert await watched.get("/readyz") == (200, WELL)
    describer = Describer(cluster, Pods(cluster, NODE), lambda _key, _words: None)
    watched.metrics.parts = replace(watched.parts, describer=describer)
    describer.is_unreachable = True
    status, text = await watched.get("/readyz")
    assert (status, text) == (503, WELL.replace("api ok", "api: the API server is unreachable"))
    assert await watched.requests(api) == ASKED
    describer.is_unreachable = False
    assert await watched.get("/readyz") == (200, WELL)


async def test_events_say_how_the_api_is(start: Start, api: ApiServer) -> None:
    """What became of the last Event is known, and nobody is asked."""
    api.put_namespace(POD.namespace)
    watched = await start()
    stop = asyncio.Event()
    sending = asyncio.create_task(watched.parts.delivery.run(stop))
    api.faults.append(Answer(503, {"Retry-After": "2"}))
    await tell(watched, 1)
    await api.until(lambda: len(api.requests) >= 1)
    while not watched.parts.delivery.trouble:
        await asyncio.sleep(0.01)
    status, text = await watched.get("/readyz")
    assert (status, text) == (503, WELL.replace("api ok", "api: 503 scripted fault 503"))
    while watched.metrics.accepted_at is None:
        await asyncio.sleep(0.05)
    assert await watched.get("/readyz") == (200, WELL)
    assert "/version" not in await watched.requests(api)
    watched.clock.now += API_WELL_SECONDS
    assert await watched.get("/readyz") == (200, WELL)
    assert "/version" in await watched.requests(api)
    stop.set()
    await sending


async def test_a_line_is_a_line(start: Start, api: ApiServer) -> None:
    """A server's words forge no check."""
    watched = await start()
    api.faults.append(
        Answer(500, body=b'{"kind": "Status", "message": "no\\njournal ok\\nruntime ok\\u001b[2J' + b"x" * 9999 + b'"}')
    )
    _, text = await watched.get("/readyz")
    assert len(text.splitlines()) == 4
    assert len(text) < 1000
    assert all(line.isprintable() for line in text.splitlines())


# /metrics


async def test_many_scrapers_cost_one_rendering(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many scrape in a second, the page is made once."""
    watched = await start()
    made = 0
    make = watched.metrics.text

    def counted() -> bytes:
        nonlocal made
        made += 1
        return make()

    monkeypatch.setattr(watched.metrics, "text", counted)
    url = f"http://127.0.0.1:{watched.port}/metrics"
    async with aiohttp.ClientSession() as session:
        pages = set()
        for _ in range(3):
            for _ in range(16):
                async with session.get(url) as response:
                    pages.add(await response.text())
            watched.clock.now += METRICS_SECONDS
    assert (made, all("oomeventer_build_info" in page for page in pages)) == (3, True)


async def tell(watched: Watched, number: int) -> None:
    """The path of a kill through the journal, to the delivery."""
    journal, done = watched.parts.journal, asyncio.Event()
    await journal.record(incident(number, pod=replace(POD, uid=f"uid-{number % 7}", name=f"pod-{number % 7}")))
    done.set()
    async for recorded in journal.recorded(done):
        if number % 10 == 9:
            await journal.give_up(recorded.id, "for a test")
        else:
            described = await journal.describe(recorded.id, recorded.incident, composed(recorded.incident))
            watched.parts.delivery.add(described.waiting)
        watched.metrics.killed(recorded.incident)


async def test_the_sums_hold_in_every_scrape(start: Start, api: ApiServer) -> None:
    """While kills flow, and the server fails from time to time, nothing is unaccounted for in any scrape."""
    api.put_namespace(POD.namespace)
    watched = await start()
    stop, scrapes = asyncio.Event(), 0
    sending = asyncio.create_task(watched.parts.delivery.run(stop))

    async def kills() -> None:
        for number in range(100):
            if number % 25 == 5:
                api.faults.append(Answer(500))
            await tell(watched, number)

    flowing = asyncio.create_task(kills())
    parts = "delivered_total", "merged_total", "given_up_total", "waiting"
    async with asyncio.timeout(60):
        while True:
            ended = flowing.done()
            figures = await watched.figures()
            scrapes += 1
            sums = [figures.get(f"oomeventer_events_{part}", 0) for part in parts]
            assert figures["oomeventer_events_seen_total"] == sum(sums)
            if ended and sums[-1] == 0:
                break
            await asyncio.sleep(0.01)
    assert scrapes > 5
    assert figures["oomeventer_kills_total"] == figures["oomeventer_events_seen_total"] == 100
    assert sums[2] == 10
    assert figures["oomeventer_request_retries_total"] >= 1
    assert figures["oomeventer_event_delay_seconds_count"] == sums[0]
    reported = sum(stored.as_core()["count"] for stored in api.events.values())
    assert reported == sums[0] + sums[1]
    stop.set()
    await sending


# Callers


async def test_paths_and_methods(start: Start) -> None:
    """Three paths, to be read."""
    watched = await start()
    for path in ("/", "/metrics/", "/metricsx", "/debug/pprof", "/../etc/passwd", "//livez"):
        assert (await watched.get(path))[0] == 404
    for path in ("/metrics", "/livez", "/readyz"):
        assert (await watched.get(path, "POST"))[0] == 405
        assert (await watched.get(path, "DELETE"))[0] == 405
        assert await watched.get(path, "HEAD") == (200, "")
        assert (await watched.get(f"{path}?x=1"))[0] == 200
    url = f"http://127.0.0.1:{watched.port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 1000 + b"\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 600 + b"\r\n\r\n",
        b"SSH-2.0-Go\r\n\r\n",
    ],
)
async def test_no_request(start: Start, raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What is too large, or no HTTP, is refused; nobody fills the log with it, and the next caller is answered."""
    watched = await start()
    async with asyncio.timeout(5):
        assert b" 200 " not in (await watched.say(raw)).split(b"\r\n")[0]
    assert await watched.get("/livez") == (200, "ok\n")
    assert [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")] == []


async def test_idle_connections_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing, or not all of a request, is not waited for; there are only so many of them."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.5)
    watched = await start()
    started = time.monotonic()
    async with asyncio.timeout(8):
        answers = await asyncio.gather(*(watched.say(b"GET /livez HTTP/1.1\r\nHo") for _ in range(CONNECTIONS + 20)))
    assert set(answers) == {b""}
    assert time.monotonic() - started >= 0.4
    assert await watched.get("/livez") == (200, "ok\n")


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other end closes it, before it has anything to say."""
    try:
        return not await asyncio.wait_for(reader.read(1), 0.3)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def test_too_many_connections(start: Start) -> None:
    """There are never more than the bound: the oldest that says nothing is closed in favour of a new one."""
    watched = await start()
    opened = []
    for _ in range(CONNECTIONS + 3):
        opened.append(await asyncio.open_connection("127.0.0.1", watched.port))
        await asyncio.sleep(0)
    closed = await asyncio.gather(*(is_closed(reader) for reader, _ in opened))
    assert closed == [True] * 3 + [False] * CONNECTIONS
    assert await watched.get("/livez") == (200, "ok\n")
    assert [await is_closed(reader) for reader, _ in opened[3:5]] == [True, False]
    opened[4][1].write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 " in await opened[4][0].readline()
    for _, writer in opened:
        writer.close()


async def test_many_at_once_are_bounded(start: Start) -> None:
    """Also where all of them come in one moment."""
    watched = await start()
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", watched.port) for _ in range(90)))
    closed = await asyncio.gather(*(is_closed(reader) for reader, _ in opened))
    assert closed.count(False) == CONNECTIONS
    for _, writer in opened:
        writer.close()


@pytest.mark.parametrize("says", [b"", b"GET /livez HTTP/1.1\r\nHo", b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_nobody_keeps_the_probes_out(start: Start, api: ApiServer, says: bytes) -> None:
    """40 connections of a Pod, that say nothing, half a request or what takes long, and come back as soon as they are
    closed: every probe of the kubelet's is answered, on a connection of its own or on one that it keeps."""
    watched = await start()
    api.faults.append(Hang(60))
    reopened, opened, over = 0, set[asyncio.StreamWriter](), False

    async def pester() -> None:
        nonlocal reopened
        while not over:
            reader, writer = await asyncio.open_connection("127.0.0.1", watched.port, local_addr=("127.0.0.2", 0))
            opened.add(writer)
            with contextlib.suppress(ConnectionError):
                writer.write(says)
                while not over and await reader.read(1000):
                    pass
            opened.discard(writer)
            writer.close()
            reopened += 1

    pod = [asyncio.create_task(pester()) for _ in range(40)]
    await asyncio.sleep(0.2)
    async with aiohttp.ClientSession() as kept, asyncio.timeout(30):
        for _ in range(50):
            assert await watched.get("/livez") == (200, "ok\n")
            async with kept.get(f"http://127.0.0.1:{watched.port}/livez") as response:
                assert response.status == 200
    assert reopened > 50
    over = True
    for writer in opened:
        writer.close()
    await asyncio.gather(*pod)


async def test_a_fault_is_500(start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of this program is 500, says nothing of itself, and is in the log."""
    watched = await start()
    monkeypatch.setattr(watched.metrics, "text", lambda: 1 // 0)
    assert await watched.get("/metrics") == (500, "a fault of this program\n")
    assert "ZeroDivisionError" in caplog.text


async def test_the_address_is_taken(start: Start) -> None:
    """A clear error, with the address and the flag."""
    watched = await start()
    with pytest.raises(HealthError, match=rf"^127\.0\.0\.1:{watched.port} cannot .*Address already in use.*--listen"):
        async with serve(("127.0.0.1", watched.port), watched.health):
            pass
    with pytest.raises(HealthError, match=r"^192\.0\.2\.1:80 cannot be listened on: .*--listen"):
        async with serve(("192.0.2.1", 80), watched.health):
            pass


async def test_nobody_asks() -> None:
    """Without a caller there is no timer and no task; without an address there is no server."""

    @asynccontextmanager
    async def serving(listen: tuple[str, int] | None) -> AsyncIterator[object]:
        async with serve(listen, Health(Metrics(), None, 1.0)) as bound:
            yield bound

    loop = asyncio.get_running_loop()
    before = len(asyncio.all_tasks())
    async with serving(("", 0)) as bound:
        assert bound
        await asyncio.sleep(0)
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []  # type: ignore[attr-defined]
        assert len(asyncio.all_tasks()) == before
    async with serving(None) as bound:
        assert bound is None


# The agent


@pytest.mark.kernel
async def test_the_agent(api: ApiServer, program: Path, tmp_path: Path) -> None:
    """A real kill, seen from outside. An agent that nobody scrapes takes no time of a CPU and asks nobody."""
    config = kubeconfig(tmp_path, api.url, api.token)
    whom = ["--kubeconfig", str(config), "--cri-endpoint", "none", "--node-name", "lab-node", "--pins", "none"]
    where = ["--journal", str(tmp_path / "journal.db"), "--listen", "127.0.0.1:0"]
    async with Agent("run", *whom, *where, ready="sends Events to") as agent, aiohttp.ClientSession() as session:
        (address,) = (found[1] for line in agent.log if (found := re.search(r"readyz at (\S+)", line)))

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"http://{address}{path}") as response:
                return response.status, await response.text()

        async def figures() -> dict[str, float]:
            found: dict[str, float] = {}
            for family in text_string_to_metric_families((await get("/metrics"))[1]):
                for sample in family.samples:
                    found[sample.name] = found.get(sample.name, 0.0) + sample.value
            return found

        async with asyncio.timeout(10):
            while (await get("/readyz"))[0] != 200:
                await asyncio.sleep(0.1)
        assert (await get("/readyz"))[1] == WELL
        before = len(api.requests)
        with Cgroup(24 << 20) as cgroup, Victim(program, cgroup, ["hog", "100"]) as victim:
            victim.go()
            victim.wait()
            await api.until(lambda: len(api.requests) > before)
        async with asyncio.timeout(10):
            while (now := await figures())["oomeventer_events_delivered_total"] < 1:
                await asyncio.sleep(0.1)
        assert now["oomeventer_kills_total"] >= 1
        assert now["oomeventer_event_delay_seconds_count"] >= 1
        assert now["oomeventer_stage_seconds_count"] >= 4
        assert now["oomeventer_journal_on_disk"] == 1
        assert now["process_resident_memory_bytes"] < 100 << 20
        assert re.search(r'kills_total\{.*scope="cgroup"\} [1-9]', (await get("/metrics"))[1])
        assert await get("/livez") == (200, "ok\n")
