"""Where the memory was, on this kernel: the guests' cases without a guest, and volumes and neighbours in a containerd.

The witness of the first is the kernel's own report in its log, of the second the cgroups' files.
"""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernels import here
from kernels.compare import problems
from kernels.compare_memory import fits
from kernels.reported import Case
from machine import Agent
from places import REPOSITORY
from realcri import Containerd, Pod
from realcri.cgroups import memory_dir

pytestmark = [pytest.mark.kernel, pytest.mark.containerd]

MIB = 1 << 20
SECONDS = 30
SCRATCH = REPOSITORY / ".cache" / "here"


@pytest.fixture(scope="module")
def played(program: Path) -> dict[str, Case]:
    """What agent and kernel say of each case."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    return here.play(program, SCRATCH)


@pytest.mark.parametrize("case", here.possible())
def test_case(case: str, played: dict[str, Case]) -> None:
    """What the agent reports is what the kernel says."""
    found = problems(played[case])
    assert not found, "\n".join(found)


@pytest.fixture
def pod(containerd: Containerd) -> Iterator[Pod]:
    """A Pod with a limit of 44Mi for all of it."""
    running = containerd.run_pod(namespace="shop", name="where-0", uid=str(uuid.uuid4()), pod_limit_bytes=44 * MIB)
    yield running
    running.remove()


def watching(containerd: Containerd) -> Agent:
    return Agent("trace", "--json", "--cri-endpoint", containerd.endpoint, ready="waiting for kills")


def memory_volume(pod: Pod) -> dict[str, Path]:
    """What an emptyDir with medium Memory is: the containers' /run is a tmpfs of their own, see keeper.py."""
    return {"/cache": Path(f"/run/volume-{pod.uid}")}


async def told(agent: Agent, pod: Pod) -> dict[str, Any]:
    """The first kill in a Pod."""
    async with asyncio.timeout(SECONDS):
        async for incident in agent.lines():
            if incident["cgroup"].startswith(pod.cgroup):
                return dict(incident)
    raise AssertionError("the agent ended")


async def until(done: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not done():
            await asyncio.sleep(0.02)


def stat(cgroup: str) -> dict[str, int]:
    """A cgroup's files, in the agent's words: what it and all below it are charged for now, the kernel's own not."""
    lines = (line.split() for line in (memory_dir(cgroup) / "memory.stat").read_text().splitlines())
    found = {name: int(value) for name, value in lines}
    v1 = "total_rss" in found
    shmem = found["total_shmem" if v1 else "shmem"]
    return {
        "anon": found["total_rss" if v1 else "anon"],
        "file": found["total_cache" if v1 else "file"] - shmem,
        "shmem": shmem,
    }


def fitting(incident: dict[str, Any], cgroup: str, scope: str) -> None:
    """Hold what the agent says of a cgroup, before the victim was gone, against its files, since it is."""
    memory, victim = incident["memory"], incident["victims"][0]
    assert (incident["scope"], incident["limit_cgroup"]) == (scope, cgroup)
    assert memory is not None, incident["notes"]
    files = stat(cgroup)
    files["anon"] += victim["anon_bytes"]
    wrong = {name: (memory[f"{name}_bytes"], size) for name, size in files.items()}
    assert all(fits(*pair) for pair in wrong.values()), f"agent, files: {wrong}"
    assert fits(sum(files.values()) + (memory["kernel_bytes"] or 0), incident["usage_bytes"])


async def test_volume_in_memory(containerd: Containerd, pod: Pod) -> None:
    """Files on a volume in memory fill the container's limit, and stay when the victim is gone."""
    async with watching(containerd) as agent:
        command = "dd if=/dev/zero of=/cache/file bs=64k count=320; hog 64; sleep 1000"
        app = pod.run_container(command=["sh", "-c", command], memory_limit_bytes=32 * MIB, mounts=memory_volume(pod))
        incident = await told(agent, pod)
    fitting(incident, app.cgroup, "container")
    assert fits(incident["memory"]["shmem_bytes"], 20 * MIB)
    assert incident["container_memory"] == incident["memory"]


async def test_left_behind(containerd: Containerd, pod: Pod) -> None:
    """A container's files in memory outlive it, and count against the Pod: they are nobody's."""
    async with watching(containerd) as agent:
        command = "dd if=/dev/zero of=/cache/file bs=64k count=320; sleep 1000"
        first = pod.run_container(command=["sh", "-c", command], mounts=memory_volume(pod))
        await until(lambda: stat(first.cgroup)["shmem"] >= 20 * MIB)
        first.stop()
        first.remove()
        await until(lambda: not first.cgroup_dir.exists())
        pod.run_container(command=["sh", "-c", "hog 64; sleep 1000"], attempt=1, mounts=memory_volume(pod))
        incident = await told(agent, pod)
    fitting(incident, pod.cgroup, "pod")
    assert fits(incident["memory"]["left_behind_bytes"], 20 * MIB)
    assert incident["container_memory"]["shmem_bytes"] < MIB


async def test_other_container(containerd: Containerd, pod: Pod) -> None:
    """The Pod's limit is held by the other container, whose processes the kernel spares: they are named."""
    async with watching(containerd) as agent:
        large = pod.run_container(name="large", command=["sh", "-c", "hog 12 & hog 12 & wait"])
        await until(lambda: stat(large.cgroup)["anon"] >= 24 * MIB)
        # Not the shell's last command, for which it gives up its own memory just then.
        small = pod.run_container(name="small", command=["sh", "-c", "sleep 1000 & sleep 0.5; hog 64; wait"])
        incident = await told(agent, pod)
    fitting(incident, pod.cgroup, "pod")
    assert incident["cgroup"] == small.cgroup
    held = {pid: resident(pid) for pid in (*large.pids(), *small.pids(), *pause(pod))}
    assert incident["neighbours_total"] == len(held)
    assert fits(incident["neighbours_bytes"], sum(held.values()))
    two = incident["neighbours"][:2]
    assert [(one["comm"], one["container_id"], one["container"]) for one in two] == [("hog", large.id, "large")] * 2
    assert all(fits(one["rss_bytes"], held[one["pid"]]) for one in two)


def pause(pod: Pod) -> list[int]:
    return [int(pid) for pid in (memory_dir(pod.cgroup) / pod.id / "cgroup.procs").read_text().split()]


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
