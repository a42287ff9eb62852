"""What the files of a memory cgroup say, in one vocabulary: of files made by hand, and of a real cgroup's.

In: files as the kernels write them, and as none does. Out: MemoryStat, Happened, Stalled.
"""

import os
from pathlib import Path

import pytest

from machine import Cgroup as RealCgroup
from machine import Victim
from oomeventer.node.cgroups import Cgroup
from oomeventer.node.memory_files import Happened, MemoryStat, Stalled, happened, memory_stat, stalled
from places import REPOSITORY
from samples import MI

V2 = """anon 1000
file 9000
kernel 5000
kernel_stack 100
pagetables 200
percpu 300
sock 40
shmem 6000
file_dirty 7
file_writeback 5
swapcached 500
slab_reclaimable 800
slab_unreclaimable 900
slab 1700
pgfault 1
"""
V1 = """cache 1
rss 2
shmem 1
total_cache 9000
total_rss 1000
total_shmem 6000
total_dirty 7
total_writeback 5
total_swap 3
"""
ODD = [b"", b"\n\n", b"anon", b"anon 1 2\n", b"anon -1\nfile 0x1\nshmem \xff\n", b"\0" * 9000, b"anon " + b"9" * 5000]


def cgroup(directory: Path, unified: bool, **files: str | bytes) -> Cgroup:
    """memory_stat stands for memory.stat."""
    for name, content in files.items():
        file = directory / name.replace("_", ".", 1)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return Cgroup("/x", str(directory), unified)


def test_cgroup_v2(tmp_path: Path) -> None:
    """tmpfs is not page cache, pages in the swap cache are neither, and sockets count as the kernel's."""
    made = cgroup(tmp_path, True, memory_stat=V2, memory_current="12100\n")
    (tmp_path / "memory.swap.current").write_text("77\n")
    assert memory_stat(made) == MemoryStat(
        anon_bytes=1000,
        file_bytes=2500,
        shmem_bytes=6000,
        kernel_bytes=5040,
        slab_reclaimable_bytes=800,
        slab_unreclaimable_bytes=900,
        sock_bytes=40,
        pagetables_bytes=200,
        stack_bytes=100,
        percpu_bytes=300,
        dirty_bytes=12,
        swap_bytes=77,
        usage_bytes=12100,
        is_whole=True,
    )


def test_cgroup_v2_before_5_18(tmp_path: Path) -> None:
    """Without `kernel` it is its kinds in sum, and said not to be whole; where there are none it is not known."""
    old = memory_stat(cgroup(tmp_path, True, memory_stat=V2.replace("kernel 5000\n", "")))
    assert old
    assert (old.kernel_bytes, old.is_whole) == (100 + 200 + 300 + 800 + 900 + 40, False)
    bare = memory_stat(cgroup(tmp_path, True, memory_stat="anon 1\nfile 2\nshmem 3\nsock 4\n"))
    assert bare == MemoryStat(1, 0, 3, sock_bytes=4, is_whole=False)


def test_cgroup_v1(tmp_path: Path) -> None:
    """The totals count, not the cgroup's own; sockets have a limit of their own there, so they are in no sum."""
    made = cgroup(tmp_path, False, memory_stat=V1)
    for name, value in {"kmem.usage_in_bytes": 5000, "kmem.tcp.usage_in_bytes": 40, "usage_in_bytes": 15000}.items():
        (tmp_path / f"memory.{name}").write_text(f"{value}\n")
    assert memory_stat(made) == MemoryStat(
        anon_bytes=1000,
        file_bytes=3000,
        shmem_bytes=6000,
        kernel_bytes=5000,
        sock_bytes=40,
        dirty_bytes=12,
        swap_bytes=3,
        usage_bytes=15000,
    )


@pytest.mark.parametrize("unified", [True, False])
@pytest.mark.parametrize("content", ODD)
def test_odd_content_is_unknown(tmp_path: Path, content: bytes, unified: bool) -> None:
    """Nothing raises, and nothing is made up, whatever is in the files; nor where there are none, or directories."""
    names = ("memory.stat", "memory.events", "memory.pressure", "memory.oom_control", "memory.failcnt")
    directory = tmp_path / "gone"
    made = Cgroup("/x", str(directory), unified)
    assert (memory_stat(made), happened(made), stalled(made)) == (None, None, None)
    directory.mkdir()
    for name in names:
        (directory / name).write_bytes(content)
    assert (memory_stat(made), happened(made), stalled(made)) == (None, None, None)
    for name in names:
        (directory / name).unlink()
        (directory / name).mkdir()
    assert (memory_stat(made), happened(made), stalled(made)) == (None, None, None)


def test_a_stat_that_ends_early(tmp_path: Path) -> None:
    """A part that is needed is missing: unknown, not 0."""
    for unified, text, last in ((True, V2, "shmem"), (False, V1, "total_rss")):
        made = cgroup(tmp_path, unified, memory_stat=text[: text.index(f"\n{last} ") + 1])
        assert memory_stat(made) is None


def test_happened(tmp_path: Path) -> None:
    """memory.events; on v1 failcnt and oom_control, where 0 kills at a kill means that they are counted elsewhere."""
    events = "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n"
    assert happened(cgroup(tmp_path, True, memory_events=events)) == Happened(9, 3, 2, 1)
    assert happened(cgroup(tmp_path, True, memory_events=events[:22])) == Happened(max=9)
    (tmp_path / "memory.failcnt").write_text("9\n")
    for kills in (0, 2):
        (tmp_path / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
        assert happened(Cgroup("/x", str(tmp_path), False)) == Happened(max=9, oom_kill=kills or None)


def test_stalled(tmp_path: Path) -> None:
    """Both lines, or nothing; v1 has none."""
    text = "some avg10=38.50 avg60=9.00 avg300=1.00 total=1\nfull avg10=20.00 avg60=100.01 avg300=0.50 total=1\n"
    made = cgroup(tmp_path, True, memory_pressure=text)
    assert stalled(made) == Stalled(38.5, 9.0, 20.0, 100.0)
    assert stalled(Cgroup("/x", str(tmp_path), False)) is None
    assert stalled(cgroup(tmp_path, True, memory_pressure=text[:50])) is None


@pytest.mark.kernel
def test_a_real_cgroup(program: Path) -> None:
    """The parts are what was taken, and add up to the usage: shared memory, anonymous memory, page cache, the rest."""
    cached = REPOSITORY / ".cache" / f"cached-{os.getpid()}"  # not in /tmp, which can be in memory
    cached.parent.mkdir(exist_ok=True)
    with RealCgroup(64 * MI) as real:
        with Victim(program, real, ["shmem", "8"]) as sharing, Victim(program, real, ["hog", "12"]) as hog:
            for victim in (sharing, hog):
                victim.go()
            made = Cgroup(real.path, str(real.directory), real.unified)
            while (found := memory_stat(made)) and found.shmem_bytes + found.anon_bytes < 20 * MI:
                os.sched_yield()
            child = os.fork()
            if child == 0:  # page cache is whose process reads it first
                (real.directory / "cgroup.procs").write_text("0")
                cached.write_bytes(bytes(5 * MI))
                os._exit(0)
            os.waitpid(child, 0)
            found = memory_stat(made)
        cached.unlink()
        assert found
        assert found.usage_bytes
        assert found.kernel_bytes
        assert abs(found.shmem_bytes - 8 * MI) < MI
        assert abs(found.anon_bytes - 12 * MI) < MI
        assert abs(found.file_bytes - 5 * MI) < MI
        parts = found.anon_bytes + found.file_bytes + found.shmem_bytes + found.kernel_bytes
        assert abs(parts - found.usage_bytes) < max(found.usage_bytes // 50, MI)
