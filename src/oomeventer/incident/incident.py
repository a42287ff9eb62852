"""An incident: all that is known so far of one OOM kill, or of one group kill. Data, without I/O.

In: what assemble.py makes of an episode. Out: an Incident, which later stages replace by a fuller one
(dataclasses.replace), and its JSON (incident/schema.json). Rules: frozen; bytes and UTC; nothing secret or hostile is
in one (assemble.py sees to it). None means "not known or gone"; an incident is never refused for what it lacks.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from oomeventer.node import Identity, Pid1, Statistics, identify

SCHEMA = "oomeventer/v1"

#: Whose limit ran out: as a person set it, where the Pod's spec is known (see limits.py), else as the kernel says;
#: unknown where the kernel leaves it open.
Scope = Literal["container", "pod", "cgroup", "node", "unknown"]


@dataclass(frozen=True, slots=True)
class Host:
    """The machine: node is its name in Kubernetes; boot_offset_ns is CLOCK_REALTIME minus CLOCK_BOOTTIME."""

    node: str
    boot_id: str
    boot_offset_ns: int

    def time(self, since_boot_ns: int) -> datetime:
        """The wall clock's time of a moment that the kernel counted from boot."""
        return datetime.fromtimestamp((since_boot_ns + self.boot_offset_ns) / 1e9, UTC)


@dataclass(frozen=True, slots=True)
class Trigger:
    """The process whose allocation set the kill off."""

    pid: int
    comm: str
    cgroup: str


@dataclass(frozen=True, slots=True)
class Victim:
    """A process that was killed. chosen: the kernel picked it; the others of a group kill went with it.

    command: redacted, None where unknown. environment: only what may be shown. statistics: where permitted.
    """

    pid: int
    container_pid: int
    comm: str
    command: tuple[str, ...] | None
    environment: dict[str, str] | None
    uid: int
    started_at: datetime
    anon_bytes: int
    file_bytes: int
    shmem_bytes: int
    swap_bytes: int
    pgtables_bytes: int
    total_vm_bytes: int
    peak_rss_bytes: int
    oom_score_adj: int
    chosen: bool
    statistics: Statistics | None = None

    @property
    def rss_bytes(self) -> int:
        """What it held in memory, as the kernel counts it for the OOM killer's log: anon, file and shmem."""
        return self.anon_bytes + self.file_bytes + self.shmem_bytes


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another process of the container, alive after the kill."""

    pid: int
    comm: str
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Container:
    """name, image: None outside Kubernetes or where the runtime no longer knows. kind: the list in the Pod's spec that
    has it. limit_bytes: as set in the spec, else as the runtime was told."""

    id: str
    name: str | None = None
    image: str | None = None
    runtime: str | None = None
    kind: Literal["containers", "initContainers", "ephemeralContainers"] | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """The workload that a person would name: Deployment, StatefulSet, DaemonSet, Job, ..."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Pod:
    """uid: as the kubelet and the CRI have it; a static Pod's mirror in the API has another. limit_bytes: of the Pod as
    a whole (spec.resources), None where none was set there."""

    namespace: str
    name: str
    uid: str
    owner: Owner | None = None
    limit_bytes: int | None = None
    restart_policy: str | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """See the module. limit_cgroup is the cgroup that the kernel says ran out; limit_bytes, usage_bytes and peak_bytes
    are its figures, of the node limit_bytes and usage_bytes are None. lost: kills that found the kernel's ring full
    before this one. notes: what is missing and why, for people."""

    key: str
    time: datetime
    node: str
    boot_id: str
    scope: Scope
    limit_bytes: int | None
    usage_bytes: int | None
    peak_bytes: int | None
    limit_cgroup: str | None
    cgroup: str
    identity: Identity
    trigger: Trigger
    victims: tuple[Victim, ...]
    group: bool
    pid1: Pid1 | None
    neighbours: tuple[Neighbour, ...]
    neighbours_total: int | None
    truncated: bool
    lost: int
    container: Container | None = None
    pod: Pod | None = None
    notes: tuple[str, ...] = ()

    @property
    def chosen(self) -> Victim:
        """The victim that the kernel picked."""
        return self.victims[0]

    def as_json(self) -> dict[str, Any]:
        """The incident as incident/schema.json describes it."""
        return {
            "schema": SCHEMA,
            "key": self.key,
            "time": rfc3339(self.time),
            "node": self.node,
            "boot_id": self.boot_id,
            "scope": self.scope,
            "limit_bytes": self.limit_bytes,
            "usage_bytes": self.usage_bytes,
            "peak_bytes": self.peak_bytes,
            "limit_cgroup": self.limit_cgroup,
            "cgroup": self.cgroup,
            "trigger": {"pid": self.trigger.pid, "comm": self.trigger.comm, "cgroup": self.trigger.cgroup},
            "victims": [_victim_json(victim) for victim in self.victims],
            "group_kill": self.group,
            "pid1": self.pid1,
            "neighbours": [
                {"pid": other.pid, "comm": other.comm, "rss_bytes": other.rss_bytes} for other in self.neighbours
            ],
            "neighbours_total": self.neighbours_total,
            "container": _container_json(self.container),
            "pod": _pod_json(self.pod),
            "truncated": self.truncated,
            "lost_before": self.lost,
            "notes": list(self.notes),
        }


def from_json(value: dict[str, Any]) -> Incident:
    """The incident that as_json() gave; further keys are passed over. Raises ValueError, KeyError or TypeError."""
    if value["schema"] != SCHEMA:
        raise ValueError(f"an incident of schema {value['schema']}, this program reads {SCHEMA}")
    pod, container = value["pod"], value["container"]
    if pod:
        pod = Pod(**pod | {"owner": Owner(**pod["owner"]) if pod["owner"] else None})
    return Incident(
        key=value["key"],
        time=datetime.fromisoformat(value["time"]),
        node=value["node"],
        boot_id=value["boot_id"],
        scope=value["scope"],
        limit_bytes=value["limit_bytes"],
        usage_bytes=value["usage_bytes"],
        peak_bytes=value["peak_bytes"],
        limit_cgroup=value["limit_cgroup"],
        cgroup=value["cgroup"],
        identity=identify(value["cgroup"]),
        trigger=Trigger(**value["trigger"]),
        victims=tuple(_victim(victim) for victim in value["victims"]),
        group=value["group_kill"],
        pid1=value["pid1"],
        neighbours=tuple(Neighbour(**other) for other in value["neighbours"]),
        neighbours_total=value["neighbours_total"],
        truncated=value["truncated"],
        lost=value["lost_before"],
        container=Container(**container) if container else None,
        pod=pod,
        notes=tuple(value["notes"]),
    )


def _victim(value: dict[str, Any]) -> Victim:
    command, statistics = value["command"], value["statistics"]
    return Victim(
        **value
        | {
            "command": None if command is None else tuple(command),
            "started_at": datetime.fromisoformat(value["started_at"]),
            "statistics": None if statistics is None else Statistics(**statistics),
        }
    )


def rfc3339(time: datetime) -> str:
    """With microseconds and Z, as the API's MicroTime."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _victim_json(victim: Victim) -> dict[str, Any]:
    statistics = victim.statistics
    return {
        "pid": victim.pid,
        "container_pid": victim.container_pid,
        "comm": victim.comm,
        "command": None if victim.command is None else list(victim.command),
        "environment": victim.environment,
        "uid": victim.uid,
        "started_at": rfc3339(victim.started_at),
        "anon_bytes": victim.anon_bytes,
        "file_bytes": victim.file_bytes,
        "shmem_bytes": victim.shmem_bytes,
        "swap_bytes": victim.swap_bytes,
        "pgtables_bytes": victim.pgtables_bytes,
        "total_vm_bytes": victim.total_vm_bytes,
        "peak_rss_bytes": victim.peak_rss_bytes,
        "oom_score_adj": victim.oom_score_adj,
        "chosen": victim.chosen,
        "statistics": None
        if statistics is None
        else {field: getattr(statistics, field) for field in Statistics.__slots__},
    }


def _container_json(container: Container | None) -> dict[str, Any] | None:
    return None if container is None else {field: getattr(container, field) for field in Container.__slots__}


def _pod_json(pod: Pod | None) -> dict[str, Any] | None:
    if pod is None:
        return None
    owner = None if pod.owner is None else {"kind": pod.owner.kind, "name": pod.owner.name}
    return {field: getattr(pod, field) for field in Pod.__slots__} | {"owner": owner}
