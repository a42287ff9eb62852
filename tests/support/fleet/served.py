"""The server that a scene is played before: a real control plane where one is at hand, else the stand-in. Out: a Server
that has a Pod for each node."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from chart import render
from fleet import FleetError
from fleet.control_plane import ControlPlane, programs
from fleet.scenes import Scene
from machine.agent import kubeconfig

NAMESPACES = 20
_AT_ONCE = 16


class Server(Protocol):
    """places: arguments of member.Place, one for each agent."""

    kubeconfig: str
    places: list[tuple[int, str, str, str]]
    words: str
    bystander: str | None

    async def pages(self) -> list[str]:
        """Its /metrics, and etcd's."""

    async def outage(self, seconds: float) -> float:
        """Be gone for so long. Returns when it was ready again, by the monotonic clock."""


@asynccontextmanager
async def served(directory: Path, agents: int, scene: Scene) -> AsyncIterator[Server]:
    """The server of a scene."""
    if programs() is None:
        async with _StandIn(directory, agents) as stand_in:
            yield stand_in
        return
    flags = ()
    if scene.seats:
        third = scene.seats // 3
        flags = "--max-mutating-requests-inflight", str(third), "--max-requests-inflight", str(scene.seats - third)
    async with ControlPlane(directory, *flags) as plane:
        real = _Real(plane)
        await real.prepare(agents)
        if scene.flow_schema:
            await plane.apply(render.objects(render.LEAST | {"flowSchema": {"enabled": True}}))
        yield real


class _Real:
    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.kubeconfig = plane.kubeconfig
        self.places: list[tuple[int, str, str, str]] = []
        self.words = "kube-apiserver and etcd"
        self.pages = plane.pages
        self.bystander: str | None = None

    async def prepare(self, agents: int) -> None:
        """A Pod for each agent."""
        for number in range(NAMESPACES):
            await self.plane.do("POST", "/api/v1/namespaces", {"metadata": {"name": f"fleet-{number}"}})
        turns = asyncio.Semaphore(_AT_ONCE)

        async def pod(number: int) -> tuple[int, str, str, str]:
            namespace = f"fleet-{number % NAMESPACES}"
            async with turns:
                path = f"/api/v1/namespaces/{namespace}/pods"
                status, answer = await self.plane.do("POST", path, _pod(number))
            if status != 201:
                raise FleetError(f"POST {path}: {status} {answer}")
            metadata = answer["metadata"]
            return number, namespace, metadata["name"], metadata["uid"]

        self.places = list(await asyncio.gather(*map(pod, range(agents))))
        self.bystander = await self.plane.account("bystander")

    async def outage(self, seconds: float) -> float:
        self.plane.crash()
        await asyncio.sleep(seconds)
        self.plane.start()
        return await self.plane.ready()


class _StandIn:
    """In a process of its own: `python -m fleet.standing`."""

    bystander = None

    def __init__(self, directory: Path, agents: int) -> None:
        self._directory = directory
        self.places = [(n, f"fleet-{n % NAMESPACES}", _name(n), str(uuid.uuid4())) for n in range(agents)]
        self.words = "the stand-in: no kube-apiserver or etcd was at hand"

    async def __aenter__(self) -> "_StandIn":
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fleet.standing"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdin
        assert self._process.stdout
        pods = [_pod(number) | {"uid": (namespace, uid)} for number, namespace, _, uid in self.places]
        self._process.stdin.write("\n".join(map(json.dumps, [*pods, ""])).replace('""', "\n").encode())
        url, token = (await self._process.stdout.readline()).decode().split()
        self._directory.mkdir()
        self.kubeconfig = str(kubeconfig(self._directory, url, token))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()

    async def pages(self) -> list[str]:
        return []

    async def outage(self, seconds: float) -> float:
        raise FleetError("an outage takes a real API server: name it by FLEET_APISERVER, and etcd by FLEET_ETCD")


def _name(number: int) -> str:
    return f"web-{number:05d}"


def _pod(number: int) -> dict[str, Any]:
    container = {
        "name": "app",
        "image": "registry.example/app:1",
        "resources": {"limits": {"memory": "32Mi"}, "requests": {"memory": "16Mi"}},
    }
    spec = {"nodeName": f"node-{number:05d}", "containers": [container], "automountServiceAccountToken": False}
    return {"metadata": {"name": _name(number)}, "spec": spec}
