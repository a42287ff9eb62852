"""What the commands make of `--host-root`. In: a runtime at a usual place below it. Out: who is asked."""

from pathlib import Path

import pytest

from fakecri import grpc_server, version
from oomeventer.commands import wiring
from oomeventer.cri import CriError
from oomeventer.probes import Health, Metrics
from reading import read


async def test_the_runtime_below_the_hosts_root(tmp_path: Path) -> None:
    """It is found by the resolver, and by readiness; where it is not, both say where they looked."""
    (tmp_path / "run/crio").mkdir(parents=True)
    settings = read(["--host-root", str(tmp_path), "--node-name", "n"], {}, "run")
    resolver = await wiring.resolver(settings, 0.0, wants_runtime=False)
    health = Health(Metrics(), None, 1.0, host_root=str(tmp_path))
    place = tmp_path / "run/crio/crio.sock"
    with pytest.raises(CriError, match=f"{place}: no such file"):
        await resolver.connect()
    with pytest.raises(CriError, match=f"{place}: no such file"):
        await health._ask_runtime()
    async with grpc_server(place, {"Version": version()}):
        assert (await resolver.connect()).path == str(place)
        assert await health._ask_runtime() is None
