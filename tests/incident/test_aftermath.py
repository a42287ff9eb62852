"""What becomes of PID 1 when its child is killed: real kills, in pid namespaces of their own.

In: programs that are PID 1, each with a child that takes too much. Out: what the incident says of them, and when.
"""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from machine import Cgroup
from oomeventer.incident import Incident, Observer
from oomeventer.incident import aftermath as module
from oomeventer.incident.aftermath import BOUND_SECONDS, GRACE_SECONDS, WATCHED, Aftermath
from oomeventer.kernel import Kill, Process, Tracer
from oomeventer.node import Procfs
from oomeventer.redaction import Redaction
from samples import NODE, incident, kill

LIMIT = 64 << 20
KILLS = 20
#: How late a busy machine may make what is awaited.
SLACK_SECONDS = 0.5


class Namespace:
    """A program as PID 1 of a pid namespace, in a cgroup of its own. It ends when this is left."""

    def __init__(self, *command: str | Path) -> None:
        self._command = command

    def __enter__(self) -> "Namespace":
        with contextlib.ExitStack() as stack:
            self.cgroup = stack.enter_context(Cgroup(LIMIT))
            enter = ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(self.cgroup.directory / "cgroup.procs")]
            unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
            process = subprocess.Popen([*enter, *unshare, *self._command], stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Watched:
    """The kernel's kills as they come, each as the agent takes it up."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.seen = 0  # kills after which PID 1 still ran when it was first looked at
        procfs = Procfs()
        self.aftermath = Aftermath(procfs)
        self._observer = Observer(procfs, NODE, Redaction(), statistics=False, aftermath=self.aftermath)

    async def kills(self, *cgroups: Cgroup) -> AsyncIterator[tuple[Kill, Incident]]:
        """Those in these cgroups, with their incidents; what became of PID 1 is not awaited."""
        paths = {cgroup.path for cgroup in cgroups}
        async for episode in self._tracer.episodes():
            self._tracer.free(episode)
            if episode[0].cgroup in paths:
                yield episode[0], await self._observer(episode)

    async def decided(self, cgroup: Cgroup) -> tuple[Kill, str | None, float]:
        """The next kill in there, what is said of PID 1, and how many seconds after the mark."""
        async with asyncio.timeout(20):
            async for killed, found in self.kills(cgroup):
                self.seen += found.pid1 == "seen"
                settled = await self.aftermath(found)
                return killed, settled.pid1, since(killed)
        raise AssertionError

    def close(self) -> None:
        self.aftermath.close()
        self._observer.close()


def since(killed: Kill) -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - killed.time_ns / 1e9


@pytest.fixture
def watched() -> Iterator[Watched]:
    with Tracer() as tracer:
        watching = Watched(tracer)
        yield watching
        watching.close()


def told(seconds: Sequence[float]) -> str:
    most = sorted(seconds)
    return f"from mark to decided: median {most[len(most) // 2] * 1e3:.1f} ms, most {most[-1] * 1e3:.1f} ms"


WRAPPERS: dict[str, list[str]] = {
    "waitpid": ["VICTIM", "init", "128"],
    "shell": ["sh", "-c", "VICTIM hog 128; exit $?"],
    "shell in a shell": ["sh", "-c", "sh -c 'VICTIM hog 128; exit $?'; exit $?"],
}


@pytest.mark.kernel
@pytest.mark.parametrize("wrapper", WRAPPERS)
async def test_a_wrapper_is_gone(watched: Watched, program: Path, wrapper: str) -> None:
    """It ends when its child is killed: never is it said to live."""
    found = []
    for _ in range(KILLS):
        with Namespace(*(word.replace("VICTIM", str(program)) for word in WRAPPERS[wrapper])) as namespace:
            _, pid1, seconds = await watched.decided(namespace.cgroup)
            found.append((pid1, seconds))
    print(f"\n{wrapper}: ran at first {watched.seen} times of {KILLS}; {told([seconds for _, seconds in found])}")
    assert [pid1 for pid1, _ in found] == ["gone"] * KILLS
    assert watched.seen > KILLS // 2, "else this has shown nothing"


@pytest.mark.kernel
async def test_a_shell_that_lives(watched: Watched, program: Path) -> None:
    """It starts one child after another: it lives, which is said no later than it must be."""
    found = []
    with Namespace("sh", "-c", f"while :; do {program} hog 128; sleep 0.3; done") as namespace:
        for _ in range(KILLS):
            killed, pid1, seconds = await watched.decided(namespace.cgroup)
            os.kill(killed.init.pid, 0)
            found.append((pid1, seconds))
    print(f"\na living shell: {told([seconds for _, seconds in found])}")
    assert [pid1 for pid1, _ in found] == ["lives"] * KILLS
    assert sorted(seconds for _, seconds in found)[KILLS // 2] < GRACE_SECONDS + SLACK_SECONDS


@pytest.mark.kernel
async def test_pid1_is_the_victim(watched: Watched, program: Path) -> None:
    """Then nothing is waited for."""
    with Namespace(program, "hog", "128") as namespace:
        async for killed, found in watched.kills(namespace.cgroup):
            started = time.monotonic()
            assert (await watched.aftermath(found)).pid1 == "killed"
            assert time.monotonic() - started < 0.01
            assert killed.process == killed.init
            break


@pytest.mark.kernel
async def test_a_victim_that_nobody_reaps(watched: Watched, program: Path) -> None:
    """A zombie: whether PID 1 will end is not seen, and after the bound that is what is said."""
    with Namespace(program, "careless", "128") as namespace:
        _, pid1, seconds = await watched.decided(namespace.cgroup)
    assert pid1 == "seen"
    assert BOUND_SECONDS - GRACE_SECONDS <= seconds < BOUND_SECONDS + SLACK_SECONDS


@pytest.mark.kernel
async def test_many_wait_at_the_same_time(watched: Watched, program: Path) -> None:
    """Kills in ten namespaces at once are decided when each of them is due, not one after another."""
    with contextlib.ExitStack() as stack:
        command = ["sh", "-c", f"{program} hog 128; sleep 100"]
        spaces = [stack.enter_context(Namespace(*command)) for _ in range(10)]
        found, last = [], None
        async for killed, one in watched.kills(*(space.cgroup for space in spaces)):
            found.append(asyncio.create_task(watched.aftermath(one)))
            if len(found) == len(spaces):
                last = killed
                break
        assert last
        assert [one.pid1 for one in await asyncio.gather(*found)] == ["lives"] * len(spaces)
        assert since(last) < GRACE_SECONDS + SLACK_SECONDS


# Without kills: this process's own children stand for PID 1 and the victim.


class Child:
    """A process that sleeps until it is ended, and stays a zombie until it is reaped."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["sleep", "1000"])
        self.pid = self._process.pid
        stat = Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b") ")[2].split()
        ticks = int(stat[19])
        self.process = Process(self.pid, ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK"))

    def end(self) -> None:
        self._process.kill()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def reap(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def children() -> Iterator[list[Child]]:
    made = [Child() for _ in range(2)]
    yield made
    for child in made:
        child.reap()


@pytest.fixture
def aftermath() -> Iterator[Aftermath]:
    made = Aftermath(Procfs())
    yield made
    made.close()


def kill_of(init: Child, victim: Child, ago: float = 0.0) -> Kill:
    at = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(ago * 1e9)
    return kill(victim.pid, process=victim.process, init=init.process, time_ns=at)


async def decided(aftermath: Aftermath, *kills: Kill) -> str | None:
    seen = incident(pid1="seen")
    aftermath.keep(seen, kills)
    return (await aftermath(seen)).pid1


async def test_an_end_is_told_at_once(aftermath: Aftermath, children: list[Child]) -> None:
    """PID 1 ends while the victim is still a zombie: nothing more is waited for."""
    init, victim = children
    victim.end()
    asyncio.get_running_loop().call_later(0.1, init.end)
    started = time.monotonic()
    assert await decided(aftermath, kill_of(init, victim)) == "gone"
    assert time.monotonic() - started < GRACE_SECONDS + 0.1


async def test_the_grace_begins_with_the_reaping(aftermath: Aftermath, children: list[Child]) -> None:
    """However long the victim takes, within the bound."""
    init, victim = children
    loop = asyncio.get_running_loop()
    loop.call_later(0.2, victim.end)
    loop.call_later(0.4, victim.reap)
    loop.call_later(0.4 + GRACE_SECONDS / 2, init.end)
    assert await decided(aftermath, kill_of(init, victim)) == "gone"


async def test_a_backlog_waits_for_nothing(aftermath: Aftermath, children: list[Child]) -> None:
    """A kill older than the bound is looked at once, whatever is found."""
    init, victim = children
    old = kill_of(init, victim, BOUND_SECONDS)
    started = time.monotonic()
    assert await decided(aftermath, old) == "seen"
    victim.end()
    assert await decided(aftermath, old) == "seen"
    victim.reap()
    assert await decided(aftermath, old) == "lives"
    init.end()
    assert await decided(aftermath, old) == "gone"
    assert time.monotonic() - started < GRACE_SECONDS


async def test_pids_that_are_used_again(aftermath: Aftermath, children: list[Child]) -> None:
    """Another process with the victim's pid does not keep it from being reaped, nor is one with PID 1's pid PID 1."""
    init, victim = children
    now = kill_of(init, victim)
    assert await decided(aftermath, replace(now, process=replace(now.process, start_ns=1))) == "lives"
    assert await decided(aftermath, replace(now, init=replace(now.init, start_ns=1))) == "gone"


async def test_all_of_a_group_are_waited_for(aftermath: Aftermath, children: list[Child]) -> None:
    """One that is not reaped leaves it open."""
    init, victim = children
    gone = Child()
    gone.reap()
    kills = kill_of(init, gone, BOUND_SECONDS), kill_of(init, victim, BOUND_SECONDS)
    assert await decided(aftermath, *kills) == "seen"
    victim.reap()
    assert await decided(aftermath, *kills) == "lives"


async def test_another_process_goes_on_with_what_was_seen(aftermath: Aftermath, children: list[Child]) -> None:
    """It has no pids: PID 1 was seen. And of a kill of which nothing was seen nothing is watched."""
    assert (await aftermath(incident(pid1="seen"))).pid1 == "seen"
    for pid1 in ("killed", "gone", None):
        known = incident(pid1=pid1)
        aftermath.keep(known, [kill_of(*children)])
        assert await aftermath(known) == known
    assert not aftermath._kept


async def test_what_is_watched_is_bounded(
    aftermath: Aftermath, children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand kills at once as many are watched as may be, the others' PID 1 was seen; no descriptor is left."""
    monkeypatch.setattr(module, "BOUND_SECONDS", 0.5)
    before = len(os.listdir("/proc/self/fd"))
    incidents = [incident(number, pid1="seen") for number in range(1000)]
    for one in incidents:
        aftermath.keep(one, [kill_of(*children)])
        await asyncio.sleep(0)
    started = time.monotonic()
    children[1].reap()
    found = [(await aftermath(one)).pid1 for one in incidents]
    assert found.count("lives") == WATCHED
    assert found.count("seen") == 1000 - found.count("lives")
    assert time.monotonic() - started < GRACE_SECONDS + 1
    assert len(os.listdir("/proc/self/fd")) == before
    assert (aftermath._watched, aftermath._files, aftermath._kept) == (0, 0, {})


async def test_a_proc_that_hangs(children: list[Child], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is not waited for longer than the bound, and the loop never: PID 1 was seen."""
    monkeypatch.setattr(module, "BOUND_SECONDS", 0.3)
    hanging = Procfs(tmp_path)
    for process in children:
        (tmp_path / str(process.pid)).mkdir()
        os.mkfifo(tmp_path / str(process.pid) / "stat")
    aftermath = Aftermath(hanging)
    started = time.monotonic()
    watching = asyncio.create_task(decided(aftermath, kill_of(*children)))
    await asyncio.sleep(0.01)
    assert time.monotonic() - started < 0.1
    assert await watching == "seen"
    assert 0.3 <= time.monotonic() - started < 0.3 + SLACK_SECONDS
    aftermath.close()
    stats = [tmp_path / str(process.pid) / "stat" for process in children]
    hung = [stat.rename(stat.with_name("hung")) for stat in stats]
    for fifo in hung:  # the thread is let go, and finds no such file again
        with contextlib.suppress(OSError):
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
