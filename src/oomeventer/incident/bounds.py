"""How large an incident may be: when it is made or read, and where it is copied to. In: an Incident, its parts, or
JSON. Out: JSON, an Incident or parts that fit.

Rules: pure. The figures stand here alone, and each bound is the agent's own: what the victim, the runtime or the API
server choose moves none of them. What is left out is counted or noted, and `truncated` is set. After each step the
size is looked at again.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace

from oomeventer.incident.codec import decode, encode, with_few_victims
from oomeventer.incident.incident import Incident
from oomeventer.incident.victim import Victim
from oomeventer.text import CUT, cut_bytes

# -- when it is made ---------------------------------------------------------------------------------------------------

#: Victims whose figures are kept; of a larger group kill the others are counted (victims_total).
VICTIMS = 64
#: Of these the first so many have their arguments and environment,
VICTIMS_WITH_TEXT = 16
#: each so many arguments and variables at most,
ARGUMENTS, VARIABLES = 128, 32
#: and all together so many bytes of them.
TEXT_BYTES = 32 << 10
#: Notes, each of so many characters at most.
NOTES, NOTE_CHARACTERS = 32, 200

# -- where it is copied to, in bytes of JSON ---------------------------------------------------------------------------

#: The Event's annotation. The API server has 256 KiB for all of an object's.
ANNOTATION_BYTES = 16 << 10
#: The log line's `incident`.
LOG_BYTES = 16 << 10
#: The journal's row. One that is made by the bounds above has less than half of it.
ROW_BYTES = 256 << 10
#: Of a path, where nothing else is left to be cut.
_PATH_BYTES = 512
#: Victims and notes that are left where room is short.
_FEW = 16


def arguments(command: Sequence[str]) -> tuple[str, ...]:
    """The first ones, and a mark where there are more."""
    return tuple(command) if len(command) <= ARGUMENTS else (*command[:ARGUMENTS], CUT)


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The first ones."""
    return dict(islice(environment.items(), VARIABLES))


def notes(of: Sequence[str]) -> tuple[str, ...]:
    """The first ones, and how many more there are."""
    short = tuple(cut_bytes(note, NOTE_CHARACTERS) for note in of)
    return short if len(short) <= NOTES else (*short[: NOTES - 1], f"and {len(short) - NOTES + 1} notes more")


def within_text(victims: Sequence[Victim]) -> tuple[Victim, ...]:
    """Those whose texts are beyond TEXT_BYTES in all lose them, the last ones first."""
    kept, room = [], TEXT_BYTES
    for victim in victims:
        room -= _text_bytes(victim)
        kept.append(victim if room >= 0 else _without_text(victim))
    return tuple(kept)


def restored(text: str) -> Incident:
    """Of a row's JSON, within the bounds by which one is made: an earlier version's can be larger. Raises
    IncidentError."""
    incident = decode(text if len(text) <= ROW_BYTES else with_few_victims(text, VICTIMS))
    bounded = replace(incident, victims=within_text(tuple(_victims(incident))), notes=notes(incident.notes))
    return incident if bounded == incident else replace(bounded, truncated=True)


def _victims(incident: Incident) -> Iterator[Victim]:
    for number, victim in enumerate(incident.victims[:VICTIMS]):
        if number >= VICTIMS_WITH_TEXT:
            yield _without_text(victim)
        else:
            command = None if victim.command is None else arguments(victim.command)
            environment = None if victim.environment is None else variables(victim.environment)
            yield replace(victim, command=command, environment=environment)


def fitted(incident: Incident, most: int) -> str:
    """Its JSON, or as much of it as has so many bytes (16 KiB at least)."""
    for smaller in _smaller(incident):
        if len((text := encode(smaller)).encode()) <= most:
            break
    return text


def _smaller(incident: Incident) -> Iterator[Incident]:
    """It, and what can be done without, little by little."""
    yield incident
    incident = replace(incident, truncated=True, victims=incident.victims[:_FEW], notes=incident.notes[:_FEW])
    yield incident
    if incident.trajectory:
        incident = replace(incident, trajectory=replace(incident.trajectory, samples=()))
        yield incident
    chosen, *others = incident.victims
    incident = replace(incident, victims=(chosen, *map(_without_text, others)))
    yield incident
    incident = replace(incident, victims=(_without_text(chosen), *incident.victims[1:]))
    yield incident
    incident = replace(incident, victims=incident.victims[:1], neighbours=(), notes=(), hints=())
    yield incident
    if incident.node_memory:
        incident = replace(incident, node_memory=replace(incident.node_memory, pods=()))
        yield incident
    if incident.pod and incident.pod.memory_volumes:
        incident = replace(incident, pod=replace(incident.pod, memory_volumes=()))
        yield incident
    trigger, limit_cgroup = incident.trigger, incident.limit_cgroup
    yield replace(
        incident,
        cgroup=cut_bytes(incident.cgroup, _PATH_BYTES),
        limit_cgroup=None if limit_cgroup is None else cut_bytes(limit_cgroup, _PATH_BYTES),
        trigger=trigger and replace(trigger, cgroup=cut_bytes(trigger.cgroup, _PATH_BYTES)),
    )


def _without_text(victim: Victim) -> Victim:
    return replace(victim, command=None, environment=None)


def _text_bytes(victim: Victim) -> int:
    texts = [*(victim.command or ()), *(victim.environment or {}), *(victim.environment or {}).values()]
    return sum(len(text.encode()) for text in texts)
