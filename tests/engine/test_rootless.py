"""A user's own engine (rootless): whose socket is asked, what is refused, and what a user's answer may do.

In: sockets that a test listens on, below a made-up host's root, with owners of their own; real Docker is in
test_docker.py, real Podman in test_podman.py. Out: the incident's container and notes.
"""

import asyncio
import gzip
import json
import os
import subprocess
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from oomeventer.engine import EngineError, Engines, Socket, engines, there, version
from oomeventer.engine.sockets import user, whose
from oomeventer.incident import Container, Incident
from samples import CONTAINER_ID, MI, incident

pytestmark = pytest.mark.kernel  # root, to give sockets to others
UID = 61234
MANAGER = f"/user.slice/user-{UID}.slice/user@{UID}.service"
SCOPES = {"docker": f"docker-{CONTAINER_ID}.scope", "podman": f"libpod-{CONTAINER_ID}.scope"}
KNOWN = {"Name": "/mine", "Config": {"Image": "img"}, "HostConfig": {"Memory": 32 * MI}}


def killed(engine: str, above: str = f"{MANAGER}/user.slice") -> Incident:
    """In a container of that engine's."""
    container = Container(id=CONTAINER_ID, runtime=engine)
    return incident(cgroup=f"{above}/{SCOPES[engine]}", pod=None, container=container, notes=())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """/run/user/UID of a host, whose root is tmp_path."""
    (tmp_path / f"run/user/{UID}/podman").mkdir(parents=True)
    (tmp_path / "run/podman").mkdir()
    return tmp_path / f"run/user/{UID}"


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(place: Path, answer: Answer | bytes, uid: int = UID) -> AsyncIterator[list[bytes]]:
    """A socket of uid's. What it was asked is collected."""
    asked: list[bytes] = []
    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(cast("asyncio.Task[Any]", asyncio.current_task()))
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                await answer(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever asked has gone, or the test ends
        finally:
            writer.close()

    async with await asyncio.start_unix_server(serve, place) as server:
        os.chown(place, uid, uid)
        await server.start_serving()
        yield asked
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


def ok(body: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body


MINE = ok(json.dumps(KNOWN).encode())


@pytest.mark.parametrize(("engine", "place"), [("docker", "docker.sock"), ("podman", "podman/podman.sock")])
async def test_it_is_asked(tmp_path: Path, home: Path, engine: str, place: str) -> None:
    """The user's socket, by the number in the cgroup; the note says whose word it is, or who does not know it. The
    machine's engine is not asked."""
    usual = {"docker": tmp_path / "run/docker.sock", "podman": tmp_path / "run/podman/podman.sock"}[engine]
    stage = Engines(None, 5.0, str(tmp_path))
    async with listening(usual, MINE, uid=0) as machine:
        async with listening(home / place, MINE) as asked:
            found = await stage(killed(engine))
        (home / place).unlink()
        assert [line.split()[1] for line in asked] == [f"/containers/{CONTAINER_ID}/json".encode()]
        assert found.container
        assert (found.container.name, found.container.limit_bytes) == ("mine", 32 * MI)
        assert found.notes == (f"container: so named by user {UID}'s {engine} at {home / place}",)
        async with listening(home / place, b"HTTP/1.1 404 Not Found\r\n\r\n"):
            gone = await stage(killed(engine))
        assert gone.notes == (f"container: user {UID}'s {engine} at {home / place} does not know it",)
        assert machine == []
        assert (await stage(killed(engine, "/system.slice"))).notes == ()
        assert len(machine) == 1


async def test_an_endpoint_that_is_set(tmp_path: Path, home: Path) -> None:
    """It alone is asked, and the note names it."""
    async with listening(home / "docker.sock", MINE) as asked, listening(tmp_path / "s", b"HTTP/1.1 404 x\r\n\r\n", 0):
        found = await Engines(f"unix://{tmp_path}/s", 5.0, str(tmp_path))(killed("docker"))
    assert (found.notes, asked) == ((f"container: docker at {tmp_path}/s does not know it",), [])


@pytest.mark.parametrize(
    ("cgroup", "uid"),
    [
        (f"{MANAGER}/user.slice/x", UID),
        (f"{MANAGER}/user.slice/user-7.slice/user@7.service/x", UID),
        (f"/system.slice/s.service{MANAGER}/x", None),
        (f"/user.slice/user-7.slice/user@{UID}.service/x", None),
        (f"/user.slice/user-{UID}.slice/session-1.scope/x", None),
        ("/user.slice/user-0.slice/user@0.service/x", None),
        (f"{MANAGER}", None),
        ("/machine.slice/x", None),
    ],
)
def test_whose(cgroup: str, uid: int | None) -> None:
    """What systemd makes at the root counts, not what a user makes below it, nor a service in its own cgroup."""
    assert user(cgroup) == uid
    assert whose("podman", cgroup, None, "/").uid == uid


def link(home: Path) -> None:
    (home / "docker.sock").symlink_to(home.parents[1] / "docker.sock")


def directory_link(home: Path) -> None:
    (home / "podman").rmdir()
    (home / "podman").symlink_to(home.parents[1] / "podman")


def another_owner(home: Path) -> None:
    os.link(home.parents[1] / "docker.sock", home / "docker.sock")


def a_file(home: Path) -> None:
    (home / "docker.sock").write_text("")
    os.chown(home / "docker.sock", UID, UID)


def a_fifo(home: Path) -> None:
    os.mkfifo(home / "docker.sock")
    os.chown(home / "docker.sock", UID, UID)


@pytest.mark.parametrize(
    ("engine", "lay", "reason"),
    [
        ("docker", link, "a link to one, which is not followed"),
        ("podman", directory_link, "a link, which is not followed"),
        ("docker", another_owner, "it belongs to user 0, not to 61234"),
        ("docker", a_file, "not a socket"),
        ("docker", a_fifo, "not a socket"),
        ("docker", lambda _: None, "no such file"),
    ],
    ids=["link", "directory link", "owner", "file", "fifo", "none"],
)
async def test_what_is_refused(
    tmp_path: Path,
    home: Path,
    engine: str,
    lay: Callable[[Path], None],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No link of the user's leads to another's socket, and no other's socket is taken for it: nobody is connected
    to."""
    async with (
        listening(tmp_path / "run/docker.sock", MINE, uid=0) as docker,
        listening(tmp_path / "run/podman/podman.sock", MINE, uid=0) as podman,
    ):
        lay(home)
        found = await Engines(None, 5.0, str(tmp_path))(killed(engine))
        assert reason in caplog.text
        assert (docker, podman) == ([], [])
    place = {"docker": home / "docker.sock", "podman": home / "podman/podman.sock"}[engine]
    assert found.notes == (f"container: user {UID}'s {engine} could not be asked at {place}",)


async def test_a_mount_of_the_users(tmp_path: Path, home: Path) -> None:
    """It is not looked into: one of the user's own file systems (FUSE) could hang whoever does."""
    subprocess.run(["mount", "-t", "tmpfs", "oomeventer-test", home / "podman"], check=True)
    try:
        async with listening(home / "podman/podman.sock", MINE) as asked:
            with pytest.raises(EngineError, match="podman is mounted there by somebody"):
                await version(Socket("podman", str(home / "podman/podman.sock"), UID), 5.0)
            assert [str(one) for one in there(str(tmp_path))] == [str(home / "podman/podman.sock")]
        assert asked == []
    finally:
        subprocess.run(["umount", home / "podman"], check=True)


async def flood_of_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Y: " + b"z" * 8000 + b"\r\n")
        await writer.drain()


async def flood_of_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while True:
        writer.write(b"z" * 65536)
        await writer.drain()


async def flood_of_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nz\r\n" * 1000)
        await writer.drain()


async def silence(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def drip(writer: asyncio.StreamWriter) -> None:
    for _ in range(600):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


BOMB = gzip.compress(json.dumps(KNOWN | {"x": " " * (64 << 20)}).encode())


@pytest.mark.parametrize(
    "answer",
    [
        *(flood_of_headers, flood_of_body, flood_of_chunks, silence, drip),
        ok(BOMB, b"Content-Encoding: gzip\r\n"),
        ok(b'{"HostConfig": {"Memory": ' + b"9" * 10_000 + b"}}"),
        ok(b"[" * 200_000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
        b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n",
        b"\x00" * 300,
        b"",
    ],
    ids=[
        *("headers", "body", "chunks", "silence", "drip", "bomb", "digits", "deep", "chunk", "short", "continue"),
        *("redirect", "zeros", "nothing"),
    ],
)
async def test_an_answer_that_harms(tmp_path: Path, home: Path, answer: Answer | bytes) -> None:
    """It costs little time and memory, and ends in a note; the engine is then left alone for a while."""
    stage = Engines(None, 0.5, str(tmp_path))
    async with listening(home / "docker.sock", answer) as asked:
        await stage(killed("docker", "/system.slice"))  # what is imported
        tracemalloc.start()
        try:
            started = time.monotonic()
            found = await stage(killed("docker"))
            assert time.monotonic() - started < 2
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
        note = f"container: user {UID}'s docker could not be asked at {home}/docker.sock"
        assert found == replace(killed("docker"), notes=(note,))
        for _ in range(3):
            assert await stage(killed("docker")) == found
    assert len(asked) == 1


async def test_it_is_asked_again(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; and other users' meanwhile."""
    monkeypatch.setattr(engines, "REST_SECONDS", 2.0)  # longer than the next two questions take
    stage = Engines(None, 5.0, str(tmp_path))
    assert "could not be asked" in (await stage(killed("docker"))).notes[0]
    async with listening(home / "podman/podman.sock", MINE), listening(home / "docker.sock", MINE):
        assert (await stage(killed("podman"))).container == replace(
            killed("podman").container, name="mine", image="img", limit_bytes=32 * MI
        )
        assert "could not be asked" in (await stage(killed("docker"))).notes[0]
        await asyncio.sleep(2.05)
        assert "so named by" in (await stage(killed("docker"))).notes[0]


@pytest.mark.parametrize("text", ["a\x1b[2J\n", "\ud800", "\u202eevil", "x" * 10_000], ids=ascii)
@pytest.mark.parametrize(
    "memory", [1 << 63, 10**300, -1, True, 1e300], ids=["64 bits", "huge", "below 0", "bool", "1e300"]
)
async def test_odd_words(tmp_path: Path, home: Path, text: str, memory: Any) -> None:
    """What is shown is bounded, printable and of its type, and the incident can be written as JSON."""
    from oomeventer.incident import encode

    labels = {"com.docker.compose.project": text, "com.docker.compose.service": text}
    body = {"Name": text, "Config": {"Image": text, "Labels": labels}, "HostConfig": {"Memory": memory}}
    answer = ok(json.dumps(body).encode())
    async with listening(
        home / "docker.sock", answer if len(answer) < 200_000 else ok(json.dumps({"Name": text}).encode())
    ):
        found = await Engines(None, 5.0, str(tmp_path))(killed("docker"))
    assert found.container
    shown = found.container.name, found.container.image, found.container.project, found.container.service
    assert shown[0]
    assert all(one is None or (one.isprintable() and len(one) <= 512) for one in shown)
    assert found.container.limit_bytes is None
    assert encode(found)


async def test_what_is_there(tmp_path: Path) -> None:
    """The machine's and users' sockets, of these users the first eight; nothing else below /run/user."""
    assert there(str(tmp_path)) == []
    (tmp_path / "run/podman").mkdir(parents=True)
    (tmp_path / "run/podman/podman.sock").touch()
    for uid in range(1000, 1010):
        (tmp_path / f"run/user/{uid}").mkdir(parents=True)
        (tmp_path / f"run/user/{uid}/docker.sock").touch()
    (tmp_path / "run/user/0x1").mkdir()
    (tmp_path / "run/user/999").mkdir()
    assert [(one.engine, one.uid) for one in there(str(tmp_path))] == [
        ("podman", None),
        *(("docker", uid) for uid in range(1000, 1008)),
    ]
