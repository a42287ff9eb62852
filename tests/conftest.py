"""Fixtures: a real kernel, a real containerd, and the API server's stand-in."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from machine import build, kubeconfig
from oomeventer.cluster.api import Api
from oomeventer.cluster.connection import connect
from realcri import Containerd
from standin import ApiServer

# Agents that a test starts leave nothing on this machine, but where it says so itself.
os.environ.setdefault("OOMEVENTER_PINS", "none")
os.environ.setdefault("OOMEVENTER_JOURNAL", "none")

# A deadline for each example would say how busy the machine is.
hypothesis.settings.register_profile("oomeventer", deadline=None)
hypothesis.settings.load_profile("oomeventer")


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


@pytest.fixture
async def cluster(api: ApiServer, tmp_path: Path) -> AsyncIterator[Api]:
    """The client of that stand-in, which may do everything."""
    async with await connect(str(kubeconfig(tmp_path, api.url, api.token)), timeout_seconds=30) as client:
        yield client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real kills need root. Without it these tests are skipped, with a reason; REQUIRE_ALL=1 makes that a failure."""
    if os.geteuid() == 0 or os.environ.get("REQUIRE_ALL"):
        return
    for item in items:
        if item.get_closest_marker("kernel") or item.get_closest_marker("containerd"):
            item.add_marker(pytest.mark.skip(reason="needs root: real kills and containers"))
