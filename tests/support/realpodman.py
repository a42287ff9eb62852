"""Debian's Podman, its service started for a test in a directory and in namespaces of its own; see realdocker.py.

Rules: the cgroupfs driver, since here is no systemd. crun refuses a machine that has cgroup v2 besides v1, with
controllers: there v2 is unmounted in the mount namespace, which others do not see.
"""

import os
from pathlib import Path

from realdocker import Engine

#: A made-up user, and a cgroup below the systemd manager of that user, where rootless containers are.
UID = 61234
USER_CGROUP = f"/user.slice/user-{UID}.slice/user@{UID}.service/libpod_parent"
#: Podman writes below /var/lib and /run, whatever it is told, and takes no long path for what it runs.
_SCRIPT = """
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi
mkdir {base}/tmp
export TMPDIR={base}/tmp
cd {base}/tmp  # conmon writes a file where it was started ("oom", when the container's memory ran out)
exec podman --root {base}/root --runroot /run/r --tmpdir /run/t --storage-driver vfs \
  --cgroup-manager cgroupfs --runtime crun --events-backend file \
  system service --time 0 unix://{base}/podman.sock >{base}/podman.log 2>&1
"""


class Podman(Engine):
    """Podman's service, which answers the Engine API."""

    script = _SCRIPT
    tools = ("podman", "conmon", "crun", "busybox", "gcc", "unshare")
    packages = "apt-get install podman conmon crun busybox-static gcc libc6-dev"
    client = ("/usr/bin/podman", "--remote", "--url")
    socket_name, log_name, cgroups = "podman.sock", "podman.log", ("/libpod_parent", "/user.slice")

    def as_users(self, root: Path) -> Path:
        """The same engine at the socket of user UID's, below another root: the socket is that user's from now on."""
        place = root / f"run/user/{UID}/podman/podman.sock"
        place.parent.mkdir(parents=True)
        os.link(self.socket, place)
        os.chown(place, UID, UID)
        return place
