"""What the samples of memory cost: `python -m bench.sampling`. Out: rows of Markdown.

Rules: the shipped sampler, its thread's CPU time and how often it sleeps, on real cgroups of our own, in a process of
its own. All changing: before each sample every container has got 64 KiB more.
"""

import asyncio
import os
import sys
import threading
import time
import tracemalloc
import uuid
from contextlib import ExitStack
from pathlib import Path

from bench import BenchError
from machine import Cgroup
from machine.cgroup import hierarchy
from oomeventer.trajectory import store as stores
from oomeventer.trajectory.sampler import Sampler
from oomeventer.trajectory.store import FINE, Store

CONTAINERS, IN_STORE = 200, 500
#: A minute has two. Those that are timed, idle and changing; and the pause after each.
A_MINUTE, IDLE, CHANGING, PAUSE_SECONDS = 2, 10, 3, 0.1


class Sampled:
    """Containers, each in its Pod, and what samples them as it does by itself, but when it is told to."""

    def __init__(self, stack: ExitStack) -> None:
        top = stack.enter_context(Cgroup())
        kubepods = stack.enter_context(Cgroup(name="kubepods", parent=top))
        self.containers = []
        self._kept: list[int] = []
        for _ in range(CONTAINERS):
            pod = stack.enter_context(Cgroup(name=f"pod{uuid.uuid4()}", parent=kubepods))
            self.containers.append(stack.enter_context(Cgroup(name=uuid.uuid4().hex * 2, parent=pod)))
        stores.LEAST_BYTES = 0  # these are empty, and shall have rows
        self.sampler = Sampler(Store(), threading.Lock(), top.directory, top.unified, 3600.0)
        stack.callback(self.sampler._hierarchy.close)

    def sample(self) -> tuple[float, int]:
        """CPU seconds of one, and how often it slept, by a thread that sleeps before and after."""
        took: list[float] = []

        def run() -> None:
            threading.Event().wait(PAUSE_SECONDS)
            began, before = time.thread_time(), _sleeps()
            self.sampler.sample()
            took.append(time.thread_time() - began)
            threading.Event().wait(PAUSE_SECONDS)
            took.append(_sleeps() - before)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return took[0], int(took[1])

    def change(self) -> None:
        """Each container has more memory in use than before."""
        file = os.memfd_create("more")
        own = (hierarchy() / _own().lstrip("/")) / "cgroup.procs"
        try:
            for container in self.containers:
                (container.directory / "cgroup.procs").write_text("0")
                os.write(file, b"x" * (64 << 10))
        finally:
            own.write_text("0")
        self._kept.append(file)


def _own() -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(",") or not controllers:
            return path
    return "/"


def _sleeps() -> int:
    text = Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("voluntary_ctxt_switches:"))


def _store_bytes() -> int:
    """Of a full store."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    paths = []
    for _ in range(IN_STORE):
        pod = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uuid.uuid4()}.slice"
        paths += [pod, f"{pod}/cri-containerd-{uuid.uuid4().hex * 2}.scope"]
    store = Store()
    for number in range(FINE):
        store.tick(number * 1300.0, [(path, 1, 5 << 20) for path in paths])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def measured() -> str:
    """Rows of the table."""
    with ExitStack() as stack:
        sampled = Sampled(stack)
        sampled.sample()
        idle = [sampled.sample() for _ in range(IDLE)]
        changing = []
        for _ in range(CHANGING):
            sampled.change()
            changing.append(sampled.sample())
    cells = []
    for samples in (idle, changing):
        cpu, sleeps = (sum(column) / len(samples) * A_MINUTE for column in zip(*samples, strict=True))
        cells.append(f"{cpu * 1e3:.1f} ms, {sleeps:.0f}")
    whose = f"{CONTAINERS} containers and their Pods every {60 // A_MINUTE} s"
    return "\n".join(
        (
            "| samples of memory | nothing changes | all change |",
            "| --- | --- | --- |",
            f"| {whose}: CPU, voluntary context switches a minute | {cells[0]} | {cells[1]} |",
            f"| what is kept of {IN_STORE} containers and their Pods | {_store_bytes() / 1024:.0f} KiB | |",
        )
    )


async def sampling() -> str:
    """The same from a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.sampling", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise BenchError("what samples of memory cost could not be measured, see above")
    return out.decode()


if __name__ == "__main__":
    print(measured())
