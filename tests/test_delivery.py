"""Drafts to the API server's stand-in: what each answer leads to, how repeats are counted, what is given up.

In: drafts of incidents by samples, faults, and a time that passes only where the delivery sleeps. Out: the stand-in's
Events and requests, and the tally.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import pytest

from oomeventer import delivery as module
from oomeventer.api import Answer as ApiAnswer
from oomeventer.api import Api
from oomeventer.delivery import FATES, Delivery, Fate, backoff, fate
from oomeventer.events import ANNOTATION, Draft, compose
from samples import incident, victim
from standin import Answer, ApiServer, Fault, Garbage, LostAnswer, Request, Reset, Truncated

GIVE_UP_SECONDS = 900.0


class Time:
    """The clock, and the sleep that moves it. What is put into `meanwhile` happens during the first sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.meanwhile: list[Callable[[], Awaitable[None]]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        while self.meanwhile:
            await self.meanwhile.pop(0)()


class Sending:
    """A delivery with a time of its own."""

    def __init__(self, cluster: Api) -> None:
        self.time = Time()
        self.delivery = Delivery(cluster, GIVE_UP_SECONDS, self.time.sleep, self.time.clock)

    async def __call__(self, *drafts: Draft) -> None:
        for draft in drafts:
            await self.delivery.deliver(draft)

    def told(self, waiting: int = 0, **given_up: int) -> tuple[int, int, int]:
        """(seen, delivered, merged), once the tally's sum and the rest of it are as they should be."""
        tally = self.delivery.tally
        assert tally.waiting == waiting
        assert tally.given_up == Counter({reason.replace("_", " "): count for reason, count in given_up.items()})
        assert tally.seen == tally.delivered + tally.merged + tally.given_up.total() + waiting
        return tally.seen, tally.delivered, tally.merged


@pytest.fixture
def send(api: ApiServer, cluster: Api) -> Sending:
    api.put_namespace("shop")
    return Sending(cluster)


def draft(number: int = 1, program: str = "hog") -> Draft:
    """The kill of that number: of one series for one program."""
    return compose(incident(number, victims=(victim(comm=program, container_pid=number),)))


def events(api: ApiServer) -> dict[str, Any]:
    return {name: stored.as_core() for (_, name), stored in api.events.items()}


def counts(api: ApiServer) -> dict[str, int]:
    return {name: event["count"] for name, event in events(api).items()}


def methods(api: ApiServer) -> list[str]:
    return [request.method for request in api.requests]


async def test_the_first_kill_is_posted(api: ApiServer, send: Sending) -> None:
    """It becomes an Event with all of the draft in it."""
    await send(draft())
    stored = events(api)[draft().name]
    assert {key: stored[key] for key in draft().body if key != "metadata"} == {
        key: value for key, value in draft().body.items() if key != "metadata"
    }
    assert stored["metadata"]["annotations"] == draft().body["metadata"]["annotations"]
    assert methods(api) == ["POST"]
    assert send.told() == (1, 1, 0)


async def test_repeats_count_up(api: ApiServer, send: Sending) -> None:
    """Three of a series are one Event, x3: the first time stays; last time, message and annotation are the last's."""
    await send(draft(1), draft(2), draft(3))
    assert methods(api) == ["POST", "PATCH", "PATCH"]
    stored = events(api)
    assert stored.keys() == {draft(1).name}
    (event,) = stored.values()
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        3,
        "2026-11-22T08:21:01Z",
        "2026-11-22T08:21:03Z",
    )
    assert "hog (pid 3 in the container)" in event["message"]
    assert event["metadata"]["annotations"][ANNOTATION] == draft(3).body["metadata"]["annotations"][ANNOTATION]
    assert send.told() == (3, 3, 0)


async def test_another_series_is_another_event(api: ApiServer, send: Sending) -> None:
    """What is not the same again counts for itself."""
    await send(draft(1), draft(2, "other"), draft(3))
    assert counts(api) == {draft(1).name: 2, draft(2).name: 1}


RULES = [
    (method, status, rule)
    for (of, status), rule in FATES.items()
    for method in (["POST", "PATCH"] if of is None else [of])
]


@pytest.mark.parametrize(("method", "status", "rule"), RULES, ids=[f"{one[0]}-{one[1]}" for one in RULES])
async def test_every_fate(api: ApiServer, send: Sending, method: str, status: int, rule: Any) -> None:
    """Each answer in FATES, once, to the request it is about: what follows is what the table says."""
    first = 1 if method == "PATCH" else 0
    if first:
        await send(draft(1))
    before = len(api.requests)
    api.faults.append(Answer(status, method=method))
    await send(draft(2))
    after = methods(api)[before:]
    kills = first + 1
    match rule.fate:
        case Fate.DELIVERED:
            assert after == [method]
            assert send.told() == (kills, kills, 0)
        case Fate.RETRY:
            assert after == [method, method]
            assert len(send.time.waits) == 1
            assert send.told() == (kills, kills, 0)
            assert sum(counts(api).values()) == kills
        case Fate.ANEW:
            assert after == ["PATCH", "POST"]
            assert send.time.waits == []
            assert counts(api) == {draft(1).name: 1, draft(2).name: 1}
            assert send.told() == (2, 2, 0)
        case Fate.GIVE_UP:
            assert after == [method]
            assert send.told(**{rule.reason: 1}) == (kills, first, 0)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Fate.DELIVERED),
        (201, Fate.DELIVERED),
        (202, Fate.DELIVERED),
        (204, Fate.DELIVERED),
        (302, Fate.GIVE_UP),
        (405, Fate.GIVE_UP),
        (418, Fate.GIVE_UP),
        (500, Fate.RETRY),
        (502, Fate.RETRY),
        (504, Fate.RETRY),
        (599, Fate.RETRY),
    ],
)
def test_statuses_beyond_the_table(status: int, expected: Fate) -> None:
    """Success is delivered, the server's own errors are tried again, what is unknown is not."""
    for method in ("POST", "PATCH"):
        assert fate(method, ApiAnswer(status)).fate is expected


@pytest.mark.parametrize("fault", [Garbage(), Truncated()])
async def test_success_with_garbage_is_success(api: ApiServer, send: Sending, fault: Fault) -> None:
    """The status says it; nothing of the body is needed."""
    api.faults.append(fault)
    await send(draft())
    assert methods(api) == ["POST"]
    assert send.told() == (1, 1, 0)


def test_backoff() -> None:
    """Doubling from 0.5 s to 30 s, each between its half and its whole."""
    ceilings = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert list(islice(backoff(jitter=lambda: 1.0), 9)) == ceilings
    assert list(islice(backoff(jitter=lambda: 0.0), 9)) == [ceiling / 2 for ceiling in ceilings]
    for ceiling, wait in zip(ceilings, backoff(), strict=False):
        assert ceiling / 2 <= wait <= ceiling


async def test_retry_after_is_honoured(api: ApiServer, send: Sending) -> None:
    """The longer of the server's wait and the own one: 7 s is longer, 0 and 1 are not, and words are none."""
    texts = ("7", "0", "Wed, 21 Oct 2026 07:28:00 GMT", "1")
    api.faults += [Answer(429, {"Retry-After": text}) for text in texts]
    await send(draft())
    first, second, third, fourth = send.time.waits
    assert first == 7
    assert 0.5 <= second <= 1
    assert 1 <= third <= 2
    assert 2 <= fourth <= 4
    assert counts(api) == {draft().name: 1}


@pytest.mark.parametrize("fault", [LostAnswer(), Reset()])
async def test_no_answer_is_tried_again(api: ApiServer, send: Sending, fault: Fault) -> None:
    """Whether the request was carried out or not, there is one Event in the end, and one kill delivered."""
    api.faults.append(fault)
    await send(draft())
    assert methods(api) == ["POST", "POST"]
    assert counts(api) == {draft().name: 1}
    assert send.told() == (1, 1, 0)


async def test_a_lost_answer_to_a_patch_counts_once(api: ApiServer, send: Sending) -> None:
    """A patch sends the count, so sending it twice is as good as once."""
    await send(draft(1))
    api.faults.append(LostAnswer(method="PATCH"))
    await send(draft(2))
    assert methods(api) == ["POST", "PATCH", "PATCH"]
    assert counts(api) == {draft(1).name: 2}


async def test_kills_during_a_request_are_merged(api: ApiServer, send: Sending) -> None:
    """What comes while one is being retried is told by the next request, together, and counted each."""
    api.faults.append(Answer(503))
    seen = []

    async def three_more() -> None:
        seen.append(send.told(waiting=1))
        await send(draft(2), draft(3), draft(4))
        seen.append(send.told(waiting=4))

    send.time.meanwhile.append(three_more)
    await send(draft(1))
    assert seen == [(1, 0, 0), (4, 0, 0)]
    assert methods(api) == ["POST", "POST", "PATCH"]
    assert counts(api) == {draft(1).name: 4}
    assert "hog (pid 4 in the container)" in events(api)[draft(1).name]["message"]
    assert send.told() == (4, 2, 2)


async def test_one_request_at_a_time_for_a_series(api: ApiServer, send: Sending) -> None:
    """However many come at once, requests of a series follow each other, and none is lost in the count."""
    await asyncio.gather(*(send(draft(number)) for number in range(1, 51)))
    assert sum(counts(api).values()) == 50
    assert methods(api) == ["POST", "PATCH"]
    assert send.told() == (50, 2, 48)


async def test_an_expired_event_is_posted_anew(api: ApiServer, send: Sending) -> None:
    """Where the Event's hour is over the next kill begins another one, whose count begins anew."""
    await send(draft(1), draft(2))
    api.events.clear()
    await send(draft(3))
    assert counts(api) == {draft(3).name: 1}
    await send(draft(4))
    assert counts(api) == {draft(3).name: 2}
    assert methods(api) == ["POST", "PATCH", "PATCH", "POST", "PATCH"]
    assert send.told() == (4, 4, 0)


async def test_an_expired_event_and_kills_meanwhile(api: ApiServer, send: Sending) -> None:
    """All that the new Event tells of is counted in it, what came during its own requests too."""
    await send(draft(1))
    api.events.clear()
    api.faults += [Answer(503, method="PATCH"), Answer(503, method="POST")]

    async def more() -> None:
        await send(draft(3))

    send.time.meanwhile.append(more)
    await send(draft(2))
    assert counts(api) == {draft(2).name: 2}
    assert send.told() == (3, 3, 0)


async def test_a_poisonous_event_blocks_no_other(api: ApiServer, send: Sending) -> None:
    """What the server refuses for good is given up, with a word in the log; the next of its series is tried."""
    poisonous = draft(1)
    poisonous.body["metadata"]["annotations"]["x"] = "x" * (256 << 10)
    await send(poisonous, draft(2, "other"))
    assert counts(api) == {draft(2).name: 1}
    assert send.told(invalid=1) == (2, 1, 0)
    await send(draft(3))
    assert counts(api) == {draft(2).name: 1, draft(3).name: 1}


async def test_a_series_that_waits_blocks_no_other(api: ApiServer, cluster: Api) -> None:
    """While one is being retried, others go on beside it."""
    api.put_namespace("shop")
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await awake.wait()

    delivery = Delivery(cluster, sleep=sleep)
    api.faults.append(Answer(503))
    stuck = asyncio.create_task(delivery.deliver(draft(1)))
    await asleep.wait()
    await delivery.deliver(draft(2, "other"))
    assert counts(api) == {draft(2).name: 1}
    assert delivery.tally.waiting == 1
    awake.set()
    await stuck
    assert counts(api) == {draft(1).name: 1, draft(2).name: 1}


async def test_a_missing_namespace_is_given_up(api: ApiServer, send: Sending) -> None:
    """Real refusals of the server: the namespace is being deleted, or is gone."""
    api.terminate_namespace("shop")
    await send(draft(1))
    del api.namespaces["shop"]
    await send(draft(2))
    reasons = {FATES[None, 403].reason: 1, FATES["POST", 404].reason: 1}
    assert send.told(**reasons) == (2, 0, 0)


async def test_giving_up_after_a_time(api: ApiServer, send: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """An Event is tried for as long as was set, never beyond, with the kills that came meanwhile tried after it."""
    api.faults += [Answer(503)] * 1000

    async def two_more() -> None:
        await send(draft(2), draft(3))

    send.time.meanwhile.append(two_more)
    with caplog.at_level(logging.ERROR):
        await send(draft(1))
    assert GIVE_UP_SECONDS * 2 - 60 < send.time.now <= GIVE_UP_SECONDS * 2
    assert 2 * 30 <= len(api.requests) <= 2 * 70
    assert send.told(server_error=3) == (3, 0, 0)
    assert [f"Event {draft(number).name} is given up after 900 s" in caplog.text for number in (1, 3)] == [True, True]
    api.faults.clear()
    await send(draft(4))
    assert counts(api) == {draft(4).name: 1}


async def test_a_wait_longer_than_is_left_is_not_begun(api: ApiServer, send: Sending) -> None:
    """A server that says to come back after the end is not waited for."""
    api.faults.append(Answer(429, {"Retry-After": "901"}))
    await send(draft())
    assert send.time.waits == []
    assert send.told(too_many_requests=1) == (1, 0, 0)


async def test_a_refused_patch_is_made_up_for(api: ApiServer, send: Sending) -> None:
    """The next patch sends the whole count, the kill that was given up included."""
    await send(draft(1))
    api.faults.append(Answer(422, method="PATCH"))
    await send(draft(2), draft(3))
    assert counts(api) == {draft(1).name: 3}
    assert send.told(invalid=1) == (3, 2, 0)


async def test_a_bounded_number_of_series(api: ApiServer, send: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    """The series that was longest without a kill is forgotten; its next kill is a new Event."""
    assert module.SERIES == 4096
    monkeypatch.setattr(module, "SERIES", 3)
    await send(draft(1, "a"), draft(2, "b"), draft(3, "c"), draft(4, "a"), draft(5, "d"))
    del api.requests[:]
    await send(draft(6, "a"), draft(7, "c"), draft(8, "b"))
    assert methods(api) == ["PATCH", "PATCH", "POST"]


async def test_a_series_under_way_is_not_forgotten(
    api: ApiServer, send: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even beyond the bound: its kills would be told twice, or by two requests at a time."""
    monkeypatch.setattr(module, "SERIES", 2)
    api.faults.append(Answer(503))

    async def others() -> None:
        await send(draft(2, "b"), draft(3, "c"), draft(4, "d"), draft(5, "a"))

    send.time.meanwhile.append(others)
    await send(draft(1, "a"))
    assert counts(api)[draft(1).name] == 2
    assert draft(5).name not in counts(api)


async def test_a_cancelled_delivery_leaves_its_series_usable(api: ApiServer, cluster: Api) -> None:
    """A stop in the middle of a retry: what is sent afterwards tells of that kill, too."""
    api.put_namespace("shop")
    asleep = asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    delivery = Delivery(cluster, sleep=sleep)
    api.faults.append(Answer(503))
    stopped = asyncio.create_task(delivery.deliver(draft(1)))
    await asleep.wait()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    assert delivery.tally.waiting == 1
    await delivery.deliver(draft(2))
    assert counts(api) == {draft(2).name: 2}
    assert delivery.tally.waiting == 0


async def test_names_go_into_the_path_as_one_segment(api: ApiServer, send: Sending) -> None:
    """Whatever a namespace holds, it is no other path."""
    strange = draft()
    api.faults.append(Answer(201))
    await send(Draft("a/../b?c", strange.name, strange.series, strange.body))
    request: Request = api.requests[0]
    assert (request.path, request.query) == ("/api/v1/namespaces/a/../b?c/events", {})
