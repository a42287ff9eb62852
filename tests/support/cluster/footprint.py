"""The memory that a container takes. In: its cgroup's files and /proc, as its node's eyes see them. Out: a Footprint.

What is charged is more than what is resident: the kernel's own memory for it (BPF maps, page tables, sockets) is part
of that, and so is page cache, which the kernel gives back when there is a lack of memory. Cgroup v1 and v2 have other
names for the same; what is neither anonymous nor page cache is the kernel's.
"""

from dataclasses import dataclass
from typing import Self

from cluster.node import Eyes

#: Of cgroup v2 and of v1: in memory.stat, and the names of files.
_ANONYMOUS, _FILE = ("anon", "rss"), ("file", "cache")
_CHARGED, _PEAK = ("memory.current", "memory.usage_in_bytes"), ("memory.peak", "memory.max_usage_in_bytes")
_REACHED = ("max", "memory.failcnt")
#: What the kernel prints of all these. CRI-O's monitor has a cgroup of its own, beside the container's.
_READ = """
for directory in $(find /host/sys/fs/cgroup -type d -name '*{identity}*' ! -name '*conmon*'); do
    cd $directory
    [ -e memory.stat ] || continue
    for file in {files}; do [ ! -e $file ] || echo $file $(cat $file); done
    cat memory.stat
    [ ! -e memory.events ] || cat memory.events
    break
done
"""


@dataclass(frozen=True, slots=True)
class Footprint:
    """In bytes. peak: the most that was ever charged, None where the kernel does not say. reached: how often its limit
    was in the way. resident, resident_anonymous, resident_peak: of its process."""

    charged: int
    peak: int | None
    anonymous: int
    file: int
    reached: int
    resident: int
    resident_anonymous: int
    resident_peak: int

    @classmethod
    def of(cls, eyes: Eyes, container_id: str) -> Self:
        """As it is now. container_id: as a Pod's status has it."""
        files = " ".join((*_CHARGED, *_PEAK, "memory.failcnt"))
        printed = eyes.sh(_READ.format(identity=container_id.rpartition("/")[2], files=files))
        cgroup = {name: int(number) for name, number in (line.split() for line in printed.splitlines())}
        status = {name: text.split()[0] for name, text in eyes.status(container_id).items() if text.endswith(" kB")}
        return cls(
            charged=_one(cgroup, _CHARGED),
            peak=_one(cgroup, _PEAK) if any(name in cgroup for name in _PEAK) else None,
            anonymous=_one(cgroup, _ANONYMOUS),
            file=_one(cgroup, _FILE),
            reached=_one(cgroup, _REACHED),
            resident=1024 * int(status["VmRSS"]),
            resident_anonymous=1024 * int(status["RssAnon"]),
            resident_peak=1024 * int(status["VmHWM"]),
        )

    @property
    def needed(self) -> int:
        """What the kernel cannot take back: all but page cache."""
        return self.charged - self.file

    def __str__(self) -> str:
        kernel = self.charged - self.anonymous - self.file
        of_these = f"anonymous {_mib(self.anonymous)}, kernel {_mib(kernel)}, page cache {_mib(self.file)}"
        resident = f"anonymous {_mib(self.resident_anonymous)}; at most {_mib(self.resident_peak)}"
        return (
            f"charged {_mib(self.charged)} MiB ({of_these}; at most {_mib(self.peak)}), "
            f"RSS {_mib(self.resident)} ({resident})"
        )


def _mib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / (1 << 20):.1f}"


def _one(of: dict[str, int], names: tuple[str, ...]) -> int:
    """The figure that one of these names has."""
    return next(of[name] for name in names if name in of)
