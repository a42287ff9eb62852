"""Where a retry is decided: what follows from an answer of the API server, and how long the next try waits.

In: an answer to a POST or PATCH of an Event. Out: a Rule. Rules: pure. What an answer means stands in RULES, and only
there. Of an answer that is not the API server's own (a proxy's page) no more is believed than that it is none. What a
real server answers is in tests/support/data.
"""

import random
from collections.abc import Callable, Iterator
from enum import Enum

from msgspec import Struct

from oomeventer.cluster.api import Answer

#: How often a request is refused that may be allowed in a moment, as while the account's rights are replaced. As
#: often as client-go's recorder tries.
REFUSALS = 12


class Verdict(Enum):
    """What follows from an answer."""

    DELIVERED = "delivered"
    RETRY = "retry"
    RECREATE = "recreate"  # the Event that was to be patched has expired: post one
    RECOUNT = "recount"  # the Event counts more kills than the journal: go on from there
    GIVE_UP = "give up"


class Rule(Struct, frozen=True):
    """A verdict, and its reason in words for people and for a metric's label. refusals: after so many of them in a row
    what was to be tried again is given up."""

    verdict: Verdict
    reason: str
    refusals: int | None = None


#: By method, status, and the reason or cause that the server's Status names. None stands for any. What is not here:
#: see rule().
RULES: dict[tuple[str | None, int, str | None], Rule] = {
    ("POST", 409, "AlreadyExists"): Rule(Verdict.DELIVERED, "it is there: the answer to an earlier try was lost"),
    ("POST", 409, None): Rule(Verdict.RETRY, "conflict"),  # a quota that changed meanwhile, say
    ("PATCH", 409, None): Rule(Verdict.RETRY, "changed meanwhile"),
    ("PATCH", 404, None): Rule(Verdict.RECREATE, "the Event has expired"),
    ("POST", 404, None): Rule(Verdict.GIVE_UP, "the namespace is gone"),
    (None, 400, None): Rule(Verdict.GIVE_UP, "malformed"),
    (None, 401, None): Rule(Verdict.RETRY, "the token is not valid; it is read again within a minute"),
    (None, 403, "NamespaceTerminating"): Rule(Verdict.GIVE_UP, "the namespace is being deleted"),
    (None, 403, None): Rule(Verdict.RETRY, "forbidden", REFUSALS),
    (None, 408, None): Rule(Verdict.RETRY, "timed out"),
    (None, 413, None): Rule(Verdict.GIVE_UP, "too large"),
    (None, 422, None): Rule(Verdict.GIVE_UP, "invalid"),
    (None, 429, None): Rule(Verdict.RETRY, "too many requests"),
}
ACCEPTED = Rule(Verdict.DELIVERED, "accepted")
NO_ANSWER = Rule(Verdict.RETRY, "no answer")
SERVER_ERROR = Rule(Verdict.RETRY, "server error")
NOT_ITS_WORDS = Rule(Verdict.RETRY, "not the API server's words")
NOT_UNDERSTOOD = Rule(Verdict.GIVE_UP, "not understood")


def rule(method: str, answer: Answer, namespace: str, name: str) -> Rule:
    """What follows from an answer to a request about that Event. Success is that Event, and refusal a Status: all else
    is somebody else's."""
    if 200 <= answer.status < 300:
        return ACCEPTED if answer.version and answer.is_object("Event", namespace, name) else NOT_ITS_WORDS
    if answer.status >= 500:
        return SERVER_ERROR
    for of in (method, None):
        for reason in (*answer.reasons, None):
            if found := RULES.get((of, answer.status, reason)):
                return found if answer.is_status or found.verdict is Verdict.RETRY else NOT_ITS_WORDS
    return NOT_UNDERSTOOD if answer.is_status else NOT_ITS_WORDS


#: Why an Event may be given up: by what the server answers, at once or after too many tries.
GIVE_UP_REASONS = tuple(
    each.reason
    for each in (*RULES.values(), NO_ANSWER, SERVER_ERROR, NOT_ITS_WORDS, NOT_UNDERSTOOD)
    if each.verdict in (Verdict.RETRY, Verdict.GIVE_UP)
)


def spread(seconds: float, jitter: Callable[[], float] = random.random) -> float:
    """Between the whole and one and a half of what a server asks to wait (Retry-After): it asks all nodes' agents,
    which would come back in the same moment."""
    return seconds * (1 + jitter() / 2)


def backoff(
    first_seconds: float = 0.5, longest_seconds: float = 30.0, jitter: Callable[[], float] = random.random
) -> Iterator[float]:
    """Seconds to wait: between half and the whole of 0.5, 1, 2, 4, 8, 16, 30, 30, ..., for ever."""
    ceiling = first_seconds
    while True:
        yield ceiling * (0.5 + jitter() / 2)
        ceiling = min(ceiling * 2, longest_seconds)
