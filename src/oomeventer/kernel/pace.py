"""When episodes that are complete are handed on: at once, but in a storm so many times a second. In: when some were.
Out: when the next ones may be.

What is handed on together goes on together: what is read of each, and its transactions, are then shared, and a kill
costs two thirds. Nobody reads Events of a storm kill by kill, a twentieth of a second is nothing to who reads them
later, and what must be read at once was (Tracer.episodes(opened=)).

Rules: pure; time is a parameter, as in episodes.py.
"""

from collections import deque

#: A storm: so many episodes within that time, 60 a second. A node on which one container after another is killed, each
#: started anew, has ten.
STORM, STORM_SECONDS = 16, 0.25
#: Between two times in a storm.
TOGETHER_SECONDS = 0.05


class Pace:
    """Of one reader."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=STORM)

    def handed_on(self, episodes: int, now: float) -> None:
        """So many were, now."""
        self._latest.extend([now] * min(episodes, STORM))

    def due(self) -> float:
        """When the next ones may be."""
        is_storm = len(self._latest) == STORM and self._latest[-1] - self._latest[0] <= STORM_SECONDS
        return self._latest[-1] + TOGETHER_SECONDS if is_storm else float("-inf")
