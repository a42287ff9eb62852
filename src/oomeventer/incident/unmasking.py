"""What was masked of the victims' arguments, until the Pod's spec is known. In: incidents, then the words of their
containers' specs. Out: an incident with the words that its spec shows anyway.

Rules: in memory only, and of each word only its digest (redaction/spec_words.py); the key is of this process, so an
incident that an earlier one left stays masked. Bounded: of the oldest incidents nothing is unmasked any more.
"""

import secrets
from collections import OrderedDict
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from oomeventer.incident.bounds import VICTIMS_WITH_TEXT
from oomeventer.incident.commands import Commands, kept
from oomeventer.incident.incident import Incident
from oomeventer.kernel import Kill
from oomeventer.node import identify
from oomeventer.redaction import KEY_BYTES, MASK, Digests, Redaction, digests, unmask, words_in_clear

#: Digests that are kept at most, of all incidents: 1 MiB.
KEPT = 16_384


def _is_masked(incident: Incident) -> bool:
    """Whether any word is, or a part of one."""
    return any(MASK in word for victim in incident.victims for word in victim.command or ())


class _Entry(Struct):
    victims: tuple[Digests, ...]
    spec_words: Sequence[str] = ()

    @property
    def size(self) -> int:
        return sum(map(len, self.victims))


class Unmasking:
    """Beside the incidents, by their keys. policy: as their arguments were redacted."""

    def __init__(self, policy: Redaction) -> None:
        self._policy = policy
        self._key = secrets.token_bytes(KEY_BYTES)
        self._kept: OrderedDict[str, _Entry] = OrderedDict()
        self._size = 0

    def keep(self, incident: Incident, kills: Sequence[Kill], commands: Commands) -> None:
        """Keep the digests of an incident that was assembled of these. Only of its own container: a group kill can
        reach into others of the Pod."""
        if self._policy.arguments != "safe" or not incident.identity.container_id or not _is_masked(incident):
            return
        entry = _Entry(tuple(self._digests(kill, incident, commands) for kill in kept(kills)[:VICTIMS_WITH_TEXT]))
        if not any(map(any, entry.victims)):
            return
        self._forget(incident.key)
        self._kept[incident.key] = entry
        self._size += entry.size
        while self._size > KEPT:
            self._forget(next(iter(self._kept)))

    def keep_spec_words(self, key: str, spec_words: Sequence[str]) -> None:
        """The command and args of the incident's container, as its Pod's spec has them."""
        if entry := self._kept.get(key):
            entry.spec_words = spec_words

    def unmask(self, incident: Incident) -> Incident:
        """The incident with the words that its spec shows. Once: then its digests are gone."""
        entry = self._forget(incident.key)
        if entry is None or not entry.spec_words:
            return incident
        clear = words_in_clear(entry.spec_words)
        victims = tuple(
            replace(victim, command=unmask(victim.command, masked, clear, self._key)) if victim.command else victim
            for victim, masked in zip(incident.victims, entry.victims, strict=False)
        )
        return replace(incident, victims=victims + incident.victims[len(victims) :])

    def _digests(self, kill: Kill, incident: Incident, commands: Commands) -> Digests:
        command = commands.get(kill.process)
        if command is None or identify(kill.cgroup).container_id != incident.identity.container_id:
            return ()
        return digests(command.argv, command.words, self._key)

    def _forget(self, key: str) -> _Entry | None:
        entry = self._kept.pop(key, None)
        self._size -= entry.size if entry else 0
        return entry
