"""`oomeventer history`: the kills that a journal holds. In: Settings. Out: a row, or a line of JSON, for each kill.

Rules: wiring, no logic; looks only, also while an agent writes.
"""

import json
from itertools import chain, islice

from oomeventer.errors import OomeventerError
from oomeventer.incident import table
from oomeventer.journal import read_history
from oomeventer.settings import Settings


async def history(settings: Settings, as_json: bool) -> None:
    """The oldest first. Raises OomeventerError where there is no journal, or none that can be read."""
    if settings.journal is None:
        raise OomeventerError("there is no journal to read: name its file (--journal)")
    found = read_history(settings.journal)
    entries = chain(list(islice(found, 1)), found)  # one is read before a table's head is printed: it may raise
    lines = (json.dumps(entry, ensure_ascii=False) for entry in entries) if as_json else table(entries)
    for line in lines:
        print(line)
