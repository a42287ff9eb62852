"""Memory cgroups in the places where a kubelet makes them. In: names, limits. Out: directories, and what
their files say. Rules: works on cgroup v1 and v2; what a case made is removed when it ends."""

import contextlib
import hashlib
import os
import time
import uuid
from pathlib import Path

V1 = Path("/sys/fs/cgroup/memory")
ROOT = V1 if V1.is_dir() else Path("/sys/fs/cgroup")
UNIFIED = ROOT != V1
#: Below which all of a case's cgroups are: "" in a guest, which has nothing else.
BELOW = os.environ.get("BELOW", "")
#: A limit's file, and its witnesses: what the kernel counted.
LIMIT = "memory.max" if UNIFIED else "memory.limit_in_bytes"
_FILES = {
    True: ("memory.max", "memory.peak", "memory.events", "memory.events.local", "memory.oom.group", "memory.swap.max"),
    False: ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control", "memory.memsw.limit_in_bytes"),
}[UNIFIED]


def pod_uid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def container_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def pod(name: str, systemd: bool = False) -> str:
    """The path of a burstable Pod's cgroup, by the kubelet's one driver or the other."""
    uid = pod_uid(name)
    if not systemd:
        return f"{BELOW}/kubepods/burstable/pod{uid}"
    return f"{BELOW}/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice"


def container(name: str, systemd: bool = False, of: str | None = None) -> str:
    """The path of a container's cgroup, in the Pod of that name."""
    scope = f"cri-containerd-{container_id(name)}.scope" if systemd else container_id(name)
    return f"{pod(of or name, systemd)}/{scope}"


class Cgroups:
    """All that a case makes. A context manager."""

    def __init__(self) -> None:
        self._made: list[Path] = []

    def __enter__(self) -> "Cgroups":
        return self

    def __exit__(self, *_: object) -> None:
        for directory in reversed(self._made):
            for _ in range(500):
                try:
                    directory.rmdir()
                    break
                except OSError:  # the dead are still being reaped
                    time.sleep(0.01)

    def make(self, path: str, limit: int | None = None, group: bool = False, swap: int = 0, mems: str = "") -> str:
        """A cgroup and all above it. swap: how much of it beside the limit. mems: NUMA nodes (v2)."""
        directory = ROOT
        for name in path.strip("/").split("/"):
            if directory != ROOT and UNIFIED:
                (directory / "cgroup.subtree_control").write_text("+memory +cpuset")
            directory /= name
            if not directory.exists():
                directory.mkdir()
                self._made.append(directory)
        if limit is not None:
            (directory / LIMIT).write_text(str(limit))
            with contextlib.suppress(OSError):  # a kernel without swap accounting
                if UNIFIED:
                    (directory / "memory.swap.max").write_text(str(swap))
                else:
                    (directory / "memory.memsw.limit_in_bytes").write_text(str(limit + swap))
        if group:
            (directory / "memory.oom.group").write_text("1")
        if mems:
            (directory / "cpuset.mems").write_text(mems)
        return path

    def remove(self, path: str) -> None:
        """Remove a cgroup before the case ends, as a runtime does with a container's."""
        directory = ROOT / path.strip("/")
        directory.rmdir()
        self._made.remove(directory)

    def directory(self, path: str) -> str:
        """Where a cgroup is."""
        return str(ROOT / path.strip("/"))

    def inode(self, path: str) -> int:
        """What a cgroup's directory is to the kernel."""
        return os.stat(self.directory(path)).st_ino

    def usage(self, path: str) -> int:
        """What is charged to a cgroup now, in bytes."""
        return int((ROOT / path.strip("/") / ("memory.current" if UNIFIED else "memory.usage_in_bytes")).read_text())

    def stat(self, path: str) -> list[str]:
        """The keys of a cgroup's memory.stat."""
        return [line.split()[0] for line in (ROOT / path.strip("/") / "memory.stat").read_text().splitlines()]

    def kills(self, path: str) -> int:
        """Processes in a cgroup that were killed so far (v2)."""
        lines = (ROOT / path.strip("/") / "memory.events").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def files(self) -> dict[str, dict[str, str]]:
        """What the files of each cgroup say now."""
        found = {}
        for directory in self._made:
            texts = {name: (directory / name) for name in _FILES}
            found["/" + str(directory.relative_to(ROOT))] = {
                name: file.read_text().strip() for name, file in texts.items() if file.exists()
            }
        return found


def of(pid: int) -> str:
    """The path of a process in the memory hierarchy, as the kernel tells it."""
    for line in Path(f"/proc/{pid}/cgroup").read_bytes().splitlines():
        _, controllers, path = line.split(b":", 2)
        if (b"memory" in controllers.split(b",")) if not UNIFIED else not controllers:
            return os.fsdecode(path)
    raise LookupError(f"{pid} is in no memory cgroup")
