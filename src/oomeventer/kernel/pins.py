"""Pins: what of the agent stays in the kernel when the agent is gone. In: a directory in a BPF file system.
Out: generations, each a directory that holds the pins of one load of the object: ring, counters, links.

A link that is pinned stays attached and goes on writing to its ring, whoever reads it, until the pin is removed or the
machine restarts. A generation is named after the object that it was loaded from, so that the next start knows its own
from another version's.

Rules: one agent at a time holds the directory (flock). A generation without all of its links is what a crash left: its
ring may hold records, so it is read before it is removed.
"""

import errno
import os
import re
from pathlib import Path

from msgspec import Struct

from oomeventer.errors import OomeventerError
from oomeventer.kernel.lock import Lock

DEFAULT = Path("/sys/fs/bpf/oomeventer")
_NAME = re.compile(r"[0-9a-f]{12}-[0-9]+")  # no dots: a BPF file system refuses them


class PinsError(OomeventerError):
    """The directory cannot be used."""


class Generation(Struct, frozen=True):
    """The pins of one load. code: of the object and its options."""

    directory: Path

    @property
    def code(self) -> str:
        """What it was loaded from: the code that was given to Pins.new()."""
        return self.directory.name.partition("-")[0]

    def has(self, *names: str) -> bool:
        """Whether all of those are pinned."""
        return all(os.path.exists(self.directory / name) for name in names)

    def path(self, name: str) -> bytes:
        """Where that is pinned."""
        return os.fsencode(self.directory / name)

    def unpin(self, prefix: str = "") -> None:
        """Remove the pins whose name begins so. A link that nobody holds open is detached by it."""
        for pin in sorted(self.directory.iterdir()):
            if pin.name.startswith(prefix):
                pin.unlink()

    def remove(self) -> None:
        """Remove all of it; links first, so that nothing is written to a ring that is gone."""
        self.unpin("link_")
        self.unpin()
        self.directory.rmdir()


class Pins:
    """The directory, held until close(). Raises PinsError, and Held where another agent has it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if filesystem(directory if os.path.exists(directory) else directory.parent) != "bpf":
            raise PinsError(
                f"{directory} is not in a BPF file system: mount one (mount -t bpf bpffs {DEFAULT.parent}), "
                "or go without (--pins none)"
            )
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            self._lock = Lock(directory)
        except OSError as e:
            raise PinsError(
                f"{directory}: {e.strerror}: run as its owner, name another place, or go without (--pins)"
            ) from e

    def close(self) -> None:
        """Let go of the directory; the pins stay."""
        self._lock.close()

    def generations(self) -> list[Generation]:
        """Those that are there, the oldest first."""
        found = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
        return [Generation(path) for path in sorted(found, key=lambda path: int(path.name.partition("-")[2]))]

    def new(self, code: str) -> Generation:
        """An empty generation, after all others."""
        number = max((int(g.directory.name.partition("-")[2]) for g in self.generations()), default=0) + 1
        generation = Generation(self.directory / f"{code}-{number}")
        generation.directory.mkdir(mode=0o700)
        return generation

    def remove(self) -> int:
        """Remove all generations and the directory, but where it is a mount point, or what it is in is read-only, as in
        the chart's container: then it stays, empty. Returns how many generations there were."""
        generations = self.generations()
        for generation in generations:
            generation.remove()
        try:
            self.directory.rmdir()
        except OSError as e:
            if e.errno not in (errno.EBUSY, errno.EROFS):
                raise
        return len(generations)


def filesystem(path: Path) -> str | None:
    """The type of the file system that a path lies in, by /proc/self/mountinfo; None where that does not say."""
    target, best, found = os.path.realpath(path), -1, None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        mount = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split()[4])
        below = mount == "/" or target == mount or target.startswith(mount + "/")
        if below and len(mount) >= best:  # of two mounts at one place the later one is seen
            best, found = len(mount), rest.split()[0]
    return found
