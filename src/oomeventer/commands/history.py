"""`oomeventer history`: the kills that a journal holds. In: Settings. Out: a row, or a line of JSON, for each kill.

Rules: wiring, no logic; looks only, also while an agent writes.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from oomeventer.commands import terminal
from oomeventer.errors import OomeventerError
from oomeventer.incident import table
from oomeventer.journal import numbered_history
from oomeventer.settings import Settings

#: How often the journal is looked at for more, and how long a kill is waited for until all is known of it.
FOLLOW_SECONDS, SETTLED_SECONDS = 0.5, 2.0


async def history(settings: Settings, as_json: bool, follows: bool = False) -> None:
    """The oldest first. Raises OomeventerError where there is no journal, or none that can be read."""
    if settings.journal is None:
        raise OomeventerError("there is no journal to read: name its file (--journal)")
    reading = Reading(settings.journal, settings.since, settings.namespace, settings.pod)
    found = reading.entries(follows)
    entries = chain(list(islice(found, 1)), found)  # one is read before a table's head is printed: it may raise
    width = terminal.width(sys.stdout)
    _print(entries, as_json, width, has_head=True)
    while follows:
        await asyncio.sleep(FOLLOW_SECONDS)
        _print(reading.entries(follows), as_json, width, has_head=False)


class Reading:
    """Of a journal what is asked for, each kill once. since: how old, in seconds, a kill may be."""

    def __init__(
        self, journal: Path, since: float | None, namespace: str | None = None, pod: str | None = None
    ) -> None:
        self._journal = journal
        self._since = since
        self._namespace = namespace
        self._pod = pod
        self._after = -1

    def entries(self, follows: bool = False) -> Iterator[dict[str, Any]]:
        """Those that were not there the last time. follows: what is still on its way comes the next time."""
        for number, entry in numbered_history(self._journal, self._after):
            age = time.time() - datetime.fromisoformat(entry["time"]).timestamp()
            if follows and entry["events"] == "waiting" and 0 <= age < SETTLED_SECONDS:
                return
            self._after = number
            if self._is_wanted(entry, age):
                yield entry

    def _is_wanted(self, entry: dict[str, Any], age: float) -> bool:
        pod = entry["pod"] or {}
        return (
            (self._since is None or age <= self._since)
            and self._namespace in (None, pod.get("namespace"))
            and self._pod in (None, pod.get("name"))
        )


def _print(entries: Iterator[dict[str, Any]], as_json: bool, width: int | None, has_head: bool) -> None:
    lines = (json.dumps(entry, ensure_ascii=False) for entry in entries) if as_json else table(entries, width, has_head)
    for line in lines:
        print(line, flush=True)
