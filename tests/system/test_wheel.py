"""The wheel of a fresh clone: the BPF object is in it, or the build fails with one sentence."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from places import REPOSITORY

OBJECT = "oomeventer/kernel/oom.bpf.o"
REFUSAL = f"src/{OBJECT} is missing and could not be built: install make and Debian's packages "
SECONDS = 120


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git has, and nothing that was built from it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, tmp_path / "clone" / name)
    assert not list((tmp_path / "clone").rglob("*.o"))
    return tmp_path / "clone"


def build(source: Path, *how: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Build it into dist, as pip does, with this environment's hatchling."""
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    return run([*pip, "-w", str(source / "dist"), *how, str(source)], source, **environment)


def run(command: list[str], directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    wanted = os.environ | environment
    how = {"capture_output": True, "text": True, "timeout": SECONDS, "check": False}
    return subprocess.run(command, cwd=directory, env=wanted, **how)


def contents(source: Path) -> dict[str, int]:
    """The sizes of the one wheel's files."""
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {file.filename: file.file_size for file in archive.infolist()}


def test_object_is_built(clone: Path) -> None:
    """A clone in which nobody ran make object."""
    done = build(clone)
    assert done.returncode == 0, done.stderr
    files = contents(clone)
    assert files[OBJECT] > 10_000
    assert "oomeventer/cli.py" in files
    assert {name.split("/")[0] for name in files} == {"oomeventer", "oomeventer-0.1.0.dist-info"}


def test_object_is_kept(clone: Path) -> None:
    """An object that is there is taken as it is, without a compiler."""
    (clone / "src" / OBJECT).write_bytes(b"built elsewhere")
    done = build(clone, CLANG="no-such-clang")
    assert done.returncode == 0, done.stderr
    assert contents(clone)[OBJECT] == len(b"built elsewhere")


def test_no_compiler(clone: Path, tmp_path: Path) -> None:
    """One sentence says what is missing and how to get it."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("make", "sh", "sed", "uname"):
        found = shutil.which(program)
        assert found
        (programs / program).symlink_to(found)
    done = build(clone, PATH=str(programs))
    assert done.returncode != 0
    assert refusals(done) == [REFUSAL + "clang llvm libbpf-dev linux-libc-dev, then run `make object`, or this again."]
    assert "Traceback" not in done.stderr
    assert not list(clone.rglob("*.whl"))


def test_failed_compilation(clone: Path) -> None:
    """A header that is missing: the compiler's own words come before the sentence."""
    source = clone / "bpf/oom.bpf.c"
    source.write_text('#include "no_such_header.h"\n' + source.read_text())
    done = build(clone)
    assert done.returncode != 0
    assert len(refusals(done)) == 1
    output = done.stdout + done.stderr
    assert output.index("no_such_header.h' file not found") < output.index(REFUSAL)
    assert "Traceback" not in output
    assert not (clone / "src" / OBJECT).exists()


def refusals(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return [line.strip() for line in done.stderr.splitlines() if "oom.bpf.o is missing" in line]


def test_source_distribution(clone: Path, tmp_path: Path) -> None:
    """It holds all that a wheel is built from."""
    done = run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)], clone)
    assert done.returncode == 0, done.stderr
    (packed,) = tmp_path.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", packed, "-C", tmp_path], check=True)  # Debian 12's tarfile has no filters yet
    source = tmp_path / packed.name.removesuffix(".tar.gz")
    assert not list(source.rglob("*.o"))
    done = build(source)
    assert done.returncode == 0, done.stderr
    of_clone = build(clone)
    assert of_clone.returncode == 0, of_clone.stderr
    assert contents(source) == contents(clone)
