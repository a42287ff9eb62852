"""The names of who else held memory. In: incidents with neighbours and Pods, a real containerd, a runtime that a test
lets fail. Out: the names that it knows, and how often it was asked.
"""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fakecri import grpc_server, version
from oomeventer.cri import ContainerInfo, CriError, Resolver, SandboxInfo
from oomeventer.cri import resolver as module
from oomeventer.cri.others import CONTAINERS, KEPT, PODS, Others
from oomeventer.incident.incident import Incident, Neighbour
from oomeventer.incident.memory import NodeMemory, PodUsage
from realcri import Containerd
from samples import CONTAINER, CONTAINER_ID, MI, POD, UID, incident, on_the_host


def neighbours(*ids: str | None) -> tuple[Neighbour, ...]:
    return tuple(Neighbour(pid, "sh", MI, id_) for pid, id_ in enumerate(ids))


def node(*uids: str) -> NodeMemory:
    return NodeMemory(64 * MI, None, None, len(uids), tuple(PodUsage(uid, MI) for uid in uids))


def names(reported: Incident) -> list[tuple[str | None, str | None]]:
    return [(one.container, one.pod_uid) for one in reported.neighbours]


def pods(reported: Incident) -> list[tuple[str | None, str | None]]:
    assert reported.node_memory
    return [(one.namespace, one.name) for one in reported.node_memory.pods]


@pytest.mark.containerd
async def test_a_real_runtime(containerd: Containerd) -> None:
    """Containers of the Pod and of another, and the node's Pods, are named; what the runtime does not know is not, nor
    is a sandbox."""
    one, two = containerd.run_pod(namespace="shop", name="front"), containerd.run_pod(namespace="bank", name="vault")
    app, sidecar, other = one.run_container(name="app"), one.run_container(name="proxy"), two.run_container(name="db")
    gone = "0123456789abcdef" * 4
    killed = incident(
        cgroup=app.cgroup,
        container=None,
        pod=None,
        neighbours=neighbours(app.id, sidecar.id, other.id, gone, one.id, None),
        node_memory=node(two.uid, one.uid, "5b0e7a52-0000-4000-8000-000000000001"),
    )
    reported = await Resolver(containerd.endpoint, 10)(killed)
    nobody = None, None
    assert names(reported) == [("app", one.uid), ("proxy", one.uid), ("db", two.uid), nobody, nobody, nobody]
    assert pods(reported) == [("bank", "vault"), ("shop", "front"), nobody]
    assert reported.container
    assert (reported.container.name, reported.notes) == ("app", ())
    host = await Resolver(containerd.endpoint, 10)(on_the_host(node_memory=node(one.uid)))
    assert pods(host) == [("shop", "front")]


class Runtime:
    """In place of the client: it knows all, but what `fails` names."""

    runtime_name = "containerd"

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.fails: set[str] = set()
        self.at_once = self.most = 0

    async def container(self, container_id: str) -> ContainerInfo | None:
        await self._ask(container_id)
        fields: dict[str, Any] = dict.fromkeys(ContainerInfo.__struct_fields__)
        named = {"id": container_id, "name": container_id[:2], "pod_namespace": "shop", "pod_name": "checkout-0"}
        return ContainerInfo(**fields | named | {"pod_uid": UID})

    async def sandbox_of_pod(self, uid: str) -> SandboxInfo | None:
        await self._ask(uid)
        return SandboxInfo("x", "shop", f"name-of-{uid}", uid)

    async def _ask(self, what: str) -> None:
        self.asked[what] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if what in self.fails:
            raise CriError("broken")


async def test_how_often_it_is_asked() -> None:
    """Never of the victim's own, once of another, however many processes it has and incidents there are; all at once,
    and of not more than so many."""
    runtime: Any = Runtime()
    others = Others()
    ids = [f"{number:02}" * 32 for number in range(9)]
    killed = incident(
        neighbours=neighbours(CONTAINER_ID, ids[0], ids[0], ids[1]), node_memory=node(*(f"pod-{n}" for n in range(12)))
    )
    first = await others(killed, runtime)
    assert names(first) == [("app", UID), ("00", UID), ("00", UID), ("01", UID)]
    assert pods(first) == [("shop", f"name-of-pod-{n}") for n in range(PODS)] + [(None, None)] * (12 - PODS)
    assert runtime.most == 2 + PODS
    assert (await others(first, runtime)).neighbours == first.neighbours
    before = runtime.asked.copy()
    assert await others(replace(killed, node_memory=node("pod-0")), runtime)
    assert runtime.asked == before
    assert set(runtime.asked.values()) == {1}
    runtime.asked.clear()
    await others(replace(killed, neighbours=neighbours(*ids[2:]), node_memory=None), runtime)
    assert runtime.asked.total() == CONTAINERS
    for number in range(KEPT + 9):
        await others(replace(killed, node_memory=node(f"pod-{number}")), runtime)
    assert len(others._pods) == KEPT


async def test_one_that_fails() -> None:
    """It stays without a name, and is asked again for the next incident; the others have theirs."""
    runtime: Any = Runtime()
    others = Others()
    killed = incident(neighbours=neighbours("aa" * 32, "bb" * 32), node_memory=node("pod-0", "pod-1"))
    runtime.fails = {"aa" * 32, "pod-1"}
    reported = await others(killed, runtime)
    assert names(reported) == [(None, None), ("bb", UID)]
    assert pods(reported) == [("shop", "name-of-pod-0"), (None, None)]
    runtime.fails.clear()
    assert names(await others(killed, runtime)) == [("aa", UID), ("bb", UID)]


async def test_a_container_outside_kubernetes() -> None:
    """Its neighbours in it have no Pod."""
    runtime: Any = Runtime()
    alone = incident(container=replace(CONTAINER, name=None), pod=None, neighbours=neighbours(CONTAINER_ID))
    assert names(await Others()(alone, runtime)) == [(None, None)]
    assert not runtime.asked


async def test_a_runtime_that_is_missing(tmp_path: Path) -> None:
    """A process outside any Pod waits for none, and says nothing of a container."""
    killed = on_the_host(node_memory=node(POD.uid))
    resolver = Resolver(f"unix://{tmp_path}/none", 1, patience_seconds=60)
    started = time.monotonic()
    assert await resolver(killed) == killed
    assert time.monotonic() - started < 1
    assert resolver.trouble
    assert await Resolver("none", 1)(killed) == killed


async def test_a_runtime_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many such kills ask once in a while whether it is back."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 60.0)
    asked = []

    async def never(_: bytes) -> bytes:
        asked.append(1)
        await asyncio.sleep(60)
        return version()

    async with grpc_server(tmp_path / "s", {"Version": never}):
        resolver = Resolver(f"unix://{tmp_path}/s", 0.1, patience_seconds=60)
        for _ in range(5):
            await resolver(on_the_host(node_memory=node(POD.uid)))
    assert len(asked) == 1
