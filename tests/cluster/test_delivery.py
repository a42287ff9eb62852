"""Kills through the journal to the API server's stand-in: what each answer leads to, how repeats are counted, what is
given up.

In: incidents by samples, faults, and a time that the test moves. Out: the stand-in's Events and requests, and the
journal's totals.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import pytest
from aiohttp import web
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from direct import Direct, counts, events
from moving import Time
from oomeventer.cluster import delivery as module
from oomeventer.cluster import posting
from oomeventer.cluster.api import Answer as ApiAnswer
from oomeventer.cluster.api import Api, Unreachable
from oomeventer.cluster.delivery import Delivery
from oomeventer.cluster.rate_limit import Budget, Budgets
from oomeventer.cluster.retry import REFUSALS, RULES, Verdict, backoff, rule
from oomeventer.cluster.schedule import LITTLE, Limits, Schedule
from oomeventer.incident.events import ANNOTATION, COMBINED, compose
from oomeventer.incident.incident import Incident
from oomeventer.incident.subjects import subject
from oomeventer.journal import Spent, Waiting, retention
from oomeventer.journal.journal import Journal
from oomeventer.journal.outbox import SIMILAR, SIMILAR_SECONDS
from oomeventer.journal.plans import Plan
from samples import POD, incident, victim
from standin import Answer, ApiServer, Fault, Garbage, LostAnswer, Reset, Truncated
from standin.routing import Request
from standin.status import status
from stores import composed, set_time

HOUR = 3600.0
#: Longer than any series waits for its next try.
AGAIN = 31.0


@dataclass(frozen=True)
class Asked:
    """A request as it was sent: when, by the test's time."""

    at: float
    method: str
    name: str
    body: Any


class Watched:
    """The API's client, with a look at what goes through. gate: requests wait until it is set. broken: for a name that
    holds the text, the status that the server always answers; None for no answer at all."""

    def __init__(self, api: Any, time: Time) -> None:
        self._api = api
        self._time = time
        self.asked: list[Asked] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken: dict[str, int | None] = {}
        self.most, self._under_way = 0, 0

    async def request(self, method: str, path: str, body: Any = None, content_type: str | None = None) -> ApiAnswer:
        name = unquote(path.rpartition("/")[2]) if method == "PATCH" else body["metadata"]["name"]
        self.asked.append(Asked(self._time.now, method, name, body))
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        try:
            await self.gate.wait()
            for text, wrong in self.broken.items():
                if text in name:
                    if wrong is None:
                        raise Unreachable("refused")
                    return ApiAnswer(wrong, status(wrong, "broken"))
            answer: ApiAnswer = await self._api.request(method, path, body=body, content_type=content_type)
            return answer
        finally:
            self._under_way -= 1

    @property
    def methods(self) -> list[str]:
        return [one.method for one in self.asked]


class Sending:
    """A journal and its delivery, as in an agent that runs. plans_at_once: unless the test has that done apart."""

    plans_at_once = True

    def __init__(self, api: Any, time: Time, path: Path | None = None, limits: Limits | None = None) -> None:
        self.time = time
        self.api = api if isinstance(api, Watched) else Watched(api, time)
        self.journal = Journal(path)
        self.reported: list[Plan] = []
        self.delivery = Delivery(self.api, self.journal, limits, self.reported.append, time.clock, time.sleep)
        self.stop = asyncio.Event()
        self.lives = True

    async def __aenter__(self) -> Self:
        await self.journal.__aenter__()
        self.running = asyncio.create_task(self.delivery.run(self.stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        if self.lives:
            await self.running
            await self.journal.__aexit__()

    async def die(self) -> None:
        """As the process does: wherever it is."""
        self.lives = False
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running
        await self.journal.__aexit__()

    async def __call__(self, *incidents: Incident) -> None:
        """They are killed, and reported as far as that can be without time passing."""
        await self.record(*incidents)
        await self.quiet()

    async def record(self, *incidents: Incident) -> None:
        """They are killed, and their Events composed."""
        for one in incidents:
            await self.journal.record(one)
        ended = asyncio.Event()
        ended.set()
        async for recorded in self.journal.recorded(ended):
            one = recorded.incident
            is_free = self.plans_at_once and self.delivery.is_free(subject(one).object)
            self.delivery.add((await self.journal.describe(recorded.id, one, composed(one), is_free)).waiting)

    async def quiet(self) -> None:
        """Until all is done that can be without time passing."""
        calm = 0
        while calm < 10:
            await asyncio.sleep(0)
            busy = self.api.gate.is_set() and (self.delivery._sending or self.journal._store.is_busy)
            calm = 0 if busy else calm + 1

    async def passes(self, seconds: float) -> None:
        """Time passes, to the end or until nothing waits any more."""
        end = self.time.now + seconds
        await self.quiet()
        while self.delivery.series and self.time.advance(end):
            await self.quiet()

    def totals(self, waiting: int = 0, **given_up: int) -> tuple[int, int, int]:
        """(seen, delivered, merged), once their sum and the rest of it are as they should be."""
        totals = self.journal.totals
        assert totals.waiting == waiting
        assert totals.given_up == Counter({reason.replace("_", " "): count for reason, count in given_up.items()})
        assert totals.seen == totals.accounted
        return totals.seen, totals.delivered, totals.merged


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    moved = Time()
    set_time(monkeypatch, moved)
    monkeypatch.setattr(module, "time", moved)
    return moved


@pytest.fixture
async def send(api: ApiServer, cluster: Api, time: Time) -> AsyncIterator[Sending]:
    api.put_namespace("shop")
    async with Sending(cluster, time) as sending:
        yield sending


def kill(number: int = 1, program: str = "hog", pod: int = 0) -> Incident:
    """The kill of that number: of one series for one program in one Pod."""
    where = replace(POD, name=f"checkout-{pod}", uid=f"uid-of-{pod}")
    return incident(number, victims=(victim(comm=program, container_pid=number),), pod=where)


def name(number: int = 1, pod: int = 0) -> str:
    """Its Event's."""
    return compose(kill(number, pod=pod)).name


# -- one Event ---------------------------------------------------------------------------------------------------------


async def test_the_first_kill_is_posted(api: ApiServer, send: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """It becomes an Event with all of the pending Event in it, and the log says so."""
    caplog.set_level("INFO")
    await send(kill())
    assert f"Event {name()} is delivered, count 1" in caplog.messages
    pending = compose(kill())
    stored = events(api)[pending.name]
    assert {key: stored[key] for key in pending.body if key != "metadata"} == {
        key: value for key, value in pending.body.items() if key != "metadata"
    }
    assert stored["metadata"]["annotations"] == pending.body["metadata"]["annotations"]
    assert send.api.methods == ["POST"]
    assert send.totals() == (1, 1, 0)


async def test_repeats_count_up(api: ApiServer, send: Sending) -> None:
    """Three of a series are one Event, x3: the first time stays; last time, message and annotation are the last's."""
    for number in (1, 2, 3):
        await send(kill(number))
    assert send.api.methods == ["POST", "PATCH", "PATCH"]
    stored = events(api)
    assert stored.keys() == {name(1)}
    (event,) = stored.values()
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        3,
        "2026-11-22T08:21:01Z",
        "2026-11-22T08:21:03Z",
    )
    assert "hog (pid 3 in the container)" in event["message"]
    body = compose(kill(3)).body
    assert event["metadata"]["annotations"][ANNOTATION] == body["metadata"]["annotations"][ANNOTATION]
    assert send.totals() == (3, 3, 0)
    assert [(plan.create, plan.count, plan.kills) for plan in send.reported] == [
        (True, 1, 1),
        (False, 2, 1),
        (False, 3, 1),
    ]


async def test_another_series_is_another_event(api: ApiServer, send: Sending) -> None:
    """What is not the same again counts for itself."""
    for one in (kill(1), kill(2, "other"), kill(3)):
        await send(one)
    assert counts(api) == {name(1): 2, name(2): 1}


async def test_a_kill_with_two_events(api: ApiServer, send: Sending) -> None:
    """Where the node ran out, the one on the Pod and the one on the Node are reported and counted each."""
    await send(replace(kill(1), scope="node"))
    assert sorted(event["involvedObject"]["kind"] for event in events(api).values()) == ["Node", "Pod"]
    assert send.totals() == (2, 2, 0)


# -- answers -----------------------------------------------------------------------------------------------------------

ANSWERS = [
    (method, status, reason, expected)
    for (of, status, reason), expected in RULES.items()
    for method in (["POST", "PATCH"] if of is None else [of])
]


def refusal(code: int, reason: str | None = None, method: str | None = None) -> Answer:
    """The server's own, once; of that reason, or for that cause."""
    details = {"causes": [{"reason": reason}]} if reason == "NamespaceTerminating" else None
    body = status(code, "scripted", details, None if details else reason)
    return Answer(code, body=json.dumps(body).encode(), method=method)


@pytest.mark.parametrize(
    ("method", "status", "reason", "expected"), ANSWERS, ids=[f"{one[0]}-{one[1]}-{one[2]}" for one in ANSWERS]
)
async def test_every_verdict(
    api: ApiServer, send: Sending, method: str, status: int, reason: str | None, expected: Any
) -> None:
    """Each answer in RULES, once, to the request it is about: what follows is what the table says."""
    first = 1 if method == "PATCH" else 0
    if first:
        await send(kill(1))
    before = len(send.api.asked)
    twice = 2 if status == 401 else 1  # then credentials are read again, and the request is made once more
    api.faults += [refusal(status, reason, method)] * twice
    await send(kill(2))
    kills = first + 1
    match expected.verdict:
        case Verdict.DELIVERED:
            assert send.api.methods[before:] == [method]
            assert send.totals() == (kills, kills, 0)
        case Verdict.RETRY if (method, status) == ("PATCH", 409):  # at once, after the question what version it has now
            assert send.api.methods[before:] == [method, method, method]
            assert send.totals() == (kills, kills, 0)
            assert counts(api) == {name(1): 2}
        case Verdict.RETRY:
            assert send.api.methods[before:] == [method]
            assert send.totals(waiting=1) == (kills, kills - 1, 0)
            assert send.delivery.trouble
            await send.passes(1.0)
            assert send.api.methods[before:] == [method, method]
            assert send.totals() == (kills, kills, 0)
            assert sum(counts(api).values()) == kills
            assert send.delivery.retries == 1
        case Verdict.RECREATE:
            assert send.api.methods[before:] == ["PATCH", "POST"]
            assert counts(api) == {name(1): 1, name(2): 1}
            assert send.totals() == (2, 2, 0)
        case Verdict.GIVE_UP:
            assert send.api.methods[before:] == [method]
            assert send.totals(**{expected.reason: 1}) == (kills, first, 0)
    assert send.delivery.trouble is None


EVENT = {"kind": "Event", "metadata": {"resourceVersion": "7", "namespace": "shop", "name": name(1)}}


def event(**changed: str) -> dict[str, Any]:
    """As EVENT, but for some of its metadata."""
    return EVENT | {"metadata": EVENT["metadata"] | changed}  # type: ignore[operator]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ApiAnswer(200, EVENT), Verdict.DELIVERED),
        (ApiAnswer(201, EVENT), Verdict.DELIVERED),
        (ApiAnswer(201, event(name="another")), Verdict.RETRY),
        (ApiAnswer(200, event(namespace="bank")), Verdict.RETRY),
        (ApiAnswer(200, EVENT | {"kind": "Pod"}), Verdict.RETRY),
        (ApiAnswer(200, {"metadata": EVENT["metadata"]}), Verdict.RETRY),
        (ApiAnswer(200), Verdict.RETRY),  # a login page, say
        (ApiAnswer(200, {"metadata": {}}), Verdict.RETRY),
        (ApiAnswer(204), Verdict.RETRY),
        (ApiAnswer(302), Verdict.RETRY),
        (ApiAnswer(400), Verdict.RETRY),
        (ApiAnswer(403), Verdict.RETRY),
        (ApiAnswer(404), Verdict.RETRY),
        (ApiAnswer(409), Verdict.RETRY),
        (ApiAnswer(413), Verdict.RETRY),
        (ApiAnswer(422, {"kind": "Problem"}), Verdict.RETRY),
        (ApiAnswer(405, status(405, "not here")), Verdict.GIVE_UP),
        (ApiAnswer(418, status(418, "teapot")), Verdict.GIVE_UP),
        (ApiAnswer(500, status(500, "broken")), Verdict.RETRY),
        (ApiAnswer(500), Verdict.RETRY),
        (ApiAnswer(502), Verdict.RETRY),
        (ApiAnswer(599), Verdict.RETRY),
        (ApiAnswer(403, status(403, "x", {"causes": None})), Verdict.RETRY),
        (ApiAnswer(403, status(403, "x", {"causes": ["NamespaceTerminating"]})), Verdict.RETRY),
    ],
)
def test_answers_beyond_the_table(answer: ApiAnswer, expected: Verdict) -> None:
    """Success is that Event, the server's own errors are tried again, and a refusal is believed if it is a Status."""
    for method in ("POST", "PATCH"):
        assert rule(method, answer, "shop", name(1)).verdict is expected


@pytest.mark.parametrize("fault", [Garbage(), Truncated()])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_success_with_garbage_is_none(api: ApiServer, send: Sending, fault: Fault, method: str) -> None:
    """Whether it was carried out is not known: it is made again, and reported once."""
    if method == "PATCH":
        await send(kill(1))
    api.faults.append(dataclasses.replace(fault, method=method))
    await send(kill(2))
    assert send.delivery.trouble
    await send.passes(1)
    assert sum(counts(api).values()) == (2 if method == "PATCH" else 1)
    assert send.delivery.trouble is None


async def test_a_proxys_page_is_not_the_servers_word(api: ApiServer, send: Sending) -> None:
    """A 404, 403 or 400 that is no Status says nothing of the Event: it is tried until the server answers."""
    page = b"<html>default backend</html>"
    await send(kill(1))
    api.faults += [Answer(code, body=page, method=method) for method in ("PATCH", "POST") for code in (404, 403, 400)]
    await send(kill(2), kill(3, pod=1))
    await send.passes(60)
    assert counts(api) == {name(1): 2, name(3, pod=1): 1}
    assert send.totals() == (3, 3, 0)


async def test_rights_that_are_replaced(api: ApiServer, send: Sending) -> None:
    """A 403 for want of a right is tried again for minutes; a right that is never given ends in a counted reason."""
    right, api.token = api.token, "another"
    api._users = {right: "oomeventer"}  # whose role is being replaced
    await send(kill(1))
    await send.passes(60)
    assert send.totals(waiting=1) == (1, 0, 0)
    api.token = right
    await send.passes(60)
    assert counts(api) == {name(1): 1}
    api.token = "another"
    await send(kill(2, pod=1))
    await send.passes(HOUR)
    assert send.totals(forbidden=1) == (2, 1, 0)
    assert len(send.api.asked[-REFUSALS:]) == REFUSALS


async def test_retry_after_is_honoured(api: ApiServer, send: Sending) -> None:
    """The longer of the server's wait and the own one: 7 s is longer, 0 and 1 are not, and words are none. The server's
    may become one and a half."""
    texts = ("7", "0", "Wed, 21 Oct 2026 07:28:00 GMT", "1")
    api.faults += [Answer(429, {"Retry-After": text}) for text in texts]
    await send(kill())
    await send.passes(60)
    times = [one.at for one in send.api.asked]
    first, second, third, fourth = (after - before for before, after in pairwise(times))
    assert 7 <= first <= 10.501
    assert 0.5 <= second <= 1.001
    assert 1 <= third <= 2.001
    assert 2 <= fourth <= 4.001
    assert counts(api) == {name(): 1}


async def test_retry_after_is_for_all(api: ApiServer, send: Sending) -> None:
    """A server that says when to come back is left alone until then by every series."""
    api.faults.append(Answer(429, {"Retry-After": "20"}))
    await send(kill(1))
    await send(kill(2, pod=1))
    await send.passes(60)
    began, *after = [one.at for one in send.api.asked]
    assert began == 0
    assert len(after) == 2
    assert 20 <= after[0] <= 30.001
    assert after[1] == pytest.approx(after[0], abs=0.001)


async def test_what_is_planned_with_its_event(api: ApiServer, send: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is made as it was planned then, and the journal is not asked; but for a retry, and for more kills
    than have a budget that nobody need write down."""
    asked = []
    whole = send.journal.plan

    async def plan(series: str, **named: Any) -> Plan | None:
        asked.append(series)
        return await whole(series, **named)

    monkeypatch.setattr(send.journal, "plan", plan)
    for number in range(1, 4):
        await send(kill(number))
    assert (counts(api), asked) == ({name(1): 3}, [])
    await send(kill(4))
    assert (counts(api), len(asked)) == ({name(1): 4}, 1)
    api.faults.append(Answer(503))
    await send(kill(5, pod=1))
    assert counts(api) == {name(1): 4}
    await send(kill(6, pod=1))  # while the first one waits for its retry
    await send.passes(60)
    assert counts(api) == {name(1): 4, name(5, pod=1): 2}
    assert len(asked) == 3
    assert send.totals() == (6, 6, 0)


async def test_a_fleet_comes_back_at_no_one_moment() -> None:
    """A server that refuses all nodes' requests names the same wait to each: they come again spread over half of it."""
    waits = []
    for _ in range(200):
        schedule = Schedule(Limits())
        schedule.add([Waiting("a", "shop/1", 1)])
        ((one,), _) = schedule.take(1, 0.0, is_failing=False)
        waits.append(schedule.retry(one, 0.0, 1.0))
    assert 1 <= min(waits) < 1.1
    assert 1.4 < max(waits) <= 1.5
    assert max(Counter(int(wait * 20) for wait in waits).values()) < 60


@pytest.mark.parametrize("asked", ["1" + "0" * 9, "9" * 400])
async def test_a_retry_after_of_years(api: ApiServer, send: Sending, asked: str) -> None:
    """Is somebody's mistake: an hour later there has been another try."""
    api.faults.append(Answer(503, {"Retry-After": asked}))
    await send(kill(1))
    await send.passes(HOUR)
    assert counts(api) == {name(1): 1}


@pytest.mark.parametrize("fault", [LostAnswer(), Reset()])
async def test_no_answer_is_tried_again(api: ApiServer, send: Sending, fault: Fault) -> None:
    """Whether the request was carried out or not, there is one Event in the end, and one kill delivered."""
    api.faults.append(fault)
    await send(kill())
    await send.passes(1)
    assert send.api.methods == ["POST", "POST"]
    assert counts(api) == {name(): 1}
    assert send.totals() == (1, 1, 0)


async def test_a_lost_answer_to_a_patch_counts_once(api: ApiServer, send: Sending) -> None:
    """A patch sends the count, so sending it twice is as good as once. Before that an empty one asks for the version
    that the Event has, and changes nothing."""
    await send(kill(1))
    api.faults.append(LostAnswer(method="PATCH"))
    await send(kill(2))
    revision = api.revision
    await send.passes(1)
    assert send.api.methods == ["POST", "PATCH", "PATCH", "PATCH"]
    assert send.api.asked[2].body == {}
    assert api.revision == revision
    assert counts(api) == {name(1): 2}
    assert send.totals() == (2, 2, 0)


@dataclass(frozen=True)
class Late(Fault):
    """No answer; the request is put into `kept`, which carries it out when the test wants."""

    kept: list[Callable[[], Any]] = field(default_factory=list)

    async def answer(self, request: web.Request, carry_out: Callable[[], Any], closing: asyncio.Event) -> Any:
        self.kept.append(carry_out)
        return await Reset().answer(request, carry_out, closing)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_request_that_arrives_late(
    api: ApiServer, cluster: Api, time: Time, tmp_path: Path, restarted: bool
) -> None:
    """The network kept a patch while later ones were made, by its sender or the next process: it takes nothing back."""
    api.put_namespace("shop")
    network = Late(method="PATCH")
    async with Sending(cluster, time, tmp_path / "journal.db") as send:
        await send(kill(1))
        api.faults.append(network)
        await send(kill(2))
        if restarted:
            await send.die()
            send = Sending(cluster, time, tmp_path / "journal.db")
            await send.__aenter__()
        await send(kill(3))
        await send.passes(10)
        assert counts(api) == {name(1): 3}
        (arrive,) = network.kept
        assert arrive().status == 409
        assert counts(api) == {name(1): 3}
        if restarted:
            await send.__aexit__()


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
@pytest.mark.parametrize("waiting", [0, 1])
async def test_a_journal_that_lost_its_last_words(
    api: ApiServer, cluster: Api, time: Time, tmp_path: Path, kept: int, waiting: int
) -> None:
    """The power failed, or the disk did and then the agent, which reported more than is on it: no count goes back, and
    what was reported already is not counted again."""
    api.put_namespace("shop")
    path, older = tmp_path / "journal.db", tmp_path / "older"
    send = await Sending(cluster, time, path).__aenter__()
    for number in range(1, 5):
        if number == kept + 1:
            if waiting:  # written down, and not reported yet
                send.api.broken = {"": 503}
                await send(kill(number))
                copy_journal(path, older)
                send.api.broken = {}
                await send.passes(AGAIN)
                continue
            copy_journal(path, older)
        await send(kill(number))
    assert counts(api) == {name(1): 4}
    await send.die()
    copy_journal(older, path)
    async with Sending(cluster, time, path) as again:
        await again.passes(AGAIN)
        assert counts(api) == {name(1): 4}
        await again(kill(5))
        await again.passes(AGAIN)
        reported = counts(api)
    # With nothing left of the series, its next kill begins another Event.
    assert reported == ({name(1): 5} if kept or waiting else {name(1): 4, name(5): 1})


def copy_journal(source: Path, target: Path) -> None:
    """As it is on the disk at this moment, with what SQLite has beside it."""
    for suffix in ("", "-wal"):
        file = Path(f"{source}{suffix}")
        if file.exists():
            shutil.copy(file, f"{target}{suffix}")
        else:
            Path(f"{target}{suffix}").unlink(missing_ok=True)
    Path(f"{target}-shm").unlink(missing_ok=True)


async def test_versions_are_remembered_up_to_a_bound(
    api: ApiServer, send: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an Event that was reported longer ago the version is asked for."""
    monkeypatch.setattr(posting, "VERSIONS", 2)
    for pod in (1, 2, 3):
        await send(kill(pod, pod=pod))
    for pod in (3, 1):
        await send(kill(pod + 10, pod=pod))
    assert send.api.methods == ["POST"] * 3 + ["PATCH"] + ["PATCH"] * 2
    assert counts(api) == {name(1, pod=1): 2, name(2, pod=2): 1, name(3, pod=3): 2}


async def test_kills_after_a_lost_answer(api: ApiServer, send: Sending) -> None:
    """What was perhaps sent is sent again as it was; what came since is reported by the next request, and all count."""
    api.faults.append(LostAnswer())
    await send(kill(1))
    await send(kill(2), kill(3))
    await send.passes(1)
    assert [(one.method, one.body.get("count"), one.name) for one in send.api.asked] == [
        ("POST", 1, name(1)),
        ("POST", 1, name(1)),
        ("PATCH", None, name(1)),
        ("PATCH", 3, name(1)),
    ]
    assert counts(api) == {name(1): 3}
    assert send.totals() == (3, 2, 1)


async def test_a_token_that_is_not_valid_for_a_while(api: ApiServer, send: Sending) -> None:
    """401 is tried again until the token is read again; nothing is lost, and the trouble is reported meanwhile."""
    token, api.token = api.token, "another"
    api._users = {"another": "somebody"}
    await send(kill(1), kill(2, pod=1))
    await send.passes(120)
    assert send.totals(waiting=2) == (2, 0, 0)
    assert send.delivery.trouble == "401 Unauthorized"
    api._users = {token: "kubernetes-admin"}
    api.token = token
    await send.passes(2 * AGAIN)
    assert sum(counts(api).values()) == 2
    assert send.delivery.trouble is None


# -- together ----------------------------------------------------------------------------------------------------------


async def test_kills_during_a_request_are_reported_together(api: ApiServer, send: Sending) -> None:
    """What comes while a request is under way is reported by the next one, and counted each."""
    send.api.gate.clear()
    await send(kill(1))
    await send(kill(2), kill(3), kill(4))
    assert send.totals(waiting=4) == (4, 0, 0)
    send.api.gate.set()
    await send.quiet()
    assert [(one.method, one.body["count"]) for one in send.api.asked] == [("POST", 1), ("PATCH", 4)]
    assert counts(api) == {name(1): 4}
    assert "hog (pid 4 in the container)" in events(api)[name(1)]["message"]
    assert send.totals() == (4, 2, 2)


async def test_kills_while_a_request_is_to_be_tried_again(api: ApiServer, send: Sending) -> None:
    """The one that failed is sent as it was, and then one for all that came since."""
    api.faults.append(Answer(503))
    await send(kill(1))
    await send(kill(2), kill(3), kill(4))
    assert send.totals(waiting=4) == (4, 0, 0)
    await send.passes(1)
    assert [(one.method, one.body["count"]) for one in send.api.asked] == [("POST", 1), ("POST", 1), ("PATCH", 4)]
    assert counts(api) == {name(1): 4}
    assert send.totals() == (4, 2, 2)


async def test_kills_while_the_budget_is_used_up(api: ApiServer, cluster: Api, time: Time) -> None:
    """They wait, and one request tells all of them as soon as it may."""
    api.put_namespace("shop")
    async with Sending(cluster, time, limits=Limits(object_burst=2, object_seconds=300)) as send:
        for number in range(1, 11):
            await send(kill(number))
        assert send.totals(waiting=8) == (10, 2, 0)
        await send.passes(299)
        assert len(send.api.asked) == 2
        await send.passes(2)
        assert [(one.method, one.body["count"]) for one in send.api.asked] == [("POST", 1), ("PATCH", 2), ("PATCH", 10)]
        assert send.totals() == (10, 3, 7)
    assert counts(api) == {name(1): 10}


async def test_a_budget_for_each_object(api: ApiServer, send: Sending) -> None:
    """25 requests about one object at once, then one every 300 s; another object has its own."""
    for number in range(1, 41):
        await send(kill(number))
        send.time.now += 1.0
    assert len(send.api.asked) == 25
    await send(kill(100, pod=1))
    assert send.api.asked[-1].name == name(100, pod=1)
    await send.passes(HOUR)
    (later,) = send.api.asked[26:]
    assert later.at == pytest.approx(300, abs=1)
    for number in range(101, 1101, 10):  # one every ten seconds, for 1,000 s
        await send(kill(number))
        await send.passes(10)
        send.time.now = max(send.time.now, float(number))
    times = [one.at for one in send.api.asked[26:]]
    assert all(after - before >= 299 for before, after in pairwise(times))
    assert len(times) <= 2 + 1000 / 300
    await send.passes(HOUR)
    assert counts(api)[name(1)] == 140


async def test_a_merged_post(api: ApiServer, cluster: Api, time: Time) -> None:
    """Kills that wait together at first: the first one's name and time, the last one's time, message and annotation."""
    api.put_namespace("shop")
    send = Sending(cluster, time)
    async with send.journal:
        await send.record(kill(1), kill(2), kill(3))
        assert send.totals(waiting=3) == (3, 0, 0)
        running = asyncio.create_task(send.delivery.run(send.stop))
        await send.quiet()
        send.stop.set()
        await running
        assert send.api.methods == ["POST"]
        assert send.totals() == (3, 1, 2)
        (plan,) = send.reported
        assert (plan.kills, plan.killed_at) == (3, kill(3).time.timestamp())
    (event,) = events(api).values()
    assert event["metadata"]["name"] == name(1)
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-11-22T08:21:01Z", "2026-11-22T08:21:03Z")
    assert event["count"] == 3
    body = compose(kill(3)).body
    assert event["message"] == body["message"]
    assert event["metadata"]["annotations"][ANNOTATION] == body["metadata"]["annotations"][ANNOTATION]


async def test_one_tenants_flood_does_not_hold_up_another(api: ApiServer, send: Sending) -> None:
    """30 Pods with 10 programs each use up this node's budget; then the one kill of another namespace is reported
    within a second, and so is one of a Pod of the same namespace that has had no turn."""
    api.put_namespace("bank")
    flood = [kill(1 + pod * 10 + program, f"hog{program}", pod) for pod in range(30) for program in range(10)]
    await send(*flood)
    await send.passes(8)
    assert len(counts(api)) < 150, "most of them wait"
    quiet = kill(900, pod=99)
    other = incident(901, pod=replace(POD, namespace="bank", name="vault-0", uid="uid-of-vault"))
    await send(other, quiet)
    await send.passes(1)
    assert {compose(other).name, compose(quiet).name} <= set(counts(api))
    await send.passes(HOUR)
    assert sum(counts(api).values()) == 302


async def test_one_request_at_a_time_for_a_series(api: ApiServer, send: Sending) -> None:
    """However many come at once, requests of a series follow each other, and none is lost in the count."""
    for number in range(1, 51):
        await send.record(kill(number))
    await send.passes(HOUR)
    assert send.api.most == 1
    assert counts(api) == {name(1): 50}


async def test_a_flood_in_one_series(api: ApiServer, send: Sending) -> None:
    """A thousand kills within 100 s cost as many requests as the budget has, and the count is a thousand."""
    for number in range(1, 1001):
        await send(kill(number))
        send.time.now += 0.1
    await send.passes(HOUR)
    assert len(send.api.asked) <= 26
    assert counts(api) == {name(1): 1000}
    seen, delivered, merged = send.totals()
    assert (seen, delivered + merged, delivered) == (1000, 1000, len(send.api.asked))


async def test_many_series_of_one_object(api: ApiServer, send: Sending) -> None:
    """Ten stay apart; those that come within ten minutes after are reported as one, and then series are apart again."""
    for number in range(1, 16):
        await send(kill(number, f"program-{number}"))
    await send(kill(16, "program-3"))
    await send(kill(17, "another", pod=1))
    combined = [event for event in events(api).values() if event["message"].startswith(COMBINED)]
    assert len(events(api)) == SIMILAR + 2
    assert [event["count"] for event in combined] == [5]
    assert "program-15 (pid 15" in combined[0]["message"]
    assert counts(api)[name(3)] == 2
    send.time.now += SIMILAR_SECONDS + 1
    await send(kill(18, "program-18"))
    await send.passes(HOUR)
    assert events(api)[name(18)]["message"].startswith("Container app ran out")
    assert sum(counts(api).values()) == 18


# -- expired -----------------------------------------------------------------------------------------------------------


async def test_an_expired_event_is_recreated(api: ApiServer, send: Sending) -> None:
    """Where the Event's hour is over the next kill begins another one, whose count begins at 1."""
    await send(kill(1))
    await send(kill(2))
    api.events.clear()
    await send(kill(3))
    assert counts(api) == {name(3): 1}
    await send(kill(4))
    assert counts(api) == {name(3): 2}
    assert send.api.methods == ["POST", "PATCH", "PATCH", "POST", "PATCH"]
    assert send.totals() == (4, 4, 0)


async def test_an_expired_event_and_kills_meanwhile(api: ApiServer, send: Sending) -> None:
    """All that the new Event tells of is counted in it, what came during its own requests too, though they fail."""
    await send(kill(1))
    api.events.clear()
    api.faults += [Answer(503, method="PATCH"), LostAnswer(method="POST")]
    await send(kill(2))
    await send(kill(3))
    await send.passes(10)
    assert counts(api) == {name(2): 2}
    assert [(one.method, one.name) for one in send.api.asked[1:]] == [
        ("PATCH", name(1)),
        ("PATCH", name(1)),
        ("POST", name(2)),
        ("POST", name(2)),
        ("PATCH", name(2)),
        ("PATCH", name(2)),
    ]
    assert send.totals() == (3, 3, 0)


# -- given up ----------------------------------------------------------------------------------------------------------


async def test_a_missing_namespace_is_given_up(api: ApiServer, send: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """Real refusals of the server: the namespace is being deleted, or is gone. The log has its words."""
    api.terminate_namespace("shop")
    await send(kill(1))
    del api.namespaces["shop"]
    await send(kill(2))
    reasons = {RULES[None, 403, "NamespaceTerminating"].reason: 1, RULES["POST", 404, None].reason: 1}
    assert send.totals(**reasons) == (2, 0, 0)
    assert f"Event {name(1)} is dropped: the namespace is being deleted" in caplog.text
    assert 'namespaces "shop" not found' in caplog.text


async def test_a_refused_post_is_not_the_series_end(api: ApiServer, send: Sending) -> None:
    """The next kill of the series is posted for itself."""
    api.faults.append(Answer(422))
    await send(kill(1))
    await send(kill(2))
    assert counts(api) == {name(2): 1}
    assert send.totals(invalid=1) == (2, 1, 0)


async def test_a_refused_patch_counts_what_was_reported(api: ApiServer, send: Sending) -> None:
    """The kill that was given up is in no count, and those after it are."""
    await send(kill(1))
    api.faults.append(Answer(422, method="PATCH"))
    await send(kill(2))
    await send(kill(3))
    assert counts(api) == {name(1): 2}
    assert send.totals(invalid=1) == (3, 2, 0)


@pytest.mark.parametrize("status", [500, 422, 400, None])
async def test_a_poisonous_event_blocks_no_other(api: ApiServer, send: Sending, status: int | None) -> None:
    """What the server always fails at, or refuses, waits or is given up by itself; others arrive within moments."""
    send.api.broken = {name(1): status}
    await send(kill(1))
    for number in range(2, 22):
        await send(kill(number, pod=number))
    await send.passes(60)
    assert counts(api) == {name(number, pod=number): 1 for number in range(2, 22)}
    refused = status in (422, 400)
    assert send.journal.totals.given_up.total() == refused
    assert send.journal.totals.waiting == (not refused)
    send.api.broken = {}
    await send.passes(HOUR)
    assert (name(1) in counts(api)) is not refused


async def test_many_poisonous_events_block_no_other(api: ApiServer, send: Sending) -> None:
    """A webhook, say, that fails for one namespace: kills elsewhere are reported within minutes, not after all of
    those."""
    poisonous = range(1, 31)
    send.api.broken = {f"checkout-{number}.": 500 for number in poisonous}
    for number in poisonous:
        await send(kill(number, pod=number))
    await send.passes(600)
    healthy = range(100, 105)
    for number in healthy:
        await send(kill(number, pod=number))
    await send.passes(120)
    assert counts(api) == {name(number, pod=number): 1 for number in healthy}
    send.api.broken = {}
    await send.passes(HOUR)
    assert sum(counts(api).values()) == len(poisonous) + len(healthy)
    send.totals()


async def test_giving_up_by_age(api: ApiServer, cluster: Api, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    """An Event is tried for as long as was set; what came later is tried for its own time."""
    api.put_namespace("shop")
    async with Sending(cluster, time, limits=Limits(give_up_seconds=900)) as send:
        send.api.broken = {"": 503}
        await send(kill(1))
        await send.passes(600)
        await send(kill(2, pod=1))
        await send.passes(299)
        assert send.totals(waiting=2) == (2, 0, 0)
        await send.passes(400)
        assert send.totals(waiting=1, server_error=1) == (2, 0, 0)
        assert f"Event {name(1)} is dropped: server error" in caplog.text
        send.api.broken = {}
        await send.passes(300)
        assert send.totals(server_error=1) == (2, 1, 0)
    assert counts(api) == {name(2, pod=1): 1}


async def test_kills_of_a_series_age_each_for_itself(api: ApiServer, cluster: Api, time: Time) -> None:
    """With the request that is too old its kills are given up; those that came while it was tried are reported."""
    api.put_namespace("shop")
    async with Sending(cluster, time, limits=Limits(give_up_seconds=900)) as send:
        send.api.broken = {"": 503}
        await send(kill(1))
        await send.passes(850)
        await send(kill(2), kill(3))
        await send.passes(400)
        send.api.broken = {}
        await send.passes(HOUR)
        assert send.totals(server_error=1) == (3, 1, 1)
    assert counts(api) == {name(2): 2}


# -- outages -----------------------------------------------------------------------------------------------------------


async def test_oldest_first(api: ApiServer, cluster: Api, time: Time, tmp_path: Path) -> None:
    """What an earlier process left is reported in the order of the kills, but for those that are under way at once."""
    api.put_namespace("shop")
    async with Sending(cluster, time, tmp_path / "journal.db") as first:
        first.api.gate.clear()
        for number in range(1, 31):
            await first(kill(number, pod=number))
            time.now += 1
        await first.die()
    async with Sending(cluster, time, tmp_path / "journal.db") as send:
        await send.quiet()
        places = [int(one.name.rpartition(".")[2], 16) - index for index, one in enumerate(send.api.asked, 1)]
        assert len(places) == 30
        assert all(abs(place) < module.REQUESTS for place in places)
        assert 1 < send.api.most <= module.REQUESTS


@pytest.mark.parametrize("status", [503, None])
async def test_an_hours_outage(api: ApiServer, send: Sending, status: int | None) -> None:
    """Then everything arrives, the oldest first but for what was tried last, and not faster than was set."""
    limits = Limits()
    send.api.broken = {"": status}
    for number in range(1, 301):
        await send(kill(number, pod=number))
        await send.passes(12)
    end = send.time.now
    assert end == pytest.approx(HOUR, abs=1)
    assert send.api.most <= module.REQUESTS
    tries = len(send.api.asked)
    assert 100 <= tries <= 300  # every 12 s at least, every 30 at most
    assert send.totals(waiting=300) == (300, 0, 0)
    send.api.broken = {}
    await send.passes(HOUR)
    assert send.totals() == (300, 300, 0)
    assert counts(api) == {name(number, pod=number): 1 for number in range(1, 301)}
    after = send.api.asked[tries:]
    assert after[-1].at - end <= AGAIN + 300 / limits.per_second
    for index, one in enumerate(after):
        within = [later for later in after[index:] if later.at - one.at < 10]
        assert len(within) <= limits.burst + 10 * limits.per_second + 1
    tried_last = {one.name for one in send.api.asked[:tries] if end - one.at < AGAIN}
    in_time = [one.name for one in after[1:] if one.name not in tried_last]
    assert in_time == [name(number, pod=number) for number in range(1, 301) if name(number, pod=number) in in_time]


async def test_an_outage_does_not_use_up_an_objects_budget(api: ApiServer, send: Sending) -> None:
    """However often it was tried: once the server is back, the only one that waits is reported with its next try."""
    send.api.broken = {"": 503}
    await send(kill(1))
    await send.passes(2 * HOUR)
    assert len(send.api.asked) > 3 * Limits().object_burst
    end = send.time.now
    send.api.broken = {}
    await send.passes(HOUR)
    assert counts(api) == {name(1): 1}
    assert send.api.asked[-1].at - end <= AGAIN


async def test_an_outage_is_probed_by_one_request(api: ApiServer, send: Sending) -> None:
    """While the server does not answer at all, requests do not pile up at it, however many kills come."""
    send.api.broken = {"": 503}
    await send(kill(1, pod=1))
    await send.passes(20)
    send.api.most = 0
    send.api.gate.clear()
    await send.passes(AGAIN)
    for number in range(2, 30):
        await send(kill(number, pod=number))
    assert send.api.most <= 1
    send.api.gate.set()
    send.api.broken = {}
    await send.passes(HOUR)
    assert sum(counts(api).values()) == 29


async def test_a_stop_finishes_what_is_under_way(api: ApiServer, cluster: Api, time: Time, tmp_path: Path) -> None:
    """What cannot be sent now is left to the next process, which sends it."""
    api.put_namespace("shop")
    async with Sending(cluster, time, tmp_path / "journal.db") as first:
        first.api.broken = {name(1): 500}
        await first(kill(1))
        await first.record(kill(2, pod=1))
    assert counts(api) == {name(2, pod=1): 1} or not counts(api)
    async with Sending(cluster, time, tmp_path / "journal.db") as send:
        await send.quiet()
        assert send.totals() == (2, 2, 0)
    assert counts(api) == {name(1): 1, name(2, pod=1): 1}


async def test_a_stop_does_not_wait_for_a_server_that_hangs(
    cluster: Api, time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There is a deadline, and what was under way then is the next process's."""
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.05)
    async with Sending(cluster, time) as send:
        send.api.gate.clear()
        await send(kill(1))
        send.stop.set()
        async with asyncio.timeout(10):
            await send.running
        assert send.totals(waiting=1) == (1, 0, 0)
    assert "stopped with requests under way" in caplog.text


async def test_a_fault_of_the_program_stays_in_its_series(
    api: ApiServer, send: Sending, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, others go on, and it is looked at again after a minute, not at once."""
    send.plans_at_once = False
    whole = send.journal.plan
    calls = []

    async def plan(series: str, spent: Spent) -> Plan | None:
        if "hog" in series:
            calls.append(send.time.now)
            raise ZeroDivisionError
        return await whole(series, spent=spent)

    monkeypatch.setattr(send.journal, "plan", plan)
    with caplog.at_level(logging.ERROR):
        await send(kill(1), kill(2, "other"))
    assert "a fault of this program" in caplog.text
    assert counts(api) == {name(2): 1}
    await send.passes(module.FAULT_SECONDS * 2.5)
    assert len(calls) == 3
    monkeypatch.undo()
    set_time(monkeypatch, send.time)
    monkeypatch.setattr(module, "time", send.time)
    await send.passes(module.FAULT_SECONDS)
    assert counts(api) == {name(1): 1, name(2): 1}


async def test_a_kill_that_comes_while_nothing_was_found(
    api: ApiServer, send: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal was asked just before the kill was in it: it is reported nevertheless."""
    send.plans_at_once = False
    whole = send.journal.plan

    async def too_early(_series: str, spent: Spent) -> Plan | None:
        monkeypatch.setattr(send.journal, "plan", whole)
        await send.record(kill(2))
        return None

    monkeypatch.setattr(send.journal, "plan", too_early)
    await send(kill(1))
    await send.passes(HOUR)
    assert send.totals() == (2, 1, 1)
    assert counts(api) == {name(1): 2}


async def test_what_the_journal_let_go_of_does_not_stop_its_series(api: ApiServer, send: Sending) -> None:
    """A request that was tried for so long that there was no room for its kill any more: those after it are
    reported."""
    memory = send.journal._store.memory
    assert memory
    send.api.broken = {"": 503}
    await send(kill(1))
    await send.passes(400)
    await send(kill(2))
    with memory.transaction() as db:
        retention.forget(db, "key = ?", (kill(1).key,), "no room in the journal")
    send.api.broken = {}
    await send.passes(HOUR)
    assert send.totals(no_room_in_the_journal=1) == (2, 1, 0)
    assert counts(api) == {name(2): 1}


@pytest.mark.parametrize("days", [-3650, 3650])
async def test_a_clock_that_is_set(api: ApiServer, send: Sending, time: Time, days: int) -> None:
    """A machine's clock was wrong when it started, and is set by years: what waits is not given up for that."""
    send.api.broken = {"": 503}
    await send(kill(1))
    await send.passes(60)
    time.set_clock(days * 86400.0)
    await send(kill(2))
    await send.journal._store.call(retention.trim)
    await send.passes(60)
    assert send.totals(waiting=2) == (2, 0, 0)
    send.api.broken = {}
    await send.passes(HOUR)
    assert counts(api) == {name(1): 2}


async def test_names_go_into_the_path_as_one_segment(api: ApiServer, send: Sending) -> None:
    """Whatever a namespace holds, it is no other path."""
    api.faults.append(Answer(201))
    await send(replace(kill(), pod=replace(POD, namespace="a/../b?c")))
    request: Request = api.requests[0]
    assert (request.path, request.query) == ("/api/v1/namespaces/a/../b?c/events", {})


# -- each kill once, whatever happens ----------------------------------------------------------------------------------


KILLS = st.tuples(st.just("kill"), st.integers(0, 2), st.sampled_from(["hog", "other"]))
PASSES = st.tuples(st.just("pass"), st.sampled_from([0.0, 0.3, 1.0, 10.0, 400.0]))
DIES = st.tuples(st.just("die"), st.integers(0, 40))
RETRIED = [500, 503, 429, 401, 408, "reset"]


def answers(*kinds: int | str) -> Any:
    return st.tuples(st.just("answers"), st.lists(st.sampled_from(kinds), min_size=1, max_size=6))


async def live(steps: list[Any], path: Path, look: Callable[[Sending, Direct], None]) -> Direct:
    """An agent's life, or several agents' on one file, until all is reported; `look` after each step."""
    api, time = Direct(), Time()
    number = 0
    with pytest.MonkeyPatch.context() as patch:
        set_time(patch, time)
        patch.setattr(module, "time", time)
        send = await Sending(api, time, path, Limits(object_burst=3)).__aenter__()
        for step in [*steps, ("answers", []), ("pass", 24 * HOUR)]:
            match step:
                case ("kill", pod, program):
                    number += 1
                    await send.record(kill(number, program, pod))
                case ("answers", kinds):
                    api.answers = list(kinds)
                case ("pass", seconds):
                    await send.passes(seconds)
                case ("expire",):
                    await send.passes(24 * HOUR)
                    api.expire()
                case ("die", turns):
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    await send.die()
                    send = await Sending(api, time, path, Limits(object_burst=3)).__aenter__()
                    await send.record()
            assert send.journal.totals.seen == send.journal.totals.accounted
            assert send.journal.totals.seen == number
            look(send, api)
        assert send.journal.totals.waiting == 0
        await send.__aexit__()
        api.arrive(1000)
    return api


THOROUGH = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def again(*kept: str) -> list[Any]:
    """A kill that is reported; then others of its series, one of whose requests the network keeps."""
    kill = [("kill", 0, "hog"), ("pass", 1.0)]
    return [*kill, ("answers", list(kept)), *kill, *kill, *kill]


@THOROUGH
@given(st.lists(KILLS | PASSES | DIES | answers(*RETRIED, "lost", "late1", "late2", "late4"), max_size=25))
@example(again("late1"))
@example(again("late2"))
@example(again("late3"))
@example(again("late4"))
@example(again("carried out", "late2"))
def test_each_kill_is_counted_once(steps: list[Any]) -> None:
    """Whatever the server answers short of a refusal, wherever the process dies, and also where a request arrives that
    nobody waits for any more: the Events' counts are the kills."""
    kills = sum(step[0] == "kill" for step in steps)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        api = asyncio.run(live(steps, Path(directory) / "journal.db", lambda _send, _api: None))
    assert api.reported == kills


@THOROUGH
@given(st.lists(KILLS | PASSES | DIES | answers(*RETRIED) | st.tuples(st.just("expire")), max_size=25))
def test_each_kill_is_counted_once_though_events_expire(steps: list[Any]) -> None:
    """The Events that are there, and those that were, tell all."""
    kills = sum(step[0] == "kill" for step in steps)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        api = asyncio.run(live(steps, Path(directory) / "journal.db", lambda _send, _api: None))
    assert api.reported == kills


@THOROUGH
@given(st.lists(KILLS | PASSES | DIES | answers(*RETRIED, 422, 403, 400, 413, 404, 405), max_size=25))
def test_what_is_refused_is_given_up_and_the_rest_counted_once(steps: list[Any]) -> None:
    """A kill is reported or given up, never both, and nothing is in between at the end."""
    kills = sum(step[0] == "kill" for step in steps)
    given_up = 0

    def look(send: Sending, _api: Direct) -> None:
        nonlocal given_up
        given_up = send.journal.totals.given_up.total()

    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        api = asyncio.run(live(steps, Path(directory) / "journal.db", look))
    assert api.reported + given_up == kills


# -- pace --------------------------------------------------------------------------------------------------------------


def test_backoff() -> None:
    """Doubling from 0.5 s to 30 s, each between its half and its whole."""
    ceilings = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert list(islice(backoff(jitter=lambda: 1.0), 9)) == ceilings
    assert list(islice(backoff(jitter=lambda: 0.0), 9)) == [ceiling / 2 for ceiling in ceilings]
    for ceiling, wait in zip(ceilings, backoff(), strict=False):
        assert ceiling / 2 <= wait <= ceiling


@given(st.integers(1, 30), st.floats(0.1, 300), st.lists(st.floats(0, 1000), max_size=60))
def test_a_budget_is_never_overdrawn(burst: int, seconds: float, waits: list[float]) -> None:
    """In any stretch of time there are at most the burst and what became free in it; and what is free is not late."""
    budget, now, taken = Budget(burst, seconds), 0.0, []
    for wait in waits:
        now = max(now + wait, budget.free_at(now + wait))
        budget.take(now)
        taken.append(now)
    for first, start in enumerate(taken):
        for count, end in enumerate(taken[first:], 1):
            assert count <= burst + (end - start) / seconds + 1e-6
    assert budget.free_at(now) <= now + seconds + 1e-6
    assert budget.is_full(now + burst * seconds + 1e-6)


def test_full_budgets_are_forgotten() -> None:
    """Those of objects that were left alone for long enough, and the longest unused beyond the bound."""
    budgets = Budgets(2, 10, most=3)
    for name in "abcd":
        budgets.take(name, 0.0)
        budgets.take(name, 0.0)
    assert [budgets.free_at(name, 0.0) for name in "abcd"] == [0, 10, 10, 10]
    budgets.take("e", 100.0)
    assert len(budgets._budgets) == 1


async def test_a_budget_outlives_the_process(api: ApiServer, time: Time, tmp_path: Path, cluster: Api) -> None:
    """An agent that is killed and started again begins with what is left of an object's budget, but for a few requests:
    a crash loop of the agent is no way around it."""
    api.put_namespace(POD.namespace)
    number = 0
    for _ in range(4):
        sending = Sending(cluster, time, tmp_path / "journal.db")
        async with sending:
            for _ in range(20):
                number += 1
                await sending(kill(number))
            await sending.die()
    asked = [request for request in api.requests if request.path.endswith("/events") or "/events/" in request.path]
    assert Limits().object_burst <= len(asked) <= Limits().object_burst + LITTLE


async def test_a_little_is_not_written_down(api: ApiServer, time: Time, tmp_path: Path, cluster: Api) -> None:
    """Most Pods have a kill or two: they cost the journal no further write."""
    api.put_namespace(POD.namespace)
    sending = Sending(cluster, time, tmp_path / "journal.db")
    async with sending:
        for number in range(1, LITTLE + 1):
            await sending(kill(number))
        assert await sending.journal.spent() == []
        await sending(kill(99))
        assert [spent.object for spent in await sending.journal.spent()] == [compose(kill(99)).object]
        await sending.die()
