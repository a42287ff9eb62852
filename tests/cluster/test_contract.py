"""The stand-in answers what a real kube-apiserver answered, in every recorded case.

In: four recordings of requests and answers of kube-apiserver v1.36.2 in tests/support/data: apiserver.json,
apiserver-more.json (patches that name a version, or nothing; dry runs), apiserver-rights.json (what one may do, and a
DaemonSet that is gone or may not be seen) and apiserver-reporting.json (who reports). Out: one test a case.
Rules:
- all cases of a recording are replayed once, in the recorded order, against one stand-in, since later ones build on
  earlier ones; each test then compares its own answer: status, content type and the whole body;
- resource versions and `continue` tokens are compared as they are: the stand-in starts at the revision that
  the recorded cluster had;
- of an Event, and of a review (its time), and of nothing else, these differ from run to run and are replaced on
  both sides: the uid, by the order in which uids appear, so that an object must keep its own; the two kinds of
  time, which must have the right form; and the suffix of a generated name, likewise.
"""

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest
from yarl import URL

from places import DATA
from standin import ApiServer

#: Each recording, with the revision that its cluster had before.
RECORDINGS = {"apiserver": 409, "apiserver-more": 357, "apiserver-rights": 409, "apiserver-reporting": 18205}
CASES: dict[str, dict[str, dict[str, Any]]] = {
    recording: {
        case["name"]: case for case in json.loads((DATA / f"{recording}.json").read_text(encoding="utf-8"))["cases"]
    }
    for recording in RECORDINGS
}
NAMES = [(recording, name) for recording, cases in CASES.items() for name in cases]


Answers = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def answers() -> Answers:
    """The stand-in's answer to each case, in the form in which answers are recorded, normalised."""
    return {
        (recording, name): answer
        for recording in RECORDINGS
        for name, answer in all_normalised(asyncio.run(replay(recording))).items()
    }


@pytest.fixture(scope="module")
def recorded() -> Answers:
    """The recorded answer to each case, normalised."""
    return {
        (recording, name): answer
        for recording, cases in CASES.items()
        for name, answer in all_normalised({name: case["response"] for name, case in cases.items()}).items()
    }


def test_every_recorded_case_is_replayed(answers: Answers, recorded: Answers) -> None:
    assert answers.keys() == recorded.keys()
    assert {recording: len(cases) for recording, cases in CASES.items()} == {
        "apiserver": 47,
        "apiserver-more": 13,
        "apiserver-rights": 6,
        "apiserver-reporting": 2,
    }


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case[1])
def test_answer_is_the_recorded_one(case: tuple[str, str], answers: Answers, recorded: Answers) -> None:
    assert answers[case] == recorded[case]


async def replay(recording: str) -> dict[str, dict[str, Any]]:
    """Send all requests of a recording to a stand-in that holds what the recorded cluster held."""
    async with ApiServer() as server:
        server.put_pod(CASES["apiserver"]["pods: get"]["response"]["body"])
        # The recorded list of Pods says that more follow this one.
        server.put_pod({"metadata": {"name": "etcd", "namespace": "kube-system"}, "spec": {"nodeName": "lab-node"}})
        server.terminate_namespace("leaving")
        server.revision = RECORDINGS[recording]
        tokens = {
            "cluster admin": server.token,
            "service account with no role": server.powerless_token,
            "unknown token": "unknown",
        }
        async with aiohttp.ClientSession() as session:
            return {
                name: await send(session, server.url, tokens[case["request"]["credentials"]], case["request"])
                for name, case in CASES[recording].items()
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


def all_normalised(answers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the answers of one recording, each normalised."""
    uids: dict[str, int] = {}
    return {name: normalised(answer, uids) for name, answer in answers.items()}


def normalised(answer: dict[str, Any], uids: dict[str, int]) -> dict[str, Any]:
    """Return `answer` with what varies from run to run replaced; `uids` numbers the uids seen so far."""
    copied: dict[str, Any] = json.loads(json.dumps(answer))
    body = copied["body"]
    for entry in body["metadata"].get("managedFields", ()) if body["kind"] == "SelfSubjectAccessReview" else ():
        entry["time"] = checked_time(entry["time"])
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
