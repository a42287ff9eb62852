"""What must hold whatever a victim chose. In: what is reported. Out: nothing, or an AssertionError.

Rules: the API server's own rules are the stand-in's (standin/validation.py), which a test holds to a real one's
answers; here is what this program promises beyond them.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from fuzz.reported import Reported
from oomeventer.incident.codec import as_json
from oomeventer.incident.events import ANNOTATION, PendingEvent
from oomeventer.incident.message import MESSAGE_BYTES
from oomeventer.redaction.policy import MASK, Redaction, quote
from oomeventer.redaction.spec_words import digests, unmask, words_in_clear
from oomeventer.text import printable
from standin.decoding import decode
from standin.event import CORE
from standin.validation import create_causes

#: What an etcd takes at most by default; an Event has to fit, with all that the API server adds.
REQUEST_BYTES = 1 << 20
#: So many characters in a row of a secret are a trace of it.
TRACE = 10

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")  # RFC 1123, a subdomain
# Letters and marks to Unicode, but nothing is drawn for them.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def one_line(text: str) -> None:
    """Printable, seen, of one line, and with an UTF-8 form."""
    assert text.isprintable(), ascii(text)
    assert not _UNSEEN.search(text), ascii(text)
    assert len(text.splitlines()) <= 1, ascii(text)
    assert text.encode().decode() == text


def reported(what: Reported) -> None:
    """All properties of what is reported of one incident."""
    assert what.events
    for pending in what.events:
        event(pending)
    for line in (*what.log_lines, what.json_line, what.row):
        one_line(line)
    assert json.loads(what.log_lines[1])["incident"] == as_json(what.incident)
    assert json.loads(what.json_line) == as_json(what.incident)
    first, *rest = what.block.split("\n")
    one_line(first)
    for line in rest:
        one_line(line)
        assert line.startswith("  ")


def event(pending: PendingEvent) -> None:
    """An Event that the API server takes, and that a reader of lines cannot be deceived by."""
    body = pending.body
    assert create_causes(decode(body, CORE), CORE) == []
    assert len(json.dumps(body).encode()) <= REQUEST_BYTES
    assert len(pending.name) <= 253
    assert _NAME.fullmatch(pending.name), pending.name
    assert re.fullmatch(_LABEL, pending.namespace)
    assert (body["metadata"]["name"], body["metadata"]["namespace"]) == (pending.name, pending.namespace)
    assert 0 < len(body["message"].encode()) <= MESSAGE_BYTES == 1024
    annotation = body["metadata"]["annotations"][ANNOTATION]
    for text in {*strings(body), *strings(json.loads(annotation))}:
        one_line(text)


def strings(value: Any) -> Iterator[str]:
    """All strings of a JSON value, the objects' keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def no_trace(secret: str, *texts: str) -> None:
    """No part of a secret that is long enough to tell is in any text."""
    parts = {secret[start : start + TRACE] for start in range(len(secret) - TRACE + 1)}
    assert parts
    for text in texts:
        found = [part for part in parts if part in text]
        assert not found, (found, text[:2000])


def command(argv: list[bytes], comm: bytes, policy: Redaction) -> tuple[str, ...]:
    """A redacted command: an argument for each, each bounded and printable, and nothing new by a second time."""
    shown = policy.command(argv, comm)
    assert len(shown) == len(argv)
    for text in shown:
        one_line(text)
        assert len(text) <= 640
    assert len(quote(shown).splitlines()) <= 1
    again = policy.command([text.encode() for text in shown], comm)
    for first, second in zip(shown, again, strict=True):
        assert second in (first, MASK)
    assert shown[1:] == again[1:]
    return shown


def unmasked(argv: list[bytes], comm: bytes, policy: Redaction) -> tuple[str, ...]:
    """A command that its container's spec says: each argument as it is masked, or as it is, on one line."""
    key = b"key"
    words = words_in_clear([argument.decode("utf-8", "replace") for argument in argv])
    before = policy.command(argv, comm)
    shown = unmask(before, digests(argv, policy.words(argv, comm), key), words, key)
    for argument, masked, text in zip(argv, before, shown, strict=True):
        one_line(text)
        assert text in (masked, printable(argument))
    return shown


def environment(entries: list[bytes], policy: Redaction) -> dict[str, str]:
    """A redacted environment: only variables that are there, none longer than it was but for the masks."""
    shown = policy.environ(entries)
    pairs = [entry.decode("utf-8", "replace") for entry in entries if b"=" in entry]
    given = {pair.partition("=")[0]: pair for pair in reversed(pairs)}  # the first of a name counts
    for name, value in shown.items():
        one_line(name)
        one_line(value)
        assert len(value) <= 2 * len(given[name]) + len(MASK)
    again = policy.environ([f"{name}={value}".encode() for name, value in shown.items()])
    assert again == shown
    return shown
