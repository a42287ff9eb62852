"""What the recorded contract does not show of the stand-in: scripted faults, pages, reviews, its record.

In: one stand-in and one HTTP client a test. Out: the client's view of each fault, and whether the request was
carried out.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from standin import Answer, ApiServer, Fault, Garbage, Hang, LostAnswer, Reset, Trickle, Truncated

EVENTS = "/api/v1/namespaces/default/events"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@asynccontextmanager
async def client(token: str = ApiServer.token) -> AsyncIterator[tuple[ApiServer, aiohttp.ClientSession]]:
    async with (
        ApiServer() as server,
        aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {token}"}) as session,
    ):
        yield server, session


def event(name: str, **fields: Any) -> dict[str, Any]:
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    return {"metadata": {"name": name}, "involvedObject": about, "reason": "OOMKilled"} | fields


async def test_answer_is_given_once_and_only_to_its_method() -> None:
    async with client() as (server, session):
        server.faults = [Answer(429, {"Retry-After": "7"}, method="POST")]
        assert (await session.get(EVENTS)).status == 200
        refused = await session.post(EVENTS, json=event("a"))
        assert (refused.status, refused.headers["Retry-After"]) == (429, "7")
        assert (await refused.json())["reason"] == "TooManyRequests"
        assert not server.events
        assert (await session.post(EVENTS, json=event("a"))).status == 201
        assert not server.faults


async def test_faults_come_in_order() -> None:
    async with client() as (server, session):
        server.faults = [Answer(500), Answer(503, method="PATCH"), Answer(504)]
        assert [(await session.get(EVENTS)).status for _ in range(3)] == [500, 504, 200]
        assert server.faults == [Answer(503, method="PATCH")]


async def test_a_fault_of_one_resource_waits_for_it() -> None:
    """Others are asked by the same method, now and then: an access review is."""
    async with client() as (server, session):
        server.faults = [Answer(422, method="POST", resource="events")]
        review = {"spec": {"resourceAttributes": {"verb": "create", "resource": "events"}}}
        assert (await session.post(REVIEWS, json=review)).status == 201
        assert (await session.post(EVENTS, json=event("a"))).status == 422
        assert not server.faults


@pytest.mark.parametrize(("fault", "carried_out"), [(Garbage(), False), (Truncated(), True)])
async def test_success_without_json(fault: Fault, carried_out: bool) -> None:
    async with client() as (server, session):
        server.faults = [fault]
        answer = await session.post(EVENTS, json=event("a"))
        assert (answer.status, answer.headers["Content-Type"]) == (201, "application/json")
        with pytest.raises(json.JSONDecodeError):
            await answer.json()
        assert (("default", "a") in server.events) is carried_out


@pytest.mark.parametrize(
    ("fault", "error", "carried_out"),
    [
        (Reset(), aiohttp.ClientOSError, False),
        (LostAnswer(), aiohttp.ServerDisconnectedError, True),
        (Hang(0), aiohttp.ServerDisconnectedError, False),
    ],
)
async def test_no_answer(fault: Fault, error: type[Exception], carried_out: bool) -> None:
    async with client() as (server, session):
        server.faults = [fault]
        with pytest.raises(error):
            await session.post(EVENTS, json=event("a"))
        assert (("default", "a") in server.events) is carried_out
        assert (await session.post(EVENTS, json=event("b"))).status == 201


async def test_hang_outlasts_the_client_and_ends_with_the_server() -> None:
    async with asyncio.timeout(30):
        async with client() as (server, session):
            server.faults = [Hang(3600)]
            with pytest.raises(TimeoutError):
                await session.post(EVENTS, json=event("a"), timeout=aiohttp.ClientTimeout(total=0.05))
        assert not server.events


async def test_until_waits_for_what_requests_bring() -> None:
    async with client() as (server, session):
        waiting = asyncio.create_task(server.until(lambda: len(server.events) == 2))
        for name in "ab":
            assert not waiting.done()
            await session.post(EVENTS, json=event(name))
        await waiting


async def test_trickle_sends_the_whole_answer_in_pieces() -> None:
    async with client() as (server, session):
        server.faults = [Trickle(0.05)]
        answer = await session.post(EVENTS, json=event("a"))
        pieces = [piece async for piece in answer.content.iter_any()]
        assert len(pieces) > 1
        assert json.loads(b"".join(pieces))["metadata"]["name"] == "a"


async def test_requests_are_recorded_also_where_they_fail() -> None:
    async with client("wrong") as (server, session):
        server.faults = [Answer(500, method="GET")]
        assert (await session.get(EVENTS, params={"limit": "1"})).status == 500
        assert (await session.post(EVENTS, data=b"{")).status == 401
        first, second = server.requests
        assert (first.method, first.path, first.query, first.body) == ("GET", EVENTS, {"limit": "1"}, None)
        assert (second.method, second.body) == ("POST", b"{")
        assert second.headers["authorization"] == "Bearer wrong"
        assert first.time <= second.time


async def test_pages_lead_to_every_event_once() -> None:
    async with client() as (_, session):
        for name in "abcd":
            await session.post(EVENTS, json=event(name, type="Normal" if name == "d" else "Warning"))
        query, pages = {"limit": "2", "fieldSelector": "type=Warning"}, []
        while query.get("continue") != "":
            answer = await (await session.get(EVENTS, params=query)).json()
            pages.append([item["metadata"]["name"] for item in answer["items"]])
            query["continue"] = answer["metadata"].get("continue", "")
        assert pages == [["a", "b"], ["c"]]


async def test_an_event_has_two_faces_and_expires() -> None:
    async with client() as (server, session):
        await session.post(EVENTS, json=event("a", message="m"))
        stored = server.events["default", "a"]
        assert stored.as_core()["message"] == stored.as_events()["note"] == "m"
        del server.events["default", "a"]
        assert (await session.get(f"{EVENTS}/a")).status == 404


async def test_managed_fields_tell_two_writers_apart() -> None:
    async with client() as (server, session):
        await session.post(EVENTS, json=event("a", count=1), headers={"User-Agent": "first/1"})
        merge = {"User-Agent": "second/1", "Content-Type": "application/merge-patch+json"}
        await session.patch(f"{EVENTS}/a", json={"count": 2, "reason": None}, headers=merge)
        managed = server.events["default", "a"].as_core()["metadata"]["managedFields"]
        assert {entry["manager"]: entry["fieldsV1"] for entry in managed} == {
            "first": {"f:involvedObject": {}},
            "second": {"f:count": {}},
        }


async def test_what_is_no_text_is_replaced() -> None:
    async with client() as (server, session):
        await session.post(EVENTS, json=event("a", message="m\udcff"))
        body = json.dumps(event("b", message="mX")).encode().replace(b"X", b"\xff")
        await session.post(EVENTS, data=body, headers={"Content-Type": "application/json"})
        assert {stored.fields["message"] for stored in server.events.values()} == {"m\N{REPLACEMENT CHARACTER}"}
        assert (await (await session.get(EVENTS)).json())["metadata"]["resourceVersion"] == "3"


async def test_micro_time_has_six_digits() -> None:
    async with client() as (server, session):
        answer = await session.post(EVENTS, json=event("a", eventTime="2026-01-02T03:04:05Z"))
        assert answer.status == 400
        assert not server.events


@pytest.mark.parametrize(("token", "allowed"), [(ApiServer.token, True), (ApiServer.powerless_token, False)])
async def test_access_review(token: str, allowed: bool) -> None:
    async with client(token) as (_, session):
        answer = await session.post(REVIEWS, json={"spec": {"resourceAttributes": {"verb": "create"}}})
        assert (answer.status, (await answer.json())["status"]) == (201, {"allowed": allowed})
        assert (await session.get("/readyz")).status == (await session.get("/version")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("PATCH", EVENTS, "application/merge-patch+json", 405),
        ("POST", f"{EVENTS}/a", "application/json", 405),
        ("POST", EVENTS, "text/plain", 415),
        ("POST", EVENTS, "application/json", 400),
        ("DELETE", f"{EVENTS}/a", "application/json", 501),
        ("GET", "/api/v1/nodes", "application/json", 501),
        ("GET", "/api/v1/pods?watch=true", "application/json", 501),
    ],
)
async def test_refusals_that_are_not_recorded(method: str, path: str, content_type: str, status: int) -> None:
    async with client() as (_, session):
        answer = await session.request(method, path, data=b"{", headers={"Content-Type": content_type})
        assert answer.status == status
        assert (await answer.json())["code"] == status
