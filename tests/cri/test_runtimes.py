"""Several runtimes on one host: which one is asked about a kill, and what is noted.

In: a real containerd at one usual place of a host's, a server of the test's own at another, cgroup paths that name one
or none. Out: the incident's names and notes, and which socket was connected to.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from grpclib import GRPCError, Status
from msgspec.structs import replace

from fakecri import Answer, grpc_server
from oomeventer.cri import Resolver, runtimes, sockets
from oomeventer.cri._cri.runtime import v1
from oomeventer.incident import Incident
from oomeventer.incident.memory import NodeMemory, PodUsage
from realcri import Containerd
from samples import CONTAINER, MI, UID, incident, on_the_host

CONTAINERD, CRIO, K3S = "run/containerd/containerd.sock", "run/crio/crio.sock", "run/k3s/containerd/containerd.sock"
SLICE = f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice"
ID, UNKNOWN = "ab" * 32, "cd" * 32
GONE = GRPCError(Status.NOT_FOUND)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's file system, with the directories of the usual places."""
    for place in (CONTAINERD, CRIO, K3S):
        (tmp_path / place).parent.mkdir(parents=True)
    return tmp_path


def killed(cgroup: str, ago: float = 0.0) -> Incident:
    """A kill of which no runtime was asked."""
    at = datetime.fromtimestamp(time.time() - ago, UTC)
    return incident(cgroup=cgroup, time=at, container=None, pod=None)


class Other:
    """Another runtime. known: the ID of its container. asked: the methods that were called."""

    def __init__(self, name: str, known: str = ID, container_name: str = "theirs") -> None:
        self.asked: list[str] = []
        self.is_well = True
        status = v1.ContainerStatus(id=known, metadata=v1.ContainerMetadata(name=container_name))
        container = bytes(v1.ContainerStatusResponse(status=status))
        self._known = {known: container}
        self._version = bytes(v1.VersionResponse(runtime_name=name, runtime_version="1"))
        self.answers: dict[str, Answer] = {
            "Version": self._answering("Version", lambda _: self._version),
            "ContainerStatus": self._answering("ContainerStatus", self._container),
            "PodSandboxStatus": self._answering("PodSandboxStatus", lambda _: GONE),
            "ListPodSandbox": self._answering("ListPodSandbox", lambda _: bytes(v1.ListPodSandboxResponse())),
        }

    def _answering(self, method: str, answer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def answered(request: bytes) -> Any:
            self.asked.append(method)
            return answer(request) if self.is_well else GRPCError(Status.UNAVAILABLE, "it is ill")

        return answered

    def _container(self, request: bytes) -> bytes | GRPCError:
        return self._known.get(v1.ContainerStatusRequest.parse(request).container_id, GONE)

    def at(self, place: Path) -> AbstractAsyncContextManager[None]:
        return grpc_server(place, self.answers)


@pytest.mark.containerd
async def test_the_one_that_the_path_names(root: Path, containerd: Containerd) -> None:
    """A kill in `crio-<id>.scope` is asked of CRI-O's socket, one in `cri-containerd-<id>.scope` of containerd's, and
    neither makes a connection to the other's."""
    (root / CRIO).symlink_to(containerd.socket)
    made = containerd.run_pod(namespace="shop", name="front").run_container(name="app")
    other = Other("containerd")
    async with other.at(root / CONTAINERD):
        resolver = Resolver(None, 10, root=str(root))
        found = await resolver(killed(f"/machine.slice/crio-{made.id}.scope"))
        assert found.container
        assert (found.container.name, found.notes, other.asked) == ("app", (), [])
        found = await resolver(killed(f"/system.slice/cri-containerd-{ID}.scope"))
        assert found.container
        assert (found.container.name, found.notes) == ("theirs", ())
        asked = len(other.asked)
        gone = await resolver(killed(f"{SLICE}/crio-{UNKNOWN}.scope"))
        # The real one is a containerd, wherever its socket lies.
        words = f"containerd at {root}/{CRIO} does not know it; the path names cri-o"
        assert gone.notes == (f"container: {words}",)
        assert len(other.asked) == asked


@pytest.mark.containerd
@pytest.mark.parametrize("real_is_first", [True, False])
async def test_a_path_that_names_none(root: Path, containerd: Containerd, real_is_first: bool) -> None:
    """Each is asked until one knows it, by the container's ID, and the note names all. The one that knew last is asked
    first."""
    real, fake = (CONTAINERD, CRIO) if real_is_first else (CRIO, CONTAINERD)
    (root / real).symlink_to(containerd.socket)
    made = containerd.run_pod(namespace="shop", name="front").run_container(name="app")
    other = Other("cri-o")
    async with other.at(root / fake):
        resolver = Resolver(None, 10, root=str(root))
        found = await resolver(killed(made.cgroup))
        assert found.container
        assert (found.container.name, found.container.runtime) == ("app", "containerd")
        assert found.pod
        assert found.pod.name == "front"
        assert other.asked == ([] if real_is_first else ["Version", "ContainerStatus"])
        other.asked.clear()
        await resolver(killed(made.cgroup))
        assert other.asked == []
        found = await resolver(killed(f"/kubepods/pod{UID}/{ID}"))
        assert found.container
        assert (found.container.name, found.container.runtime) == ("theirs", "cri-o")
        gone = await resolver(killed(f"/kubepods/pod{UID}/{UNKNOWN}"))
        who = [f"cri-o at {root}/{fake}", f"containerd at {root}/{real}"]
        assert gone.notes == (f"container: {who[0]} and {who[1]} do not know it",)


@pytest.mark.containerd
async def test_an_endpoint_that_is_set(root: Path, containerd: Containerd) -> None:
    """It alone is asked, whatever the path names; where it does not know, the note says so."""
    other = Other("cri-o")
    async with other.at(root / CRIO):
        resolver = Resolver(containerd.endpoint, 10, root=str(root))
        made = containerd.run_pod().run_container(name="app")
        found = await resolver(killed(f"/machine.slice/crio-{made.id}.scope"))
        assert found.container
        assert found.container.name == "app"
        gone = await resolver(killed(f"/machine.slice/crio-{ID}.scope"))
    words = f"containerd at {containerd.socket}, as set, does not know it; the path names cri-o"
    assert (gone.notes, other.asked) == ((f"container: {words}",), [])


async def test_one_without_a_socket(root: Path) -> None:
    """The path names CRI-O, and only containerd is there: it is asked, and the note says what is missing."""
    other = Other("containerd")
    async with other.at(root / CONTAINERD):
        resolver = Resolver(None, 2, patience_seconds=60, root=str(root))
        gone = await resolver(killed(f"/machine.slice/crio-{UNKNOWN}.scope"))
    words = f"containerd at {root}/{CONTAINERD} does not know it; the path names cri-o, whose socket is in no usual"
    assert gone.notes == (f"container: {words} place",)


async def test_two_of_one_kind(root: Path) -> None:
    """Docker's containerd and that of k3s: each is asked, and one that never answered (its CRI plugin is off) is left
    alone for a while, once another does."""
    docker, k3s = Other("containerd"), Other("containerd", container_name="of k3s")
    asked = []

    def refused(_: bytes) -> GRPCError:
        asked.append(1)
        return GRPCError(Status.UNIMPLEMENTED)

    docker.answers = {"Version": refused}
    async with docker.at(root / CONTAINERD), k3s.at(root / K3S):
        resolver = Resolver(None, 2, root=str(root))
        for _ in range(3):
            found = await resolver(killed(f"{SLICE}/cri-containerd-{ID}.scope"))
            assert found.container
            assert (found.container.name, found.notes) == ("of k3s", ())
        await resolver(killed(f"/kubepods/pod{UID}/{UNKNOWN}"))
    assert len(asked) == 1


async def test_one_that_was_there_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It restarts, so nobody else's word is taken for its kills; those of the others do not wait for it."""
    monkeypatch.setattr("oomeventer.cri.resolver.RETRY_SECONDS", 0.05)
    crio, other = Other("cri-o"), Other("containerd", known="ef" * 32)
    resolver = Resolver(None, 2, patience_seconds=30, root=str(root))
    async with other.at(root / CONTAINERD):
        async with crio.at(root / CRIO):
            await resolver(killed(f"{SLICE}/crio-{ID}.scope"))
        (root / CRIO).unlink()
        waiting = [
            asyncio.create_task(resolver(killed(cgroup)))
            for cgroup in (f"{SLICE}/crio-{ID}.scope", f"/kubepods/pod{UID}/{ID}")
        ]
        found = await resolver(killed(f"{SLICE}/cri-containerd-{'ef' * 32}.scope"))
        assert found.container
        await asyncio.sleep(0.2)
        assert not any(one.done() for one in waiting)
        assert resolver.trouble
        async with crio.at(root / CRIO):
            for found in await asyncio.gather(*waiting):
                assert found.container
                assert (found.container.name, found.notes) == ("theirs", ())
    assert resolver.trouble is None


async def test_one_that_fails(root: Path) -> None:
    """The note names its socket; the other's kills have their names."""
    crio, other = Other("cri-o"), Other("containerd", known="ef" * 32)
    crio.is_well = False
    async with crio.at(root / CRIO), other.at(root / CONTAINERD):
        resolver = Resolver(None, 2, root=str(root))
        noted = await resolver(killed(f"{SLICE}/crio-{ID}.scope", ago=1.0))
        assert noted.notes == (f"container: the runtime could not be asked at {root}/{CRIO}",)
        assert resolver.trouble
        assert "it is ill" in resolver.trouble
        found = await resolver(killed(f"{SLICE}/cri-containerd-{'ef' * 32}.scope"))
        assert found.container


@asynccontextmanager
async def _hanging(place: Path) -> AsyncIterator[list[int]]:
    asked = []

    async def never(_: bytes) -> bytes:
        asked.append(1)
        await asyncio.sleep(60)
        return b""

    async with grpc_server(place, {"Version": never}):
        yield asked


async def test_one_that_hangs(root: Path) -> None:
    """Where the path names none, it costs one deadline, once in a while."""
    other = Other("cri-o")
    async with _hanging(root / CONTAINERD) as asked, other.at(root / CRIO):
        resolver = Resolver(None, 1.0, root=str(root))
        started = time.monotonic()
        for _ in range(4):
            found = await resolver(killed(f"/kubepods/pod{UID}/{ID}"))
            assert found.container
            assert found.container.name == "theirs"
        gone = await resolver(killed(f"/kubepods/pod{UID}/{UNKNOWN}"))
        assert time.monotonic() - started < 4
        assert gone.notes == (f"container: cri-o at {root}/{CRIO} does not know it",)
        gone = await Resolver(None, 1.0, root=str(root))(killed(f"/kubepods/pod{UID}/{UNKNOWN}"))
        silent = f"{root}/{CONTAINERD} could not be asked"
        assert gone.notes == (f"container: cri-o at {root}/{CRIO} does not know it; {silent}",)
    assert len(asked) == 2


@pytest.mark.containerd
async def test_the_pods_of_a_node(root: Path, containerd: Containerd) -> None:
    """Of a node that ran out they may be any runtime's."""
    pod = containerd.run_pod(namespace="bank", name="vault")
    (root / CRIO).symlink_to(containerd.socket)
    node = NodeMemory(64 * MI, None, None, 1, (PodUsage(pod.uid, MI),))
    async with Other("containerd").at(root / CONTAINERD):
        host = await Resolver(None, 10, root=str(root))(on_the_host(node_memory=node))
        cgroup = f"{SLICE}/cri-containerd-{ID}.scope"
        one = replace(killed(cgroup), node_memory=node, container=CONTAINER)
        inside = await Resolver(None, 10, root=str(root))(one)
    for found in (host, inside):
        assert found.node_memory
        assert [(one.namespace, one.name) for one in found.node_memory.pods] == [("bank", "vault")]


def test_places() -> None:
    """Each usual place is some runtime's, as cgroup paths name it."""
    named = [path for name in ("containerd", "cri-o", "docker") for path in sockets.find(None, "/", name)]
    assert sorted(named) == sorted(sockets.find(None, "/"))
    assert sockets.find("/a.sock", "/", "cri-o") == ["/a.sock"]
    assert runtimes.REST_SECONDS == 60
