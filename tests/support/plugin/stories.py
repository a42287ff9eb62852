"""Incidents as a cluster has them, one for each kind of story, of the agent's own types: so they are what it writes.

In: nothing. Out: STORIES by name; their Events by compose_all(). Times are the samples'; at_present() moves them.
"""

import re
from datetime import UTC, timedelta
from typing import Any

from msgspec.structs import replace

from oomeventer.hints import advise
from oomeventer.incident import Incident
from oomeventer.incident.fields import Moment
from oomeventer.incident.incident import Neighbour, Trigger
from oomeventer.incident.memory import Memory, NodeMemory, PodUsage
from oomeventer.incident.story import Hint, Repeats, Sample, Trajectory
from oomeventer.incident.victim import Victim
from oomeventer.incident.workload import Container, MemoryVolume, Owner, Pod
from samples import BOOT, CGROUP, KI, MI, incident, victim

GI = 1 << 30
#: When the samples' incidents are.
THEN = BOOT.replace(minute=21)


def _pod(name: str, owner: Owner, namespace: str = "shop", **fields: Any) -> Pod:
    uid = f"6a25d7b1-8446-4fbf-be5d-{sum(map(ord, name)):012x}"
    return Pod(namespace=namespace, name=name, uid=uid, owner=owner, restart_policy="Always", **fields)


def _container(name: str, image: str, limit: int | None = None, request: int | None = None) -> Container:
    fields: dict[str, Any] = {"kind": "containers", "limit_bytes": limit, "request_bytes": request}
    return Container("3f" * 32, name, image, "containerd", **fields)


def _samples(*points: tuple[float, int]) -> tuple[Sample, ...]:
    return tuple(Sample(before, bytes_) for before, bytes_ in points)


def _leak() -> Incident:
    limit = 512 * MI
    hours = [(30 - step) * 720.0 for step in range(30)]
    samples = [(before, int(limit * (0.99 - before / 24000))) for before in hours]
    java = victim(
        9101, container_pid=1, comm="java", anon_bytes=480 * MI, file_bytes=9 * MI, peak_rss_bytes=490 * MI,
        command=("java", "-XX:MaxRAMPercentage=80", "-jar", "/app/checkout.jar"), environment={},
        started_at=THEN - timedelta(hours=6, minutes=1),
    )  # fmt: skip
    return incident(
        1,
        victims=(java,),
        trigger=Trigger(9101, "java", CGROUP),
        pid1="killed",
        limit_bytes=limit,
        usage_bytes=limit,
        peak_bytes=limit,
        pod=_pod("checkout-7d9f-x2x4q", Owner("Deployment", "checkout")),
        container=_container("app", "registry.example/checkout:2.4", limit, 256 * MI),
        memory=Memory(anon_bytes=486 * MI, file_bytes=7 * MI, shmem_bytes=0, kernel_bytes=18 * MI),
        neighbours=(Neighbour(9150, "tini", 2 * MI),),
        neighbours_total=1,
        neighbours_bytes=2 * MI,
        trajectory=Trajectory(CGROUP, "steady", _samples(*samples), 77 * MI, 24000.0, None, 505 * MI),
        repeats=Repeats(5, THEN - timedelta(hours=26), 23000.0),
        hints=(
            Hint(
                "jvm-heap",
                "The heap may grow to 80% of the limit, and what the JVM needs besides it did not fit: "
                "lower -XX:MaxRAMPercentage, or raise the limit.",
                ("-XX:MaxRAMPercentage=80 of 512Mi are 410Mi", "java held 480Mi"),
            ),
        ),
    )  # fmt: skip


def _spike() -> Incident:
    limit = 256 * MI
    samples = [((20 - step) * 60.0, 61 * MI + step % 3 * MI) for step in range(19)]
    samples += [(3.0, 66 * MI), (2.0, 140 * MI), (1.0, 236 * MI)]
    worker = victim(
        9201, container_pid=44, comm="convert", anon_bytes=231 * MI, peak_rss_bytes=240 * MI,
        command=("convert", "***"), environment={}, started_at=THEN - timedelta(seconds=4),
    )  # fmt: skip
    return incident(
        2,
        victims=(worker,),
        trigger=Trigger(9201, "convert", CGROUP),
        limit_bytes=limit,
        usage_bytes=limit,
        pod=_pod("thumbs-0", Owner("StatefulSet", "thumbs")),
        container=_container("worker", "registry.example/thumbs:9", limit),
        memory=Memory(anon_bytes=240 * MI, file_bytes=2 * MI, shmem_bytes=0, kernel_bytes=9 * MI),
        neighbours=(Neighbour(9200, "python3", 9 * MI),),
        neighbours_total=1,
        neighbours_bytes=9 * MI,
        trajectory=Trajectory(CGROUP, "spike", _samples(*samples), None, None, 66 * MI, 72 * MI),
        repeats=Repeats(2, THEN - timedelta(minutes=9)),
    )


def _tmpfs() -> Incident:
    limit = 128 * MI
    writer = victim(
        9301, container_pid=7, comm="dd", anon_bytes=MI, shmem_bytes=0, file_bytes=600 * KI, command=("dd", "bs=1M"),
        environment={},
    )  # fmt: skip
    return incident(
        3,
        victims=(writer,),
        trigger=Trigger(9301, "dd", CGROUP),
        scope="pod",
        limit_bytes=limit,
        usage_bytes=limit,
        pod=_pod(
            "scratch", Owner("Job", "scratch"), "batch", limit_bytes=limit,
            memory_volumes=(MemoryVolume("cache", None, ("app",)),),
        ),
        container=_container("app", "busybox:1.37", limit),
        memory=Memory(anon_bytes=2 * MI, file_bytes=MI, shmem_bytes=119 * MI, kernel_bytes=5 * MI),
        hints=(
            Hint(
                "memory-volume",
                "The files of volume cache are memory, and count against the limit: give it a sizeLimit, or put "
                "it on a disk.",
                ("files in memory 119Mi of 128Mi", "emptyDir cache has medium Memory"),
            ),
        ),
    )  # fmt: skip


def _node() -> Incident:
    greedy = victim(9401, container_pid=1, comm="chrome", anon_bytes=3 * GI, environment={}, oom_score_adj=1000)
    return incident(
        4,
        victims=(greedy,),
        trigger=Trigger(400, "kubelet", "/system.slice/kubelet.service"),
        scope="node",
        limit_bytes=None,
        usage_bytes=None,
        peak_bytes=None,
        limit_cgroup=None,
        pod=_pod("render-5c6d-9q8vz", Owner("Deployment", "render"), "web"),
        container=_container("chrome", "registry.example/render:1"),
        pid1="killed",
        neighbours_total=None,
        node_memory=NodeMemory(
            8 * GI, 40 * MI, 7 * GI, 31,
            (
                PodUsage("a" * 8, 3200 * MI, "web", "render-5c6d-9q8vz", None),
                PodUsage("b" * 8, 2 * GI, "shop", "search-0", GI, 4 * GI),
            ),
        ),
    )  # fmt: skip


def _group() -> Incident:
    first = victim(9501, container_pid=20, comm="gunicorn", anon_bytes=60 * MI, environment={})
    rest = (
        replace(first, pid=9502 + i, container_pid=21 + i, chosen=False, anon_bytes=(46 - i) * MI) for i in range(4)
    )
    limit = 256 * MI
    return incident(
        5,
        victims=(first, *rest),
        trigger=Trigger(9503, "gunicorn", CGROUP),
        group_kill=True,
        pid1="killed",
        limit_bytes=limit,
        usage_bytes=limit,
        pod=_pod("api-6f7c-abcde", Owner("Deployment", "api")),
        container=_container("api", "registry.example/api:3", limit),
        memory=Memory(anon_bytes=240 * MI, file_bytes=2 * MI, shmem_bytes=0, kernel_bytes=7 * MI),
    )


def _thin() -> Incident:
    """As 0.1.0 wrote it."""
    return incident(6, pod=_pod("old-0", Owner("DaemonSet", "old"), "kube-system"))


def _below(number: int, anon: int, **fields: Any) -> Incident:
    """Of a container of 128Mi, whose victim held so much; with the agent's own hints."""
    limit = 128 * MI
    told = incident(
        number,
        victims=(victim(9600 + number, container_pid=12, anon_bytes=anon, file_bytes=MI, command=(), environment={}),),
        trigger=Trigger(9600 + number, "hog", CGROUP),
        limit_bytes=limit,
        usage_bytes=limit,
        container=_container("app", "registry.example/app:5", limit),
        **fields,
    )
    return advise(told)


def _others() -> Incident:
    """A Pod's limit, which another container holds."""
    big = Neighbour(9700, "postgres", 104 * MI, "4e" * 32, "db")
    return _below(
        7,
        9 * MI,
        scope="pod",
        pod=_pod("mixed-0", Owner("StatefulSet", "mixed"), limit_bytes=128 * MI),
        memory=Memory(anon_bytes=116 * MI, file_bytes=3 * MI, shmem_bytes=0, kernel_bytes=9 * MI),
        neighbours=(big,),
        neighbours_total=1,
        neighbours_bytes=big.rss_bytes,
    )


def _kernel() -> Incident:
    memory = Memory(14 * MI, 2 * MI, 0, kernel_bytes=111 * MI, slab_unreclaimable_bytes=12 * MI, sock_bytes=92 * MI)
    return _below(8, 12 * MI, pod=_pod("proxy-0", Owner("StatefulSet", "proxy")), memory=memory)


def _cache() -> Incident:
    memory = Memory(9 * MI, 108 * MI, 0, kernel_bytes=9 * MI, dirty_bytes=96 * MI)
    return _below(9, 6 * MI, pod=_pod("backup-x2z4k", Owner("Job", "backup"), "batch"), memory=memory)


def _sandbox() -> Incident:
    return _below(10, MI, pod=_pod("kata-0", Owner("StatefulSet", "kata")), sandbox=True, scope="pod", pid1=None)


def _lowered() -> Incident:
    told = _below(11, 118 * MI, pod=_pod("vpa-5c6d-9q8vz", Owner("Deployment", "vpa")), limit_lowered=True)
    told = replace(told, limit_bytes=64 * MI, trigger=Trigger(400, "systemd", "/init.scope"))
    return advise(told)


STORIES = {
    "leak": _leak(),
    "spike": _spike(),
    "tmpfs": _tmpfs(),
    "node": _node(),
    "group": _group(),
    "thin": _thin(),
    "others": _others(),
    "kernel": _kernel(),
    "cache": _cache(),
    "sandbox": _sandbox(),
    "lowered": _lowered(),
}


def at_present(told: Incident, ago: timedelta = timedelta(minutes=2)) -> Incident:
    """The same, with its times moved so that it was so long ago."""
    shift = Moment.now(UTC) - ago - told.time

    def moved(killed: Victim) -> Victim:
        return replace(killed, started_at=killed.started_at + shift)

    repeats = told.repeats and replace(told.repeats, since=told.repeats.since + shift)
    return replace(told, time=told.time + shift, victims=tuple(map(moved, told.victims)), repeats=repeats)


def pod_of(told: Incident, **fields: Any) -> dict[str, Any]:
    """Its Pod, as the API has it."""
    pod, container = told.pod, told.container
    assert pod
    assert container
    limit = container.limit_bytes
    limits = {"limits": {"memory": f"{limit // MI}Mi"}} if limit else {}
    requests = {"requests": {"memory": f"{container.request_bytes // MI}Mi"}} if container.request_bytes else {}
    spec = {"nodeName": told.node, "containers": [{"name": container.name, "resources": limits | requests}]}
    labels = {"app": re.sub(r"-.*", "", pod.name)}
    return {
        "metadata": {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid, "labels": labels},
        "spec": spec,
        "status": {"phase": "Running"},
    } | fields
