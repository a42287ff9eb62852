"""Real kills by this kernel, each seen by the real tracer and observer with the default redaction. In: a victim under
a program's name, with its arguments and variables. Out: the rule that speaks; for ordinary kills, none.

Where a rule rests on what other stations add (the runtime, the API, the sampler), that is set on the real incident.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from machine import Cgroup, Victim
from machine.process import grown
from oomeventer.hints import advise
from oomeventer.hints.table import RULES
from oomeventer.incident import (
    Incident,
    Memory,
    MemoryVolume,
    NodeMemory,
    Observer,
    PodUsage,
    Pressure,
    Repeats,
    Sample,
    Trajectory,
)
from oomeventer.kernel import Tracer
from oomeventer.node import Procfs
from oomeventer.redaction import Redaction
from samples import CONTAINER, MI, NODE, POD

pytestmark = pytest.mark.kernel

SECONDS = 20
Adds = Callable[[Incident], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """options: before what the victim does, as a JVM's are; more: behind it. limit_mi, hog_mi: in MiB."""

    rule: str
    comm: str = "hog"
    options: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    limit_mi: int = 24
    does: str = "hog"
    #: Processes that share the cgroup, and their MiB.
    beside: tuple[tuple[str, int], ...] = ()
    adds: Adds = lambda _: {}


def course(pattern: Any, **fields: Any) -> Adds:
    return lambda incident: {"trajectory": Trajectory(incident.cgroup, pattern, **fields)}


def memory(**fields: Any) -> Adds:
    """Where the memory was: what the victim held, as the kernel has it, and these."""
    return lambda incident: {
        "memory": Memory(**{"anon_bytes": incident.chosen.anon_bytes, "file_bytes": 0, "shmem_bytes": 0} | fields)
    }


def of_the_node(request_bytes: int | None = None) -> Adds:
    one = replace(CONTAINER, limit_bytes=None, request_bytes=request_bytes)
    largest = (PodUsage("u", 300 * MI, "shop", "cart-0", MI, None),)
    return lambda _: {
        "scope": "node",
        "limit_bytes": None,
        "container": one,
        "pod": POD,
        "node_memory": NodeMemory(1024 * MI, 0, 300 * MI, 1, largest),
    }


HEAP = {"JAVA_TOOL_OPTIONS": "-XX:MinRAMPercentage=40.0"}
KILLS = [
    Case("jvm-heap", "java", ("-Xmx8g",)),
    Case("jvm-heap", "java", environment={"JDK_JAVA_OPTIONS": "-XX:MinRAMPercentage=95.0"}),
    Case("jvm-direct-memory", "java", ("-Xmx20m", "-XX:MaxDirectMemorySize=20m")),
    Case("jvm-outside-heap", "java", environment=HEAP, limit_mi=128),
    Case("node-heap", "node", ("--max-old-space-size=4096",)),
    Case("node-heap", "node", environment={"NODE_OPTIONS": "--max_old_space_size=4096"}),
    Case("node-outside-heap", "node", ("--max-old-space-size=32",), limit_mi=128),
    Case("go-memlimit", "api", environment={"GOGC": "50"}),
    Case("go-memlimit", "api", environment={"GOMEMLIMIT": "24MiB"}),
    Case("go-beyond-memlimit", "api", environment={"GOMEMLIMIT": "16MiB"}),
    Case("postgres-shared-buffers", "postgres", more=("-c", "shared_buffers=16MB")),
    Case("redis-maxmemory", "redis-server", more=("--maxmemory", "24mb")),
    Case("mongodb-cache", "mongod", more=("--wiredTigerCacheSizeGB", "0.25")),
    Case("mysql-buffer-pool", "mysqld", more=("--innodb-buffer-pool-size=20M",)),
    Case("worker-pool", "gunicorn", more=("--workers", "8"), does="prey", limit_mi=48, beside=(("gunicorn", 30),)),
    Case("worker-pool", "uwsgi", does="prey", limit_mi=48, beside=(("uwsgi", 12), ("uwsgi", 12))),
    Case("neighbours-hold-most", does="prey", limit_mi=48, beside=(("big", 30),)),
    Case("oom-score", does="prey", limit_mi=48, beside=(("big", 30),)),
    Case("trigger", does="prey", limit_mi=48),
    Case("shared-memory", "postgres", does="shmem", adds=lambda one: memory(shmem_bytes=one.chosen.shmem_bytes)(one)),
    Case("tmpfs", adds=memory(shmem_bytes=20 * MI)),
    Case(
        "left-behind",
        adds=lambda one: (
            memory(left_behind_bytes=20 * MI)(one) | {"pod": replace(POD, memory_volumes=(MemoryVolume("cache"),))}
        ),
    ),
    Case("dirty-page-cache", adds=memory(file_bytes=16 * MI, dirty_bytes=16 * MI)),
    Case("page-cache", adds=memory(file_bytes=16 * MI)),
    Case("socket-buffers", adds=memory(sock_bytes=16 * MI)),
    Case("page-tables", adds=memory(pagetables_bytes=16 * MI)),
    Case("kernel-memory", adds=memory(kernel_bytes=16 * MI)),
    Case("swap", adds=memory(swap_bytes=16 * MI)),
    Case("leak", adds=course("steady", rate_bytes_per_hour=MI, lasts_seconds=7200.0)),
    Case("spike", adds=course("spike", before_bytes=4 * MI)),
    Case("limit-too-low", adds=course("at the limit", samples=(Sample(30.0, 23 * MI),))),
    Case("sawtooth", adds=course("sawtooth")),
    Case("crash-loop", adds=lambda one: {"repeats": Repeats(3, one.time, 60.0)}),
    Case("pressure", adds=lambda _: {"pressure": Pressure(90.0, 60.0, 90.0, 60.0)}),
    Case("limit-lowered", adds=lambda _: {"limit_lowered": True}),
    Case("sandbox", "pause", adds=lambda _: {"sandbox": True}),
    Case("child-killed", adds=lambda _: {"container": CONTAINER, "pid1": "lives"}),
    Case("group-kill", adds=lambda _: {"group_kill": True, "victims_total": 3}),
    Case("no-limit", adds=of_the_node()),
    Case("request-below-use", adds=of_the_node(request_bytes=MI)),
    Case("node-overcommitted", adds=of_the_node()),
    Case("outside-pods", adds=of_the_node()),
]

ORDINARY = [
    Case(""),
    Case("", "python3.12", more=("app.py", "--port", "8080", "--timeout=30")),
    Case("", "java", ("-Xmx12m", "-XX:+UseSerialGC"), ("-jar", "app.jar", "-Xmx8g")),
    Case("", "sh", environment={"JAVA_TOOL_OPTIONS": "-Xmx8g", "NODE_OPTIONS": "--max-old-space-size=4096"}),
    Case("", "node", ("--max-old-space-size=16",)),
    Case("", "api", environment={"MALLOC_ARENA_MAX": "2", "WEB_CONCURRENCY": "64"}),
    Case("", "redis-server", more=("--maxmemory", "4mb")),
    Case("", "postgres", more=("-c", "shared_buffers=4MB")),
    Case("", "gunicorn", more=("--workers", "8")),  # it has outgrown the limit by itself
    Case("", "victim", more=("--max-old-space-size=4096", "-Xmx8g", "--maxmemory", "8gb"), does="threads"),
    Case("", beside=(("small", 2), ("small", 2))),
    Case("", "sh", ("-Xmx8g",), environment={"GOMEMLIMIT": "off", "GOGC": "off"}),
]


@pytest.fixture
async def tracer() -> AsyncIterator[Tracer]:
    with Tracer() as attached:
        yield attached


async def killed(case: Case, tracer: Tracer, program: Path, tmp_path: Path) -> Incident:
    """The incident of that kill."""
    observer = Observer(Procfs(), NODE, Redaction(), statistics=False)
    with ExitStack() as stack:
        stack.callback(observer.close)
        cgroup = stack.enter_context(Cgroup(case.limit_mi * MI))

        def started(comm: str, *arguments: str, environment: dict[str, str] | None = None) -> Victim:
            one = stack.enter_context(Victim(copied(program, tmp_path, comm), cgroup, arguments, environment))
            one.go()
            return one

        for comm, size_mi in case.beside:
            await grown(started(comm, "hog", str(size_mi)).pid, size_mi * MI)
        size_mi = 8 if case.does == "prey" else case.limit_mi * 2
        count = ["2"] if case.does == "threads" else []
        arguments = [*case.options, case.does, str(size_mi), *count, *case.more]
        victim = started(case.comm, *arguments, environment=case.environment)
        if case.does == "prey":  # the OOM killer's first choice; what makes it hunt comes after it
            await grown(victim.pid, size_mi * MI)
            started("last", "hog", str(case.limit_mi - 6 - sum(size_mi for _, size_mi in case.beside)))
        async with asyncio.timeout(SECONDS):
            async for episode in tracer.episodes():
                tracer.free(episode)
                if any(kill.process.pid == victim.pid for kill in episode):
                    incident = await observer(episode)
                    assert victim.wait() == -9
                    return incident
    raise AssertionError("episodes() ends never")


def copied(program: Path, directory: Path, comm: str) -> Path:
    """The victim's program under another name."""
    path = directory / comm
    if not path.exists():
        shutil.copy(program, path)
    return path


@pytest.mark.parametrize("case", KILLS, ids=[f"{number}-{case.rule}" for number, case in enumerate(KILLS)])
async def test_a_rule_speaks_of_a_real_kill(case: Case, tracer: Tracer, program: Path, tmp_path: Path) -> None:
    incident = await killed(case, tracer, program, tmp_path)
    assert incident.chosen.comm == case.comm
    hints = {hint.rule: hint for hint in advise(replace(incident, **case.adds(incident))).hints}
    assert case.rule in hints
    print(hints[case.rule].text)


def test_each_rule_has_a_kill() -> None:
    assert {case.rule for case in KILLS} == {rule.name for rule in RULES}


@pytest.mark.parametrize("case", ORDINARY, ids=[f"{number}-{case.comm}" for number, case in enumerate(ORDINARY)])
async def test_an_ordinary_kill_has_no_hint(case: Case, tracer: Tracer, program: Path, tmp_path: Path) -> None:
    incident = await killed(case, tracer, program, tmp_path)
    assert incident.chosen.comm == case.comm
    assert advise(incident).hints == ()
