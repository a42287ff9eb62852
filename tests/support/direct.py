"""The API server's stand-in without HTTP: for thousands of requests, in any order of answers.

In: requests as api.Api has them. Out: its answers, and the Events in the stand-in's cluster.
"""

import asyncio
from typing import Any
from urllib.parse import unquote

from oomeventer.cluster.api import Answer, Unreachable
from standin.cluster import Cluster
from standin.routing import Request, carry_out
from standin.status import ApiError, status


def events(api: Cluster) -> dict[str, Any]:
    return {name: stored.as_core() for (_, name), stored in api.events.items()}


def counts(api: Cluster) -> dict[str, int]:
    return {name: event["count"] for name, event in events(api).items()}


class Direct(Cluster):
    """The stand-in without HTTP. answers: what it does with the requests to come; then it carries them out. A request
    that is "late" gets no answer, and is carried out when so many others were: the network had kept it."""

    def __init__(self) -> None:
        super().__init__()
        self.put_namespace("shop")
        self.answers: list[int | str] = []
        self.expired = 0
        self._late: list[tuple[int, Request]] = []

    async def request(self, method: str, path: str, body: Any = None, content_type: str | None = None) -> Answer:
        await asyncio.sleep(0)
        kind = self.answers.pop(0) if self.answers else "carried out"
        asked = Request(method, unquote(path), {}, {"Content-Type": content_type or "application/json"}, body, 0.0)
        if isinstance(kind, int):
            return Answer(kind, status(kind, "scripted"), 2.0 if kind == 429 else None)
        if kind.startswith("late"):
            self._late.append((int(kind.removeprefix("late")) + 1, asked))
        if kind in ("carried out", "lost"):
            answer = self._carry_out(asked)
        self.arrive(1)
        if kind != "carried out":
            raise Unreachable(kind)
        return answer

    def _carry_out(self, asked: Request) -> Answer:
        try:
            return Answer(*carry_out(self, asked, "kubernetes-admin", True))
        except ApiError as refusal:
            return Answer(refusal.code, refusal.body)

    def arrive(self, requests: int) -> None:
        """So many requests have gone by: what was kept until then arrives."""
        late, self._late = [(left - requests, asked) for left, asked in self._late], []
        for left, asked in late:
            if left <= 0:
                self._carry_out(asked)
            else:
                self._late.append((left, asked))

    def expire(self) -> None:
        self.expired += sum(counts(self).values())
        self.events.clear()

    @property
    def reported(self) -> int:
        """How many kills the Events tell, those that have expired too."""
        return self.expired + sum(counts(self).values())
