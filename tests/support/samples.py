"""Valid records, kills and incidents. Each builder has defaults; a test overrides what it is about.

The sample is one Pod, shop/checkout-0, whose container app has a limit of 32Mi, and a child of it, hog, that is killed.
"""

import ctypes
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from msgspec.structs import replace

from oomeventer.incident.fields import Moment
from oomeventer.incident.incident import SCHEMA, Host, Incident, Trigger
from oomeventer.incident.victim import Victim
from oomeventer.incident.workload import Container, Owner, Pod
from oomeventer.kernel import record
from oomeventer.kernel.kill import Kill, Level, Missing, Process
from oomeventer.kernel.kill import Trigger as KillTrigger

NODE = "lab-node"
UID = "6a25d7b1-8446-4fbf-be5d-2b4fd7e73508"
CONTAINER_ID = "3f" * 32
POD_CGROUP = f"/kubepods/burstable/pod{UID}"
CGROUP = f"{POD_CGROUP}/{CONTAINER_ID}"

KI, MI = 1 << 10, 1 << 20
LIMIT = 32 * MI
BOOT = Moment(2026, 11, 22, 8, 20, 12, tzinfo=UTC)
HOST = Host(node=NODE, boot_id="8f1b2c3d", boot_offset_ns=int(BOOT.timestamp()) * 10**9)


def level(limit_bytes: int | None = None, **fields: Any) -> Level:
    """A memcg with little in it, neither locked nor with a group."""
    defaults = {
        "inode": 1,
        "usage_bytes": 4 * KI,
        "peak_bytes": 8 * KI,
        "swap_usage_bytes": 0,
        "swap_limit_bytes": None,
        "ooms": 0,
        "group": False,
        "locked": False,
    }
    return Level(limit_bytes=limit_bytes, **defaults | fields)


#: The container's own limit ran out: container, Pod, burstable, kubepods, root.
LEVELS = (
    level(LIMIT, inode=101, usage_bytes=LIMIT, peak_bytes=LIMIT, locked=True),
    level(inode=102),
    level(inode=103),
    level(inode=104),
    level(inode=1),
)


def kill(pid: int = 4217, **fields: Any) -> Kill:
    """One kill; of several the pid tells them apart. The victim is its own trigger."""
    process = Process(pid, 7_000_000_000 + pid)
    defaults = {
        "time_ns": 9_000_000_000,
        "lost": 0,
        "process": process,
        "tid": pid,
        "container_pid": 17,
        "namespace_level": 1,
        "init": Process(4100, 6_000_000_000),
        "init_inode": 101,
        "comm": b"hog",
        "uid": 1000,
        "oom_score_adj": 983,
        "total_vm_bytes": 104 * MI,
        "anon_bytes": 7997 * 4 * KI,
        "file_bytes": 36 * 4 * KI,
        "shmem_bytes": 0,
        "swap_bytes": 0,
        "peak_rss_bytes": 8033 * 4 * KI,
        "pgtables_bytes": 112 * KI,
        "trigger": KillTrigger(process=process, tid=pid, comm=b"hog", cgroup=CGROUP),
        "cgroup": CGROUP,
        "unified": True,
        "locks_known": True,
        "domain_inode": None,
        "levels": LEVELS,
        "arguments": b"hog\x00100\0",
        "environment": b"GOMEMLIMIT=30MiB\0DB_PASSWORD=hunter2\0",
        "arguments_follow": False,
        "missing": Missing(0),
    }
    return Kill(**defaults | fields)


def victim(pid: int = 4217, **fields: Any) -> Victim:
    """A victim of an incident, the chosen one."""
    defaults = {
        "container_pid": 17,
        "comm": "hog",
        "command": ("hog", "100"),
        "environment": {"GOMEMLIMIT": "30MiB"},
        "uid": 1000,
        "started_at": BOOT,
        "anon_bytes": 7997 * 4 * KI,
        "file_bytes": 36 * 4 * KI,
        "shmem_bytes": 0,
        "swap_bytes": 0,
        "pgtables_bytes": 112 * KI,
        "total_vm_bytes": 104 * MI,
        "peak_rss_bytes": 8033 * 4 * KI,
        "oom_score_adj": 983,
        "chosen": True,
    }
    return Victim(pid=pid, **defaults | fields)


POD = Pod(
    namespace="shop",
    name="checkout-0",
    uid=UID,
    owner=Owner("Deployment", "checkout"),
    restart_policy="Always",
)
CONTAINER = Container(
    id=CONTAINER_ID,
    name="app",
    image="registry.example/app:1",
    runtime="containerd",
    kind="containers",
    limit_bytes=LIMIT,
)


def incident(number: int = 0, **fields: Any) -> Incident:
    """An incident with all that the stages add; of several the number tells them apart."""
    defaults = {
        "schema": SCHEMA,
        "key": f"{number:016x}",
        "time": BOOT.replace(minute=21 + number // 60 % 30, second=number % 60),
        "node": NODE,
        "boot_id": HOST.boot_id,
        "scope": "container",
        "limit_bytes": LIMIT,
        "usage_bytes": LIMIT,
        "peak_bytes": LIMIT,
        "limit_cgroup": CGROUP,
        "cgroup": CGROUP,
        "trigger": Trigger(pid=4217, comm="hog", cgroup=CGROUP),
        "victims": (victim(),),
        "group_kill": False,
        "pid1": "lives",
        "neighbours": (),
        "neighbours_total": 0,
        "truncated": False,
        "lost_before": 0,
        "container": CONTAINER,
        "pod": POD,
        "notes": (),
    }
    return Incident(**defaults | fields)


def on_the_host(**fields: Any) -> Incident:
    """An incident of a process outside any Pod, with the node out of memory."""
    path = "/system.slice/backup.service"
    defaults = {
        "scope": "node",
        "limit_bytes": None,
        "usage_bytes": None,
        "peak_bytes": None,
        "limit_cgroup": None,
        "cgroup": path,
        "trigger": Trigger(pid=4217, comm="hog", cgroup=path),
        "pid1": None,
        "neighbours_total": None,
        "container": None,
        "pod": None,
    }
    return incident(**defaults | fields)


def group_of(size: int, **fields: Any) -> Incident:
    """A group kill of that many, the chosen one first."""
    first = victim()
    others = (replace(first, pid=5000 + i, container_pid=20 + i, comm=f"w{i}", chosen=False) for i in range(size - 1))
    return incident(victims=(first, *others), group_kill=True, **fields)


def raw_mark(
    cgroup: Sequence[bytes] = (b"leaf", b"root"),
    trigger_cgroup: Sequence[bytes] = (),
    arguments: bytes = b"",
    environment: bytes = b"",
    levels: Sequence[record.RawLevel] = (),
    **fields: Any,
) -> bytes:
    """A mark as the kernel writes it: components from the leaf up. `fields` are RawMark's."""
    texts = [b"".join(name + b"\0" for name in path) for path in (cgroup, trigger_cgroup)] + [arguments, environment]
    mark = record.RawMark()
    mark.cgroup_length, mark.trigger_cgroup_length, mark.arguments_length, mark.environment_length = map(len, texts)
    mark.levels = len(levels)
    for index, raw_level in enumerate(levels):
        mark.level[index] = raw_level
    return _record(mark, record.KIND_MARK, b"".join(texts), fields)


def raw_arguments(arguments: bytes = b"", environment: bytes = b"", **fields: Any) -> bytes:
    """A record of arguments that follow. `fields` are RawArguments's."""
    raw = record.RawArguments(arguments_length=len(arguments), environment_length=len(environment))
    return _record(raw, record.KIND_ARGUMENTS, arguments + environment, fields)


def _record(raw: Any, kind: int, text: bytes, fields: dict[str, Any]) -> bytes:
    header = {"format": record.FORMAT, "kind": kind, "size": ctypes.sizeof(raw) + len(text), "time_ns": 5, "lost": 0}
    for name, value in header.items():
        setattr(raw.header, name, fields.pop(name, value))
    for name, value in fields.items():
        assert hasattr(raw, name), name
        setattr(raw, name, value)
    return bytes(raw) + text
