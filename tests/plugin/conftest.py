"""Fixtures: a real kubectl with the plugin, and the API server's stand-in over TLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugin import KUBECTL, Plugin, kubeconfig, tls
from standin import ApiServer


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """The stand-in, to which kubectl sends its token."""
    async with ApiServer(tls=tls(tmp_path)) as server:
        yield server


@pytest.fixture
def oom(api: ApiServer, tmp_path: Path) -> Plugin:
    """`kubectl oom` on the stand-in, whose user may do everything."""
    assert KUBECTL, "kubectl is needed: Debian's kubernetes-client, which .ci/kubectl unpacks (make packages-test)"
    return Plugin(tmp_path, kubeconfig(tmp_path, api.url, api.token))
