"""What a rule is. In: an Incident. Out: a Finding, or None where the incident has no evidence for it.

Rules: pure. A rule that lacks a figure says nothing. What it says goes into the Event on a Pod, too, so it names no
process, container or Pod of somebody else.
"""

from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct

from oomeventer.incident import Incident, Victim


class Finding(Struct, frozen=True):
    """what: what was found. advice: what to do about it. evidence: what of the incident both rest on."""

    what: str
    advice: str
    evidence: tuple[str, ...]

    @property
    def text(self) -> str:
        """One sentence of both."""
        return f"{self.what}: {self.advice}"


#: None: nothing to say.
Finds = Callable[[Incident], Finding | None]


class Rule(Struct, frozen=True):
    """name: its anchor in docs/hints.md. is_told: the incident's message tells what was found (incident/words.py)."""

    name: str
    finds: Finds
    is_told: bool = False


def found(what: str, advice: str, *evidence: str) -> Finding:
    """One sentence of two parts, and what it rests on."""
    return Finding(what, advice, evidence)


def share(part: int | None, incident: Incident) -> float:
    """Which part of the limit that ran out that is; 0 where either is not known."""
    return part / incident.limit_bytes if part and incident.limit_bytes else 0.0


def program(victim: Victim) -> str:
    """Its program's name without directory and without what a title adds."""
    path = victim.command[0] if victim.command else victim.comm
    name = path.rpartition("/")[2].partition(":")[0].partition(" ")[0]
    return victim.comm if not name or "*" in name else name


def is_program(victim: Victim, *names: str) -> bool:
    """Whether it is one of these, or one of them with a version: python3.12."""
    return not _names(program(victim), victim.comm).isdisjoint(names)


@lru_cache(16)
def _names(program: str, comm: str) -> frozenset[str]:
    """Without versions. Rules ask again and again."""
    return frozenset(name.rstrip("0123456789.") for name in (program, comm.partition(":")[0]) if name)


def names_nobody_else(incident: Incident) -> bool:
    """Whether all neighbours are of the victim's Pod, or there is no Pod whose readers could learn of another."""
    return incident.scope in ("container", "pod") or (incident.pod is None and incident.scope == "cgroup")
