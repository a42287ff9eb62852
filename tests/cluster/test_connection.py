"""Who we are to the API server, and the way there: credentials that are replaced, redirects, proxies and their
exceptions.

In: kubeconfigs, exec plugins, a service account's files, variables. Out: what the stand-in was asked, and by whom.
"""

import json
import sys
import threading
from pathlib import Path

import pytest

from machine import kubeconfig
from oomeventer.cluster import api as module
from oomeventer.cluster import connection
from oomeventer.cluster.api import Api, Unreachable
from oomeventer.cluster.connection import connect
from standin import Answer, ApiServer

EVENTS = "/api/v1/namespaces/default/events"


def token_file(directory: Path, server: str) -> Path:
    """A kubeconfig that names a token's file, which a platform replaces."""
    return _with_user(directory, server, {"tokenFile": str(directory / "token")})


def exec_plugin(directory: Path, server: str) -> Path:
    """A kubeconfig whose token an exec plugin prints: what is in the file, whenever it runs."""
    program = (
        "import json, pathlib; print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', "
        f"'kind': 'ExecCredential', 'status': {{'token': pathlib.Path({str(directory / 'token')!r}).read_text()}}}}))"
    )
    exec_ = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", program],
        "interactiveMode": "Never",
    }
    return _with_user(directory, server, {"exec": exec_})


def _with_user(directory: Path, server: str, user: object) -> Path:
    file = kubeconfig(directory, server, "none")
    config = json.loads(file.read_text())
    config["users"][0]["user"] = user
    file.write_text(json.dumps(config))
    return file


def replace_token(directory: Path, token: str) -> None:
    (directory / "token").write_text(token)


@pytest.mark.parametrize("make", [token_file, exec_plugin])
async def test_a_token_that_is_replaced(
    api: ApiServer, tmp_path: Path, make: object, caplog: pytest.LogCaptureFixture
) -> None:
    """The server does not know the old one any more: the credentials are read again, and the request made again."""
    replace_token(tmp_path, api.token)
    async with await connect(str(make(tmp_path, api.url))) as cluster:  # type: ignore[operator]
        assert (await cluster.request("GET", EVENTS)).status == 200
        for token in ("second", "third"):
            api.replace_token(token)
            replace_token(tmp_path, token)
            cluster._renewed_at = -module.RENEW_SECONDS  # a minute has passed
            assert (await cluster.request("GET", EVENTS)).status == 200
            assert api.requests[-1].headers["Authorization"] == f"Bearer {token}"


async def test_a_token_that_is_not_replaced(api: ApiServer, tmp_path: Path) -> None:
    """It is read again once a minute at most, however many requests there are, and the answer is 401."""
    now = 0.0
    replace_token(tmp_path, "wrong")
    read = 0

    async def configure() -> object:
        nonlocal read
        read += 1
        return await connection._configuration(str(token_file(tmp_path, api.url)))

    async with Api(await configure(), 10, configure, lambda: now) as cluster:
        for _ in range(5):
            assert (await cluster.request("GET", EVENTS)).status == 401
        assert (read, len(api.requests)) == (2, 6)
        now = module.RENEW_SECONDS
        replace_token(tmp_path, api.token)
        assert (await cluster.request("GET", EVENTS)).status == 200
        assert read == 3


async def test_credentials_that_are_gone(api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The kubeconfig was removed meanwhile: the answer stays 401, and the log says why it was not mended."""
    replace_token(tmp_path, api.token)
    file = token_file(tmp_path, api.url)
    async with await connect(str(file)) as cluster:
        api.replace_token("another")
        file.unlink()
        assert (await cluster.request("GET", EVENTS)).status == 401
    assert "credentials cannot be read again" in caplog.text


async def test_a_service_account_whose_token_is_replaced(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kubelet does, long before it expires; and where it was revoked, at the first 401."""
    incluster = sys.modules["kubernetes_asyncio.config.incluster_config"]
    host, port = api.url.removeprefix("http://").split(":")
    (tmp_path / "ca.crt").write_text("a CA")
    replace_token(tmp_path, api.token)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(incluster, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    configuration = await connection._configuration(None)
    configuration.host, configuration.ssl_ca_cert = api.url, None

    async def configure() -> object:
        again = await connection._configuration(None)
        again.host, again.ssl_ca_cert = api.url, None
        return again

    async with Api(configuration, 10, configure) as cluster:
        assert (await cluster.request("GET", EVENTS)).status == 200
        api.replace_token("second")
        replace_token(tmp_path, "second")
        assert (await cluster.request("GET", EVENTS)).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(api: ApiServer, cluster: Api, status: int) -> None:
    """What is sent, and the token, go to no other host."""
    async with ApiServer() as elsewhere:
        api.faults.append(Answer(status, {"Location": f"{elsewhere.url}{EVENTS}"}))
        with pytest.raises(Unreachable, match="redirected to"):
            await cluster.request("POST", EVENTS, {"kind": "Event"})
        assert not elsewhere.requests


@pytest.mark.parametrize(
    ("excepted", "is_asked"),
    [
        ("127.0.0.0/8", True),
        ("10.0.0.0/8, 127.0.0.0/8", True),
        ("example.org,127.0.0.1/32", True),
        ("::1/128,fd00::/8,127.0.0.0/30", True),
        ("10.0.0.0/8", False),
        ("nonsense/8,300.0.0.0/8,,/", False),
        ("example.org", False),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
async def test_networks_without_a_proxy(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, excepted: str, is_asked: bool, variable: str
) -> None:
    """NO_PROXY may name networks, as it may for kubectl: the server in one is asked itself; else the proxy is."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with ApiServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv(variable, excepted)
        async with await connect(str(kubeconfig(tmp_path, api.url, api.token))) as cluster:
            await cluster.request("GET", EVENTS)
        assert (bool(api.requests), bool(proxy.requests)) == (is_asked, not is_asked)


async def test_a_request_takes_no_thread(cluster: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the environment's proxy nor a file with passwords is looked for with each request: that took two."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login nobody password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    before = set(threading.enumerate())
    assert (await cluster.request("GET", EVENTS)).status == 200
    assert set(threading.enumerate()) == before
