"""Debian's containerd and runc, started for the tests in a directory and in namespaces of their own.

In: a temporary directory. Out: a CRI endpoint, and Pods and containers on it, laid out as a kubelet lays them
(cgroups, labels, annotations, log files) but in the host's network, since nothing here needs a CNI plugin.
Rules: nothing is written outside of the directory but cgroups below one of its own; keeper.py tells how all of it ends.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # else grpcio complains of every subprocess
import grpc

from realcri import cgroups, images

_PACKAGES = "apt-get install containerd runc busybox-static gcc libc6-dev util-linux"
_START_SECONDS = 30
_CALL_SECONDS = 60
_AGAIN_SECONDS = 1

# Version 2 is what containerd 1.6 and 1.7 write, and 2.x still reads.
_CONFIG = """\
version = 2
root = "{base}/root"
state = "{base}/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "{base}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{base}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{base}/cni/bin"
    conf_dir = "{base}/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        Root = "{base}/runc"
        SystemdCgroup = false
"""


class Containerd:
    """A running containerd. Leaving the context ends all that was made in it; so does a test run's death."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.socket = base / "containerd.sock"
        self.endpoint = f"unix://{self.socket}"
        self.cgroup = f"/oomeventer-test-{uuid.uuid4().hex[:8]}"
        """Below which all Pods are, as below a kubelet's cgroupRoot."""
        self.pid = 0
        """Of the daemon, as this machine counts; changes with every `start`."""

    def __enter__(self) -> Self:
        tools = _tools()
        if len(f"{self.socket}.ttrpc") > 107:
            raise ValueError(f"{self.socket}: too long for a unix socket: use a shorter temporary directory")
        self.base.mkdir(parents=True, exist_ok=True)
        snapshotter = "overlayfs" if _overlay_works(self.base) else "native"
        config = self.base / "config.toml"
        config.write_text(
            _CONFIG.format(base=self.base, pause=images.PAUSE, snapshotter=snapshotter, runc=tools["runc"])
        )
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--pid", sys.executable, Path(__file__).with_name("keeper.py"), config, self.cgroup],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PATH": _path()},
            start_new_session=True,  # Ctrl-C is for pytest, which then closes stdin
        )
        try:
            self.start()
            archives = images.write(self.base, tools["busybox"])
            for archive in archives:
                ctr = [tools["ctr"], "--address", self.socket, "--namespace", "k8s.io"]
                subprocess.run(
                    [*ctr, "images", "import", "--snapshotter", snapshotter, archive],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            for image in (images.PAUSE, images.TOOLS):
                self._wait(lambda image=image: self.call("ImageStatus", image={"image": image}).HasField("image"))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def start(self) -> None:
        """Start the daemon (again) and wait until it answers CRI."""
        self.pid = int(self._ask("start"))
        self._wait(lambda: self.call("Version").runtime_version)

    def kill(self) -> None:
        """SIGKILL the daemon alone, as in a crash: containers run on, the socket stays and refuses."""
        self._ask("kill")

    def run_pod(
        self,
        *,
        namespace: str = "default",
        name: str = "pod",
        uid: str | None = None,
        pod_limit_bytes: int | None = None,
        qos: str = "burstable",
    ) -> "Pod":
        """Run a sandbox in a Pod cgroup, with that memory limit on the cgroup where one is given.

        `qos` is the Pod's class: "burstable", "besteffort" or "guaranteed", which decides the cgroup's place.
        """
        uid = uid or str(uuid.uuid4())
        parent = "kubepods" if qos == "guaranteed" else f"kubepods/{qos}"
        cgroup = f"{self.cgroup}/{parent}/pod{uid}"
        cgroups.make(cgroup, pod_limit_bytes)
        config = {
            "metadata": {"name": name, "uid": uid, "namespace": namespace},
            "log_directory": f"{self.base}/log/{namespace}_{name}_{uid}",
            "labels": {
                "io.kubernetes.pod.name": name,
                "io.kubernetes.pod.namespace": namespace,
                "io.kubernetes.pod.uid": uid,
            },
            "annotations": {"kubernetes.io/config.source": "api"},
            "linux": {
                "cgroup_parent": cgroup,
                "security_context": {"namespace_options": {"network": "NODE", "pid": "CONTAINER"}},
            },
        }
        sandbox_id = self.call("RunPodSandbox", config=config).pod_sandbox_id
        return Pod(self, sandbox_id, config)

    def call(self, method: str, **request: Any) -> Any:
        """One CRI call with the request's fields; grpc.RpcError where the runtime refuses."""
        service = _services.ImageServiceStub if method == "ImageStatus" else _services.RuntimeServiceStub
        with grpc.insecure_channel(self.endpoint) as channel:
            message = getattr(_messages, f"{method}Request")(**request)
            return getattr(service(channel), method)(message, timeout=_CALL_SECONDS)

    def _wait(self, ready: Any) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(grpc.RpcError):
                if ready():
                    return
            time.sleep(0.05)
        log = (self.base / "containerd.log").read_text(errors="replace")
        raise TimeoutError(f"containerd does not get ready; its log:\n{log[-4000:]}")

    def _tell(self, line: str) -> None:
        assert self._keeper.stdin
        with contextlib.suppress(BrokenPipeError):  # `_ask` tells that it is gone
            self._keeper.stdin.write(line + "\n")
            self._keeper.stdin.flush()

    def _ask(self, line: str) -> str:
        assert self._keeper.stdout
        self._tell(line)
        if answer := self._keeper.stdout.readline():
            return answer
        raise RuntimeError(f"the keeper of containerd's namespace is gone (exit code {self._keeper.wait()})")

    def _end(self) -> None:
        assert self._keeper.stdin
        assert self._keeper.stdout
        with contextlib.suppress(BrokenPipeError):
            self._keeper.stdin.close()
        self._keeper.wait()
        self._keeper.stdout.close()
        shutil.rmtree(self.base)


class Pod:
    """A sandbox with its pause container, in a Pod cgroup that is ours."""

    def __init__(
        self,
        containerd: Containerd,
        sandbox_id: str,
        config: Mapping[str, Any],
    ) -> None:
        self.id = sandbox_id
        self.namespace = config["metadata"]["namespace"]
        self.name = config["metadata"]["name"]
        self.uid = config["metadata"]["uid"]
        self.cgroup: str = config["linux"]["cgroup_parent"]
        """As the kernel calls it: "/<root>/kubepods/burstable/pod<uid>"."""
        self._containerd = containerd
        self._config = config

    def run_container(
        self,
        *,
        name: str = "app",
        command: Sequence[str] = ("sleep", "1000000"),
        memory_limit_bytes: int | None = None,
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
        attempt: int = 0,
    ) -> "Container":
        """Create a container from the tools image (busybox and hog) and start it. mounts: directories of this machine,
        by their path in it."""
        log = f"{name}_{attempt}.log"
        config = {
            "metadata": {"name": name, "attempt": attempt},
            "image": {"image": images.TOOLS},
            "command": command,
            "envs": [{"key": key, "value": value} for key, value in (env or {}).items()],
            "mounts": [{"container_path": path, "host_path": str(host)} for path, host in (mounts or {}).items()],
            "labels": {**self._config["labels"], "io.kubernetes.container.name": name},
            "annotations": {"io.kubernetes.container.restartCount": str(attempt)},
            "log_path": log,
            "linux": {
                "resources": {"memory_limit_in_bytes": memory_limit_bytes or 0},
                "security_context": {"namespace_options": {"network": "NODE", "pid": "CONTAINER"}},
            },
        }
        call = self._containerd.call
        made = call("CreateContainer", pod_sandbox_id=self.id, config=config, sandbox_config=self._config)
        call("StartContainer", container_id=made.container_id)
        return Container(
            self._containerd,
            made.container_id,
            f"{self.cgroup}/{made.container_id}",
            f"{self._config['log_directory']}/{log}",
        )

    def remove(self) -> None:
        """Stop the Pod's containers, remove them, the sandbox and the Pod's cgroup."""
        try:
            self._containerd.call("StopPodSandbox", pod_sandbox_id=self.id)
        except grpc.RpcError as e:
            if "ttrpc: closed" not in str(e):
                raise
            # A container has just ended, and its shim with it. Asked again, as the kubelet does, it knows that.
            time.sleep(_AGAIN_SECONDS)
            self._containerd.call("StopPodSandbox", pod_sandbox_id=self.id)
        self._containerd.call("RemovePodSandbox", pod_sandbox_id=self.id)
        cgroups.remove(self.cgroup)


class Container:
    """A started container."""

    def __init__(self, containerd: Containerd, container_id: str, cgroup: str, log: str) -> None:
        self.id = container_id
        self.cgroup = cgroup
        """Its memory cgroup as the kernel calls it: "/<root>/kubepods/burstable/pod<uid>/<id>"."""
        self.cgroup_dir = cgroups.memory_dir(cgroup)
        self.pid = self._first_process()
        """Its first process, as this machine counts; None if it ended before it was seen."""
        self._containerd = containerd
        self._log = Path(log)

    def exec(self, *command: str, timeout_seconds: int = 30) -> tuple[int, bytes, bytes]:
        """Run a command in it: exit code, stdout, stderr."""
        done = self._containerd.call("ExecSync", container_id=self.id, cmd=command, timeout=timeout_seconds)
        return done.exit_code, done.stdout, done.stderr

    def log(self) -> str:
        """What it wrote so far, in the log format of CRI: "<time> stdout F <text>" lines."""
        return self._log.read_text(errors="replace")

    def pids(self) -> list[int]:
        """All of its processes now, as this machine counts."""
        try:
            return [int(pid) for pid in (self.cgroup_dir / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def stop(self) -> None:
        """SIGKILL its first process through the runtime, which then says that it exited."""
        self._containerd.call("StopContainer", container_id=self.id, timeout=0)

    def remove(self) -> None:
        """Stop it and remove it from the runtime, which then knows it no more."""
        self._containerd.call("RemoveContainer", container_id=self.id)

    def _first_process(self) -> int | None:
        for pid in self.pids():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                if status.partition("NSpid:")[2].partition("\n")[0].split()[-1:] == ["1"]:
                    return pid
        return None


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"  # where Debian has runc


def _tools() -> dict[str, str]:
    if os.geteuid() != 0:
        raise RuntimeError("containers need root: run these tests as root")
    names = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "busybox", "gcc", "unshare")
    found = {name: shutil.which(name, path=_path()) for name in names}
    if missing := [name for name, where in found.items() if not where]:
        raise RuntimeError(f"missing: {', '.join(missing)}; on Debian: {_PACKAGES}")
    return {name: where for name, where in found.items() if where}


def _overlay_works(base: Path) -> bool:
    for name in ("lower", "upper", "work", "merged"):
        (base / "overlay" / name).mkdir(parents=True, exist_ok=True)
    at = base / "overlay"
    options = f"lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work"
    mount = ["unshare", "--mount", "mount", "-t", "overlay", "-o", options, "overlay", at / "merged"]
    return subprocess.run(mount, stderr=subprocess.DEVNULL).returncode == 0


_messages, _services = grpc.protos_and_services("realcri/runtime.proto")
