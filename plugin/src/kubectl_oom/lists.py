"""Lists of the API, object by object. In: a path and its selectors. Out: objects, as they come; the revision at the
end.

Rules: a page is asked for as soon as the one before says how to go on, which is before its objects; of a page no more
than one object and one chunk are in memory, however large it is. A list that expires between pages goes on without
that consistency, as kubectl does it.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from kubectl_oom.errors import KubectlError
from kubectl_oom.kubectl import Call, Kubectl
from kubectl_oom.reading import Json, at

#: Objects of one page.
PAGE = 1000
_CHUNK = 1 << 16
_CUT_SHORT = "the list ended before its end"
_ITEMS = re.compile(r'"items"\s*:\s*')
_BLANKS = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


class Listing:
    """One list, under way from the moment that it is made. revision: where a watch goes on, once it is at its end."""

    def __init__(self, kubectl: Kubectl, path: str, **query: str) -> None:
        self._kubectl, self._path, self._query = kubectl, path, {**query, "limit": str(PAGE)}
        self._next: Call | None = kubectl.get(path, **self._query)
        self.revision = ""

    def __iter__(self) -> Iterator[Json]:
        """The objects. Raises KubectlError, also in their midst."""
        while self._next:
            call, self._next = self._next, None
            with call:
                yield from self._page(call)
                call.end()

    def _page(self, call: Call) -> Iterator[Json]:
        reader = _Reader(call.out)
        head = reader.head()
        if head is None:
            call.end()  # says why
            raise KubectlError(f"what kubectl printed for {self._path} is no list of the API")
        self.revision = self.revision or str(at(head, "metadata", "resourceVersion") or "")
        if going_on := at(head, "metadata", "continue"):
            self._next = self._kubectl.get(self._path, **{**self._query, "continue": str(going_on)})
        try:
            yield from reader.items()
        except KubectlError:
            call.end()  # may know better why
            raise


class _Reader:
    """A list's text, decoded piece by piece."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._decoder = out, codecs.getincrementaldecoder("utf-8")("replace")
        self._text, self._at, self._step = "", 0, _CHUNK

    def head(self) -> Json | None:
        """All before the items, which come last; None where that is no list."""
        while (found := _ITEMS.search(self._text)) is None or found.end() == len(self._text):
            if not self._more():
                return None
        self._at = found.end() + 1
        try:
            head = json.loads(self._text[: found.start()].rstrip().rstrip(",") + "}")
        except ValueError:
            return None
        if self._text[found.end()] == "n":  # null: there are none
            self._text, self._at = "]", 0
        return head if isinstance(head, dict) else None

    def items(self) -> Iterator[Json]:
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at == len(self._text):
                if not self._more():
                    raise KubectlError(_CUT_SHORT)
                continue
            if self._text[self._at] in "]}":
                return
            item = self._one()
            if isinstance(item, dict):
                yield item

    def _one(self) -> Any:
        while True:
            try:
                item, self._at = _DECODER.raw_decode(self._text, self._at)
            except RecursionError as e:
                raise KubectlError("an object of the list is nested too deeply to be read") from e
            except ValueError as e:
                if not self._more():
                    raise KubectlError(_CUT_SHORT) from e
            else:
                self._step = _CHUNK
                return item

    def _more(self) -> bool:
        """Read on; twice as much each time that it was not enough: so a large object is not tried at each chunk."""
        raw = self._out.read(self._step)
        self._step *= 2
        self._text = self._text[self._at :] + self._decoder.decode(raw, not raw)
        self._at = 0
        return bool(raw)
