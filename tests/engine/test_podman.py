"""Podman's containers by their names: a real engine, a real kill, `oomeventer trace`; also as a user's own (rootless).

In: Debian's podman, started here. Out: the container of the incident, and notes. Rules: what makes it a user's is where
its socket and its containers' cgroups are; it runs as root, since without cgroup v2 a rootless one sets no limits.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from machine import Agent
from realdocker import IMAGE
from realpodman import UID, USER_CGROUP, Podman
from samples import MI

pytestmark = [pytest.mark.kernel, pytest.mark.containerd]
LABELS = "--label=com.docker.compose.project=shop", "--label=com.docker.compose.service=web"
RUN = "run", "--detach", "--network=none", "--memory=32m", "--name=shop-web-1", *LABELS
DIES = IMAGE, "sh", "-c", "hog 64; sleep 1000"


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """A real engine."""
    with Podman(tmp_path_factory.mktemp("podman") / "d") as running:
        yield running


async def traced(podman: Podman, *flags: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `trace` says of a container that is killed, and removed then."""
    arguments = "trace", "--json", "--cri-endpoint", "none", "--node-name", "host-1", *flags
    async with Agent(*arguments, ready="waiting for kills") as agent:
        container_id = podman(*RUN, *options, *DIES)
        try:
            async for found in agent.lines():
                if found["container"] and found["container"]["id"] == container_id:
                    break
        finally:
            podman("rm", "--force", "--time=0", container_id)
    assert found["container"]["runtime"] == "podman"
    return found


def named(found: dict[str, Any]) -> tuple[Any, ...]:
    """What the engine knows of it."""
    return tuple(found["container"][key] for key in ("name", "image", "limit_bytes", "project", "service"))


WHOLE = ("shop-web-1", f"localhost/{IMAGE}:latest", 32 * MI, "shop", "web")


def notes(found: dict[str, Any]) -> list[str]:
    return [note for note in found["notes"] if note.startswith("container")]


async def test_trace_names_it(podman: Podman) -> None:
    """With its image, its limit, and what Compose calls it."""
    found = await traced(podman, "--engine-endpoint", podman.endpoint)
    assert found["cgroup"] == f"/libpod_parent/libpod-{found['container']['id']}"
    assert named(found) == WHOLE
    assert not notes(found)


async def test_a_users_own(podman: Podman, tmp_path: Path) -> None:
    """Below a user's systemd manager that user's socket is asked, and the note says whose word the name is; without it
    nobody is, least of all the machine's engine, which knows it."""
    machine = tmp_path / "h/run/podman/podman.sock"
    machine.parent.mkdir(parents=True)
    machine.symlink_to(podman.socket)
    flags, options = ("--host-root", str(tmp_path / "h")), (f"--cgroup-parent={USER_CGROUP}",)
    socket = tmp_path / f"h/run/user/{UID}/podman/podman.sock"
    found = await traced(podman, *flags, options=options)
    assert named(found) == (None,) * 5
    assert notes(found) == [f"container: user {UID}'s podman could not be asked at {socket}"]
    assert podman.as_users(tmp_path / "h") == socket
    found = await traced(podman, *flags, options=options)
    assert found["cgroup"] == f"{USER_CGROUP}/libpod-{found['container']['id']}"
    assert named(found) == WHOLE
    assert notes(found) == [f"container: so named by user {UID}'s podman at {socket}"]
