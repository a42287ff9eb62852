"""Where the memory was: what was read at the kill, within the frame of the kernel's record. In: a Glance, kills. Out:
the incident's Memory, CgroupEvents, Pressure, NodeMemory, and notes.

Rules: pure. The record's usage is of the very moment, the files were read milliseconds later. What the parts lack of it
by then, the victims have given back, as far as the record says that they held it: anonymous memory first. What the
usage has lost beyond that is the kernel's: the victims' pipes, sockets and page tables; not so of runc, which is in
memory as a file that goes with it. Page tables leave their own figure even before the kernel's whole: the record's are
told, as far as there is room. (A dying process's pages leave memory.stat before they leave the usage, so the usage
read then tells nothing, but where the kernel's part is incomplete: there no more is added than the usage has lost, or
than makes up what the victims held.)
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import asdict

from oomeventer.incident.memory import CgroupEvents, Memory, NodeMemory, PodUsage, Pressure
from oomeventer.incident.victim import starts_container
from oomeventer.kernel import Kill, ran_out_here
from oomeventer.node import LARGEST, Glance, Identity, MemoryStat


def memory(glance: Glance, kills: Sequence[Kill]) -> Memory | None:
    """Of the cgroup that ran out."""
    level = ran_out_here(kills[0]).level
    if glance.memory is None or level is None:
        return None
    return _whole(glance.memory, kills[0].levels[level].usage_bytes, kills, glance.left_behind_bytes)


def container_memory(glance: Glance, kills: Sequence[Kill], identity: Identity) -> Memory | None:
    """Of the victim's container; identity: the victim's."""
    path = identity.container_path
    if glance.container is None or path is None:
        return None
    level = kills[0].levels[kills[0].cgroup.count("/") - path.count("/")]
    within = [kill for kill in kills if f"{kill.cgroup}/".startswith(f"{path}/")]
    return _whole(glance.container, level.usage_bytes, within)


def cgroup_events(glance: Glance) -> CgroupEvents | None:
    """Of the cgroup that ran out."""
    return CgroupEvents(**asdict(glance.happened)) if glance.happened else None


def pressure(glance: Glance) -> Pressure | None:
    """Of the cgroup that ran out."""
    return Pressure(**asdict(glance.stalled)) if glance.stalled else None


def node_memory(glance: Glance, kills: Sequence[Kill], identity: Identity) -> NodeMemory | None:
    """Of the node, where it ran out; identity: the victim's, whose Pod is told with what it had at the kill. Pods are
    without names here."""
    if glance.node is None:
        return None
    pods, given_back = dict(glance.node.pods), 0
    if identity.pod_uid and identity.pod_path:
        level = kills[0].cgroup.count("/") - identity.pod_path.count("/")
        had = kills[0].levels[level].usage_bytes if level < len(kills[0].levels) else 0
        given_back = max(had - pods.get(identity.pod_uid, 0), 0)
        pods[identity.pod_uid] = pods.get(identity.pod_uid, 0) + given_back
    largest = sorted(pods.items(), key=lambda pod: pod[1], reverse=True)[:LARGEST]
    held = glance.node.pods_bytes
    return NodeMemory(
        total_bytes=glance.node.total_bytes,
        available_bytes=glance.node.available_bytes,
        pods_bytes=None if held is None else held + given_back,
        pods_total=glance.node.pods_total,
        pods=tuple(PodUsage(uid=uid, usage_bytes=usage) for uid, usage in largest),
    )


def notes(glance: Glance) -> Iterator[str]:
    """Why there is no memory, if there is none."""
    if glance.unseen:
        yield f"memory: {glance.unseen}"
    if glance.container_unseen and glance.container_unseen != glance.unseen:
        yield f"memory of the container: {glance.container_unseen}"


def _whole(stat: MemoryStat, usage: int, kills: Sequence[Kill], left_behind: int | None = None) -> Memory:
    parts = asdict(stat)
    now, is_whole = parts.pop("usage_bytes"), parts.pop("is_whole")
    lacks = missing = room = usage - sum((stat.anon_bytes, stat.file_bytes, stat.shmem_bytes, stat.kernel_bytes or 0))
    if not is_whole and now is not None:
        room = min(room, usage - now)
    for part in ("anon_bytes", "shmem_bytes"):
        held = sum(getattr(kill, part) for kill in kills)
        given_back = max(min(room, held), min(missing, held - parts[part]), 0)
        parts[part] += given_back
        room, missing = room - given_back, missing - given_back
    is_runc = any(starts_container(kill.comm.decode("latin-1"), kill.process.pid, kill.container_pid) for kill in kills)
    if is_whole and now is not None and stat.kernel_bytes is not None and not is_runc:
        given_back = max(min(room, usage - now - (lacks - missing)), 0)
        parts["kernel_bytes"] += given_back
        if stat.pagetables_bytes is not None:
            # A dying process' tables leave this figure a while before they leave the kernel's whole.
            tables = min(sum(kill.pgtables_bytes for kill in kills), parts["kernel_bytes"] - _other_kinds(stat))
            parts["pagetables_bytes"] = max(stat.pagetables_bytes, tables)
    return Memory(**parts, left_behind_bytes=left_behind)


def _other_kinds(stat: MemoryStat) -> int:
    """Of the kernel's own what is known to be no page table."""
    kinds = (stat.slab_reclaimable_bytes, stat.slab_unreclaimable_bytes, stat.sock_bytes, stat.stack_bytes)
    return sum(kind or 0 for kind in (*kinds, stat.percpu_bytes))
