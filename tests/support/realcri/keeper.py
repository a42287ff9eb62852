"""Keeps a containerd in namespaces of its own, and cleans up after it whatever becomes of the test run.

`containerd.py` starts it as `unshare --mount --pid python keeper.py CONFIG CGROUP` and holds its stdin. `unshare
--pid` puts the children, not the keeper, into a new PID namespace, so that the keeper deals in this machine's
PIDs while containerd, its shims and all containers live in the namespace and die with its first process.
Mounts go with the mount namespace; /run is a private tmpfs in it, since containerd's shims put their sockets
there whatever its configuration says.

Lines on stdin:
    start       start containerd, answer its PID
    kill        SIGKILL it and answer when it is gone (shims and containers live on)
End of file, which is also what a killed test run leaves: kill all, wait, remove CGROUP.
"""

import subprocess
import sys
from pathlib import Path

import cgroups

# The namespace's first process: inherits orphans, lets the kernel reap them, and ends when the keeper does.
_MOUNT = 'mount -t proc proc /proc && mount -t tmpfs tmpfs /run && exec "$0" -c "$1"'
_INIT = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print('up', flush=True); open(0).read()"


def keep(config: str, cgroup: str) -> None:
    init = subprocess.Popen(["sh", "-c", _MOUNT, sys.executable, _INIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert init.stdin
    assert init.stdout
    if init.stdout.readline() != b"up\n":
        sys.exit("cannot mount in a namespace of our own")
    containerd: subprocess.Popen[bytes] | None = None
    for line in sys.stdin:
        if line == "start\n":
            with open(Path(config).with_name("containerd.log"), "ab") as log:
                containerd = subprocess.Popen(
                    ["containerd", "--config", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            print(containerd.pid, flush=True)
        elif line == "kill\n" and containerd:
            containerd.kill()
            print(containerd.wait(), flush=True)
    if containerd:  # our own child: the namespace cannot end before we have reaped it
        containerd.kill()
        containerd.wait()
    init.stdin.close()
    init.wait()  # the kernel lets it be reaped only when all others in the namespace are gone
    cgroups.remove(cgroup)


if __name__ == "__main__":
    keep(*sys.argv[1:])
