"""What this account must be allowed to do. In: an Api. Out: the rights that it lacks.

Rules: asked by SelfSubjectAccessReview (authorization.k8s.io/v1), which everybody may make; nothing is tried out. Each
right says what is lost without it, so that the log, /readyz and doctor say the same.
"""

import asyncio
import logging
import random

from msgspec import Struct

from oomeventer.cluster.api import Api, Unreachable

log = logging.getLogger(__name__)

#: A new agent asks at some moment within so long: a node pool's agents start together.
START_SECONDS = 10.0

_ROLE = "give the account a ClusterRole with it (rbac.create)"


class Right(Struct, frozen=True):
    """needed: whether there are no Events without it. otherwise: what to do where it is lacking, or what is missing."""

    verb: str
    resource: str
    needed: bool
    otherwise: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


#: In every namespace.
RIGHTS = (
    Right("create", "events", True, _ROLE),
    Right("patch", "events", True, _ROLE),
    Right("get", "pods", False, f"Events lack the owner and the limits of the Pod: {_ROLE}"),
    Right(
        "list",
        "pods",
        False,
        "and seldom needed (rbac.listPods): the Event of a kill whose Pod the runtime cannot name is on the Node",
    ),
)


async def lacking(api: Api) -> list[Right]:
    """Those of the needed rights that the account does not have. Raises Unreachable."""
    return [right for right in RIGHTS if right.needed and not await api.may(right.verb, right.resource)]


def no_events(rights: list[Right]) -> str:
    """That these are lacking, in words."""
    return f"this account may not {', '.join(map(str, rights))}, so there are no Events: {_ROLE}"


async def warn_of_lacking(api: Api, within_seconds: float = START_SECONDS) -> None:
    """At some moment from now on log what is lacking; nothing where the API server does not answer, for then delivery
    says so."""
    await asyncio.sleep(random.uniform(0, within_seconds))
    try:
        rights = await lacking(api)
    except Unreachable as e:
        log.debug("whether Events may be created is not known: %s", e)
    else:
        if rights:
            log.warning("%s", no_events(rights))
