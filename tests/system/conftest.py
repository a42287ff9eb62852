"""Fixtures of the tests of the whole program."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import mounted


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """Where the agent leaves its pins."""
    with mounted(tmp_path / "bpf", "bpf") as directory:
        yield directory
