"""The container image: what is in it, and that the agent works from it: a real kill is reported by a container of
it."""

import asyncio
import json
import re
import subprocess
import tomllib
import uuid
from pathlib import Path

import pytest

from image import Archive, Container, build
from image.archive import REPOSITORY
from machine import Agent, kubeconfig
from oomeventer import __version__
from realcri import Containerd
from standin import ApiServer

pytestmark = [pytest.mark.image, pytest.mark.kernel, pytest.mark.containerd]

NODE = "lab-node"
SECONDS = 30
#: Of the layer, as it is sent and as it lies on a node.
COMPRESSED_BYTES, BYTES = 21_000_000, 52_000_000
PROGRAM = "/usr/local/bin/oomeventer"
#: Those that a library brings along: nothing of the machine that built it.
CERTIFICATES = "usr/local/lib/python3.13/dist-packages/certifi/cacert.pem"
#: Where the container of the agent finds what is the node's: the socket at a place where it is looked for unnamed.
SOCKET, KUBECONFIG = "/run/containerd/containerd.sock", "/etc/oomeventer/kubeconfig"

# In the image: imports all of the package and what it imports only when it is used, then loads every library.
LOAD_ALL = """
import ctypes, importlib, pathlib, pkgutil, ssl
import oomeventer, oomeventer.cluster._kubernetes
for module in pkgutil.walk_packages(oomeventer.__path__, "oomeventer."):
    if module.name != "oomeventer.__main__":
        importlib.import_module(module.name)
for name in ("kubernetes_asyncio.config.kube_config", "pyroute2.netlink.taskstats"):
    importlib.import_module(name)
ssl.create_default_context()
for library in pathlib.Path("/usr").rglob("*.so*"):
    ctypes.CDLL(str(library))
print("all of them")
"""


@pytest.fixture(scope="session")
def archive() -> Archive:
    """The image of this checkout."""
    return build()


@pytest.fixture(scope="session")
def container(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Container:
    """Runs containers of it."""
    return Container(archive, tmp_path_factory.mktemp("image"))


@pytest.fixture
def mounts(containerd: Containerd, api: ApiServer, tmp_path: Path) -> dict[Path, str]:
    """What the agent's Pod has of the node."""
    return {containerd.socket: SOCKET, kubeconfig(tmp_path, api.url, api.token): KUBECONFIG}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The one place where the agent's Pod writes."""
    directory = tmp_path / "state"
    directory.mkdir(0o700)
    return directory


def test_labels(archive: Archive) -> None:
    """The version is the package's."""
    labels = {key.removeprefix("org.opencontainers.image."): text for key, text in archive.config["Labels"].items()}
    assert labels["version"] == __version__
    assert labels["title"] == "oomeventer"
    assert labels["licenses"] == "MIT"
    assert labels["description"]
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?|unknown", labels["revision"])
    assert archive.name == f"localhost/oomeventer:{__version__}"


def test_settings(archive: Archive) -> None:
    """Nothing of the machine that built it is in what a container starts with."""
    assert {variable.partition("=")[0] for variable in archive.config["Env"]} == {
        "PATH",
        "PYTHONUNBUFFERED",
        "PYTHONOPTIMIZE",
    }
    assert archive.config["Entrypoint"] == [PROGRAM]
    assert archive.config["Cmd"] == ["run"]


def test_nothing_else(archive: Archive) -> None:
    """Programs: Python and the package's. No shell, no package manager, no compiler; and nothing that gives rights."""
    bins = re.compile(r"(usr/)?(local/)?s?bin/([^/]+)")
    assert {found[3] for name in archive.files if (found := bins.fullmatch(name))} == {
        "oomeventer",
        "python3",
        "python3.13",
    }
    packages = re.compile(r"usr/(?:local/)?lib/python3[^/]*/(?:dist-packages/)?(pip|setuptools|hatchling|ensurepip)")
    assert not [name for name in archive.files if packages.fullmatch(name)]
    assert not [name for name in archive.files if name.startswith(("etc/apt", "etc/pip", "var/lib/apt", "var/cache/"))]
    # What the build had as secrets: how it reached the registries, and whom it trusted there.
    assert not [name for name in archive.files if name.startswith(("run/", "etc/ssl", "usr/share/ca-certificates"))]
    assert [name for name in archive.files if name.endswith((".pem", ".crt"))] == [CERTIFICATES]
    assert not [name for name, file in archive.files.items() if file.mode & 0o6000]
    assert not [name for name, file in archive.files.items() if any("xattr" in key for key in file.pax_headers)]


def test_any_user_reads_it(archive: Archive) -> None:
    """All of it is root's, and all but root's home is readable by everybody."""
    assert {(file.uid, file.gid) for file in archive.files.values()} <= {(0, 0), (0, 8), (0, 50)}
    closed = [name for name, file in archive.files.items() if file.mode & 0o444 != 0o444]
    assert closed == ["root"]


def test_size(archive: Archive) -> None:
    """It stays small."""
    assert archive.compressed_bytes < COMPRESSED_BYTES
    assert sum(file.size for file in archive.files.values()) < BYTES


def test_byte_code(archive: Archive) -> None:
    """Every module is byte code, in its source's place: nothing is compiled, or written, where it runs."""
    modules = [name for name in archive.files if re.fullmatch(r"usr/(local/)?lib/python3.*\.py(c|)", name)]
    assert len(modules) > 500
    assert [name for name in modules if not name.endswith(".pyc") or "__pycache__" in name] == []


def test_versions(container: Container) -> None:
    """The package's dependencies are those that were tested together."""
    lock = (REPOSITORY / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))
    script = "from importlib.metadata import distributions as d; print(*(f'{i.name}=={i.version}' for i in d()))"
    done = container.run("-c", script, entrypoint=["/usr/bin/python3"])
    assert done.returncode == 0, done.stderr
    installed = dict(item.split("==") for item in done.stdout.split())
    assert installed.pop("oomeventer") == __version__
    # The lock is for all systems; what it has for this one alone is installed, and nothing else.
    elsewhere = set(re.findall(r"^([\w.-]+)==\S+ ; sys_platform == 'win32'", lock, re.MULTILINE))
    normal = {name.lower().replace("_", "-"): version for name, version in installed.items()}
    assert normal == {name: version for name, version in pinned.items() if name not in elsewhere}


def test_locked_packages(archive: Archive) -> None:
    """Debian's: the lock that a release is held to has each of them, of both architectures. Not their versions: this is
    no release, so it has the newest."""
    status = {name.rpartition("/")[2] for name in archive.files if name.startswith("var/lib/dpkg/status.d/")}
    lock = (REPOSITORY / ".ci/debs.lock").read_text()
    for architecture in ("amd64", "arm64"):
        locked = re.findall(rf"^[0-9a-f]{{64}}  ([^_]+)_\S+_{architecture}\.deb$", lock, re.MULTILINE)
        assert sorted(locked) == sorted(status)
    assert len(lock.splitlines()) == 2 * len(status)


def test_all_is_there(container: Container) -> None:
    """What was left out is not needed: every module of the package imports, every library finds its own."""
    done = container.run("-W", "error", "-c", LOAD_ALL, entrypoint=["/usr/bin/python3"])
    assert (done.stdout, done.returncode) == ("all of them\n", 0), done.stderr


@pytest.mark.parametrize("uid", [0, 65532])
def test_version(container: Container, uid: int) -> None:
    """It says its version, whoever runs it."""
    done = container.run("--version", uid=uid)
    assert (done.stdout, done.stderr, done.returncode) == (f"oomeventer {__version__}\n", "", 0)


async def test_doctor(container: Container, mounts: dict[Path, str], state: Path) -> None:
    """All is found from within: kernel, runtime and API server."""
    done = await asyncio.to_thread(container.run, "doctor", "--kubeconfig", KUBECONFIG, mounts=mounts, state=state)
    assert done.returncode == 0, done.stdout + done.stderr
    states = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    states.pop("whose", None)  # needs a kernel with BPF trampolines
    assert set(states.values()) == {"ok"}, done.stdout
    assert {"Linux", "BTF", "BPF", "cgroups", "taskstats", "CRI", "API", "may"} <= set(states)


def test_doctor_of_another_user(container: Container) -> None:
    """Who holds no capabilities reads what is missing, and nothing breaks."""
    done = container.run("doctor", uid=65532)
    assert done.returncode == 1
    assert re.search("MISSING +privileges +uid 65532, without CAP_BPF, CAP_PERFMON", done.stdout), done.stdout
    assert "Traceback" not in done.stderr


def test_containerd_runs_it(archive: Archive, containerd: Containerd) -> None:
    """A node's runtime takes the archive, and runs what is in it."""
    config = tomllib.loads((containerd.base / "config.toml").read_text())
    snapshotter = config["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["snapshotter"]
    ctr = ["ctr", "--address", str(containerd.socket), "--namespace", "oomeventer-test"]
    run = {"capture_output": True, "text": True, "timeout": SECONDS, "check": False}
    done = subprocess.run([*ctr, "images", "import", "--snapshotter", snapshotter, str(archive.file)], **run)
    assert done.returncode == 0, done.stderr
    how = ["--rm", "--read-only", "--snapshotter", snapshotter, "--fifo-dir", str(containerd.base / "fifo")]
    how += ["--cgroup", f"{containerd.cgroup}/version"]
    done = subprocess.run([*ctr, "run", *how, archive.name, "version", PROGRAM, "--version"], **run)
    assert (done.stdout, done.returncode) == (f"oomeventer {__version__}\n", 0), done.stderr


async def test_kill_is_reported(
    container: Container, containerd: Containerd, api: ApiServer, mounts: dict[Path, str], state: Path
) -> None:
    """The agent in its container: a child is killed in another one, and its Pod gets the Event, with all that only the
    host's pid namespace, its cgroups and the runtime can add."""
    uid = str(uuid.uuid4())
    limits = {"limits": {"memory": "32Mi"}}
    api.put_pod(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "checkout-0", "namespace": "shop", "uid": uid},
            "spec": {"nodeName": NODE, "containers": [{"name": "app", "image": "x", "resources": limits}]},
        }
    )
    command = container.command("run", "--kubeconfig", KUBECONFIG, "--node-name", NODE, mounts=mounts, state=state)
    sandbox = containerd.run_pod(namespace="shop", name="checkout-0", uid=uid)
    try:
        async with Agent(program=command, ready="sends Events to") as agent:
            killed = sandbox.run_container(
                command=["sh", "-c", "sleep 1000 & hog 100; sleep 1000"], memory_limit_bytes=32 << 20
            )
            async with asyncio.timeout(SECONDS):
                await api.until(lambda: any(uid in json.dumps(stored.as_core()) for stored in api.events.values()))
        assert agent.process.returncode == 0
    finally:
        sandbox.remove()
    (event,) = [stored.as_core() for stored in api.events.values() if uid in json.dumps(stored.as_core())]
    assert event["involvedObject"]["fieldPath"] == "spec.containers{app}"
    assert "Container app ran out of its 32Mi memory limit and the kernel killed hog" in event["message"]
    assert "PID 1 lives on: the container was not restarted" in event["message"]
    incident = json.loads(event["metadata"]["annotations"]["oomeventer/incident"])
    assert incident["container"]["id"] == killed.id
    assert {neighbour["comm"] for neighbour in incident["neighbours"]} & {
        "sh",
        "sleep",
        "exe",
    }  # exe: busybox, starting itself
    assert incident["notes"] == []
    assert not [line for line in agent.log if re.search(" ERROR |Traceback", line)], agent.log
