"""`oomeventer detach`, by main(). In: pins in a BPF file system. Out: how many were removed, and that none are left."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomeventer.cli import main
from oomeventer.kernel import Pins, Tracer

pytestmark = pytest.mark.kernel


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where an agent's pins are to be."""
    subprocess.run(["mount", "-t", "bpf", "bpffs", tmp_path], check=True)
    yield tmp_path / "pins"
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_what_an_agent_left(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is removed once no agent runs, and then there is nothing to remove."""
    pins = Pins(directory)
    with Tracer(pins=pins):
        pass
    assert main(["detach", f"--pins={directory}"]) == 1
    assert capsys.readouterr().err.startswith("oomeventer: ")
    assert list(directory.iterdir())
    pins.close()
    assert main(["detach", f"--pins={directory}"]) == 0
    assert capsys.readouterr().out == f"1 removed from {directory}; kills are no longer recorded\n"
    assert not directory.exists() or not list(directory.iterdir())
