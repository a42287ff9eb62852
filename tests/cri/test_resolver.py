"""A runtime that starts up, fails, or never comes: how long an incident waits for it, and how often it is asked.

In: incidents, and a runtime that the test lets fail. Out: the incident with its names, or with a note.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.cri import ContainerInfo, CriError, SandboxInfo, runtimes
from oomeventer.cri import resolver as module
from oomeventer.cri.resolver import Resolver
from oomeventer.incident.codec import decode, encode
from oomeventer.incident.events import compose
from oomeventer.incident.incident import Incident
from realcri import Containerd
from samples import CGROUP, CONTAINER, CONTAINER_ID, LIMIT, POD, UID, incident

RETRY = 0.1
SOCKET = "/run/a-runtime.sock"
NOTE = f"container: the runtime could not be asked at {SOCKET}"


class Runtime:
    """In place of the client. works: whether it can be connected to; answers: whether it then answers."""

    path, runtime_name, runtime_version = SOCKET, "containerd", "2"

    def __init__(self) -> None:
        self.works = self.answers = True
        self.seconds = 0.0
        self.name, self.finished_at = "app", 0
        self.asked: list[float] = []

    async def at(self, path: str, timeout_seconds: float) -> "Runtime":
        await self._ask(self.works)
        return self

    async def container(self, _container_id: str) -> ContainerInfo | None:
        await self._ask(self.answers)
        fields: dict[str, Any] = dict.fromkeys(ContainerInfo.__struct_fields__)
        named = {
            "id": CONTAINER_ID,
            "name": self.name,
            "finished_at": self.finished_at,
            "pod_namespace": POD.namespace,
            "pod_name": POD.name,
        }
        return ContainerInfo(**fields | named | {"pod_uid": UID, "memory_limit_bytes": LIMIT})

    async def sandbox(self, _sandbox_id: str) -> SandboxInfo | None:
        raise AssertionError("nobody asks")

    async def _ask(self, works: bool) -> None:
        self.asked.append(time.monotonic())
        await asyncio.sleep(self.seconds)
        if not works:
            raise CriError("the runtime is starting up")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    running = Runtime()
    monkeypatch.setattr(runtimes, "Client", running)
    monkeypatch.setattr(module, "RETRY_SECONDS", RETRY)
    return running


def killed(ago: float = 0.0, **fields: Any) -> Incident:
    """A kill so many seconds ago, of which the runtime was not asked."""
    at = datetime.fromtimestamp(time.time() - ago, UTC)
    return incident(**{"time": at, "container": None, "pod": None} | fields)


async def test_a_runtime_that_answers(runtime: Runtime) -> None:
    """It is asked once for each incident, and nothing is noted."""
    containers = Resolver(SOCKET, 2, patience_seconds=10)
    reported = await containers(killed())
    assert reported.container is not None
    assert (reported.container.name, reported.pod, reported.notes) == (
        "app",
        replace(POD, owner=None, restart_policy=None),
        (),
    )
    assert len(runtime.asked) == 2
    await containers(killed())
    assert len(runtime.asked) == 3
    assert containers.trouble is None


@pytest.mark.parametrize("failing", ["works", "answers"])
async def test_a_runtime_that_starts_up(runtime: Runtime, failing: str) -> None:
    """It is asked again until it answers, and the incident is whole; meanwhile the trouble is reported."""
    setattr(runtime, failing, False)
    containers = Resolver(SOCKET, 2, patience_seconds=10)
    waiting = asyncio.create_task(containers(killed()))
    await asyncio.sleep(RETRY * 3.5)
    assert not waiting.done()
    assert "the runtime is starting up" in str(containers.trouble)
    setattr(runtime, failing, True)
    reported = await waiting
    assert reported.container is not None
    assert reported.notes == ()
    assert containers.trouble is None


@pytest.mark.parametrize(("patience", "ago"), [(0.35, 0.0), (0.35, 0.2), (0.0, 0.0), (0.35, 3600.0), (0.35, -3600.0)])
async def test_patience_has_an_end(runtime: Runtime, patience: float, ago: float) -> None:
    """A kill waits no longer than that, one from before our start too, and also where the clock was set since; then the
    incident goes on with a note, and its Pod's uid."""
    runtime.works = False
    started = time.monotonic()
    reported = await Resolver(SOCKET, 2, patience_seconds=patience)(killed(ago))
    waited = time.monotonic() - started
    assert patience - 0.05 <= waited <= patience + 2 * RETRY + 0.1
    assert reported.notes == (NOTE,)
    assert (reported.container, reported.pod, reported.identity.pod_uid) == (None, None, UID)
    assert runtime.asked, "it is asked at least once"


async def test_an_unreachable_runtime_holds_up_no_storm(runtime: Runtime) -> None:
    """Once it has been unreachable for longer than the patience, kills that are old go on at once."""
    runtime.works = False
    containers = Resolver(SOCKET, 2, patience_seconds=0.3)
    await containers(killed())
    started = time.monotonic()
    for _ in range(20):
        await containers(killed(1.0))
    assert time.monotonic() - started < 0.3


@pytest.mark.parametrize("seconds", [0.0, RETRY / 2])
async def test_a_runtime_that_fails_is_not_crowded(runtime: Runtime, seconds: float) -> None:
    """However many incidents wait, it is asked once in a while; when it answers, all of them go on."""
    runtime.works, runtime.seconds = False, seconds
    containers = Resolver(SOCKET, 2, patience_seconds=10)
    await asyncio.wait_for(Resolver(SOCKET, 2)(killed()), 5)
    runtime.asked.clear()
    first = asyncio.create_task(containers(killed()))
    await asyncio.sleep(RETRY / 4 + seconds)
    waiting = [first, *(asyncio.create_task(containers(killed())) for _ in range(20))]
    await asyncio.sleep(RETRY * 10)
    assert 4 <= len(runtime.asked) <= 12
    runtime.works = True
    reported = await asyncio.gather(*waiting)
    assert all(one.container and not one.notes for one in reported)


async def test_nobody_is_asked(runtime: Runtime) -> None:
    """About a process outside any Pod, and where no runtime is wanted."""
    host = killed(cgroup="/system.slice")
    assert await Resolver(SOCKET, 2, patience_seconds=10)(host) == host
    assert await Resolver("none", 2, patience_seconds=10)(one := killed()) == one
    assert runtime.asked == []


@pytest.mark.parametrize(
    ("seen", "after", "told"),
    [
        ("seen", 0.01, "gone"),
        ("seen", 5.0, "seen"),
        ("seen", -1.0, "seen"),
        ("killed", 0.01, "killed"),
        (None, 0.01, None),
    ],
)
async def test_a_container_that_ended_with_the_kill(
    runtime: Runtime, seen: Any, after: float, told: str | None
) -> None:
    """The runtime is a second witness of PID 1's end: for an agent that took the kill up later. One that ended long
    after the kill, or before it, is none; nor is one that runs."""
    one = killed(10.0, pid1=seen)
    assert (await Resolver(SOCKET, 2)(one)).pid1 == seen
    runtime.finished_at = int((one.time.timestamp() + after) * 1e9)
    assert (await Resolver(SOCKET, 2)(one)).pid1 == told


async def test_a_sandbox_of_cri_dockerd(runtime: Runtime) -> None:
    """It knows the sandbox as a container, by a name that no container has."""
    runtime.name = "POD"
    reported = await Resolver(SOCKET, 2)(killed())
    assert (reported.sandbox, reported.container) == (True, None)
    assert reported.pod is not None
    assert reported.pod.name == POD.name


@pytest.mark.containerd
async def test_a_sandbox_is_no_container(containerd: Containerd) -> None:
    """The runtime knows the ID as a sandbox's: the Pod is reported, and no container of it. Of a container of the same
    Pod nothing changes."""
    pod = containerd.run_pod(namespace="shop", name="checkout-0")
    made = pod.run_container()
    containers = Resolver(containerd.endpoint, 10)
    try:
        sandbox, container = [
            await containers(killed(cgroup=cgroup, container=CONTAINER))
            for cgroup in (f"{pod.cgroup}/{pod.id}", made.cgroup)
        ]
    finally:
        pod.remove()
    assert (sandbox.sandbox, sandbox.container, sandbox.notes) == (True, None, ())
    assert (container.sandbox, container.notes) == (False, ())
    assert container.container is not None
    assert sandbox.pod == container.pod is not None
    assert "fieldPath" not in compose(sandbox).body["involvedObject"]


async def test_a_path_that_is_refuted(runtime: Runtime) -> None:
    """A container that claims by its cgroup's path to be another Pod's: the incident says so from then on, also after a
    restart, so that nobody looks that Pod up. The runtime is not asked again."""
    another = "5b0e7a52-0000-4000-8000-000000000001"
    claims = killed(cgroup=CGROUP.replace(UID, another))
    assert claims.identity.pod_uid == another
    containers = Resolver(SOCKET, 2, patience_seconds=10)
    reported = await containers(claims)
    assert (reported.path_refuted, reported.pod) == (True, None)
    assert reported.notes == ("container: its path names a Pod that is not its own",)
    again = decode(encode(reported))
    assert await containers(again) == again
    assert len(runtime.asked) == 2
