"""What stays in the kernel while no agent runs, and what the next one makes of it.

In: real kills before, between and after agents, on a BPF file system of the test's own. Out: each kill, once.
"""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machine import Cgroup, Victim
from oomeventer.kernel import Episode, KernelError, Pins, PinsError, Tracer, attachment
from oomeventer.kernel.libbpf import Library
from oomeventer.kernel.lock import Held
from oomeventer.kernel.pins import Generation, filesystem
from oomeventer.kernel.record import FORMAT
from oomeventer.kernel.ring import Ring
from oomeventer.kernel.tracer import RING_BYTES_LEAST
from places import REPOSITORY

pytestmark = pytest.mark.kernel

LIMIT = 4 << 20
BPF = REPOSITORY / "bpf"
LINKS = ("signal_deliver", "mark_victim")


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A BPF file system."""
    directory = tmp_path / "bpf"
    directory.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpffs", directory], check=True)
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.fixture
def pins(bpffs: Path) -> Iterator[Pins]:
    taken = Pins(bpffs / "oomeventer")
    yield taken
    taken.close()


@pytest.fixture
def dies(program: Path) -> Callable[..., int]:
    """A process that is killed; its pid."""

    def one(*arguments: str) -> int:
        with Cgroup(LIMIT) as cgroup, Victim(program, cgroup, ["hog", "100", *arguments]) as victim:
            victim.go()
            assert victim.wait() == -9
            return victim.pid

    return one


async def reported(tracer: Tracer, pids: list[int], free: bool = True, seconds: float = 0.3) -> list[int]:
    """How those pids are reported, until nothing came for a while: others on this machine are not ours."""
    found: list[int] = []
    episodes = tracer.episodes()
    try:
        while True:
            async with asyncio.timeout(seconds):
                episode: Episode = await anext(episodes)
            found += [kill.process.pid for kill in episode if kill.process.pid in pids]
            if free:
                tracer.free(episode)
    except TimeoutError:
        return found


def names(generation: Generation) -> set[str]:
    return {pin.name for pin in generation.directory.iterdir()}


# -- one version -------------------------------------------------------------------------------------------------------


async def test_kills_while_no_agent_is_attached(pins: Pins, dies: Callable[..., int]) -> None:
    """They are in the ring of the next, in their order, with their arguments; and then no more."""
    with Tracer(pins=pins) as first:
        before = dies()
        assert await reported(first, [before]) == [before]
    between = [dies(f"number-{number}") for number in range(5)]
    with Tracer(pins=pins) as second:
        after = dies()
        assert await reported(second, [before, *between, after]) == [*between, after]
    with Tracer(pins=pins) as third:
        assert await reported(third, [before, *between, after]) == []
    assert len(pins.generations()) == 1


def test_a_start_that_fails_leaves_nothing(pins: Pins, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that cannot attach, and is started again and again, fills the kernel with no rings."""
    monkeypatch.setattr(attachment, "PROGRAMS", (*LINKS, "no_such_program"))
    for _ in range(3):
        with pytest.raises(KernelError), Tracer(pins=pins):
            pass
    assert pins.generations() == []


async def test_what_was_read_and_not_freed_comes_again(pins: Pins, dies: Callable[..., int]) -> None:
    """An agent that ended before an episode was freed has not reported it: the next one reads it."""
    mine = [dies()]
    with Tracer(pins=pins) as first:
        mine += [dies(), dies()]
        assert await reported(first, mine, free=False) == mine[1:]
        assert first.used_bytes > 0
    with Tracer(pins=pins) as second:
        assert await reported(second, mine, free=False) == mine[1:]
    with Tracer(pins=pins) as third:
        assert await reported(third, mine) == mine[1:]
        assert third.used_bytes == 0
    with Tracer(pins=pins) as fourth:
        assert await reported(fourth, mine) == []


async def test_an_episode_that_is_freed_out_of_order(pins: Pins, dies: Callable[..., int]) -> None:
    """One that was freed may be reported again if one before it is not; none is lost."""
    with Tracer(pins=pins) as first:
        mine = [dies(), dies(), dies()]
        episodes: list[Episode] = []
        reading = first.episodes()
        while len(episodes) < 3:
            episode = await anext(reading)
            if episode[0].process.pid in mine:
                episodes.append(episode)
            else:
                first.free(episode)
        await reading.aclose()
        first.free(episodes[2])
        first.free(episodes[0])
    with Tracer(pins=pins) as second:
        again = await reported(second, mine)
        assert mine[0] not in again
        assert again[0] == mine[1]


async def test_an_adopted_object_is_as_a_loaded_one(pins: Pins) -> None:
    """It knows whether the kernel names the memcg, and how much was lost."""
    with Tracer(pins=pins) as first:
        knows, lost = first.knows_what_ran_out, first.lost
        links = LINKS + (attachment.OPTIONAL if knows else ())
        (generation,) = pins.generations()
        assert names(generation) == {"ring", "counters", "losses", *(f"link_{name}" for name in links)}
    with Tracer(pins=pins) as second:
        assert (second.knows_what_ran_out, second.lost) == (knows, lost)


async def test_what_was_lost_while_no_agent_ran(pins: Pins, dies: Callable[..., int]) -> None:
    """The next one knows how many kills found the ring full."""
    with Tracer(RING_BYTES_LEAST, pins):
        pass
    mine = [dies("x" * 3000) for _ in range(40)]
    with Tracer(RING_BYTES_LEAST, pins) as tracer:
        found = await reported(tracer, mine)
        assert found == mine[: len(found)]
        assert 10 < len(found) < 40
        assert tracer.lost >= 40 - len(found)
        assert tracer.take_losses()[None] >= 40 - len(found)


async def test_without_pins_nothing_stays(bpffs: Path, dies: Callable[..., int]) -> None:
    """An agent without them attaches for its own life."""
    before = sorted(bpffs.iterdir())  # the kernel itself puts something there
    with Tracer() as first:
        assert await reported(first, [pid := dies()]) == [pid]
    between = dies()
    with Tracer() as second:
        assert await reported(second, [between]) == []
    assert sorted(bpffs.iterdir()) == before


# -- another version ---------------------------------------------------------------------------------------------------


async def test_another_version_takes_over(
    pins: Pins, dies: Callable[..., int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Kills before, between and after, and while both are attached: each is reported once, and then only one is
    left."""
    caplog.set_level("INFO")
    mine: list[int] = []
    with Tracer(1 << 17, pins) as first:
        mine.append(dies())
        assert await reported(first, mine) == mine
        mine.append(dies())
        await reported(first, mine, free=False)
    mine += [dies(), dies()]
    unpin = Generation.unpin

    def late(generation: Generation, prefix: str = "") -> None:
        mine.append(dies("while both are attached"))
        unpin(generation, prefix)
        mine.append(dies("when the first was ended"))

    monkeypatch.setattr(Generation, "unpin", late)
    with Tracer(1 << 18, pins) as second:
        monkeypatch.undo()
        assert len(pins.generations()) == 2
        mine.append(dies())
        assert await reported(second, mine, seconds=1.5) == mine[1:]
        assert len(pins.generations()) == 1
        mine.append(dies())
        assert await reported(second, mine) == mine[-1:]
    assert "taking over" in caplog.text
    with Tracer(1 << 18, pins) as third:
        mine.append(dies())
        assert await reported(third, mine) == mine[-1:]


async def test_another_version_whose_records_are_not_in_safety(pins: Pins, dies: Callable[..., int]) -> None:
    """They stay where they are, over further agents and versions, until they are freed."""
    with Tracer(1 << 17, pins):
        mine = [dies(), dies()]
    with Tracer(1 << 18, pins) as second:
        mine.append(dies())
        assert await reported(second, mine, free=False) == mine
        assert len(pins.generations()) == 2
    with Tracer(1 << 19, pins) as third:
        mine.append(dies())
        assert await reported(third, mine, free=False) == mine
        assert len(pins.generations()) == 3
    with Tracer(1 << 17, pins) as fourth:
        mine.append(dies())
        found = await reported(fourth, mine)
        assert Counter(found) == Counter(mine)
        assert len(pins.generations()) == 1


async def test_a_version_that_comes_back(pins: Pins, dies: Callable[..., int]) -> None:
    """A roll-back: to the same version as before the last."""
    mine = []
    for size in (1 << 17, 1 << 18, 1 << 17, 1 << 18):
        mine.append(dies()) if mine else None
        with Tracer(size, pins) as tracer:
            mine.append(dies())
            await reported(tracer, [])
    with Tracer(1 << 18, pins) as tracer:
        assert await reported(tracer, mine) == []
    assert len(pins.generations()) == 1


@pytest.mark.parametrize("left", [(), ("ring",), ("ring", "counters"), ("ring", "counters", "link_signal_deliver")])
async def test_a_generation_that_a_crash_left(pins: Pins, dies: Callable[..., int], left: tuple[str, ...]) -> None:
    """While it was made, or removed: what its ring holds is reported, it goes, and a whole one is attached."""
    with Tracer(pins=pins):
        mine = [dies()]
    (generation,) = pins.generations()
    for name in names(generation) - set(left):
        (generation.directory / name).unlink()
    with Tracer(pins=pins) as tracer:
        mine.append(dies())
        assert await reported(tracer, mine) == (mine if "counters" in left else mine[1:])
        (whole,) = pins.generations()
        assert attachment.is_whole(whole)
    between = dies()
    with Tracer(pins=pins) as tracer:
        assert await reported(tracer, [*mine, between]) == [between]


async def test_an_attachment_that_fails_leaves_nothing_behind(
    pins: Pins, dies: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object is refused while it is pinned; the next start attaches, and what an earlier version left is
    reported."""
    with Tracer(1 << 17, pins):
        mine = [dies()]
    monkeypatch.setattr(attachment, "PROGRAMS", ("signal_deliver", "no_such_program"))
    with pytest.raises(KernelError, match="find_program_by_name"), Tracer(1 << 18, pins):
        pass
    monkeypatch.undo()
    with Tracer(1 << 18, pins) as tracer:
        mine.append(dies())
        assert await reported(tracer, mine) == mine
    assert len(pins.generations()) == 1


async def test_a_version_that_did_not_count_whose_records_were_lost(pins: Pins, dies: Callable[..., int]) -> None:
    """It is read to its end, and replaced."""
    with Tracer(pins=pins):
        pass
    (earlier,) = pins.generations()
    (earlier.directory / "losses").unlink()
    mine = [dies()]
    with Tracer(pins=pins) as tracer:
        assert await reported(tracer, mine) == mine
        assert tracer.take_losses() == {}
    (generation,) = pins.generations()
    assert generation != earlier


@pytest.fixture
def other_format(tmp_path: Path) -> bytes:
    """The object of a version whose records have another format."""
    for file in BPF.iterdir():
        (tmp_path / file.name).write_text(
            file.read_text().replace(f"#define OOM_FORMAT {FORMAT}\n", "#define OOM_FORMAT 99\n")
        )
    built = tmp_path / "other.o"
    include = f"-I/usr/include/{os.uname().machine}-linux-gnu"
    command = ["clang", "-g", "-O2", "-target", "bpf", include, "-c", tmp_path / "oom.bpf.c", "-o", built]
    subprocess.run(command, check=True)
    return built.read_bytes()


async def test_records_of_another_format(
    pins: Pins,
    dies: Callable[..., int],
    other_format: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are logged and counted, never guessed at, and they hold up nothing."""
    with monkeypatch.context() as patch:
        patch.setattr(attachment, "object_bytes", lambda: other_format)
        with Tracer(pins=pins) as other:
            mine = [dies(), dies()]
            assert other.unreadable == 0
    mine.append(dies())
    with Tracer(pins=pins) as tracer:
        assert len(pins.generations()) == 2
        later = dies()
        assert await reported(tracer, [*mine, later]) == [later]
        assert tracer.unreadable >= 3
        assert caplog.text.count(f"record of format 99, this program reads {FORMAT}") == tracer.unreadable
        assert len(pins.generations()) == 1
    with Tracer(pins=pins) as again:
        assert await reported(again, [*mine, later]) == []
        assert again.unreadable == 0


# -- the directory -----------------------------------------------------------------------------------------------------


def test_two_agents(pins: Pins) -> None:
    """The second learns that there is one, and may have the directory when that one ends."""
    with pytest.raises(Held, match="is held by another agent on this machine"):
        Pins(pins.directory)
    pins.close()
    Pins(pins.directory).close()
    pins._lock = Pins(pins.directory)._lock


def test_a_directory_that_is_no_bpf_file_system(tmp_path: Path) -> None:
    """The error says how to mount one, and how to go without; nothing is made."""
    with pytest.raises(PinsError, match=r"not in a BPF file system: mount one \(mount -t bpf bpffs .*--pins none"):
        Pins(tmp_path / "oomeventer")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PinsError, match="not in a BPF file system"):
        Pins(tmp_path / "nowhere" / "oomeventer")


def test_a_directory_that_cannot_be_made(bpffs: Path) -> None:
    """A name that a BPF file system refuses, and a parent that is not there: a sentence that says what to do."""
    for directory in (bpffs / "a.b", bpffs / "nowhere" / "oomeventer"):
        with pytest.raises(PinsError, match=r"--pins"):
            Pins(directory)


@pytest.mark.parametrize("parent", ["rw", "ro"])
def test_a_directory_that_is_mounted(bpffs: Path, tmp_path: Path, parent: str) -> None:
    """As the chart does: of the file system its own directory alone is there, which the kubelet has made, and the
    container's root is read-only. Generations are pinned and removed in it; it stays itself."""
    (bpffs / "oomeventer").mkdir(mode=0o755)
    root = tmp_path / "root"
    place = root / "place"
    place.mkdir(parents=True)
    subprocess.run(["mount", "--bind", root, root], check=True)
    subprocess.run(["mount", "--bind", bpffs / "oomeventer", place], check=True)
    subprocess.run(["mount", "-o", f"remount,bind,{parent}", root], check=True)
    try:
        pins = Pins(place)
        pins.new("0123456789ab")
        assert pins.remove() == 1
        pins.close()
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", place], check=True)
        subprocess.run(["umount", root], check=True)
    with pytest.raises(PinsError, match="is not in a BPF file system"):
        Pins(place)  # a directory that is there, and nothing mounted


def test_which_file_system(bpffs: Path, tmp_path: Path) -> None:
    """By the mount that a path lies in, the last one at a place, through links, and with odd names."""
    assert filesystem(bpffs) == filesystem(bpffs / "deep" / "er") == "bpf"
    assert filesystem(tmp_path) != "bpf"
    assert filesystem(tmp_path / "bpffs-not") != "bpf"
    assert filesystem(Path("/proc/self")) == "proc"
    (tmp_path / "link").symlink_to(bpffs)
    assert filesystem(tmp_path / "link") == "bpf"
    odd = tmp_path / "a b\tc"
    odd.mkdir()
    for kind in ("tmpfs", "bpf"):
        subprocess.run(["mount", "-t", kind, kind, odd], check=True)
    try:
        assert filesystem(odd) == "bpf"
        subprocess.run(["umount", odd], check=True)
        assert filesystem(odd) == "tmpfs"
    finally:
        subprocess.run(["umount", "--lazy", odd], check=True)


def test_generations_in_their_order(pins: Pins) -> None:
    """The oldest first, by number, not by name; what is none is left alone."""
    made = [pins.new(code) for code in ("f" * 12, "a" * 12, *["b" * 12] * 9)]
    (pins.directory / "something").mkdir()
    assert pins.generations() == made
    assert [generation.code for generation in made[:2]] == ["f" * 12, "a" * 12]
    made[3].remove()
    assert pins.new("c" * 12).directory.name == f"{'c' * 12}-12"
    (pins.directory / "something").rmdir()


def test_removing_the_pins_detaches(pins: Pins, dies: Callable[..., int]) -> None:
    """Nothing of the agent is left in the kernel: kills afterwards are written nowhere."""
    with Tracer(pins=pins):
        pass
    (generation,) = pins.generations()
    fd = Library().bpf_obj_get(generation.path("ring"))
    try:
        ring = Ring(fd)
        dies()
        used = ring.used_bytes
        assert used > 0
        assert pins.remove() == 1
        assert not pins.directory.exists()
        dies()  # the kernel detaches a moment later
        used = ring.used_bytes
        for _ in range(3):
            dies()
        assert ring.used_bytes == used
        ring.close()
    finally:
        os.close(fd)


async def test_removing_the_pins_of_an_agent_that_runs(pins: Pins, dies: Callable[..., int]) -> None:
    """It is not blinded by it; and when it ends all ends."""
    with Tracer(pins=pins) as tracer:
        pins.remove()
        mine = [dies()]
        assert await reported(tracer, mine) == mine


def test_removing_nothing(bpffs: Path) -> None:
    """Where no agent ever was."""
    before = sorted(bpffs.iterdir())
    taken = Pins(bpffs / "oomeventer")
    assert taken.remove() == 0
    taken.close()
    assert sorted(bpffs.iterdir()) == before
