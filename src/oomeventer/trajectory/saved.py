"""The samples as text, for the agent's next process. In: a Store, or such a text. Out: the other.

Rules: pure. Only of the same boot: cgroups and CLOCK_BOOTTIME begin anew with the next. What is damaged, too large or
another version's raises UnreadableError, and nothing of it is used. Bounded: MOST_BYTES of text.
"""

import base64
import binascii
import json
import zlib
from array import array

from oomeventer.errors import OomeventerError
from oomeventer.trajectory.store import CGROUPS, FINE, WIDTH, Store

VERSION = 1
MOST_BYTES = 1 << 20
_UNPACKED_BYTES = 2 << 20


class UnreadableError(OomeventerError):
    """Samples that this program cannot use; the message says why."""


def dump(store: Store, boot_id: str) -> bytes:
    """All of it, for packed()."""
    paths = sorted(store.rows, key=store.rows.__getitem__)
    head = {"version": VERSION, "boot_id": boot_id, "ticks": store.ticks, "span": store.span, "paths": paths}
    return b"\n".join([json.dumps(head).encode(), b"".join(one.tobytes() for one in _arrays(store, len(paths)))])


def packed(dumped: bytes) -> str:
    """As text. Takes some ten milliseconds."""
    return base64.b64encode(zlib.compress(dumped)).decode()


def load(text: str, boot_id: str, now: float) -> Store:
    """What packed() made, by `now` in this boot. Raises UnreadableError."""
    if len(text) > MOST_BYTES:
        raise UnreadableError(f"they are too large: {len(text)} bytes")
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(text, validate=True), _UNPACKED_BYTES)
        if not unpacker.eof:
            raise UnreadableError("they are not whole")
        head, _, body = raw.partition(b"\n")
        said = json.loads(head)
        if said["version"] != VERSION:
            raise UnreadableError("they are another version's")
        if said["boot_id"] != boot_id:
            raise UnreadableError("the machine was booted since")
        return _store(said, body, now)
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, OverflowError) as e:
        raise UnreadableError(f"they are damaged: {e!r}") from e


def _store(said: dict[str, object], body: bytes, now: float) -> Store:
    paths, ticks, span = said["paths"], said["ticks"], said["span"]
    if not isinstance(paths, list) or not isinstance(ticks, int) or not isinstance(span, int):
        raise TypeError("figures")
    if len(paths) > CGROUPS or len(set(paths)) < len(paths) or ticks < 0 or span < 0:
        raise ValueError("figures")
    store, at = Store(), 0
    store.rows = {str(path): row for row, path in enumerate(paths)}
    store.ticks, store.span = ticks, span
    for one, count in zip(_arrays(store, 0), _counts(len(paths)), strict=True):
        end = at + count * one.itemsize
        del one[:]
        one.frombytes(body[at:end])
        at = end
        if len(one) != count:
            raise ValueError("length")
    if at != len(body) or max(store.times) > now or max(store.seen, default=0.0) > now:
        raise ValueError("times")
    return store


def _arrays(store: Store, rows: int) -> "tuple[array[float] | array[int], ...]":
    """All of a store; those by row with the first `rows` alone, or as they are where that is 0."""
    if not rows:
        return store.times, store.inodes, store.seen, store.since, store.values
    by_row = store.inodes[:rows], store.seen[:rows], store.since[:rows]
    return store.times, *by_row, store.values[: rows * WIDTH]


def _counts(rows: int) -> tuple[int, ...]:
    return FINE, rows, rows, rows, rows * WIDTH
