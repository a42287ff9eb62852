"""What is done about a Pod's spec while the API is unreachable, and while it refuses.

In: incidents, and an API that the test makes unreachable. Out: the incident with owner and limits, or with a note.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from machine import kubeconfig
from oomeventer.cluster import describer as module
from oomeventer.cluster.api import Answer, Unreachable
from oomeventer.cluster.connection import connect
from oomeventer.cluster.describer import Describer
from oomeventer.cluster.pods import Pods
from oomeventer.incident.incident import Incident
from oomeventer.incident.workload import Owner
from samples import NODE, POD, UID, incident, on_the_host
from standin import ApiServer

WAIT = 0.02
SPEC = {
    "metadata": {
        "namespace": "shop",
        "name": POD.name,
        "uid": UID,
        "ownerReferences": [{"kind": "StatefulSet", "name": "checkout", "controller": True}],
    },
    "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "32Mi"}}}]},
}


class Api:
    """answers: by the path's last part; None: no answer. unreachable: no answer to anything."""

    def __init__(self) -> None:
        self.unreachable = False
        self.answers: dict[str, Answer | None] = {POD.name: Answer(200, SPEC), "version": Answer(200, {"major": "1"})}
        self.asked: Counter[str] = Counter()

    async def request(self, method: str, path: str, query: dict[str, str] | None = None) -> Answer:
        what = path.rpartition("/")[2]
        self.asked[what] += 1
        await asyncio.sleep(0)
        answer = self.answers[what]
        if self.unreachable or answer is None:
            raise Unreachable("refused")
        return answer


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    def soon(longest_seconds: float) -> Iterator[float]:
        assert longest_seconds == module.LONGEST_SECONDS
        return repeat(WAIT)

    monkeypatch.setattr(module, "backoff", soon)
    return Api()


def describer(api: Any) -> Describer:
    return Describer(api, Pods(api, NODE), lambda _key, _words: None)


def bare(number: int = 1) -> Incident:
    """As the runtime left it."""
    return incident(number, pod=POD.__class__(POD.namespace, POD.name, UID))


def whole(reported: Incident) -> bool:
    return reported.pod is not None and reported.pod.owner == Owner("StatefulSet", "checkout") and not reported.notes


async def test_an_api_that_answers(api: Api) -> None:
    """One look-up, and nothing else."""
    assert whole(await describer(api)(bare()))
    assert api.asked == {POD.name: 1}


async def test_an_unreachable_api(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """The incident waits, however long, and is whole in the end; it asks whether the server is back. The log has when
    that began, and when it ended."""
    caplog.set_level("INFO")
    api.unreachable = True
    waiting = asyncio.create_task(describer(api)(bare()))
    await asyncio.sleep(WAIT * 10.5)
    assert not waiting.done()
    assert 3 <= api.asked["version"] <= 11
    assert api.asked[POD.name] == 1
    api.unreachable = False
    async with asyncio.timeout(5):
        assert whole(await waiting)
    began, ended = caplog.messages
    assert began == "incidents wait in the journal: refused"
    assert ended == "the API server is no longer unreachable"


async def test_a_refuted_path_is_not_looked_up(api: Api) -> None:
    """The runtime knows better than the path: the Pod that the path claims is not asked for, and gets no Event."""
    refuted = incident(1, pod=None, path_refuted=True)
    assert await describer(api)(refuted) == refuted
    assert not api.asked


async def test_several_that_wait_ask_once(api: Api) -> None:
    """However many incidents wait."""
    api.unreachable = True
    stage = describer(api)
    waiting = [asyncio.create_task(stage(bare(number))) for number in range(20)]
    await asyncio.sleep(WAIT * 10.5)
    assert api.asked["version"] <= 11
    assert api.asked[POD.name] <= 20
    api.unreachable = False
    async with asyncio.timeout(5):
        assert all(whole(reported) for reported in await asyncio.gather(*waiting))


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_any_answer_says_that_it_is_back(api: Api, status: int) -> None:
    """A server that refuses to say its version is there."""
    api.answers["version"] = Answer(status)
    api.unreachable = True
    waiting = asyncio.create_task(describer(api)(bare()))
    await asyncio.sleep(WAIT * 3)
    api.unreachable = False
    async with asyncio.timeout(5):
        assert whole(await waiting)


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (Answer(403), "pod: the API could not be asked"),
        (Answer(400), "pod: the API could not be asked"),
        (Answer(404), "pod: gone from the API"),
    ],
)
async def test_an_api_that_refuses(api: Api, answer: Answer, note: str) -> None:
    """The incident goes on at once, with a note, and what the runtime answered."""
    api.answers[POD.name] = answer
    reported = await describer(api)(bare())
    assert reported.notes == (note,)
    assert reported.pod == bare().pod
    assert api.asked == {POD.name: 1}


TRANSIENT = [None, Answer(401), Answer(408), Answer(429), Answer(500), Answer(503), Answer(200, garbage=True)]


@pytest.mark.parametrize("answer", TRANSIENT)
async def test_a_transient_answer(api: Api, answer: Answer | None) -> None:
    """The API is there for others, and for this silent, overloaded, restarting, or knows no token: the incident waits,
    and is whole in the end."""
    api.answers[POD.name] = answer
    waiting = asyncio.create_task(describer(api)(bare()))
    await asyncio.sleep(WAIT * 5)
    assert not waiting.done()
    assert api.asked[POD.name] <= 6
    api.answers[POD.name] = Answer(200, SPEC)
    async with asyncio.timeout(5):
        assert whole(await waiting)


REFUSAL = Answer(403, {"kind": "Status", "message": "not yet"})


async def test_a_server_that_has_just_come_back(api: Api) -> None:
    """kube-apiserver refuses what it permits (403) until it has read its roles: the incident waits for the Pod."""
    api.unreachable = True
    waiting = asyncio.create_task(describer(api)(bare()))
    await asyncio.sleep(WAIT * 3)
    api.unreachable, api.answers[POD.name] = False, REFUSAL
    await asyncio.sleep(WAIT * 5)
    assert api.asked[POD.name] > 1
    api.answers[POD.name] = Answer(200, SPEC)
    async with asyncio.timeout(5):
        assert whole(await waiting)


async def test_a_server_that_came_back_and_refuses(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for it is bounded."""
    monkeypatch.setattr(module, "JUST_BACK_SECONDS", WAIT * 4)
    api.unreachable = True
    waiting = asyncio.create_task(describer(api)(bare()))
    await asyncio.sleep(WAIT * 3)
    api.unreachable, api.answers[POD.name] = False, REFUSAL
    async with asyncio.timeout(5):
        assert (await waiting).notes == ("pod: the API could not be asked",)


async def test_an_api_that_never_answers_for_a_pod(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers others, and of this Pod nothing, for so long that it is no outage: the first incident goes on with a
    note then, and later ones at once, until it answers again."""
    monkeypatch.setattr(module, "MUTE_SECONDS", WAIT * 5)
    api.answers[POD.name] = Answer(500)
    stage = describer(api)
    async with asyncio.timeout(5):
        assert (await stage(bare())).notes == ("pod: the API could not be asked",)
        asked = api.asked[POD.name]
        assert asked >= 4
        assert (await stage(bare(2))).notes == ("pod: the API could not be asked",)
        assert api.asked[POD.name] == asked + 1
        api.answers[POD.name] = Answer(200, SPEC)
        assert whole(await stage(bare(3)))
        api.answers[POD.name] = Answer(500)
        api.answers["other"] = Answer(500)
        other = incident(4, pod=POD.__class__(POD.namespace, "other", "another uid"))
        waiting = asyncio.create_task(stage(other))
        await asyncio.sleep(WAIT * 2)
        assert not waiting.done(), "it has answered meanwhile, and is waited for again"
        await waiting


async def test_nobody_is_asked_about_a_process_of_the_host(api: Api) -> None:
    """It is in no Pod."""
    assert await describer(api)(on_the_host()) == on_the_host()
    assert api.asked == {}


async def test_an_account_that_may_not_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """That is how the chart is set: it is no broken RBAC, is logged once, and the setting is named."""
    async with (
        ApiServer() as server,
        await connect(str(kubeconfig(tmp_path, server.url, server.powerless_token))) as powerless,
    ):
        stage = describer(powerless)
        for number in range(3):
            reported = await stage(incident(number, pod=None))
            assert reported.notes == ("pod: its name is not known, and Pods may not be listed",)
    (line,) = caplog.messages
    assert "rbac.listPods" in line
    assert "403" not in line
