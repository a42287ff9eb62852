"""One Plan to the API server. In: a Plan. Out: what follows from the answer.

Rules: a request can arrive long after its sender has given it up, or has died: the network, or the kernel's own send
buffer, keeps it and delivers it when the network works again. A late POST finds its name taken. A late PATCH would put
an older count in place of a newer one; so each PATCH names the version of the Event that it changes (resourceVersion),
and the server refuses it (409) where the Event has changed since. The version is in the answer to the request before.
Where that is not known (another process, a lost answer), an empty patch asks for it: it changes nothing, and needs no
right but the one to patch. What it answers is also held against the plan: where the Event counts more kills than the
journal knows of (its last transactions were lost), the count goes on from there, and never back.

Source: Kubernetes API conventions, concurrency control and consistency.
"""

import contextlib
import json
from collections import OrderedDict
from datetime import datetime
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from oomeventer.cluster.api import Answer, Api, Unreachable
from oomeventer.cluster.retry import NO_ANSWER, NOT_ITS_WORDS, Rule, Verdict, rule
from oomeventer.incident import ANNOTATION
from oomeventer.journal import Plan

#: Events whose version is remembered, 0.3 MiB. Of another one it is asked for.
VERSIONS = 1024
_PATCH = "application/strategic-merge-patch+json"
#: Namespace and name.
_Event = tuple[str, str]


class Outcome(Struct, frozen=True):
    """What follows, and why. words: the server's, or why there are none. retry_after_seconds: how long it asks us to
    wait. requests: how many it took. counted: how many kills the Event counts without the plan's, if RECOUNT."""

    rule: Rule
    words: str
    retry_after_seconds: float = 0.0
    requests: int = 1
    counted: int = 0

    @property
    def verdict(self) -> Verdict:
        """What follows."""
        return self.rule.verdict


class Poster:
    """Posts and patches Events."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._versions: OrderedDict[_Event, str] = OrderedDict()

    async def send(self, plan: Plan) -> Outcome:
        """Carry out a plan, in one request; in more where the Event's version is to be asked for."""
        event = plan.namespace, plan.name
        if plan.create:
            return (await self._request("POST", event, _path(plan.namespace), plan.body))[0]
        requests = 0
        while True:
            asked = event not in self._versions
            if asked:
                outcome, answer = await self._request("PATCH", event, _path(*event), {})
                requests += 1
                if outcome.verdict is not Verdict.DELIVERED or answer is None:
                    break
                if (counted := _counted(answer, plan)) > plan.count - plan.kills:
                    outcome = replace(
                        outcome,
                        rule=Rule(Verdict.RECOUNT, "it counts more kills than the journal"),
                        counted=counted,
                    )
                    break
            version = self._versions.pop(event)
            body = plan.body | {"metadata": plan.body["metadata"] | {"resourceVersion": version}}
            outcome, answer = await self._request("PATCH", event, _path(*event), body, version)
            requests += 1
            if asked or answer is None or answer.status != 409:
                break
        return replace(outcome, requests=requests)

    async def _request(
        self, method: str, event: _Event, path: str, body: Any, version: str | None = None
    ) -> tuple[Outcome, Answer | None]:
        """What follows, and the answer. version: the Event's, if it is known."""
        try:
            answer = await self._api.request(method, path, body, content_type=_PATCH if method == "PATCH" else None)
        except Unreachable as e:
            return Outcome(NO_ANSWER, str(e)), None
        found = rule(method, answer, *event)
        if found.verdict is Verdict.DELIVERED or answer.status == 409:
            version = answer.version
        if version:
            self._versions[event] = version
            if len(self._versions) > VERSIONS:
                self._versions.popitem(last=False)
        words = f"{answer.status}: {found.reason}" if found is NOT_ITS_WORDS else answer.words
        return Outcome(found, words, answer.retry_after_seconds or 0.0), answer


def _counted(answer: Answer, plan: Plan) -> int:
    """How many kills an Event counts without the plan's: all, or, where its latest is not older than the plan's latest,
    so many less as those are."""
    count = answer.body.get("count")
    if not isinstance(count, int):
        return 0
    there, ours = _latest(answer.body), _latest(plan.body)
    return count - plan.kills if there and ours and there >= ours else count


def _latest(event: dict[str, Any]) -> datetime | None:
    """When the latest kill was that an Event counts, by its annotation."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return datetime.fromisoformat(json.loads(event["metadata"]["annotations"][ANNOTATION])["time"])
    return None


def _path(namespace: str, name: str = "") -> str:
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/events"
    return f"{path}/{quote(name, safe='')}" if name else path
