"""`oomeventer demo`: a real kill, and what it becomes. In: nothing. Out: incident and Event, as text.

Rules: the victim is a process of its own in a memory cgroup of its own, both made here and gone afterwards. Nothing
else on the machine is touched, and no cluster is asked.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from oomeventer.commands import terminal
from oomeventer.errors import OomeventerError
from oomeventer.hints import advise
from oomeventer.incident import Aftermath, Incident, Observer, block, compose, described
from oomeventer.kernel import Tracer
from oomeventer.node import Procfs
from oomeventer.settings import Settings

LIMIT_BYTES = 32 << 20
DEADLINE_SECONDS = 30.0

#: The victim takes memory until the kernel ends it. It enters the cgroup before it begins, so that all it holds counts.
_ENTER = 'echo 0 >"$0" && exec "$@"'
_HOG = "kept = []\nwhile True: kept.append(bytearray(b'x' * (1 << 20)))"


class DemoError(OomeventerError):
    """No cgroup could be made, or the kill was not seen."""


async def demo(settings: Settings) -> None:
    """Make one kill and show it."""
    procfs = Procfs(cgroups=settings.cgroup_root)
    aftermath = Aftermath(procfs)
    observer = Observer(procfs, settings.node_name, settings.redaction, statistics=False, aftermath=aftermath)
    parts = contextlib.closing(observer), contextlib.closing(aftermath)
    with parts[0], parts[1], Tracer(settings.ring_bytes) as tracer, _cgroup(settings.cgroup_root) as cgroup:
        hog = [sys.executable, "-c", _HOG, "--workers=4", "--token=s3cr3t", "--cache=512Mi"]
        enter = ["-c", _ENTER, str(cgroup / "cgroup.procs")]
        environment = dict(os.environ, MALLOC_ARENA_MAX="2", API_KEY="s3cr3t")
        process = await asyncio.create_subprocess_exec("/bin/sh", *enter, *hog, env=environment)
        try:
            incident = advise(await aftermath(await _seen(tracer, observer, process.pid)))
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()
    print("The kernel killed a process; this is the incident:\n")
    print(block(incident, terminal.width(sys.stdout)))
    print("\nAnd this is the Event, as kubectl describe shows it:\n")
    print(described(compose(incident).body))


async def _seen(tracer: Tracer, observer: Observer, pid: int) -> Incident:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            async for episode in tracer.episodes(opened=observer.glance):
                tracer.free(episode)
                if any(kill.process.pid == pid for kill in episode):
                    return await observer(episode)
    except TimeoutError as e:
        raise DemoError(f"no kill was seen within {DEADLINE_SECONDS:.0f} s: see 'oomeventer doctor'") from e
    raise AssertionError("episodes() ends never")


@contextlib.contextmanager
def _cgroup(root: Path | None) -> Iterator[Path]:
    """A memory cgroup with a limit, on cgroup v1 or v2; removed at the end."""
    parents = [root] if root else [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")]
    parent = next((path for path in parents if (path / "cgroup.procs").exists()), None)
    if parent is None:
        places = " or ".join(map(str, parents))
        raise DemoError(f"no cgroup hierarchy at {places}: name its place (--cgroup-root)")
    cgroup = parent / f"oomeventer-demo-{os.getpid()}"
    try:
        cgroup.mkdir()
    except OSError as e:
        raise DemoError(f"cannot make cgroup {cgroup}: {e.strerror}. Run as root on the machine itself") from e
    try:
        v1, v2 = cgroup / "memory.limit_in_bytes", cgroup / "memory.max"
        limit = v1 if v1.exists() else v2
        if not limit.exists():
            raise DemoError(f"no memory controller in {parent}: enable it in {parent / 'cgroup.subtree_control'}")
        limit.write_text(str(LIMIT_BYTES))
        for swap in (cgroup / "memory.swap.max", cgroup / "memory.swappiness"):
            with contextlib.suppress(OSError):  # without swap there is none to keep the victim alive
                if swap.exists():
                    swap.write_text("0")
        yield cgroup
    finally:
        for _ in range(50):
            try:
                cgroup.rmdir()
                break
            except OSError:  # what the victim held is still being given back
                time.sleep(0.02)
