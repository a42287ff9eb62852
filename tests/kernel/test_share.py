"""How the kernel shares out its ring: past half of it records are short, in its last quarter each cgroup has one.

In: real kills, and a reader that frees nothing until it is asked to. Out: which kills are in the ring, how large, and
whose are counted as lost.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from machine import Cgroup, Victim
from machine.process import grown
from oomeventer.commands import wiring
from oomeventer.kernel import Tracer
from oomeventer.kernel import tracer as tracer_module
from oomeventer.kernel.attachment import Attachment, load
from oomeventer.kernel.episodes import ARGUMENTS_SECONDS
from oomeventer.kernel.kill import Arguments, Kill, Missing
from oomeventer.kernel.libbpf import Library
from oomeventer.kernel.record import parse
from oomeventer.kernel.ring import Ring

pytestmark = pytest.mark.kernel

LIMIT = 4 << 20
RING = 1 << 16
TEXT = "x" * 3000


@pytest.fixture
def attached() -> Iterator[Attachment]:
    """A ring of 64 KiB."""
    attachment = load(Library(), RING)
    yield attachment
    attachment.close()


@pytest.fixture
def tenants() -> Iterator[list[Cgroup]]:
    """Cgroups with a limit; the first is the one that is killed again and again."""
    with ExitStack() as stack:
        yield [stack.enter_context(Cgroup(LIMIT)) for _ in range(4)]


def dies(program: Path, cgroup: Cgroup) -> int:
    """A process that is killed, with 3 KB of arguments. Its pid."""
    with Victim(program, cgroup, ["hog", "100", TEXT]) as victim:
        victim.go()
        assert victim.wait() == -9
        return victim.pid


async def preyed_upon(program: Path) -> int:
    """A process that is killed for another's allocation. Its pid."""
    with Cgroup(24 << 20) as cgroup, Victim(program, cgroup, ["prey", "8", TEXT]) as prey:
        prey.go()
        await grown(prey.pid, 8 << 20)
        with Victim(program, cgroup, ["hog", "17"]) as hog:
            hog.go()
            assert await asyncio.to_thread(prey.wait) == -9
            return prey.pid


def inode(cgroup: Cgroup) -> int:
    return cgroup.directory.stat().st_ino


def read(attached: Attachment, *cgroups: Cgroup) -> list[tuple[int, int, Kill]]:
    """What is in the ring of those cgroups: position, size, kill."""
    records = [(position, len(raw), parse(raw)) for position, raw in attached.ring.read()]
    paths = {cgroup.path for cgroup in cgroups}
    return [(at, size, kill) for at, size, kill in records if isinstance(kill, Kill) and kill.cgroup in paths]


def fill(attached: Attachment, program: Path, cgroup: Cgroup, until: float) -> list[int]:
    """Kills in one cgroup until that part of the ring is in use; their pids."""
    pids = []
    while attached.ring.used_bytes < until * RING:
        pids.append(dies(program, cgroup))
    return pids


def test_past_half_records_are_short(attached: Attachment, program: Path, tenants: list[Cgroup]) -> None:
    """They have no arguments and say so; up to there they are whole."""
    pids = fill(attached, program, tenants[0], 0.74)
    records = read(attached, tenants[0])
    assert [kill.process.pid for _, _, kill in records] == pids
    for position, size, kill in records:
        whole = position < RING / 2
        assert (size > 4000) == whole
        assert size > 1000
        assert kill.missing == (Missing(0) if whole else Missing.OMITTED)
        assert bool(kill.arguments and TEXT.encode() in kill.arguments) == whole
        assert (kill.environment is None) or whole
        assert not kill.arguments_follow
    assert records[-1][2].missing == Missing.OMITTED
    assert attached.lost == 0


def test_the_last_quarter_is_for_others(attached: Attachment, program: Path, tenants: list[Cgroup]) -> None:
    """Who has had a record past half has no more there, and what that costs is counted as its own, one for one; others
    have theirs, once. When there is room again all begins again."""
    greedy, *others = tenants
    fill(attached, program, greedy, 0.76)
    before = attached.lost
    refused = [dies(program, greedy) for _ in range(30)]
    expected = [dies(program, other) for other in others]
    again = dies(program, others[0])
    records = read(attached, *tenants)
    reported = [kill.process.pid for _, _, kill in records]
    assert reported[-len(expected) :] == expected
    assert not {*refused, again} & set(reported)
    losses = attached.take_losses()
    assert (losses[inode(greedy)], losses[inode(others[0])]) == (30, 1)
    assert attached.lost - before == sum(losses.values())
    assert attached.take_losses() == {}
    attached.ring.free(list(attached.ring._held))
    later = [dies(program, cgroup) for cgroup in tenants]
    assert [kill.process.pid for _, _, kill in read(attached, *tenants)] == later
    fill(attached, program, others[0], 0.76)
    assert dies(program, greedy) in {kill.process.pid for _, _, kill in read(attached, greedy)}


async def test_arguments_that_follow_are_left_out(program: Path, tenants: list[Cgroup]) -> None:
    """A victim that is not the trigger is not waited for past half of the ring."""
    with Tracer(RING) as tracer:
        while tracer.used_bytes < RING * 0.55:
            dies(program, tenants[0])
        pid = await preyed_upon(program)
        async with asyncio.timeout(10):
            async for kill, *_ in tracer.episodes():
                if kill.process.pid == pid:
                    break
        assert (kill.arguments, kill.arguments_follow, kill.missing) == (None, False, Missing.OMITTED)


async def test_whose_records_were_lost_is_logged(
    program: Path, tenants: list[Cgroup], caplog: pytest.LogCaptureFixture
) -> None:
    """By their path, once."""
    with Tracer(RING) as tracer:
        while tracer.used_bytes < RING * 0.76:
            dies(program, tenants[0])
        for _ in range(5):
            dies(program, tenants[0])
        stop = asyncio.Event()
        stop.set()
        opened: list[Kill] = []
        async for episode in wiring.episodes(tracer, stop, opened.append):
            tracer.free(episode)
        assert opened[0].cgroup == tenants[0].path
        assert tracer.lost >= 5
        assert f"5 of {tenants[0].path}" in caplog.text
        assert tracer.take_losses() == {}


async def test_a_reader_that_is_slow(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came while others were read is read before an episode counts as overdue."""
    parse_ = tracer_module.parse
    with Tracer(RING) as tracer:

        def slowly(raw: bytes) -> Kill | Arguments:
            """The mark takes longer than its arguments are waited for; they are in the ring only then."""
            record = parse_(raw)
            if isinstance(record, Kill) and record.arguments_follow:
                time.sleep(ARGUMENTS_SECONDS + 0.1)
            return record

        def one_by_one(ring: Ring) -> list[tuple[int, bytes]]:
            """As if the reader came to each record as soon as it is there."""
            waiting.extend(read(ring))
            return [waiting.pop(0)] if waiting else []

        read, waiting = Ring.read, list[tuple[int, bytes]]()
        monkeypatch.setattr(tracer_module, "parse", slowly)
        monkeypatch.setattr(Ring, "read", one_by_one)
        pid = await preyed_upon(program)
        async with asyncio.timeout(10):
            async for kill, *_ in tracer.episodes():
                if kill.process.pid == pid:
                    break
    assert kill.arguments_follow
    assert TEXT.encode() in (kill.arguments or b"")
