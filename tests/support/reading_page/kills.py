"""Real kills in a real containerd, and the messages of their Events. In: nothing. Out: messages, by kind.

Rules: the whole path, as in tests/system/test_path.py: the agent as a process, the API server's stand-in; a Pod of its
own for each. A tmpfs is a directory below /dev/shm, which stands for the emptyDir that the Pod's spec has.
"""

import asyncio
import contextlib
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import Agent, Cgroup, Victim, build, kubeconfig
from machine.cgroup import hierarchy
from oomeventer.text import MI
from realcri import Containerd, Pod
from standin import ApiServer

NODE = "node-1"
SECONDS = 180
#: As often as the setting allows, so that a leak takes a minute and not an hour.
SAMPLES = ("--sample-seconds", "5")
SLEEP = "sleep 1000"


@dataclass
class Lab:
    """What the kills are made with."""

    containerd: Containerd
    api: ApiServer
    directory: Path
    program: Path

    @contextmanager
    def pod(
        self,
        limits: dict[str, int | None],
        pod_limit: int | None = None,
        name: str = "web-0",
        metadata: dict[str, Any] | None = None,
        **spec: Any,
    ) -> Iterator[Pod]:
        """A Pod of these containers, with these limits in MiB, which the API server knows; pod_limit: its cgroup's."""
        limit_bytes = None if pod_limit is None else pod_limit * MI
        named = {"namespace": "shop", "name": name, "uid": str(uuid.uuid4())}
        named |= {key: value for key, value in (metadata or {}).items() if key in named}
        pod = self.containerd.run_pod(**named, pod_limit_bytes=limit_bytes)
        containers = [
            {
                "name": container,
                "image": "x",
                "resources": {"limits": {"memory": f"{limit}Mi"}} if limit else {},
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            }
            for container, limit in limits.items()
        ]
        volumes = [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]
        self.api.put_pod(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": named | (metadata or {}),
                "spec": {"nodeName": NODE, "containers": containers, "volumes": volumes, **spec},
            }
        )
        try:
            yield pod
        finally:
            pod.remove()

    @contextmanager
    def tmpfs(self) -> Iterator[dict[str, Path]]:
        """A tmpfs to mount at /scratch."""
        directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
        try:
            yield {"/scratch": directory}
        finally:
            shutil.rmtree(directory)

    async def message(self, cgroup: str, count: int = 1) -> str:
        """Of the Event about what is in a cgroup, once it tells of so many kills."""
        return str((await self.event(cgroup, count))["message"])

    async def event(self, cgroup: str, count: int = 1, seconds: float = SECONDS) -> dict[str, Any]:
        """The same, whole. Raises TimeoutError."""
        cgroup = cgroup.removeprefix(self.containerd.cgroup)

        def found() -> dict[str, Any] | None:
            for stored in self.api.events.values():
                event = stored.as_core()
                incident = json.loads(event["metadata"]["annotations"]["oomeventer/incident"])
                if incident["cgroup"].startswith(cgroup) and event["count"] >= count:
                    return event
            return None

        async with asyncio.timeout(seconds):
            await self.api.until(lambda: found() is not None)
        return found() or {}


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """With an agent that watches."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with Containerd(directory / "d") as containerd:
            async with ApiServer() as api:
                config = kubeconfig(directory, api.url, api.token)
                whom = ["--kubeconfig", str(config), "--cri-endpoint", containerd.endpoint, "--node-name", NODE]
                places = ["--pins", "none", "--journal", str(directory / "journal.db")]
                # Others on this machine have kills, too.
                root = hierarchy() / containerd.cgroup.lstrip("/")
                root.mkdir(exist_ok=True)  # containerd's, which goes with it
                own = ["--node-cgroup", containerd.cgroup, "--cgroup-root", str(root)]
                async with Agent("run", *whom, *places, *own, *SAMPLES, ready="sends Events to"):
                    yield Lab(containerd, api, directory, build(directory))


def _fill(mib: int, name: str = "cache") -> str:
    return f"dd if=/dev/zero of=/scratch/{name} bs=1M count={mib}"


async def _child(lab: Lab) -> str:
    with lab.pod({"app": 32}) as pod:
        pod.run_container(command=["sh", "-c", f"hog 100; {SLEEP}"], memory_limit_bytes=32 * MI)
        return await lab.message(pod.cgroup)


async def _tmpfs(lab: Lab) -> str:
    with lab.tmpfs() as mounts, lab.pod({"app": 32}) as pod:
        command = ["sh", "-c", f"{_fill(27)}; hog 100; {SLEEP}"]
        pod.run_container(command=command, memory_limit_bytes=32 * MI, mounts=mounts)
        return await lab.message(pod.cgroup)


async def _left_behind(lab: Lab) -> str:
    with lab.tmpfs() as mounts, lab.pod({"app": 32}, pod_limit=32) as pod:
        first = pod.run_container(
            command=["sh", "-c", f"{_fill(24)}; touch /scratch/done; {SLEEP}"],
            memory_limit_bytes=32 * MI,
            mounts=mounts,
        )
        async with asyncio.timeout(SECONDS):
            while not (mounts["/scratch"] / "done").exists():
                await asyncio.sleep(0.05)
        first.stop()
        first.remove()
        again = ["sh", "-c", f"hog 100; {SLEEP}"]
        pod.run_container(command=again, memory_limit_bytes=32 * MI, mounts=mounts, attempt=1)
        return await lab.message(pod.cgroup)


async def _small_files(lab: Lab) -> str:
    with lab.tmpfs() as mounts, lab.pod({"app": 32}) as pod:
        files = "i=0; while :; do : > /scratch/$i; i=$((i+1)); done"
        pod.run_container(command=["sh", "-c", files], memory_limit_bytes=32 * MI, mounts=mounts)
        return await lab.message(pod.cgroup)


async def _pool(lab: Lab) -> str:
    with lab.pod({"app": 32}) as pod:
        workers = "for i in 1 2 3 4 5 6 7 8; do hog 3 & done; sleep 1; "
        pod.run_container(command=["sh", "-c", f"{workers} hog 100; {SLEEP}"], memory_limit_bytes=32 * MI)
        return await lab.message(pod.cgroup)


async def _other_container(lab: Lab) -> str:
    whole = {"resources": {"limits": {"memory": "64Mi"}}}
    with lab.pod({"app": None, "cache": None}, pod_limit=64, **whole) as pod:
        pod.run_container(name="cache", command=["hog", "44"], memory_limit_bytes=64 * MI)
        await asyncio.sleep(1)
        first_choice = "echo 1000 > /proc/self/oom_score_adj"
        command = ["sh", "-c", f"({first_choice}; exec hog 100); {SLEEP}"]
        pod.run_container(command=command, memory_limit_bytes=64 * MI)
        return await lab.message(pod.cgroup)


async def _sum_of_limits(lab: Lab) -> str:
    with lab.pod({"app": 32, "side": 16}, pod_limit=48) as pod, lab.tmpfs() as mounts:
        leave = ["sh", "-c", f"{_fill(12)}; touch /scratch/done; {SLEEP}"]
        for attempt in range(2):
            side = pod.run_container(
                name="side", command=leave, memory_limit_bytes=16 * MI, mounts=mounts, attempt=attempt
            )
            async with asyncio.timeout(SECONDS):
                while not (mounts["/scratch"] / "done").exists():
                    await asyncio.sleep(0.05)
            (mounts["/scratch"] / "cache").rename(mounts["/scratch"] / f"cache-{attempt}")
            (mounts["/scratch"] / "done").unlink()
            side.stop()
            side.remove()
        pod.run_container(command=["sh", "-c", f"hog 28; {SLEEP}"], memory_limit_bytes=32 * MI)
        return await lab.message(pod.cgroup)


async def _sandbox(lab: Lab) -> str:
    with lab.pod({"app": None}, pod_limit=32) as pod:
        for procs in Path("/sys/fs/cgroup/memory", pod.cgroup.lstrip("/")).glob("*/cgroup.procs"):
            for pid in procs.read_text().split():
                Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        with contextlib.suppress(Exception):  # its sandbox may be gone already
            pod.run_container(command=["sh", "-c", "hog 18 & hog 18"])
        return await lab.message(pod.cgroup)


async def _again(lab: Lab) -> str:
    with lab.pod({"app": 32}) as pod:
        loop = f"for i in 1 2 3 4 5; do hog 100; sleep 1; done; {SLEEP}"
        pod.run_container(command=["sh", "-c", loop], memory_limit_bytes=32 * MI)
        return await lab.message(pod.cgroup, 5)


async def _leak(lab: Lab) -> str:
    with lab.pod({"app": 32}, name="leaks-0") as pod:
        pod.run_container(command=["sh", "-c", f"hog 100 1 2500; {SLEEP}"], memory_limit_bytes=32 * MI)
        return await lab.message(pod.cgroup)


async def _spike(lab: Lab) -> str:
    with lab.pod({"app": 32}, name="spikes-0") as pod:
        pod.run_container(command=["sh", "-c", f"hog 8 & sleep 70; hog 100; {SLEEP}"], memory_limit_bytes=32 * MI)
        return await lab.message(pod.cgroup)


async def _outside(lab: Lab) -> str:
    name = f"{lab.containerd.cgroup}/backup.service".lstrip("/")
    with Cgroup(24 * MI, name) as cgroup, Victim(lab.program, cgroup, ["hog", "100"]) as victim:
        victim.go()
        victim.wait()
        return await lab.message(cgroup.path)


KILLS: dict[str, Callable[[Lab], Awaitable[str]]] = {
    "child": _child,
    "tmpfs": _tmpfs,
    "left behind": _left_behind,
    "small files": _small_files,
    "pool": _pool,
    "other container": _other_container,
    "sum of limits": _sum_of_limits,
    "sandbox": _sandbox,
    "again": _again,
    "outside": _outside,
}
#: These take a minute and more, meanwhile the others are made.
SLOW: dict[str, Callable[[Lab], Awaitable[str]]] = {"leak": _leak, "spike": _spike}


async def messages(*kinds: str) -> dict[str, str]:
    """Make the kills, all of them where none is named. Raises what a kill raises."""
    made = {}
    async with lab() as here, asyncio.TaskGroup() as group:
        slow = {kind: group.create_task(_of(kind, here)) for kind in SLOW if kind in (kinds or SLOW)}
        for kind in kinds or KILLS:
            if kind in KILLS:
                made[kind] = await KILLS[kind](here)
        return made | {kind: await task for kind, task in slow.items()}


async def _of(kind: str, here: Lab) -> str:
    return await SLOW[kind](here)
