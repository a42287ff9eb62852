"""Real kills by this kernel, read through the shipped object: what the record says is what happened."""

import asyncio
import errno
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from machine import Cgroup, Victim
from machine.capabilities import CAP_BPF, CAP_PERFMON, without
from machine.process import grown
from oomeventer.kernel import Episode, KernelError, LibraryError, Tracer, attachment, pace
from oomeventer.kernel.kill import Kill, Missing, RanOut, ran_out_here
from oomeventer.kernel.libbpf import Library, advice
from oomeventer.kernel.record import LEVELS

pytestmark = pytest.mark.kernel

LIMIT = 24 << 20
SECONDS = 20


def text(*arguments: str | bytes | Path) -> bytes:
    """Arguments as the kernel keeps them."""
    return b"".join(os.fsencode(argument) + b"\0" for argument in arguments)


async def seen(tracer: Tracer, *pids: int) -> list[Kill]:
    """The kills of those pids, once all of them are there; others, which are not ours, are passed over."""
    found: dict[int, Kill] = {}
    async with asyncio.timeout(SECONDS):
        async for episode in tracer.episodes():
            tracer.free(episode)
            found.update((kill.process.pid, kill) for kill in episode if kill.process.pid in pids)
            if len(found) == len(pids):
                return [found[pid] for pid in pids]
    raise AssertionError("episodes() ended")


async def left(tracer: Tracer, seconds: float = 0.5) -> list[Episode]:
    """What else comes within a while."""
    episodes = []
    try:
        async with asyncio.timeout(seconds):
            async for episode in tracer.episodes():
                tracer.free(episode)
                episodes.append(episode)
    except TimeoutError:
        pass
    return episodes


@pytest.fixture
async def tracer() -> AsyncIterator[Tracer]:
    with Tracer() as attached:
        yield attached


async def test_victim_is_the_trigger(tracer: Tracer, program: Path) -> None:
    """The common case: all of the record, arguments and environment among it, agrees with what was started."""
    with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["hog", "100", "--flag"], {"GOGC": "50", "A": "b"}) as victim:
        starttime = int(Path(f"/proc/{victim.pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
        victim.go()
        assert victim.wait() == -9
        (kill,) = await seen(tracer, victim.pid)
        directory = cgroup.directory.stat()
        peak = int(cgroup.read("memory.peak" if cgroup.unified else "memory.max_usage_in_bytes"))
    assert kill.comm == b"victim"
    assert kill.process.start_ns // 10_000_000 == starttime
    assert kill.tid == kill.container_pid == victim.pid
    assert kill.namespace_level == 0
    assert kill.init.pid == 1
    assert kill.uid == os.getuid()
    assert kill.oom_score_adj == int(Path("/proc/self/oom_score_adj").read_text())
    assert kill.arguments == text(program, "hog", "100", "--flag")
    assert kill.environment == b"GOGC=50\0A=b\0"
    assert not kill.missing
    assert kill.cgroup == kill.trigger.cgroup == cgroup.path
    assert kill.trigger.process == kill.process
    assert LIMIT * 0.9 < kill.anon_bytes <= LIMIT
    assert kill.total_vm_bytes > 100 << 20
    assert kill.pgtables_bytes > 0
    level = kill.levels[0]
    assert level.inode == directory.st_ino
    assert level.limit_bytes == LIMIT
    assert level.peak_bytes == peak
    assert LIMIT * 0.9 < level.usage_bytes <= LIMIT
    assert ran_out_here(kill) == RanOut(0)
    assert kill.levels[-1].inode == cgroup.directory.parent.stat().st_ino
    assert tracer.lost == 0


async def test_victim_is_another_process(tracer: Tracer, program: Path) -> None:
    """The kernel prefers another process than the one that allocates: both are reported, and the victim's arguments."""
    with ExitStack() as stack:
        cgroup = stack.enter_context(Cgroup(LIMIT))
        prey = stack.enter_context(Victim(program, cgroup, ["prey", "8", "the-prey"], {"NAME": "prey"}))
        prey.go()
        await grown(prey.pid, 8 << 20)
        hunter = stack.enter_context(Victim(program, cgroup, ["hog", "17", "the-hunter"]))
        hunter.go()
        (kill,) = await seen(tracer, prey.pid)
        assert prey.wait() == -9
    assert kill.trigger.process.pid == hunter.pid != kill.process.pid
    assert kill.trigger.comm == b"victim"
    assert kill.arguments_follow
    assert kill.arguments == text(program, "prey", "8", "the-prey")
    assert kill.environment == b"NAME=prey\0"
    assert kill.oom_score_adj == 1000


async def test_thread_whose_leader_is_gone(tracer: Tracer, program: Path) -> None:
    """The kernel marks a thread; the record names the process by its leader's pid."""
    with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["orphan", "100"]) as victim:
        victim.go()
        (kill,) = await seen(tracer, victim.pid)
        assert victim.wait() == -9
    assert kill.process.pid == victim.pid != kill.tid
    assert kill.arguments == text(program, "orphan", "100")


async def test_threads_are_one_kill(tracer: Tracer, program: Path) -> None:
    """Dying threads are marked again; every process is still reported once."""
    pids = []
    for _ in range(20):
        with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["threads", "100", "4"]) as victim:
            pids.append(victim.pid)
            victim.go()
            assert victim.wait() == -9
    reported = Counter(kill.process.pid for episode in await left(tracer) for kill in episode)
    assert {pid: reported[pid] for pid in pids} == dict.fromkeys(pids, 1)


async def test_limit_of_a_parent(tracer: Tracer, program: Path) -> None:
    """The parent's limit runs out: it is the level that is named, and the victim's own memcg is the first."""
    with ExitStack() as stack:
        parent = stack.enter_context(Cgroup(LIMIT))
        children = [stack.enter_context(Cgroup(LIMIT * 2, name, parent)) for name in ("one", "two")]
        first = stack.enter_context(Victim(program, children[0], ["prey", "8"]))
        first.go()
        await grown(first.pid, 8 << 20)
        second = stack.enter_context(Victim(program, children[1], ["hog", "17"]))
        second.go()
        (kill,) = await seen(tracer, first.pid)
        assert kill.cgroup == children[0].path
        assert kill.trigger.cgroup == children[1].path
        assert [level.limit_bytes for level in kill.levels[:2]] == [LIMIT * 2, LIMIT]
        assert ran_out_here(kill) == RanOut(1)


async def test_odd_bytes(tracer: Tracer, program: Path, tmp_path: Path) -> None:
    """Names are the kernel's bytes: a comm, a path and arguments that are no text."""
    odd = tmp_path / os.fsdecode(b"\xff\x1b[31m\n")
    odd.symlink_to(program)
    name = b"odd \xfe\x1b]0;x\x07" + b"n" * 190  # a newline is the one byte that cgroups refuse
    with Cgroup(LIMIT, name) as cgroup, Victim(odd, cgroup, ["hog", "100", b"\xfd\n", ""]) as victim:
        victim.go()
        (kill,) = await seen(tracer, victim.pid)
        victim.wait()
    assert kill.comm == b"\xff\x1b[31m\n"
    assert os.fsencode(kill.cgroup) == b"/" + name
    assert kill.arguments == text(odd, "hog", "100", b"\xfd\n", "")


async def test_long_arguments_are_cut(tracer: Tracer, program: Path) -> None:
    """What does not fit is cut, and marked as cut: 128 KiB of arguments and of environment."""
    long = "x" * 65536
    with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["hog", "100", long, long], {"A": long, "B": long}) as victim:
        victim.go()
        (kill,) = await seen(tracer, victim.pid)
        victim.wait()
    assert kill.arguments is not None
    assert kill.environment is not None
    assert (len(kill.arguments), len(kill.environment)) == (4096, 8192)
    assert kill.arguments.startswith(text(program, "hog", "100") + b"xxx")
    assert {flag.name for flag in kill.missing} == {"ARGUMENTS", "ENVIRONMENT"}


def nested(stack: ExitStack, depth: int) -> list[Cgroup]:
    """That many cgroups, each in the one before."""
    cgroups: list[Cgroup] = []
    for number in range(depth):
        name = f"{number}-{'d' * 20}" if number else None
        cgroups.append(stack.enter_context(Cgroup(None, name, cgroups[-1] if cgroups else None)))
    return cgroups


@pytest.mark.parametrize(("depth", "cut"), [(LEVELS, False), (LEVELS + 1, True), (LEVELS + 24, True)])
async def test_deep_path(tracer: Tracer, program: Path, depth: int, cut: bool) -> None:
    """Of a path of more levels than the record has the beginning is reported, which says whose it is, with the figures
    of just those levels, and that the rest is missing. The end may be the tenant's own choice."""
    with ExitStack() as stack:
        cgroups = nested(stack, depth)
        cgroups[2].limit(LIMIT)
        victim = stack.enter_context(Victim(program, cgroups[-1], ["hog", "100"]))
        victim.go()
        (kill,) = await seen(tracer, victim.pid)
        kept = cgroups[:LEVELS]
        inodes = [cgroup.directory.stat().st_ino for cgroup in reversed(kept)]
    assert kill.cgroup == kill.trigger.cgroup == kept[-1].path
    assert [level.inode for level in kill.levels] == inodes
    assert [level.limit_bytes for level in kill.levels] == [None] * 13 + [LIMIT] + [None] * 2
    assert ran_out_here(kill) == RanOut(13)
    assert kill.missing == (Missing.CGROUP | Missing.LEVELS if cut else Missing(0))


async def test_limit_of_a_level_that_is_cut(tracer: Tracer, program: Path) -> None:
    """Which limit ran out is open, where the kernel does not say it itself; it is not the node."""
    with ExitStack() as stack:
        cgroups = nested(stack, LEVELS + 4)
        cgroups[-1].limit(LIMIT)
        victim = stack.enter_context(Victim(program, cgroups[-1], ["hog", "100"]))
        victim.go()
        (kill,) = await seen(tracer, victim.pid)
    assert ran_out_here(kill) == RanOut(None, certain=False)


async def test_trigger_in_a_deep_path(tracer: Tracer, program: Path) -> None:
    """Its path is cut likewise, and the victim's, which is not deep, is whole."""
    with ExitStack() as stack:
        cgroups = nested(stack, LEVELS + 4)
        cgroups[0].limit(LIMIT)
        prey = stack.enter_context(Victim(program, cgroups[1], ["prey", "8"]))
        prey.go()
        await grown(prey.pid, 8 << 20)
        hunter = stack.enter_context(Victim(program, cgroups[-1], ["hog", "17"]))
        hunter.go()
        (kill,) = await seen(tracer, prey.pid)
    assert (kill.cgroup, kill.trigger.cgroup) == (cgroups[1].path, cgroups[LEVELS - 1].path)
    assert kill.missing == Missing.TRIGGER_CGROUP


async def test_full_ring_is_counted(program: Path) -> None:
    """Nobody reads while 60 victims die: the ring holds what it can, and the rest is counted, one for one, and with
    whose it was. Others on this machine may lose some, too."""
    with Tracer(ring_bytes=1 << 16) as tracer, Cgroup(LIMIT) as cgroup:
        for _ in range(60):
            with Victim(program, cgroup, ["hog", "100", "x" * 2000]) as victim:
                victim.go()
                assert victim.wait() == -9
        reported = [kill for episode in await left(tracer) for kill in episode if kill.cgroup == cgroup.path]
        lost, all_lost = tracer.take_losses()[cgroup.path], tracer.lost
        assert len(reported) + lost == 60
        assert all_lost >= lost > 0
        with Victim(program, cgroup, ["hog", "100"]) as victim:
            victim.go()
            (kill,) = await seen(tracer, victim.pid)
        assert kill.lost >= all_lost


async def test_200_kills(tracer: Tracer, program: Path) -> None:
    """200 kills one after another: 200 kills reported, each with its own arguments, none twice."""
    expected = {}

    async def make() -> None:
        for number in range(200):
            with Cgroup(4 << 20) as cgroup, Victim(program, cgroup, ["hog", "100", f"number-{number}"]) as victim:
                expected[victim.pid] = text(program, "hog", "100", f"number-{number}")
                victim.go()
                await asyncio.to_thread(victim.wait)

    making = asyncio.create_task(make())
    reported: list[Kill] = []
    async with asyncio.timeout(60):
        async for episode in tracer.episodes():
            tracer.free(episode)
            reported += [
                kill for kill in episode if kill.process.pid in expected
            ]  # others may be killed on this machine
            if len(reported) >= 200:
                break
    await making
    reported += [kill for episode in await left(tracer) for kill in episode if kill.process.pid in expected]
    assert len(reported) == 200
    assert {kill.process.pid: kill.arguments for kill in reported} == expected


async def test_a_storm_is_handed_on_together(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the first one all wait, though each is seen at once; and none waits once it is to stop."""
    monkeypatch.setattr(pace, "STORM", 1)
    monkeypatch.setattr(pace, "TOGETHER_SECONDS", 3600.0)
    stop = asyncio.Event()
    opened: list[int] = []
    handed_on: list[int] = []

    async def read() -> None:
        with Tracer() as tracer:
            async for episode in tracer.episodes(stop, lambda kill: opened.append(kill.process.pid)):
                handed_on.extend(kill.process.pid for kill in episode)
                tracer.free(episode)

    async def killed() -> int:
        with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["hog", "100"]) as victim:
            victim.go()
            async with asyncio.timeout(10):
                while victim.pid not in opened:
                    await asyncio.sleep(0.001)
            return victim.pid

    reading = asyncio.create_task(read())
    await asyncio.sleep(1)
    first, *others = [await killed() for _ in range(4)]
    assert not set(others) & set(handed_on)
    stop.set()
    await asyncio.wait_for(reading, 10)
    assert [pid for pid in handed_on if pid in (first, *others)] == [first, *others]


async def test_a_stop_leaves_nothing_behind(tracer: Tracer, program: Path) -> None:
    """What is in the ring when the reader is asked to stop is reported, whatever it still waits for; then it ends."""
    stop = asyncio.Event()
    with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["hog", "100"]) as victim:
        victim.go()
        victim.wait()
        stop.set()
        reported = [kill.process.pid for episode in [e async for e in tracer.episodes(stop)] for kill in episode]
    assert victim.pid in reported


async def test_60_victims_that_are_others(tracer: Tracer, program: Path) -> None:
    """The victim's SIGKILL may arrive before it is marked or after: its arguments are there each time."""
    for number in range(60):
        with ExitStack() as stack:
            cgroup = stack.enter_context(Cgroup(8 << 20))
            prey = stack.enter_context(Victim(program, cgroup, ["prey", "4", f"number-{number}"]))
            prey.go()
            await grown(prey.pid, 4 << 20)
            hunter = stack.enter_context(Victim(program, cgroup, ["hog", "5"]))
            hunter.go()
            (kill,) = await seen(tracer, prey.pid)
            assert kill.trigger.process.pid == hunter.pid
            assert kill.arguments == text(program, "prey", "4", f"number-{number}")


def test_what_is_not_tried_would_be_refused() -> None:
    """Where tracing programs are not tried, since the kernel takes none, the object with them is refused."""
    library, taken = Library(), True
    try:
        attachment._load(library, 1 << 16, None, attachment.OPTIONAL).close()
    except KernelError:
        taken = False
    assert library.permits_tracing() or not taken


def test_second_tracer_beside_the_first(tracer: Tracer) -> None:
    """Two can be attached at once, as while an agent is replaced."""
    with Tracer() as second:
        assert second.lost == tracer.lost == 0


def test_too_small_a_ring() -> None:
    """A ring that cannot hold what it must is refused, and the message says what to do."""
    with pytest.raises(KernelError, match=r"32768 bytes is too small.*--ring-bytes"):
        Tracer(ring_bytes=1 << 15)


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file, the package and the variable."""
    monkeypatch.setenv("OOMEVENTER_LIBBPF", "/nowhere/libbpf.so.1")
    with pytest.raises(LibraryError, match=r"/nowhere/libbpf.so.1: .*libbpf1.*OOMEVENTER_LIBBPF"):
        Tracer()


def test_no_privilege() -> None:
    """Without capabilities the error says which are needed, and has libbpf's log."""

    def refused() -> bool:
        try:
            with Tracer():
                return False
        except KernelError as e:
            return "CAP_BPF and CAP_PERFMON" in str(e) and "libbpf's log" in str(e)

    assert without(refused)


@pytest.mark.parametrize("command", ["run", "trace", "doctor"])
def test_no_btf(command: str) -> None:
    """A kernel without BTF (its file hidden in a mount namespace) gets one clear sentence from each command."""
    hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$0" -m oomeventer "$1"'
    run = ["unshare", "--mount", "sh", "-c", hide, sys.executable, command]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "this kernel has no BTF (/sys/kernel/btf/vmlinux is missing)" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "libbpf_log", "sentence"),
    [
        (errno.EINVAL, "libbpf: map 'ring': failed to create: Invalid argument(-22)", "no BPF ring buffer"),
        (errno.EINVAL, "unknown func bpf_probe_read_kernel#113", "locked down for confidentiality"),
        (errno.EINVAL, "program of this type cannot use helper bpf_probe_read#4", "locked down for confidentiality"),
        (errno.EPERM, "", "CAP_BPF and CAP_PERFMON"),
        (errno.ENOSYS, "", r"no bpf\(2\)"),
        (errno.ENOMEM, "", "--ring-bytes"),
        (errno.E2BIG, "", "does not take the BPF object"),
    ],
)
def test_advice(number: int, libbpf_log: str, sentence: str) -> None:
    """What libbpf and the kernel report of a kernel that lacks something becomes a sentence that says what to do."""
    assert re.search(sentence, advice(number, libbpf_log))


def test_two_capabilities_are_enough() -> None:
    """CAP_BPF and CAP_PERFMON load and attach all that the kernel allows at all."""

    def attaches() -> bool:
        with Tracer() as tracer:
            return tracer.lost == 0

    assert without(attaches, CAP_BPF, CAP_PERFMON)
