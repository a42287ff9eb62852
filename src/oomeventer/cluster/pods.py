"""The Pod, as the API knows it. In: its uid, and its name where that is known. Out: a Spec.

Rules: one GET for a Pod; without a name one list of this node's Pods, since Pods cannot be listed by uid. What was
found is kept a while, so that a storm in one Pod is one request. Gone is None; an API that is broken or refuses is
PodsError. A Pod of the same name with another uid (a StatefulSet's next one) is not this Pod: then it is gone.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from oomeventer.cluster.api import Answer, Api, Unreachable
from oomeventer.cluster.pod_spec import Spec, is_known_by, read
from oomeventer.cluster.untrusted import at, exact
from oomeventer.errors import OomeventerError

#: How long a Pod's spec is believed, and of how many Pods it is kept. A node runs 110 Pods by default.
KEEP_SECONDS, KEEP = 30.0, 256
#: A list comes in pages of so many Pods, of which so many are read: a node has 110 Pods by default, and seldom 500.
PAGE, PAGES = 50, 40
#: No valid token, timed out, too many requests: transient, and not about the Pod.
_TRANSIENT = (401, 408, 429)


class PodsError(OomeventerError):
    """The API could not be asked, or refused to say. transient: it may answer in a moment. forbidden: this account may
    not ask."""

    def __init__(self, words: str, transient: bool = False, forbidden: bool = False) -> None:
        super().__init__(words)
        self.transient = transient
        self.forbidden = forbidden


class MayNotList(PodsError):
    """The Pod's name is not known, and this account may not list Pods: that is how the chart is set (rbac.listPods)."""


class Pods:
    """Looks Pods up through `api`, for the node of that name."""

    def __init__(self, api: Api, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._node = node
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, asyncio.Task[Spec | None]]] = OrderedDict()

    async def find(self, uid: str, namespace: str | None, name: str | None) -> Spec | None:
        """The Pod with that uid (the CRI's), or None where it is gone. Raises PodsError."""
        known = self._kept.get(uid)
        if known is None or known[0] + KEEP_SECONDS < self._clock():
            known = (self._clock(), asyncio.ensure_future(self._look(uid, namespace, name)))
            known[1].add_done_callback(_looked_at)
            self._kept[uid] = known
            if len(self._kept) > KEEP:
                self._kept.popitem(last=False)
        try:
            return await asyncio.shield(known[1])
        except Exception:
            self._kept.pop(uid, None)  # only answers are kept
            raise

    async def _look(self, uid: str, namespace: str | None, name: str | None) -> Spec | None:
        if namespace and name:
            path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
            answer = await self._get(path, {})
            if answer.status == 404:
                return None
            return self._with_uid([answer.body], uid)
        query = {"fieldSelector": f"spec.nodeName={self._node}", "limit": str(PAGE)}
        for _ in range(PAGES):
            answer = await self._get("/api/v1/pods", query, MayNotList)
            items = answer.body.get("items")
            if spec := self._with_uid(items if isinstance(items, list) else [], uid):
                return spec
            following = exact(at(answer.body, "metadata", "continue"))
            if following is None:
                return None
            query = {**query, "continue": following}
        return None

    def _with_uid(self, items: list[Any], uid: str) -> Spec | None:
        return next((spec for item in items if is_known_by(item, uid, self._node) and (spec := read(item, uid))), None)

    async def _get(self, path: str, query: dict[str, str], forbidden: type[PodsError] = PodsError) -> Answer:
        try:
            answer = await self._api.request("GET", path, query=query)
        except Unreachable as e:
            raise PodsError(str(e), transient=True) from e
        if answer.status not in (200, 404) or answer.garbage:
            transient = answer.garbage or answer.status in _TRANSIENT or answer.status >= 500
            words = f"GET {path}: {'no JSON object, ' if answer.garbage else ''}{answer.words}"
            if answer.status == 403 and answer.is_status:
                raise forbidden(words, forbidden=True)
            raise PodsError(words, transient)
        return answer


def _looked_at(task: asyncio.Task[Spec | None]) -> None:
    """Also of a look-up that nobody waits for any more: no exception that was never retrieved is logged."""
    if not task.cancelled():
        task.exception()
