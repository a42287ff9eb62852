"""Requests and limits of the Pods on a node that ran out. In: incidents, an API that fails or hangs. Out: figures, and
how long they took.
"""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from oomeventer.cluster import node_pods as module
from oomeventer.cluster.api import Answer, Unreachable
from oomeventer.cluster.describer import Describer
from oomeventer.cluster.node_pods import LARGEST
from oomeventer.cluster.pods import Pods
from oomeventer.incident.incident import Incident
from oomeventer.incident.memory import NodeMemory, PodUsage
from samples import MI, NODE, POD, incident, on_the_host


def pod(number: int, limit: str | None = "64Mi") -> dict[str, Any]:
    resources = {"requests": {"memory": "16Mi"}, "limits": {"memory": limit} if limit else {}}
    containers = [{"name": name, "resources": resources} for name in ("app", "proxy")]
    metadata = {"namespace": "shop", "name": f"p{number}", "uid": f"uid-{number}"}
    return {"metadata": metadata, "spec": {"containers": containers}}


class Api:
    """It knows Pods p0, p1, ...; answers: what it says of some instead, None: nothing, ever."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, Answer | Exception | None] = {}

    async def request(self, method: str, path: str, query: dict[str, str] | None = None) -> Answer:
        what = path.rpartition("/")[2]
        self.asked[what] += 1
        await asyncio.sleep(0)
        answer = self.answers[what] if what in self.answers else Answer(200, pod(int(what[1:])))
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer
        return answer


def describer(api: Any) -> Describer:
    return Describer(api, Pods(api, NODE), lambda _key, _words: None)


def ran_out(*named: int, **fields: Any) -> Incident:
    """A process outside any Pod was killed; of these Pods the names are known, and of one not."""
    pods = (*(PodUsage(f"uid-{number}", MI, "shop", f"p{number}") for number in named), PodUsage("uid-x", MI))
    return on_the_host(node_memory=NodeMemory(64 * MI, None, None, len(pods), pods), **fields)


def figures(reported: Incident) -> list[tuple[int | None, int | None]]:
    assert reported.node_memory
    assert reported.notes == ()
    return [
        (one.request_bytes and one.request_bytes // MI, one.limit_bytes and one.limit_bytes // MI)
        for one in reported.node_memory.pods
    ]


KNOWN, UNKNOWN = (32, 128), (None, None)


async def test_their_figures() -> None:
    """Their containers' together; where one has no limit the Pod has none. Asked once, whatever the kills."""
    api = Api()
    api.answers["p1"] = Answer(200, pod(1, limit=None))
    stage = describer(api)
    for _ in range(3):
        assert figures(await stage(ran_out(0, 1))) == [KNOWN, (32, None), UNKNOWN]
    assert api.asked == {"p0": 1, "p1": 1}


async def test_the_victims_pod_is_asked_for_too() -> None:
    """And is described as ever."""
    api = Api()
    api.answers[POD.name] = Answer(404)
    killed = incident(scope="node", limit_bytes=None, node_memory=ran_out(0).node_memory)
    reported = await describer(api)(killed)
    assert reported.notes == ("pod: gone from the API",)
    assert reported.node_memory
    assert reported.node_memory.pods[0].limit_bytes == 128 * MI
    assert api.asked == {POD.name: 1, "p0": 1}


async def test_the_largest() -> None:
    """Not more than so many requests."""
    api = Api()
    reported = await describer(api)(ran_out(*range(20)))
    assert figures(reported) == [KNOWN] * LARGEST + [UNKNOWN] * (21 - LARGEST)
    assert api.asked.total() == LARGEST


@pytest.mark.parametrize(
    "answer",
    [Answer(404), Answer(403), Answer(500), Answer(200, garbage=True), Unreachable("refused"), Answer(200, pod(7))],
)
async def test_one_that_is_not_to_be_had(answer: Answer | Exception) -> None:
    """Gone, forbidden, broken, or another Pod of that name: its figures are not known; the others' are."""
    api = Api()
    api.answers["p0"] = answer
    assert figures(await describer(api)(ran_out(0, 1))) == [UNKNOWN, KNOWN, UNKNOWN]


async def test_an_api_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a moment, and by the next kills not at all; what was answered is told."""
    monkeypatch.setattr(module, "SECONDS", 0.1)
    api = Api()
    api.answers["p0"] = None
    stage = describer(api)
    began = time.monotonic()
    assert figures(await stage(ran_out(0, 1))) == [UNKNOWN, KNOWN, UNKNOWN]
    for _ in range(20):
        assert figures(await stage(ran_out(0, 1))) == [UNKNOWN] * 3
    assert time.monotonic() - began < 1


async def test_an_unreachable_api() -> None:
    """Once it is known to be, nobody is asked; and after a failure not for a while."""
    api = Api()
    stage = describer(api)
    stage.is_unreachable = True
    assert figures(await stage(ran_out(0))) == [UNKNOWN] * 2
    assert not api.asked
    stage.is_unreachable = False
    api.answers["p0"] = Unreachable("refused")
    for _ in range(5):
        assert figures(await stage(ran_out(0))) == [UNKNOWN] * 2
    assert api.asked == {"p0": 1}
