"""The client of the API server, at the wire: what becomes an Answer, what is Unreachable, where a cluster is found.

In: requests to the stand-in, kubeconfigs. Out: Answers and exceptions.
"""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from machine import kubeconfig
from oomeventer.cluster.api import ANSWER_BYTES, Api, Unreachable
from oomeventer.cluster.connection import NoCluster, connect
from places import DATA
from standin import Answer, ApiServer, Fault, Garbage, Hang, LostAnswer, Reset, Trickle, Truncated

RECORDED = {case["name"]: case for case in json.loads((DATA / "apiserver.json").read_text(encoding="utf-8"))["cases"]}
EVENTS = "/api/v1/namespaces/default/events"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing names a cluster."""
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    "name",
    [
        "core: create",
        "core: same name again",
        "core: strategic merge patch of count",
        "core: no such namespace",
        "core: namespace being deleted",
        "core: body that is not an event",
        "core: eventTime set, so the strict rules hold, action missing",
        "auth: unknown token",
        "auth: service account with no role",
    ],
)
async def test_recorded_answers(api: ApiServer, tmp_path: Path, name: str) -> None:
    """What a real API server was seen to answer, whatever the status, is an Answer with its status and its words."""
    request, recorded = RECORDED[name]["request"], RECORDED[name]["response"]
    api.terminate_namespace("leaving")
    tokens = {
        "cluster admin": api.token,
        "service account with no role": api.powerless_token,
        "unknown token": "unknown",
    }
    async with await connect(str(kubeconfig(tmp_path, api.url, api.token))) as cluster:
        if name in ("core: same name again", "core: strategic merge patch of count"):
            first = RECORDED["core: create"]["request"]
            await cluster.request("POST", first["path"], body=first["body"])
    async with await connect(str(kubeconfig(tmp_path, api.url, tokens[request["credentials"]]))) as cluster:
        path = request["path"].partition("?")[0]
        content_type = request["contentType"]
        answer = await cluster.request(request["method"], path, body=request["body"], content_type=content_type)
    assert answer.status == recorded["status"]
    assert not answer.garbage
    for key in ("kind", "message", "reason", "code"):
        assert answer.body.get(key) == recorded["body"].get(key)
    words = f" {recorded['body']['message']}" if recorded["body"]["kind"] == "Status" else ""
    assert answer.words == f"{recorded['status']}{words}"


async def test_the_request(api: ApiServer, cluster: Api) -> None:
    """Method, path, query, body and type come as they were given, with the token and the program's name."""
    await cluster.request("PATCH", f"{EVENTS}/a", {"count": 2}, {"fieldManager": "x y"}, "application/merge-patch+json")
    (request,) = api.requests
    assert (request.method, request.path, request.query, request.body) == (
        "PATCH",
        f"{EVENTS}/a",
        {"fieldManager": "x y"},
        {"count": 2},
    )
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.headers["Authorization"] == f"Bearer {api.token}"
    assert request.headers["User-Agent"] == "oomeventer"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[1]",
        b"null",
        b'"text"',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b'{"a": "' + b"x" * ANSWER_BYTES + b'"}',
    ],
    ids=lambda body: f"{body[:8]!r} {len(body)}",
)
async def test_garbage(api: ApiServer, cluster: Api, body: bytes) -> None:
    """What is no JSON object, or larger than any that is wanted, is an Answer that says so; the next is read again."""
    api.faults.append(Garbage(body))
    answer = await cluster.request("GET", EVENTS)
    assert (answer.status, answer.body, answer.garbage, answer.words) == (200, {}, True, "200")
    assert not (await cluster.request("GET", EVENTS)).garbage


async def test_a_truncated_answer(api: ApiServer, cluster: Api) -> None:
    """Half of an object is none."""
    api.faults.append(Truncated())
    assert (await cluster.request("GET", EVENTS)).garbage


async def test_an_answer_in_pieces(api: ApiServer, cluster: Api) -> None:
    """What trickles in is put together."""
    api.faults.append(Trickle(0.01))
    assert (await cluster.request("GET", EVENTS)).body["kind"] == "EventList"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0", 0.0), ("", None), ("-1", None), ("1.5", None), ("nan", None), ("٣", None), ("soon", None)],
)
async def test_retry_after(api: ApiServer, cluster: Api, text: str, seconds: float | None) -> None:
    """Whole seconds are read; anything else is none. A date is not: API servers do not send one."""
    headers = {"Retry-After": text} if text.isascii() else {"Retry-After": text.encode().decode("latin-1")}
    api.faults.append(Answer(429, headers))
    assert (await cluster.request("GET", EVENTS)).retry_after_seconds == seconds


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_redirection_is_unreachable(api: ApiServer, cluster: Api, status: int) -> None:
    """A proxy's, to a page for people, say: what that answers is not the API server's word."""
    api.faults.append(Answer(status, {"Location": f"{api.url}/version"}))
    with pytest.raises(Unreachable, match=r"redirected to .*/version"):
        await cluster.request("POST", "/api/v1/namespaces/default/events", body={})


async def test_long_words_are_cut(api: ApiServer, cluster: Api) -> None:
    """Of megabytes of a server's words a log line has the ends."""
    body = json.dumps({"kind": "Status", "message": "begin" + "x" * (1 << 20) + "end"}).encode()
    api.faults.append(Answer(422, body=body))
    words = (await cluster.request("GET", "/version")).words
    assert len(words) < 1100
    assert words.startswith("422 begin")
    assert words.endswith("end")


@pytest.mark.parametrize("fault", [Reset(), LostAnswer(), Hang(0)])
async def test_no_answer_is_unreachable(api: ApiServer, cluster: Api, fault: Fault) -> None:
    """A connection that ends without an answer: the message names the request, the library's exception is the cause."""
    api.faults.append(fault)
    with pytest.raises(Unreachable, match=f"^the API server is unreachable: POST {api.url}{EVENTS}: .") as caught:
        await cluster.request("POST", EVENTS, body={})
    assert caught.value.__cause__ is not None
    assert len(api.requests) == 1


@pytest.mark.parametrize("fault", [Hang(3600), Trickle(3600)])
async def test_a_hang_is_unreachable(api: ApiServer, tmp_path: Path, fault: Fault) -> None:
    """A server that does not answer, or not to the end, is left after the timeout."""
    api.faults.append(fault)
    async with await connect(str(kubeconfig(tmp_path, api.url, api.token)), timeout_seconds=0.2) as cluster:
        with pytest.raises(Unreachable, match="TimeoutError"):
            await cluster.request("GET", EVENTS)


async def test_whatever_goes_wrong_is_unreachable(cluster: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as what an event loop says of a connection that it closes, or what renews a token of its file."""

    async def closed(*_: object, **__: object) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    monkeypatch.setattr("oomeventer.cluster.api._Client.request", closed)
    with pytest.raises(Unreachable, match="the handler is closed"):
        await cluster.request("GET", EVENTS)


async def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    """A port that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with await connect(str(kubeconfig(tmp_path, url, "t"))) as cluster:
            with pytest.raises(Unreachable, match="GET http://127"):
                await cluster.request("GET", EVENTS)


async def test_a_server_without_tls_is_unreachable(api: ApiServer, tmp_path: Path) -> None:
    """https to a server that speaks http."""
    url = api.url.replace("http:", "https:")
    async with await connect(str(kubeconfig(tmp_path, url, api.token))) as cluster:
        with pytest.raises(Unreachable, match="GET https://127"):
            await cluster.request("GET", EVENTS)
    assert api.requests == []


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.9\r\n", b"\x00" * 64, b"HTTP/1.1 abc\r\n\r\n"])
async def test_what_is_not_http_is_unreachable(tmp_path: Path, says: bytes) -> None:
    """Another kind of server at that address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(says)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with await connect(str(kubeconfig(tmp_path, url, "t"))) as cluster:
            with pytest.raises(Unreachable):
                await cluster.request("POST", EVENTS, body={})


async def test_nothing_is_asked_unless_somebody_calls(api: ApiServer, tmp_path: Path) -> None:
    """Finding the cluster, having a client and closing it are no requests."""
    async with await connect(str(kubeconfig(tmp_path, api.url, api.token))) as cluster:
        assert cluster.server == api.url
    assert api.requests == []


async def test_no_cluster() -> None:
    """Nothing says where it is: the message says what would."""
    with pytest.raises(NoCluster, match=r"KUBECONFIG.*service account.*oomeventer trace"):
        await connect()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "no: kubeconfig",
        "{",
        "\x00",
        "[]",
        json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "gone", "contexts": []}),
    ],
)
@pytest.mark.parametrize("by_variable", [False, True])
async def test_a_kubeconfig_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, by_variable: bool
) -> None:
    """Missing, empty, no YAML or no kubeconfig: the message names the file, whoever named it."""
    file = tmp_path / "the-config"
    if content is not None:
        file.write_text(content)
    if by_variable:
        monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(NoCluster, match=r"the-config cannot be used: .") as caught:
        await connect(None if by_variable else str(file))
    assert caught.value.__cause__ is not None


async def test_the_named_kubeconfig_wins(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the variable, and before the service account."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    async with await connect(str(kubeconfig(tmp_path, api.url, api.token))) as cluster:
        assert (await cluster.request("GET", EVENTS)).status == 200


async def test_a_pod_without_a_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a Pod whose token is not mounted the message says which file is missing."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(NoCluster, match=r"the Pod's service account cannot be used: .*[Ff]ile"):
        await connect()


def imported_after(code: str) -> set[str]:
    """The modules that are imported once a Python of its own has run that."""
    program = f"{code}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_importing_it_is_cheap(tmp_path: Path) -> None:
    """None of the library's models, nor what they need, and no YAML until there is a kubeconfig to read."""
    plain = imported_after("import oomeventer.cluster.api")
    assert "kubernetes_asyncio.client.rest" in plain
    assert not {"urllib3", "dateutil", "multiprocessing"} & plain
    assert "kubernetes_asyncio.client.models.v1_pod" not in plain
    assert "yaml" not in plain
    config = kubeconfig(tmp_path, "http://127.0.0.1:1", "t")
    reading = f"async def main():\n    async with await api.connect({str(config)!r}): pass\nasyncio.run(main())"
    read = imported_after(f"import asyncio, oomeventer.cluster as api\n{reading}")
    assert "yaml" in read
    assert "kubernetes_asyncio.client.models.v1_pod" not in read


def test_the_whole_library_may_be_imported_before() -> None:
    """A program that has it already keeps it."""
    modules: Any = imported_after("import kubernetes_asyncio.client\nimport oomeventer.cluster.api")
    assert "kubernetes_asyncio.client.models.v1_pod" in modules


@pytest.mark.parametrize(
    ("fault", "may"),
    [
        (None, True),
        (Answer(401), False),
        (Answer(403), False),
        (Answer(429), None),
        (Answer(500), None),
        (Answer(404), None),
        (Answer(201, body=b'{"kind": "SelfSubjectAccessReview", "status": {"allowed": false}}'), False),
        (Answer(201, body=b'{"kind": "SelfSubjectAccessReview", "status": {}}'), None),
        (Answer(403, body=b"<html>a proxy</html>"), None),
        (Garbage(), None),
    ],
)
async def test_what_we_may(api: ApiServer, cluster: Api, fault: Fault | None, may: bool | None) -> None:
    """An answer that says neither yes nor no is none: an overloaded server takes nobody's rights, and an agent that is
    stopped then removes nothing."""
    if fault is not None:
        api.faults += [fault] * (2 if fault == Answer(401) else 1)  # after a 401 credentials are read again
    if may is None:
        with pytest.raises(Unreachable, match="may create events is not known"):
            await cluster.may("create", "events")
    else:
        assert await cluster.may("create", "events") is may
