"""What doctor says of a cluster that lets the agent do nothing.

In: the API server's stand-in, accounts with and without rights. Out: its lines, and its status.
"""

from pathlib import Path

import pytest

from machine import kubeconfig
from oomeventer.commands.doctor import doctor
from reading import read
from standin import ApiServer

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("is_powerful", [True, False])
async def test_rights(api: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_powerful: bool) -> None:
    """Without the right to create and patch Events there are none: it fails, and says what to do. What the agent
    can do without it does not fail."""
    config = kubeconfig(tmp_path, api.url, api.token if is_powerful else api.powerless_token)
    flags = ["--kubeconfig", str(config), "--journal", str(tmp_path / "journal.db"), "--daemonset", "monitoring/oom"]
    status = await doctor(read([*flags, "--cri-endpoint", "none", "--pins", "none"], {}))
    out = capsys.readouterr().out
    lines = out.splitlines()
    rights = [line.split()[0] for line in lines if " may " in line[:30] and line.startswith("  ")]
    assert [line for line in lines if line and not line.startswith((" ", "first", "nothing"))] == [
        *("machine", "runtime", "cluster")
    ]
    if is_powerful:
        assert (status, rights) == (0, ["ok"] * 5)
        assert lines[-1] == "nothing is missing that is needed"
    else:
        assert (status, rights) == (1, ["MISSING", "MISSING", "without", "without", "without"])
        assert any("may create events" in line and "rbac.create" in line for line in lines)
        assert lines[-1].startswith("first: may create events: no: ")
