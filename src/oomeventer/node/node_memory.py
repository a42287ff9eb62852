"""Who holds the node's memory. In: /proc/meminfo, and the uppermost cgroup that is mounted. Out: NodeUsage.

A Pod's usage is what its cgroup is charged (memory.current, memory.usage_in_bytes), so page cache that the kernel
could take back counts, which the kubelet's working set leaves out. Pods are found below kubepods, by the paths of both
cgroup drivers; PODS of them are read, the others are counted.
"""

import re
from pathlib import Path

from msgspec import Struct

from oomeventer.node.cgroup_path import identify
from oomeventer.node.cgroups import LOOKED_AT, Cgroup
from oomeventer.node.memory_files import usage_bytes
from oomeventer.node.reading import read

#: Pods whose usage is read, and of those the largest that are kept.
PODS, LARGEST = 512, 8

_MEMINFO = re.compile(rb"^(MemTotal|MemAvailable): +(\d{1,15}) kB$", re.MULTILINE)
_KUBEPODS = re.compile(r"(?:.+-)?kubepods(?:\.slice)?")
_QOS = re.compile(r"(?:(?:.+-)?kubepods-)?(?:burstable|besteffort)(?:\.slice)?")


class NodeUsage(Struct, frozen=True):
    """In bytes. pods_bytes: what kubepods is charged; None where there is none, or it is not to be seen. pods: uids
    and usage of the LARGEST, the largest first."""

    total_bytes: int
    available_bytes: int | None
    pods_bytes: int | None
    pods_total: int
    pods: tuple[tuple[str, int], ...]


def node_usage(proc: Path, top: Cgroup | None) -> NodeUsage | None:
    """None where /proc/meminfo is not to be read."""
    meminfo = {name: int(kib) << 10 for name, kib in _MEMINFO.findall(read(f"{proc}/meminfo", 1 << 14) or b"")}
    if b"MemTotal" not in meminfo:
        return None
    roots = _kubepods(top) if top else []
    pods = [(uid, cgroup) for root in roots for uid, cgroup in _pods(root)]
    used = [(uid, usage) for uid, cgroup in pods[:PODS] if (usage := usage_bytes(cgroup)) is not None]
    used.sort(key=lambda pod: pod[1], reverse=True)
    held = [usage for root in roots if (usage := usage_bytes(root)) is not None]
    return NodeUsage(
        total_bytes=meminfo[b"MemTotal"],
        available_bytes=meminfo.get(b"MemAvailable"),
        pods_bytes=sum(held) if held else None,
        pods_total=len(pods),
        pods=tuple(used[:LARGEST]),
    )


def _kubepods(top: Cgroup) -> list[Cgroup]:
    """kubepods, right below the node's root, or one further down (--cgroup-root, kind)."""
    first = top.children()
    if found := [cgroup for cgroup in first if _KUBEPODS.fullmatch(cgroup.name)]:
        return found
    second = (cgroup for above in first[:LOOKED_AT] for cgroup in above.children())
    return [cgroup for cgroup in second if _KUBEPODS.fullmatch(cgroup.name)]


def _pods(kubepods: Cgroup) -> list[tuple[str, Cgroup]]:
    children = kubepods.children()
    within = [cgroup for qos in children if _QOS.fullmatch(qos.name) for cgroup in qos.children()]
    found = ((identify(cgroup.path), cgroup) for cgroup in (*children, *within))
    return [(identity.pod_uid, cgroup) for identity, cgroup in found if identity.pod_uid]
