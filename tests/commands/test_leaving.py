"""How an agent leaves its node. In: what the API says of the DaemonSet. Out: what is left on the node."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machine import kubeconfig
from oomeventer.cluster.api import Answer, Unreachable
from oomeventer.cluster.connection import connect
from oomeventer.commands import leaving as module
from oomeventer.commands.leaving import clear, leave
from oomeventer.settings import Settings
from places import DATA
from reading import read
from standin import ApiServer
from standin.status import status

STORED = Answer(201)
GONE = Answer(404, status(404, "not found"))
GOING = {"metadata": {"deletionTimestamp": "2026-11-22T08:21:01Z"}}


class Pins:
    directory = Path("/sys/fs/bpf/oomeventer")

    def __init__(self) -> None:
        self.removed = 0

    def remove(self) -> int:
        self.removed += 1
        return 1


#: What the API server says to an Event in a namespace that is being deleted; see test_contract.py.
LEAVING = next(
    case["response"]["body"]
    for case in json.loads((DATA / "apiserver-more.json").read_text())["cases"]
    if case["name"] == "dry run: namespace being deleted"
)


class Api:
    """answer: to the question for the DaemonSet; dry: to the Event that is not to be stored."""

    def __init__(self, answer: Answer | None, may_post: bool | None = None, dry: Answer | None = STORED) -> None:
        self._answer = answer
        self._may_post = may_post
        self._dry = dry
        self.asked: list[tuple[str, str]] = []

    async def request(self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> Answer:
        self.asked.append((method, path))
        answer = self._answer if method == "GET" else self._dry
        assert method == "GET" or query == {"dryRun": "All"}
        if answer is None:
            raise Unreachable("refused")
        return answer

    async def may(self, verb: str, resource: str) -> bool:
        assert (verb, resource) == ("create", "events")
        if self._may_post is None:
            raise Unreachable("refused")
        return self._may_post


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Settings]:
    """Settings, with a journal and what belongs to it, beside something that does not."""
    for name in ("journal.db", "journal.db-wal", "journal.db-shm", "journal.db.damaged", "something"):
        (tmp_path / name).touch()

    def settings(*flags: str) -> Settings:
        return read(["--journal", str(tmp_path / "journal.db"), "--pins", "none", *flags], {})

    return settings


def left(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


@pytest.mark.parametrize(
    ("answer", "goes"),
    [
        pytest.param(Answer(200, {"metadata": {"name": "oomeventer"}}), False, id="it is there"),
        pytest.param(Answer(200, GOING), True, id="it is being deleted"),
        pytest.param(Answer(404, status(404, "not found")), True, id="it is gone"),
        pytest.param(Answer(404, {}), False, id="a proxy knows nothing"),
        pytest.param(Answer(500), False, id="the server fails"),
        pytest.param(Answer(429), False, id="the server is busy"),
        pytest.param(Answer(503, GOING), False, id="somebody else answers"),
        pytest.param(Answer(200, garbage=True), False, id="no JSON"),
        pytest.param(Answer(200, {"metadata": None}), False, id="no metadata"),
        pytest.param(Answer(200, {"metadata": []}), False, id="strange metadata"),
        pytest.param(None, False, id="no answer"),
    ],
)
async def test_leaving(
    configured: Callable[..., Settings],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    answer: Answer | None,
    goes: bool,
) -> None:
    """Pins and journal go with the DaemonSet, and only with it; whatever happened is logged."""
    caplog.set_level("INFO")
    before, pins, api = left(tmp_path), Pins(), Api(answer)
    await leave(configured("--daemonset", "monitoring/oom"), api, pins)  # type: ignore[arg-type]
    assert api.asked[0] == ("GET", "/apis/apps/v1/namespaces/monitoring/daemonsets/oom")
    assert pins.removed == goes
    assert left(tmp_path) == (["something"] if goes else before)
    if goes:
        assert "DaemonSet monitoring/oom is gone: pins of 1 generations removed" in caplog.text
    elif answer is None:
        assert "'oomeventer detach' removes the pins: refused" in caplog.text


@pytest.mark.parametrize(
    ("dry", "goes"),
    [
        (Answer(403, LEAVING), True),
        (Answer(403, status(403, "no right")), False),
        (Answer(404, status(404, "no namespace")), False),
        (Answer(429), False),
        (None, False),
    ],
)
async def test_leaving_with_the_namespace(
    configured: Callable[..., Settings], tmp_path: Path, dry: Answer | None, goes: bool
) -> None:
    """Of a namespace that is being deleted Pods go first: the DaemonSet is still there, and is not to stay."""
    before, pins, api = left(tmp_path), Pins(), Api(Answer(200, {"metadata": {}}), dry=dry)
    await leave(configured("--daemonset", "monitoring/oom"), api, pins)  # type: ignore[arg-type]
    assert api.asked[1:] == [("POST", "/api/v1/namespaces/monitoring/events")]
    assert pins.removed == goes
    assert left(tmp_path) == (["something"] if goes else before)


async def test_the_question_for_the_namespace(api: ApiServer, cluster: module.Api) -> None:
    """Is one that a real API server understands, and leaves nothing."""
    assert not await module._is_going(cluster, "default")
    api.put_namespace("oom")
    api.terminate_namespace("oom")
    assert await module._is_going(cluster, "oom")
    assert not api.events


class Uninstalled(Api):
    """As Helm leaves it: the right to get the DaemonSet is gone, and that to create Events soon is."""

    def __init__(self, rounds: int) -> None:
        super().__init__(Answer(403, status(403, "refused")), True)
        self.rounds = rounds

    async def may(self, verb: str, resource: str) -> bool:
        self.rounds -= 1
        return self.rounds >= 0


@pytest.mark.parametrize(("rounds", "goes"), [(1, True), (4, True), (1000, False)])
async def test_leaving_while_rights_are_removed(
    configured: Callable[..., Settings],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    rounds: int,
    goes: bool,
) -> None:
    """Two answers that contradict each other are asked for again: for some seconds, and not for ever."""
    assert (module.REFUSED_SECONDS, module.ASK_SECONDS) == (5, 0.25)
    monkeypatch.setattr(module, "REFUSED_SECONDS", 0.5)
    monkeypatch.setattr(module, "ASK_SECONDS", 0.01)
    before, pins = left(tmp_path), Pins()
    await leave(configured("--daemonset", "monitoring/oom"), Uninstalled(rounds), pins)  # type: ignore[arg-type]
    assert pins.removed == goes
    assert left(tmp_path) == (["something"] if goes else before)
    assert ("this account may not get its DaemonSet" in caplog.text) == (not goes)


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("may_post", [True, False, None])
@pytest.mark.parametrize("waiting", [0, 3])
@pytest.mark.parametrize("troubled_seconds", [0.0, 5.0, 600.0])
async def test_leaving_without_a_right(
    configured: Callable[..., Settings],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    may_post: bool | None,
    waiting: int,
    troubled_seconds: float,
) -> None:
    """Who may not ask any more, and may nothing else either, was removed with all of it. Who may still create Events
    never had that right. And what waits since the API server refuses all is kept for the time when it does not."""
    monkeypatch.setattr(module, "REFUSED_SECONDS", 0.0)
    before, pins = left(tmp_path), Pins()
    api = Api(Answer(code, status(code, "refused")), may_post)
    settings = configured("--daemonset", "monitoring/oom")
    await leave(settings, api, pins, waiting, troubled_seconds)  # type: ignore[arg-type]
    goes = (code == 401 or may_post is False) and not (waiting and troubled_seconds == 600)
    assert pins.removed == goes
    assert left(tmp_path) == (["something"] if goes else before)
    assert ("pins and journal stay" in caplog.text) == (not goes)
    assert ("3 Events are dropped with" in caplog.text) == bool(goes and waiting)


@pytest.mark.parametrize("who", ["token", "powerless_token", "nobody"])
async def test_leaving_as_the_server_answers(
    configured: Callable[..., Settings], tmp_path: Path, api: ApiServer, who: str
) -> None:
    """By its words for a DaemonSet that is gone, for an account whose rights are gone, and for one that is gone."""
    token = getattr(api, who, "of-an-account-that-was-removed")
    async with await connect(str(kubeconfig(tmp_path, api.url, token))) as cluster:
        await leave(configured("--daemonset", "a/b"), cluster, None)
    assert "journal.db" not in left(tmp_path)


async def test_leaving_with_events_that_wait(
    configured: Callable[..., Settings], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They go with the DaemonSet, and that is logged."""
    await leave(configured("--daemonset", "a/b"), Api(GONE), Pins(), 3)  # type: ignore[arg-type]
    assert left(tmp_path) == ["something"]
    assert "3 Events are dropped with the journal" in caplog.text


async def test_leaving_without_a_daemonset(configured: Callable[..., Settings], tmp_path: Path) -> None:
    """An agent that no DaemonSet runs asks nobody, and leaves all to the next."""
    before, pins, api = left(tmp_path), Pins(), Api(GONE)
    await leave(configured(), api, pins)  # type: ignore[arg-type]
    assert (api.asked, pins.removed, left(tmp_path)) == ([], 0, before)


async def test_leaving_without_pins_or_journal(configured: Callable[..., Settings], tmp_path: Path) -> None:
    """What is not there is not removed."""
    before = left(tmp_path)
    await leave(configured("--daemonset", "a/b", "--journal", "none"), Api(GONE), None)  # type: ignore[arg-type]
    assert left(tmp_path) == before
    assert clear(configured("--journal", "none"), None) == "nothing was left on this node"
    assert clear(configured("--journal", str(tmp_path / "nowhere" / "x.db")), None) == "nothing was left on this node"
