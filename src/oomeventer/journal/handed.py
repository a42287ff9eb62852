"""What was just written goes on from memory, so that it need not be read again. In: incidents, as they are on disk.
Out: the same, in their order, or the word that there are more on disk.

Rules: few, and small ones: else nothing is kept, and what waits is read from the disk. It only spares a look at the
disk: what is here is there, too.
"""

from collections import deque

from msgspec import Struct

from oomeventer.incident import Incident

#: So many, each of so many characters of JSON.
MOST, CHARACTERS = 32, 16 << 10


class RecordedIncident(Struct, frozen=True):
    """An incident, by its id in the journal, that is not described yet. characters: of its JSON, as it was recorded."""

    id: int
    incident: Incident
    characters: int = 0

    @property
    def is_small(self) -> bool:
        """Whether it may go on from memory."""
        return self.characters <= CHARACTERS


class Handed:
    """is_behind: there may be more on disk; at first what an earlier process left."""

    def __init__(self) -> None:
        self._kept: deque[RecordedIncident] = deque()
        self.is_behind = True

    def add(self, recorded: RecordedIncident) -> None:
        """It was written, after all that are here."""
        if len(self._kept) >= MOST or not recorded.is_small:
            self.lose()
        elif not self.is_behind:
            self._kept.append(recorded)

    def lose(self) -> None:
        """All is to be read from the disk."""
        self._kept.clear()
        self.is_behind = True

    def take(self, after: int) -> RecordedIncident | None:
        """The next one behind that id."""
        while self._kept:
            if (recorded := self._kept.popleft()).id > after:
                return recorded
        return None
