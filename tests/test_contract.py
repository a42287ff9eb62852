"""The stand-in answers what a real kube-apiserver answered, in every recorded case.

In: tests/data/apiserver.json, requests and answers recorded at kube-apiserver v1.36.2. Out: one test a case.
Rules:
- all cases are replayed once, in the recorded order, against one stand-in, since later ones build on earlier
  ones; each test then compares its own answer: status, content type and the whole body;
- resource versions and `continue` tokens are compared as they are: the stand-in starts at the revision that
  the recorded cluster had;
- of an Event, and of nothing else, these differ from run to run and are replaced on both sides: the uid, by
  the order in which uids appear, so that an object must keep its own; the two kinds of time, which must have
  the right form; and the suffix of a generated name, likewise.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from standin import ApiServer

CONTRACT = json.loads((Path(__file__).parent / "data" / "apiserver.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in CONTRACT["cases"]}
REVISION_BEFORE = 409


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    """The stand-in's answer to each case, in the form in which answers are recorded, normalised."""
    replayed = asyncio.run(replay())
    uids: dict[str, int] = {}
    return {name: normalised(answer, uids) for name, answer in replayed.items()}


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, Any]]:
    """The recorded answer to each case, normalised."""
    uids: dict[str, int] = {}
    return {name: normalised(case["response"], uids) for name, case in CASES.items()}


def test_every_recorded_case_is_replayed(answers: dict[str, Any], recorded: dict[str, Any]) -> None:
    assert len(CONTRACT["cases"]) == len(answers) == len(recorded) == 47


@pytest.mark.parametrize("name", CASES)
def test_answer_is_the_recorded_one(name: str, answers: dict[str, Any], recorded: dict[str, Any]) -> None:
    assert answers[name] == recorded[name]


async def replay() -> dict[str, dict[str, Any]]:
    """Send all recorded requests to a stand-in that holds what the recorded cluster held."""
    async with ApiServer() as server:
        server.put_pod(CASES["pods: get"]["response"]["body"])
        # The recorded list of Pods says that more follow this one.
        server.put_pod({"metadata": {"name": "etcd", "namespace": "kube-system"}, "spec": {"nodeName": "lab-node"}})
        server.terminate_namespace("leaving")
        server.revision = REVISION_BEFORE
        tokens = {
            "cluster admin": server.token,
            "service account with no role": server.powerless_token,
            "unknown token": "unknown",
        }
        async with aiohttp.ClientSession() as session:
            return {
                name: await send(session, server.url, tokens[case["request"]["credentials"]], case["request"])
                for name, case in CASES.items()
            }


async def send(session: aiohttp.ClientSession, url: str, token: str, request: dict[str, Any]) -> dict[str, Any]:
    """Send one recorded request and return its answer as answers are recorded."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "Python-urllib/3.13"}
    data = None
    if request["body"] is not None:
        headers["Content-Type"] = request["contentType"]
        data = json.dumps(request["body"]).encode()
    target = URL(url + request["path"], encoded=True)
    async with session.request(request["method"], target, headers=headers, data=data) as response:
        return {
            "status": response.status,
            "headers": {"Content-Type": response.headers["Content-Type"]},
            "body": json.loads(await response.read()),
        }


def normalised(answer: dict[str, Any], uids: dict[str, int]) -> dict[str, Any]:
    """Return `answer` with what varies from run to run replaced; `uids` numbers the uids seen so far."""
    copied: dict[str, Any] = json.loads(json.dumps(answer))
    body = copied["body"]
    for event in {"Event": [body], "EventList": body.get("items", [])}.get(body["kind"], []):
        metadata = event["metadata"]
        metadata["uid"] = uids.setdefault(metadata["uid"], len(uids))
        metadata["creationTimestamp"] = checked_time(metadata["creationTimestamp"])
        for entry in metadata["managedFields"]:
            entry["time"] = checked_time(entry["time"])
        if prefix := metadata.get("generateName"):
            assert re.fullmatch(re.escape(prefix) + "[a-z0-9]{5}", metadata["name"])
            metadata["name"] = f"{prefix}*****"
    return copied


def checked_time(text: str) -> str:
    """Return a placeholder for a Time."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    return "a time"
