"""`oomeventer history`: what a journal's file knows. In: its path. Out: incidents as JSON, with what became of each.

Rules: reads only, also while an agent writes, and holds up nothing of it.
"""

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from oomeventer.incident import IncidentError, decode
from oomeventer.journal.database import StoreError, text

log = logging.getLogger(__name__)

#: Incidents that are read at once: an open query would keep the agent's log file (WAL) from starting over.
_PAGE = 256


def read_history(path: Path) -> Iterator[dict[str, Any]]:
    """As numbered_history(), without the numbers."""
    return (entry for _, entry in numbered_history(path, -1))


def numbered_history(path: Path, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The oldest first, each with its number: incidents as JSON, and as `events` what became of theirs. One that is
    damaged, or of another version, is logged and left out. after: a number from which on. Raises StoreError."""
    query = (
        "SELECT incidents.id, body, incidents.state, "
        "group_concat(events.state || ifnull(': ' || nullif(reason, ''), ''), '; ') "
        "FROM incidents LEFT JOIN events ON events.incident = incidents.id WHERE incidents.id > ? "
        "GROUP BY incidents.id ORDER BY incidents.id LIMIT ?"
    )
    last = after
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0)) as db:
            db.text_factory = text
            while rows := db.execute(query, (last, _PAGE)).fetchall():
                for last, body, state, events in rows:
                    try:
                        decode(body)
                    except IncidentError as e:
                        log.error("incident %d cannot be read: %s", last, e)
                        continue
                    yield last, json.loads(body) | {"events": events or ("waiting" if state == "begun" else "given up")}
    except sqlite3.Error as e:
        raise StoreError(f"journal {path} cannot be read: {e}: name the agent's file (--journal)") from e
