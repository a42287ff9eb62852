"""The kernels that the tests boot. In: a kernel's short name. Out: its image, fetched from Debian.

Rules: each is the newest of its line in its suite, in the flavour for virtual machines, which has NVMe, ext4 and the
serial port built in. Debian's last 5.10 before its security updates still passes the victim's bare pid to the
tracepoint; the later 5.10 passes the task, as all others here do.
"""

from dataclasses import dataclass
from pathlib import Path

from kernels.packages import CACHE, PackageError, Suite, unpack


@dataclass(frozen=True)
class Kernel:
    """name: as KERNELS takes it. line: the beginning of its version. layout: what the tracepoint tells.

    Debian's kernels from 6.12 on have no CONFIG_MEMCG_V1: no memory controller on cgroup v1, and no mem_cgroup.oom_lock
    to say which memcg is being handled."""

    name: str
    suite: str
    line: str
    layout: str = "wide"

    def image(self, architecture: str) -> Path:
        """The file to boot."""
        suite = Suite(self.suite, architecture)
        package = suite.newest(rf"linux-image-{self.line}[0-9.+a-z-]*-cloud-{architecture}")
        tree = CACHE / "boot" / package
        if not _image(tree):
            # From 6.19 on the image is a package that this one needs.
            binary = [name for name in suite.depends(package) if name.startswith("linux-binary-")]
            unpack(suite.fetch(*(binary or [package])), tree)
        found = _image(tree)
        if found is None:
            raise PackageError(f"{self.suite}: {package} has no kernel image")
        return found


KERNELS = (
    Kernel("5.10", "bullseye", r"5\.10\.", layout="pid only"),
    Kernel("5.10-security", "bullseye-security", r"5\.10\."),
    Kernel("6.1", "bookworm", r"6\.1\."),
    Kernel("6.12", "trixie", r"6\.12\."),
    Kernel("6.19", "trixie-backports", r"6\.19\."),
    Kernel("sid", "sid", r"[0-9]"),
    Kernel("backports", "trixie-backports", r"[0-9]"),
)


def _image(tree: Path) -> Path | None:
    return next((file for place in ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz") for file in tree.glob(place)), None)
