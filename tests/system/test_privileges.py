"""With how little the agent does its whole work.

In: the shipped agent with exactly the privileges that the README names. Out: an Event for a kill in a real container,
or one clear sentence.
"""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from faults import Restarted, mounted
from machine import kubeconfig
from oomeventer.journal.history import read_history
from places import REPOSITORY
from realcri import Containerd
from standin import ApiServer

pytestmark = [pytest.mark.kernel, pytest.mark.containerd]

#: The whole list; each is needed (test_each_is_needed).
CAPABILITIES = ("bpf", "perfmon")
UID = 65532
CHECKOUT = REPOSITORY


def command(uid: int, *capabilities: str) -> tuple[str, ...]:
    """What a command line begins with to run as that user, of group 0 (to which runtimes' sockets belong), with just
    those capabilities, unable to gain more, on a root file system that cannot be written."""
    kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    script = [*reachable(CHECKOUT, Path(sys.base_prefix)), "mount -o remount,bind,ro /", 'exec "$0" "$@"']
    read_only = ("unshare", "--mount", "sh", "-c", " && ".join(script))
    identity = ("--reuid", str(uid), "--regid", "0", "--clear-groups", "--no-new-privs")
    sets = (f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}")
    return (*read_only, "setpriv", *identity, *sets)


def reachable(*directories: Path) -> Iterator[str]:
    """Shell commands for a mount namespace of its own, after which anybody can enter those, also where a directory
    above them is closed, as /root is: there they are put into an empty one in its place."""
    closed: dict[Path, list[Path]] = {}
    for directory in directories:
        for above in reversed(directory.parents):
            if not above.stat().st_mode & stat.S_IXOTH:
                closed.setdefault(above, []).append(directory)
                break
    for above, inside in closed.items():
        yield "held=$(mktemp -d)"
        for number, directory in enumerate(inside):
            yield f"mkdir $held/{number} && mount --bind {quote(str(directory))} $held/{number}"
        yield f"mount -t tmpfs -o mode=755 tmpfs {quote(str(above))}"
        for number, directory in enumerate(inside):
            place = quote(str(directory))
            yield f"mkdir -p {place} && mount --bind $held/{number} {place} && umount $held/{number}"
        yield "rmdir $held/* $held"


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The directories that the agent writes to, each on a file system of its own: for the pins and for the journal."""
    for directory in (tmp_path, *tmp_path.parents[:2]):  # pytest makes them for root alone
        directory.chmod(0o755)
    with mounted(tmp_path / "bpf", "bpf") as bpffs, mounted(tmp_path / "state", "tmpfs") as state:
        (bpffs / "oomeventer").mkdir()
        yield bpffs / "oomeventer", state


@pytest.mark.parametrize("uid", [0, UID])
async def test_the_whole_work(
    api: ApiServer, containerd: Containerd, tmp_path: Path, places: tuple[Path, Path], uid: int
) -> None:
    """Attach, pin, read the ring, read /proc, ask the runtime and the API, keep the journal, and tell, with two
    capabilities, as root and as nobody."""
    pins, state = places
    config = kubeconfig(tmp_path, api.url, api.token)
    config.chmod(0o644)
    for place in places:
        os.chown(place, uid, 0)
    sandbox = containerd.run_pod(namespace="shop", name="checkout-0")
    api.put_namespace("shop")
    flags = ("--kubeconfig", str(config), "--node-name", "lab-node", "--cri-endpoint", containerd.endpoint)
    where = ("--pins", str(pins), "--journal", str(state / "journal.db"))
    for directory in (containerd.base, *containerd.base.parents[:2]):
        directory.chmod(0o755)

    def ours() -> list[dict[str, Any]]:
        events = [stored.as_core() for stored in api.events.values()]
        return [event for event in events if event["involvedObject"].get("uid") == sandbox.uid]

    try:
        async with Restarted(*flags, *where, command=command(uid, *CAPABILITIES)) as agent:
            held = (Path(f"/proc/{agent.process.pid}/status")).read_text()
            sandbox.run_container(
                name="app", command=["sh", "-c", "sleep 1000 & hog 100; sleep 1000"], memory_limit_bytes=32 << 20
            )
            async with asyncio.timeout(30):
                await api.until(lambda: bool(ours()))
    finally:
        sandbox.remove()
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in held
    assert "CapEff:\t000000c000000000" in held
    assert "NoNewPrivs:\t1" in held
    (event,) = ours()
    assert event["involvedObject"]["fieldPath"] == "spec.containers{app}"
    incident = json.loads(event["metadata"]["annotations"]["oomeventer/incident"])
    assert incident["victims"][0]["command"] == ["hog", "100"]
    assert incident["pid1"] == "lives"
    assert {other["comm"] for other in incident["neighbours"]} & {"sh", "sleep", "exe"}  # exe: busybox, starting itself
    assert list(pins.iterdir())
    assert [entry["events"] for entry in read_history(state / "journal.db") if entry["key"] == incident["key"]] == [
        "delivered"
    ]


@pytest.mark.parametrize("missing", CAPABILITIES)
def test_each_is_needed(missing: str) -> None:
    """Without either of the two the agent ends with the sentence that names both."""
    kept = [name for name in CAPABILITIES if name != missing]
    run = [*command(UID, *kept), sys.executable, "-m", "oomeventer", "trace"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "CAP_BPF and CAP_PERFMON" in done.stderr
    assert "Traceback" not in done.stderr
