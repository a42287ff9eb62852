"""What a rule is. In: an Incident. Out: a Finding, or None where the incident has no evidence for it.

Rules: pure. A rule that lacks a figure says nothing. What it says goes into the Event on a Pod, too, so it names no
process, container or Pod of somebody else.
"""

from collections.abc import Callable
from dataclasses import dataclass

from oomeventer.incident import Incident, Victim


@dataclass(frozen=True, slots=True)
class Finding:
    """text: one sentence. evidence: what of the incident it rests on."""

    text: str
    evidence: tuple[str, ...]


#: None: nothing to say.
Finds = Callable[[Incident], Finding | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """name: its anchor in docs/hints.md. is_told: the incident's message tells its evidence (incident/words.py), which
    is what its sentence has before the colon; behind that is what to do."""

    name: str
    finds: Finds
    is_told: bool = False

    def advice(self, text: str) -> str | None:
        """What is left to be told of its sentence; None: all of it."""
        return (text.partition(": ")[2] or None) if self.is_told else None


def found(text: str, *evidence: str) -> Finding:
    """One sentence, and what it rests on."""
    return Finding(text, evidence)


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
    return any(name.rstrip("0123456789.") in names for name in (program(victim), victim.comm.partition(":")[0]) if name)


def names_nobody_else(incident: Incident) -> bool:
    """Whether all neighbours are of the victim's Pod, or there is no Pod whose readers could learn of another."""
    return incident.scope in ("container", "pod") or (incident.pod is None and incident.scope == "cgroup")
