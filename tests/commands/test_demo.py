"""`oomeventer demo` and `doctor` in an installation that is not whole. In: a copy of the package without its BPF
object. Out: what is printed, and the exit status. (Demos that work are in tests/system.)"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import oomeventer

PACKAGE = Path(oomeventer.__file__).parent


@pytest.fixture
def without_object(tmp_path: Path) -> Path:
    """A directory with the package, from which the BPF object was left out."""
    shutil.copytree(PACKAGE, tmp_path / "oomeventer", ignore=shutil.ignore_patterns("__pycache__", "*.bpf.o"))
    return tmp_path


def program(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(place))
    command = [sys.executable, "-m", "oomeventer", *words]
    return subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["demo", "trace"])
def test_no_object(without_object: Path, command: str) -> None:
    """One sentence names the file that is missing, and how it is made."""
    done = program(without_object, command)
    file = without_object / "oomeventer/kernel/oom.bpf.o"
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"oomeventer: cannot read the BPF object {file}: No such file or directory; ")
    assert "'make object'" in line


def test_doctor_without_object(without_object: Path) -> None:
    """The same sentence is a finding, and the others are still made."""
    done = program(without_object, "doctor")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.split()[:2] == ["MISSING", "BPF"]]
    assert "'make object'" in line
    assert "API server" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.kernel
def test_no_cgroups(tmp_path: Path) -> None:
    """The sentence names the place where none are, and the option for another."""
    done = program(PACKAGE.parent, "demo", "--cgroup-root", str(tmp_path))
    expected = f"oomeventer: no cgroup hierarchy at {tmp_path}: name its place (--cgroup-root)\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
