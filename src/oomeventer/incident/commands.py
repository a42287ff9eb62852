"""What the victims ran, and what may be shown of it. In: kills, what /proc adds, the redaction policy. Out: Commands.

Rules: pure. Each victim's arguments are walked through once: what is masked is decided here for the incident
(assemble.py) and for what the Pod's spec may show again (unmasking.py). They are secret, so a Command lives no longer
than its incident is assembled, and no log shows it.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from msgspec import Struct

from oomeventer.incident.bounds import ARGUMENTS, VICTIMS, VICTIMS_WITH_TEXT
from oomeventer.kernel import Kill, Missing, Process
from oomeventer.node import ARGUMENTS_BYTES, Observation, identify
from oomeventer.redaction import Redaction, Word, parse_arguments
from oomeventer.text import CUT
from oomeventer.unlogged import repr_without


class Command(Struct, frozen=True):
    """A victim's arguments, the first ones where there are `more`, and for each what may be shown of it; no words where
    the policy shows none."""

    argv: Sequence[bytes]
    words: tuple[Word, ...]
    more: bool

    def __repr__(self) -> str:
        return repr_without(self, "argv", "words")

    @property
    def shown(self) -> tuple[str, ...]:
        """For people, with a mark where there are more."""
        shown = tuple(word.shown for word in self.words)
        return (*shown, CUT) if self.more and shown else shown


Commands = Mapping[Process, Command]


def kept(kills: Sequence[Kill]) -> tuple[Kill, ...]:
    """Those that are described; the others are counted. Not those of another Pod than the first one's: a limit above
    the Pods can end several, and the Event is on one."""
    pod = identify(kills[0].cgroup).pod_uid
    return tuple(kill for kill in kills if pod is None or identify(kill.cgroup).pod_uid == pod)[:VICTIMS]


def read_commands(kills: Sequence[Kill], observation: Observation, policy: Redaction) -> Commands:
    """Of those that are kept the first ones', where they are known."""
    found = ((kill, _command(kill, observation, policy)) for kill in islice(kept(kills), VICTIMS_WITH_TEXT))
    return {kill.process: command for kill, command in found if command}


def is_cut(raw: bytes, missing: bool, limit: int) -> bool:
    """Whether NUL-ended text, of which something is missing or `limit` bytes were kept, ends within a word."""
    return (missing or len(raw) >= limit) and not raw.endswith(b"\0")


def _command(kill: Kill, observation: Observation, policy: Redaction) -> Command | None:
    raw = kill.arguments or observation.arguments.get(kill.process)
    if raw is None:
        return None
    argv = parse_arguments(raw)
    more = len(argv) > ARGUMENTS
    cut = not more and is_cut(raw, Missing.ARGUMENTS in kill.missing, ARGUMENTS_BYTES)
    argv = argv[:ARGUMENTS]
    return Command(argv, policy.words(argv, kill.comm, cut), more)
