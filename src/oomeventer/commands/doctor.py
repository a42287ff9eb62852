"""`oomeventer doctor`: what this machine has of what the agent needs. In: Settings. Out: findings, a line for each, by
group; at the end the one thing to do first.

Rules: looks only, and changes nothing; each finding is ok, or has what to do. What is not needed everywhere (a runtime,
a cluster) is reported where it is missing, and does not make the whole fail for `trace`. A cluster that is there has to
permit Events.
"""

import os
import platform
from collections.abc import AsyncIterator
from pathlib import Path

from msgspec import Struct

from oomeventer import cri, engine
from oomeventer.cluster import RIGHTS, Api, NoCluster, Right, Unreachable, connect
from oomeventer.cri import Client, CriError
from oomeventer.errors import OomeventerError
from oomeventer.kernel import Tracer, filesystem
from oomeventer.node import taskstats_permitted
from oomeventer.settings import Settings
from oomeventer.text import printable

_VERSION_CHARACTERS = 64
CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}


class Finding(Struct, frozen=True):
    """need: whether the agent cannot work without it. text: what is there, or what to do."""

    what: str
    ok: bool
    text: str
    need: bool = True


async def doctor(settings: Settings) -> int:
    """Print the findings, each as soon as it is made. Returns 1 where something is missing that is needed."""
    missing: list[Finding] = []
    for title, group in (("machine", _machine), ("runtime", _runtime), ("cluster", _cluster)):
        print(title, flush=True)
        async for finding in group(settings):
            state = "ok" if finding.ok else "MISSING" if finding.need else "without"
            print(f"  {state:<8} {finding.what:<20} {finding.text}", flush=True)
            if finding.need and not finding.ok:
                missing.append(finding)
    print(f"\nfirst: {missing[0].what}: {missing[0].text}" if missing else "\nnothing is missing that is needed")
    return 1 if missing else 0


async def _machine(settings: Settings) -> AsyncIterator[Finding]:
    yield Finding("Linux", True, f"{platform.release()} on {platform.machine()}")
    yield _btf()
    yield _privileges()
    for finding in _tracer(settings):
        yield finding
    yield _pins(settings)
    yield _journal(settings)
    yield _cgroups(settings)
    yield Finding(
        "taskstats",
        taskstats_permitted(),
        "CAP_NET_ADMIN is held" if taskstats_permitted() else "without CAP_NET_ADMIN; incidents have no statistics",
        need=False,
    )


def _btf() -> Finding:
    file = Path("/sys/kernel/btf/vmlinux")
    ok = file.exists()
    return Finding("BTF", ok, str(file) if ok else f"{file} is missing: CONFIG_DEBUG_INFO_BTF=y is needed")


def _privileges() -> Finding:
    held = next(
        int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapEff:")
    )
    have = {name for name, bit in CAPABILITIES.items() if held & 1 << bit}
    ok = "CAP_SYS_ADMIN" in have or {"CAP_BPF", "CAP_PERFMON"} <= have
    missing = ", ".join(sorted({"CAP_BPF", "CAP_PERFMON"} - have))
    return Finding("privileges", ok, f"uid {os.getuid()}, " + ("enough" if ok else f"without {missing}: run as root"))


def _tracer(settings: Settings) -> list[Finding]:
    try:
        with Tracer(settings.ring_bytes) as tracer:
            named = tracer.knows_what_ran_out
    except OomeventerError as e:
        return [Finding("BPF", False, str(e))]
    text = "the kernel says which limit ran out" if named else "no BPF trampolines: which limit ran out is inferred"
    return [Finding("BPF", True, "the object loads and attaches"), Finding("whose limit", named, text, need=False)]


def _pins(settings: Settings) -> Finding:
    if settings.pins is None:
        return Finding("pins", True, "none, as set: kills are not recorded while no agent runs", need=False)
    if filesystem(settings.pins.parent) != "bpf":
        return Finding(
            "pins",
            False,
            f"no BPF file system at {settings.pins.parent} (mount -t bpf bpffs {settings.pins.parent}): kills are not "
            "recorded while no agent runs",
            need=settings.pins_required,
        )
    place = _nearest(settings.pins)
    if not os.access(place, os.W_OK):
        return Finding("pins", False, f"{place} may not be written: see --pins", need=settings.pins_required)
    left = place == settings.pins
    return Finding("pins", True, f"{settings.pins}" + (", where an agent's are ('oomeventer detach')" if left else ""))


def _journal(settings: Settings) -> Finding:
    if settings.journal is None:
        return Finding("journal", True, "in memory, as set: it does not outlive the agent", need=False)
    place = _nearest(settings.journal)
    ok = os.access(place, os.W_OK)
    return Finding("journal", ok, str(settings.journal) if ok else f"{place} may not be written: see --journal")


def _nearest(path: Path) -> Path:
    """What there is of a path, as far as we may see it."""
    return next(place for place in (path, *path.parents) if os.path.exists(place))


def _cgroups(settings: Settings) -> Finding:
    root = settings.cgroup_root or Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return Finding("cgroups", True, f"v2 at {root}")
    if (root / "memory/memory.limit_in_bytes").exists() or (root / "memory.limit_in_bytes").exists():
        return Finding("cgroups", True, f"v1 at {root}")
    return Finding("cgroups", False, f"none at {root}: mount them, or name the place (--cgroup-root)", need=False)


async def _runtime(settings: Settings) -> AsyncIterator[Finding]:
    async for finding in _cri_runtimes(settings):
        yield finding
    async for finding in _engines(settings):
        yield finding


async def _cri_runtimes(settings: Settings) -> AsyncIterator[Finding]:
    if settings.cri_endpoint == "none":
        yield Finding("CRI", True, "not asked, as set", need=False)
        return
    root, seconds = str(settings.host_root), settings.cri_timeout_seconds
    try:
        await Client.connect(settings.cri_endpoint, timeout_seconds=seconds, root=root)
    except CriError as e:
        yield Finding("CRI", False, str(e), need=False)
    else:
        for path in cri.there(settings.cri_endpoint, root):
            yield await _cri(path, seconds)


async def _cri(path: str, seconds: float) -> Finding:
    try:
        client = await Client.at(path, seconds)
    except CriError as e:
        return Finding("CRI", False, f"{e}; another socket's runtime answers", need=False)
    return Finding("CRI", True, f"{client.runtime_name} {client.runtime_version} at {path}")


async def _engines(settings: Settings) -> AsyncIterator[Finding]:
    """Docker and Podman, the machine's and users', where there are sockets: hosts in a cluster mostly have none."""
    if settings.engine_endpoint == "none":
        return
    found = engine.there(str(settings.host_root))
    if settings.engine_endpoint:
        found = [engine.Socket("engine", settings.engine_endpoint.removeprefix("unix://"))]
    for socket in found:
        what = socket.engine if socket.uid is None else f"{socket.engine} of {socket.uid}"
        try:
            text = f"{await engine.version(socket, settings.cri_timeout_seconds)} at {socket}"
        except engine.EngineError as e:
            yield Finding(what, False, f"{e}: 'trace' shows its containers without names", need=False)
        else:
            yield Finding(what, True, text)


async def _cluster(settings: Settings) -> AsyncIterator[Finding]:
    try:
        cluster = await connect(settings.kubeconfig, settings.api_timeout_seconds)
    except NoCluster as e:
        yield Finding("API server", False, str(e), need=False)
        return
    async with cluster:
        try:
            version = await cluster.request("GET", "/version")
        except Unreachable as e:
            yield Finding("API server", False, f"{e}: check the address, the network and the certificates", need=False)
            return
        if version.status != 200:
            yield Finding("API server", False, f"{cluster.server} answers {version.words}", need=False)
            return
        found = printable(str(version.body.get("gitVersion", "version unknown")), _VERSION_CHARACTERS)
        yield Finding("API server", True, f"{cluster.server}, {found}")
        for right in RIGHTS:
            yield await _may(cluster, right, "in every namespace")
        if settings.daemonset:
            namespace, name = settings.daemonset
            otherwise = f"give the account a Role in namespace {namespace} with it; without, pins and journal can stay"
            right = Right("get", "daemonsets", False, otherwise)
            yield await _may(cluster, right, f"{namespace}/{name}", group="apps", namespace=namespace, name=name)


async def _may(cluster: Api, right: Right, scope: str, **where: str) -> Finding:
    what = f"may {right}"
    try:
        allowed = await cluster.may(right.verb, right.resource, **where)
    except Unreachable as e:
        return Finding(what, False, str(e), need=right.needed)
    return Finding(what, allowed, f"yes, {scope}" if allowed else f"no: {right.otherwise}", need=right.needed)
