"""The one file, build/kubectl-oom, by the oldest Python that it is for, and by a new one.

In: Debian's Pythons, unpacked; the stand-in through the machine's kubectl. Out: what the list shows.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kernels.packages import CACHE, PackageError, Suite, unpack
from places import REPOSITORY
from plugin import Plugin, kubeconfig, put, rows
from standin import ApiServer

#: Each in a suite of Debian that has it.
PYTHONS = {"3.9": "bullseye", "3.13": "trixie"}


@pytest.fixture(scope="module")
def zipapp() -> Path:
    """As `make plugin` builds it."""
    subprocess.run(["make", "plugin"], cwd=REPOSITORY, check=True, capture_output=True)
    return REPOSITORY / "build" / "kubectl-oom"


def python(version: str) -> str:
    """A command that runs Debian's Python of that version, unpacked, with its own C library."""
    tree = CACHE.parent / "pythons" / version
    if not (tree / "done").exists():
        unpack(Suite(PYTHONS[version]).fetch_closure(f"python{version}"), tree)
        (tree / "done").touch()
    loader = next(tree.glob("**/lib/*-linux-gnu/ld-linux*"))
    libraries = ":".join(str(folder) for folder in tree.glob("**/lib/*-linux-gnu") if folder.is_dir())
    program = tree / "usr" / "bin" / f"python{version}"
    return f"env PYTHONHOME={tree}/usr {loader} --library-path {libraries} {program}"


def test_the_same_bytes_each_time(zipapp: Path) -> None:
    before = zipapp.read_bytes()
    subprocess.run(["make", "-B", "build/kubectl-oom"], cwd=REPOSITORY, check=True, capture_output=True)
    assert zipapp.read_bytes() == before
    assert before.startswith(b"#!/usr/bin/env python3\n")
    assert os.access(zipapp, os.X_OK)


def test_it_holds_what_it_needs_and_no_more(zipapp: Path) -> None:
    """Rich alone, with its licence; nothing of the agent."""
    with zipfile.ZipFile(zipapp) as archive:
        names = archive.namelist()
        text = b"".join(archive.read(name) for name in names if name.startswith("kubectl_oom/")).decode()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"__main__.py", "LICENSE", "kubectl_oom", "rich"}
    assert any(name.startswith("rich-") and "LICENSE" in name for name in names)
    assert "import oomeventer" not in text
    assert "from oomeventer" not in text


@pytest.mark.parametrize("version", sorted(PYTHONS))
async def test_by_old_and_new_pythons(api: ApiServer, tmp_path: Path, zipapp: Path, version: str) -> None:
    """What it shows on a terminal, too, in colour, and how it fails."""
    try:
        command = python(version)
    except PackageError as e:
        pytest.fail(f"Debian's Python {version} cannot be had here, which this test needs: {e}")
    said = subprocess.run([*command.split(), "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"Python {version}.")
    config = kubeconfig(tmp_path, api.url, api.token)
    oom = Plugin(tmp_path, config, program=f"{command} {zipapp}")
    put(api, "leak", "tmpfs")
    for words in (("-A",), ("-A", "--color", "always"), ("top", "-A"), ("-A", "-o", "yaml")):
        done = await oom(*words)
        assert (done.status, done.err) == (0, "")
        assert "checkout" in done.out
    assert len(rows((await oom("-A", "--no-headers")).out)) == 2
    story = await oom("show", "checkout-7d9f-x2x4q", "-n", "shop")
    assert "It grew steadily" in story.out
    refused = await oom("-A", f"--token={api.powerless_token}")
    assert refused.status == 1
    assert "Forbidden" in refused.err
    assert (await oom("-n", "none", "--history")).err.startswith("warning: no journal was read")


def test_a_python_that_is_too_old_says_so(zipapp: Path) -> None:
    """Before it has read what such a Python could not."""
    code = (
        f"import runpy, sys; sys.version_info = (3, 8); sys.argv = ['kubectl-oom']; "
        f"runpy.run_path({str(zipapp)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: kubectl oom needs Python 3.9 or newer; this is 3.")
