"""One Plan to the API server. Flows in: a Plan. Flows out: what follows from the answer.

Rules: a request can arrive long after its sender has given it up, or has died: the network, or the kernel's own send
buffer, keeps it and delivers it when the way is free again. A late POST finds its name taken. A late PATCH would put an
older count in place of a newer one; so each PATCH names the version of the Event that it changes (resourceVersion), and
the server refuses it (409) where the Event has changed since. The version is in the answer to the request before.
Where that is not known (another process, a lost answer), an empty patch asks for it: it changes nothing, and needs no
right but the one to patch.

What an answer means stands in FATES, and only there. Source: Kubernetes API conventions, concurrency control and
consistency.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from urllib.parse import quote

from oomeventer.api import Answer, Api, Unreachable
from oomeventer.plans import Plan

#: Events whose version is remembered: as many as client-go's recorder remembers.
VERSIONS = 4096
#: Namespace and name.
_Event = tuple[str, str]
_PATCH = "application/strategic-merge-patch+json"


class Fate(Enum):
    """What follows from an answer."""

    DELIVERED = "delivered"
    RETRY = "retry"
    ANEW = "anew"  # the Event that was to be patched has expired: post one
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Rule:
    """A fate, and its reason in words for people and for a metric's label."""

    fate: Fate
    reason: str


#: By method and status; None stands for both methods. Statuses that are not here: see rule().
FATES: dict[tuple[str | None, int], Rule] = {
    ("POST", 409): Rule(Fate.DELIVERED, "it is there: the answer to an earlier try was lost"),
    ("PATCH", 409): Rule(Fate.RETRY, "changed meanwhile"),
    ("PATCH", 404): Rule(Fate.ANEW, "the Event has expired"),
    ("POST", 404): Rule(Fate.GIVE_UP, "the namespace is gone"),
    (None, 400): Rule(Fate.GIVE_UP, "malformed"),
    (None, 401): Rule(Fate.RETRY, "the token is not valid; it is read again within a minute"),
    (None, 403): Rule(Fate.GIVE_UP, "forbidden, or the namespace is being deleted"),
    (None, 408): Rule(Fate.RETRY, "timed out"),
    (None, 413): Rule(Fate.GIVE_UP, "too large"),
    (None, 422): Rule(Fate.GIVE_UP, "invalid"),
    (None, 429): Rule(Fate.RETRY, "too many requests"),
}


def rule(method: str, answer: Answer) -> Rule:
    """What follows from an answer: 2xx is delivered whatever its body, 5xx is tried again, what is unknown is not."""
    if 200 <= answer.status < 300:
        return Rule(Fate.DELIVERED, "accepted")
    found = FATES.get((method, answer.status)) or FATES.get((None, answer.status))
    if found:
        return found
    return Rule(Fate.RETRY, "server error") if answer.status >= 500 else Rule(Fate.GIVE_UP, "not understood")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows; the server's words, or why there are none; after how many seconds it asks to be asked again; how
    many requests it took."""

    fate: Fate
    reason: str
    words: str
    retry_after_seconds: float = 0.0
    requests: int = 1


class Poster:
    """Posts and patches Events."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._versions: OrderedDict[_Event, str] = OrderedDict()

    async def send(self, plan: Plan) -> Outcome:
        """Carry out a plan: in one request, or in two where the Event's version is to be asked for."""
        event = plan.namespace, plan.name
        if plan.create:
            return await self._post(event, plan.body)
        if event in self._versions:
            return await self._patch(event, plan.body)
        outcome = await self._patch(event, {})
        if outcome.fate is not Fate.DELIVERED:
            return outcome
        if event not in self._versions:
            return replace(outcome, fate=Fate.RETRY, reason="not understood", words="an Event without resourceVersion")
        return replace(await self._patch(event, plan.body), requests=2)

    async def _post(self, event: _Event, body: Any) -> Outcome:
        return await self._request("POST", event, _path(event[0]), body)

    async def _patch(self, event: _Event, body: Any) -> Outcome:
        if version := self._versions.pop(event, None):
            body = body | {"metadata": body["metadata"] | {"resourceVersion": version}}
        return await self._request("PATCH", event, _path(*event), body, version)

    async def _request(self, method: str, event: _Event, path: str, body: Any, version: str | None = None) -> Outcome:
        try:
            answer = await self._api.request(method, path, body, content_type=_PATCH if method == "PATCH" else None)
        except Unreachable as e:
            return Outcome(Fate.RETRY, "no answer", str(e))
        found = rule(method, answer)
        if found.fate is Fate.DELIVERED or answer.status == 409:
            version = _version(answer)
        if version:
            self._versions[event] = version
            if len(self._versions) > VERSIONS:
                self._versions.popitem(last=False)
        return Outcome(found.fate, found.reason, answer.words, answer.retry_after_seconds or 0.0)


def _path(namespace: str, name: str = "") -> str:
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/events"
    return f"{path}/{quote(name, safe='')}" if name else path


def _version(answer: Answer) -> str | None:
    """The Event's, in an answer that has one."""
    metadata = answer.body.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) and version else None
