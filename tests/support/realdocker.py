"""Debian's Docker engine, started for a test in a directory and in namespaces of its own; and what Podman
(realpodman.py) does as it does.

In: a temporary directory. Out: an engine on a socket there, with one image, and what its client prints. Rules: nothing
is written outside of the directory but the cgroup that the engine makes at the root; when the test ends, or dies, the
kernel ends all of it with the pid namespace.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from machine.cgroup import hierarchy
from realcri import cgroups, images

IMAGE = "oomeventer-test-tools"
_START_SECONDS = 60
#: In a pid namespace: containerd, then the engine. No network: this machine's may not be touched.
_SCRIPT = """
mount -t proc proc /proc
containerd --config /dev/null --root {base}/ctd --state {base}/ctd-state --address {base}/containerd.sock \
  >{base}/containerd.log 2>&1 &
exec dockerd --containerd {base}/containerd.sock --host unix://{base}/docker.sock --data-root {base}/data \
  --exec-root {base}/exec --pidfile {base}/pid --iptables=false --ip6tables=false --bridge=none --ip-forward=false \
  --ip-masq=false --oom-score-adjust 0 >{base}/dockerd.log 2>&1
"""


class Engine:
    """A running engine. Leaving the context ends it, and its containers.

    A kind of engine has: what is run in a pid namespace ({base}: the directory), the programs that it takes and the
    packages that have them, its client, the socket's name, its log's, and the cgroups that it makes at the root.
    """

    script: str
    tools: tuple[str, ...]
    packages: str
    client: tuple[str, ...]
    socket_name: str
    log_name: str
    cgroups: tuple[str, ...]

    def __init__(self, base: Path) -> None:
        self.base = base
        self.socket = base / self.socket_name
        self.endpoint = f"unix://{self.socket}"

    def __enter__(self) -> Self:
        found = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for name in self.tools}
        if missing := [name for name, path in found.items() if path is None]:
            raise FileNotFoundError(f"missing here: {', '.join(missing)} ({self.packages})")
        self.base.mkdir(parents=True, exist_ok=True)
        self._made = [path for path in self.cgroups if not (hierarchy() / path.lstrip("/")).exists()]
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", self.script.format(base=self.base)],
            start_new_session=True,
        )
        try:
            self._wait()
            self("import", str(images.write_tree(self.base, str(found["busybox"]))), IMAGE)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def __call__(self, *arguments: str, **options: Any) -> str:
        """What its client prints."""
        command = [*self.client, self.endpoint, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                self("version")
            except AssertionError:
                time.sleep(0.1)
            else:
                return
        log = (self.base / self.log_name).read_text(errors="replace")
        raise TimeoutError(f"{self.client[0]}: the engine does not get ready; its log:\n{log[-4000:]}")

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for path in self._made:
            for _ in range(100):  # its containers' are still being removed, or it was never made
                cgroups.remove(path)
                if not (hierarchy() / path.lstrip("/")).exists():
                    break
                time.sleep(0.02)
        shutil.rmtree(self.base, ignore_errors=True)


class Docker(Engine):
    """Docker, with a containerd of its own."""

    script = _SCRIPT
    tools = ("dockerd", "containerd", "runc", "busybox", "gcc", "unshare")
    packages = "apt-get install docker.io containerd runc busybox-static gcc libc6-dev"
    client = ("/usr/bin/docker", "--host")
    socket_name, log_name, cgroups = "docker.sock", "dockerd.log", ("/docker",)
