"""Docker's containers by their names: a real engine, a real kill, `oomeventer trace`; and engines that answer oddly.

In: Debian's docker.io, started here; sockets that a test listens on. Out: the container of the incident, or a note.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from machine import Agent
from oomeventer.engine import Engines
from oomeventer.incident import Container, Incident
from realdocker import IMAGE, Docker
from samples import CONTAINER_ID, MI, incident

DOCKER = incident(
    cgroup=f"/docker/{CONTAINER_ID}", pod=None, container=Container(id=CONTAINER_ID, runtime="docker"), notes=()
)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A real engine."""
    with Docker(tmp_path_factory.mktemp("docker") / "d") as running:
        yield running


@pytest.mark.kernel
@pytest.mark.containerd
async def test_trace_names_it(docker: Docker) -> None:
    """With its image, its limit, and what Compose calls it; as JSON and as people read it."""
    labels = "--label=com.docker.compose.project=shop", "--label=com.docker.compose.service=web"
    run = "run", "--detach", "--network=none", "--memory=32m", "--name=shop-web-1", *labels, IMAGE
    flags = "--cri-endpoint", "none", "--engine-endpoint", docker.endpoint, "--node-name", "host-1"
    async with Agent("trace", "--json", *flags, ready="waiting for kills") as agent:
        container_id = docker(*run, "sh", "-c", "hog 64; sleep 1000")
        async for found in agent.lines():
            if found["container"] and found["container"]["id"] == container_id:
                break
    container = found["container"]
    assert (container["name"], container["runtime"], container["limit_bytes"]) == ("shop-web-1", "docker", 32 * MI)
    assert (container["project"], container["service"], container["image"]) == ("shop", "web", IMAGE)
    assert not [note for note in found["notes"] if note.startswith("container")]
    docker("rm", "--force", container_id)
    gone = await Engines(docker.endpoint, 5.0)(replace(DOCKER, container=Container(id=container_id, runtime="docker")))
    socket = docker.endpoint.removeprefix("unix://")
    assert gone.notes == (f"container: docker at {socket} does not know it",)


@pytest.mark.parametrize(
    ("runtime", "cgroup", "expected"),
    [
        ("docker", f"/docker/{CONTAINER_ID}", True),
        ("docker", f"/system.slice/docker-{CONTAINER_ID}.scope", True),
        ("podman", f"/machine.slice/libpod-{CONTAINER_ID}.scope", True),
        ("containerd", f"/system.slice/cri-containerd-{CONTAINER_ID}.scope", False),
        ("docker", incident().cgroup.replace(CONTAINER_ID, f"docker-{CONTAINER_ID}.scope"), False),
    ],
    ids=["docker", "docker with systemd", "podman", "containerd", "cri-dockerd"],
)
def test_whose_it_is(runtime: str, cgroup: str, expected: bool) -> None:
    """The engine's that the path names; but Kubernetes' containers are asked for over CRI."""
    assert Engines(None, 1.0).knows(replace(DOCKER, cgroup=cgroup)) is expected


@asynccontextmanager
async def answering(directory: Path, head: bytes, body: bytes) -> AsyncIterator[str]:
    """A socket that answers so, whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, directory / "s") as server:
        await server.start_serving()
        yield f"unix://{directory / 's'}"


OK = b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (OK, b"not JSON"),
        (OK, b"[1]"),
        (OK, b"[" * 100_000),
        (OK, b'{"x": "' + b"x" * (5 << 20)),
        (b"HTTP/1.1 500 Oops", b"{}"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/", b"{}"),
        (b"nonsense", b""),
    ],
    ids=["text", "list", "deep", "large", "500", "redirect", "no HTTP"],
)
async def test_no_answer(tmp_path: Path, head: bytes, body: bytes) -> None:
    """The incident goes on, with a note that names the socket."""
    async with answering(tmp_path, head, body) as endpoint:
        found = await Engines(endpoint, 5.0)(DOCKER)
    assert found == replace(DOCKER, notes=(f"container: docker could not be asked at {tmp_path}/s",))


async def test_nobody_there(tmp_path: Path) -> None:
    """Neither a socket, nor one that answers in time; and nobody is asked who need not be."""
    found = await Engines(f"unix://{tmp_path}/none", 1.0)(DOCKER)
    assert found.notes == (f"container: docker could not be asked at {tmp_path}/none",)
    assert await Engines("none", 1.0)(DOCKER) == DOCKER


@pytest.mark.parametrize("lie", [None, 7, [], {}, "x" * 10_000, "a\x1b[2J\n"], ids=repr)
async def test_odd_fields(tmp_path: Path, lie: Any) -> None:
    """Whatever a field has, what is shown is bounded and printable, and of its type."""
    body = {"Name": lie, "Config": {"Image": lie, "Labels": {"com.docker.compose.service": lie}}, "HostConfig": lie}
    async with answering(tmp_path, OK, json.dumps(body).encode()) as endpoint:
        found: Incident = await Engines(endpoint, 5.0)(DOCKER)
    container = found.container
    assert container is not None
    for text in (container.name, container.image, container.service):
        assert text is None or (text.isprintable() and len(text) <= 512)
    assert container.limit_bytes is None
