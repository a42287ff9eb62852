"""The image as a container of a DaemonSet's Pod: the host's pid and network namespaces, a read-only root file system.

By runc itself and not through the tests' containerd: that lives in a pid namespace of its own, and the agent needs the
host's. Rules: a container ends with the test run that made it, also when that is killed.
"""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from image.archive import Archive

#: All that root has, but SYS_RESOURCE: only kernels before 5.11 ask for that, and not every machine has it to give.
CAPABILITIES = """
    CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE CAP_BLOCK_SUSPEND CAP_BPF CAP_CHECKPOINT_RESTORE CAP_CHOWN
    CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_IPC_LOCK CAP_IPC_OWNER CAP_KILL CAP_LEASE
    CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_MKNOD CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_BROADCAST
    CAP_NET_RAW CAP_PERFMON CAP_SETFCAP CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYSLOG CAP_SYS_ADMIN CAP_SYS_BOOT
    CAP_SYS_CHROOT CAP_SYS_MODULE CAP_SYS_NICE CAP_SYS_PACCT CAP_SYS_PTRACE CAP_SYS_RAWIO CAP_SYS_TIME
    CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM
""".split()  # noqa: SIM905

#: Where the agent keeps what outlives it.
STATE = "/var/lib/oomeventer"


class Container:
    """Runs containers of one image, which is unpacked into a directory."""

    def __init__(self, archive: Archive, directory: Path) -> None:
        self._config = archive.config
        self._directory = directory
        self._root = directory / "root"
        archive.unpack(self._root)

    def command(
        self,
        *arguments: str,
        mounts: Mapping[Path, str] | None = None,
        state: Path | None = None,
        uid: int = 0,
        entrypoint: Sequence[str] | None = None,
    ) -> list[str]:
        """The command line, on this machine, of a new container with those arguments. mounts: of this machine's files,
        read-only, with the place that each has in the container. state: this machine's directory that the agent may
        write."""
        name = f"oomeventer-test-{uuid.uuid4().hex[:8]}"
        bundle = self._directory / name
        bundle.mkdir()
        process = {
            "user": {"uid": uid, "gid": 0},
            "args": [*(entrypoint or self._config["Entrypoint"]), *arguments],
            "env": self._config["Env"],
            "cwd": self._config.get("WorkingDir") or "/",
            "noNewPrivileges": True,
            # As Kubernetes has it: who is not root holds none, whatever the Pod was given.
            "capabilities": {
                "bounding": CAPABILITIES,
                "permitted": CAPABILITIES if uid == 0 else [],
                "effective": CAPABILITIES if uid == 0 else [],
            },
        }
        (bundle / "config.json").write_text(json.dumps(self._spec(process, name, mounts or {}, state)))
        runc = shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin")
        if not runc:
            raise RuntimeError("runc is missing; on Debian: apt-get install runc")
        state = self._directory / "state"
        return ["setpriv", "--pdeathsig", "TERM", runc, "--root", str(state), "run", "--bundle", str(bundle), name]

    def run(self, *arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run one to its end."""
        command = self.command(*arguments, **how)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def _spec(
        self, process: dict[str, Any], name: str, mounts: Mapping[Path, str], state: Path | None
    ) -> dict[str, Any]:
        def mount(kind: str, source: str, destination: str, *options: str) -> dict[str, Any]:
            return {"destination": destination, "type": kind, "source": source, "options": options}

        unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        own = ["mount", "ipc", "uts", *(["cgroup"] if unified else [])]
        return {
            "ociVersion": "1.0.2",
            "process": process,
            "root": {"path": str(self._root), "readonly": True},
            "hostname": "node",
            "mounts": [
                mount("proc", "proc", "/proc", "nosuid", "noexec", "nodev"),
                mount("tmpfs", "tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k"),
                mount("sysfs", "sysfs", "/sys", "nosuid", "noexec", "nodev", "ro"),
                mount("none", "/sys/fs/cgroup", "/sys/fs/cgroup", "rbind", "rslave", "ro"),
                # One of its own, so that what it pins is nobody else's.
                mount("bpf", "bpf", "/sys/fs/bpf", "nosuid", "noexec", "nodev", "mode=700"),
                *(mount("none", str(source), destination, "bind", "ro") for source, destination in mounts.items()),
                *([mount("none", str(state), STATE, "bind", "rw")] if state else []),
            ],
            "linux": {
                "cgroupsPath": f"/{name}",
                "namespaces": [{"type": kind} for kind in own],
                # As containerd has them for a container that is not privileged.
                "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        }
