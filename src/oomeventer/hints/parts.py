"""Where the memory was, if not simply the victim's. In: an Incident with `memory`. Out: findings.

Rules: pure. Shares are of the limit that ran out, so a node's own kill has none.
"""

from oomeventer.hints.rule import Finding, found, names_nobody_else, share
from oomeventer.incident import Incident, MemoryVolume, Victim, mapper, page_tables_bytes
from oomeventer.text import size

#: Of the limit; less is no cause.
_FILES, _LEFT, _DIRTY, _CACHE, _SOCKETS, _TABLES, _KERNEL = 0.25, 0.1, 0.2, 0.5, 0.2, 0.1, 0.25


def tmpfs(incident: Incident) -> Finding | None:
    """Files in memory."""
    memory = incident.memory
    if memory is None or share(memory.shmem_bytes, incident) < _FILES:
        return None
    if mapper(incident):  # a database's buffers, say
        return None
    volumes = _volumes(incident)
    if not volumes:
        return found(
            f"{size(memory.shmem_bytes)} of the {_limit(incident)} limit are files in memory (tmpfs such as /dev/shm, "
            f"or shared memory)",
            "delete files that are done with, or write them to a disk",
            f"shmem {size(memory.shmem_bytes)}",
        )
    unlimited = [volume.name for volume in volumes if volume.size_limit_bytes is None]
    bound = f"set a sizeLimit ({', '.join(unlimited)} has none)" if unlimited else "lower its sizeLimit"
    return found(
        f"{size(memory.shmem_bytes)} of the {_limit(incident)} limit are files in memory, most likely in volume "
        f"{_names(volumes)} (emptyDir, medium Memory), where they stay when the container restarts",
        f"delete files, {bound}, or use a disk",
        f"shmem {size(memory.shmem_bytes)}",
        *(f"volume {volume.name}" for volume in volumes),
    )


def shared_memory(incident: Incident) -> Finding | None:
    """Shared memory that processes map, as databases do."""
    memory, who = incident.memory, mapper(incident)
    if memory is None or who is None or share(memory.shmem_bytes, incident) < _FILES:
        return None
    comm = who.comm if isinstance(who, Victim) or names_nobody_else(incident) else "another process"
    return found(
        f"{size(memory.shmem_bytes)} of the {_limit(incident)} limit are shared memory that {comm} maps, which stays "
        f"while others map it, whoever is killed",
        "lower what the program is told to share, such as shared_buffers",
        f"shmem {size(memory.shmem_bytes)}",
        f"mapped by {comm} {size(who.shmem_bytes)}",
    )


def left_behind(incident: Incident) -> Finding | None:
    """What earlier containers of the Pod left."""
    left = incident.memory.left_behind_bytes if incident.memory else None
    if left is None or share(left, incident) < _LEFT:
        return None
    volumes = _volumes(incident)
    where = f" in volume {_names(volumes)}" if volumes else ""
    return found(
        f"{size(left)} of the {_limit(incident)} limit were left behind by earlier containers of the Pod, files in "
        f"memory{where} as a rule",
        "a restart does not free such files; delete the Pod, and have its program remove them when it starts",
        f"left behind {size(left)}",
    )


def dirty_page_cache(incident: Incident) -> Finding | None:
    """Written faster than the disk takes it."""
    dirty = incident.memory.dirty_bytes if incident.memory else None
    if dirty is None or share(dirty, incident) < _DIRTY:
        return None
    return found(
        f"{size(dirty)} of the {_limit(incident)} limit waited to be written to a disk, which the kernel cannot give "
        f"back before",
        "write less at once (fsync now and then, direct I/O), or to a faster disk",
        f"dirty {size(dirty)}",
    )


def page_cache(incident: Incident) -> Finding | None:
    """Much clean page cache, which is given back before a kill."""
    memory = incident.memory
    if memory is None or share(memory.file_bytes - (memory.dirty_bytes or 0), incident) < _CACHE:
        return None
    return found(
        f"{size(memory.file_bytes)} of the {_limit(incident)} limit are page cache, rarely the cause, since the kernel "
        f"gives it back",
        "see whether files are locked in memory (mlock), or read faster than it is freed",
        f"file {size(memory.file_bytes)}",
    )


def socket_buffers(incident: Incident) -> Finding | None:
    """Data that nobody reads, or that cannot be sent."""
    sock = incident.memory.sock_bytes if incident.memory else None
    if sock is None or share(sock, incident) < _SOCKETS:
        return None
    return found(
        f"{size(sock)} of the {_limit(incident)} limit are socket buffers",
        "a peer sends faster than is read, or reads "
        "too slowly; have fewer connections, smaller buffers (SO_RCVBUF, SO_SNDBUF, net.ipv4.tcp_rmem), or back "
        "pressure",
        f"sockets {size(sock)}",
    )


def page_tables(incident: Incident) -> Finding | None:
    """Large sparse mappings, or many processes that map the same."""
    tables = page_tables_bytes(incident)
    if share(tables, incident) < _TABLES:
        return None
    return found(
        f"{size(tables)} of the {_limit(incident)} limit are page tables",
        "a large mapping is touched here and there, "
        "or many processes map the same memory; have fewer of them, or huge pages",
        f"page tables {size(tables)}",
    )


def kernel_memory(incident: Incident) -> Finding | None:
    """Pipes, sockets, files, inotify watches: objects of the kernel that are not given back."""
    memory = incident.memory
    if memory is None or memory.kernel_bytes is None:
        return None
    known = (memory.slab_reclaimable_bytes, memory.sock_bytes, page_tables_bytes(incident))
    rest = memory.kernel_bytes - sum(filter(None, known))
    if share(rest, incident) < _KERNEL:
        return None
    slab = f"unreclaimable slab {size(memory.slab_unreclaimable_bytes)}" if memory.slab_unreclaimable_bytes else ""
    return found(
        f"{size(rest)} of the {_limit(incident)} limit are the kernel's own objects",
        "look for pipes that nobody reads, "
        "many open files, sockets, threads or processes (ls /proc/PID/fd, /proc/PID/task), and many files in a tmpfs",
        f"kernel {size(memory.kernel_bytes)}",
        *filter(None, [slab]),
    )


def swap(incident: Incident) -> Finding | None:
    """It needs more than the limit shows."""
    swapped = incident.memory.swap_bytes if incident.memory else incident.chosen.swap_bytes
    if share(swapped, incident) < _LEFT:
        return None
    return found(
        f"Another {size(swapped or 0)} were in swap when the {_limit(incident)} limit ran out",
        "it needs both together",
        f"swap {size(swapped or 0)}",
    )


def _limit(incident: Incident) -> str:
    return size(incident.limit_bytes or 0)


def _volumes(incident: Incident) -> tuple[MemoryVolume, ...]:
    """Of the container that ran out those that it mounts, else all of the Pod's."""
    if incident.pod is None:
        return ()
    name = incident.container.name if incident.container and incident.scope == "container" else None
    return tuple(volume for volume in incident.pod.memory_volumes if name is None or name in volume.containers)


def _names(volumes: tuple[MemoryVolume, ...]) -> str:
    return ", ".join(volume.name for volume in volumes)
