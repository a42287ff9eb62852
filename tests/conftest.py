"""Fixtures: a real kernel, a real containerd, and the API server's stand-in."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from machine import build
from realcri import Containerd
from standin import ApiServer


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The victim's program."""
    return build(tmp_path_factory.mktemp("victim"))


@pytest.fixture(scope="session")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    """A real containerd with CRI, for the whole run."""
    with Containerd(tmp_path_factory.mktemp("ctd") / "d") as running:
        yield running


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    """The API server's stand-in."""
    async with ApiServer() as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real kills need root. Without it these tests are skipped, and said so; REQUIRE_ALL=1 makes that a failure."""
    if os.geteuid() == 0 or os.environ.get("REQUIRE_ALL"):
        return
    for item in items:
        if item.get_closest_marker("kernel") or item.get_closest_marker("containerd"):
            item.add_marker(pytest.mark.skip(reason="needs root: real kills and containers"))
