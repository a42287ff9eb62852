"""An incident's message: what a person reads first. In: an Incident. Out: one line of 1,024 bytes at most, the limit
that the API has for Events of the newer form.

Order: what ran out and why, the victim, who else, how it came to it, what to do, the command. Rules: pure. Nothing is
said of what is nothing. Where there is no room the least important sentences go, whole ones; then the command is cut.
On a Pod no other Pod is named.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from oomeventer.incident import ran_out, words
from oomeventer.incident.incident import Incident
from oomeventer.incident.victim import Victim
from oomeventer.redaction import quote
from oomeventer.text import cut_bytes, size

MESSAGE_BYTES = 1024
#: Of the first sentence so many bytes are kept, and of the command that many before a sentence goes for its sake.
_FIRST_BYTES, _COMMAND_BYTES = 640, 200
#: Others than the chosen victim that are named.
_NAMED = 8
#: What a process maps of files is told from this share of what it held on.
_MAPPED = 1 / 8
#: As the kernel has them: Kata's hypervisors, with 15 characters.
_HYPERVISORS = ("qemu-system", "cloud-hyperviso", "firecracker", "dragonball")

#: How important a sentence is, and the sentence.
Sentence = tuple[int, str]


def with_message(incident: Incident, on_node: bool = False) -> Incident:
    """The incident with its message in it."""
    return replace(incident, message=message(incident, on_node))


def message(incident: Incident, on_node: bool = False) -> str:
    """What the Event says, on the Pod or on the Node; the log and the terminal have the Pod's."""
    first = [cut_bytes(sentence, _FIRST_BYTES) for sentence in _first(incident, on_node)]
    sentences = [(100, ". ".join(first)), *_further(incident, on_node)]
    command = f"Command: {quote(incident.chosen.command)}" if incident.chosen.command else ""
    least = min(len(command.encode()), _COMMAND_BYTES)
    while len(sentences) > 1 and len(_joined(sentences, "x" * least).encode()) > MESSAGE_BYTES:
        least_important = min(rank for rank, _ in sentences)
        sentences.pop(max(place for place, (rank, _) in enumerate(sentences) if rank == least_important))
    room = MESSAGE_BYTES - len(_joined(sentences, " ").encode()) + 1
    return cut_bytes(_joined(sentences, cut_bytes(command, room)), MESSAGE_BYTES)


def _joined(sentences: list[Sentence], command: str) -> str:
    return ". ".join([sentence for _, sentence in sentences] + ([command] if command else []))


def _first(incident: Incident, on_node: bool) -> list[str]:
    """What ran out and why; then the victim."""
    who, killed = ran_out.sentence(incident), f"the kernel killed {_victim(incident, on_node)}"
    if why := words.cause(incident):
        return [f"{who}: {why}", killed[0].upper() + killed[1:]]
    return [f"{who} and {killed}"]


def _further(incident: Incident, on_node: bool) -> Iterator[Sentence]:
    names_pods = on_node or incident.pod is None
    yield from ((60, sentence) for sentence in _group(incident))
    yield from ((85, sentence) for sentence in words.node(incident, names_pods))
    yield from _ranked(70, words.left_behind(incident))
    yield from _ranked(45, words.others(incident))
    yield from _ranked(90, _pid1(incident))
    yield from _ranked(20, _trigger(incident))
    yield from _ranked(50, words.pattern(incident))
    yield from _ranked(55, words.repeats(incident))
    yield from _ranked(30, words.pressure(incident))
    yield from _ranked(40, words.hint(incident))


def _ranked(rank: int, sentence: str | None) -> Iterator[Sentence]:
    if sentence:
        yield rank, sentence


def _victim(incident: Incident, on_node: bool) -> str:
    victim = incident.chosen
    if incident.sandbox:
        what = "the VM that it runs in" if victim.comm.startswith(_HYPERVISORS) else "its pause process"
        of = f" of Pod {incident.pod.namespace}/{incident.pod.name}" if on_node and incident.pod else ""
        return (
            f"the Pod's sandbox{of} ({what}, {victim.comm}, pid {victim.pid} on the node): all its containers restart"
        )
    if incident.container and victim.starts_container:
        place = _place(incident, on_node)
        return f"the runtime's process that was to start {place} ({victim.comm}, pid {victim.pid} on the node)"
    return f"{_named(victim, incident, on_node)}{_held(victim)}"


def _place(incident: Incident, on_node: bool) -> str:
    place = "the container" if incident.scope == "container" else f"container {ran_out.container(incident)}"
    if on_node and incident.pod:
        place += f" of Pod {incident.pod.namespace}/{incident.pod.name}"
    return place


def _named(victim: Victim, incident: Incident, on_node: bool) -> str:
    if incident.container is None:
        return f"{victim.comm} (pid {victim.pid})"
    place = _place(incident, on_node)
    return f"{victim.comm} (pid {victim.container_pid} in {place})"


def _held(victim: Victim) -> str:
    """What counts against its limit, and apart from it what it mapped of files."""
    shared = f" ({size(victim.shmem_bytes)} of it shared)" if victim.shmem_bytes * 10 >= victim.held_bytes > 0 else ""
    told = [f"held {size(victim.held_bytes)}{shared}"] if victim.held_bytes else []
    if victim.swap_bytes:
        told.append(f"had {size(victim.swap_bytes)} in swap")
    if victim.file_bytes > max(victim.held_bytes * _MAPPED, 1 << 20):
        told.append(f"mapped {size(victim.file_bytes)} of files")
    return f", which {' and '.join(told)}" if told else ""


def _group(incident: Incident) -> list[str]:
    others = incident.victims[1:]
    if not others:
        return []
    named = ", ".join(
        f"{v.comm} ({v.container_pid})" + (f" {size(v.held_bytes)}" if v.held_bytes else "") for v in others[:_NAMED]
    )
    unnamed = incident.victims_total - 1 - len(others[:_NAMED])
    more = f" and {unnamed} more" if unnamed else ""
    return [f"With it went the rest of its group of {incident.victims_total} (memory.oom.group): {named}{more}"]


def _pid1(incident: Incident) -> str | None:
    if incident.container is None or incident.sandbox:
        return None
    match incident.pid1:
        case "lives":
            return "PID 1 lives on: the container was not restarted"
        case "killed":
            return "PID 1 was killed: the container ends with it"
        case "gone":
            return "PID 1 has ended, and the container with it"
        case "seen":
            return "PID 1 still ran when it was last seen"
        case None:
            return None


def _trigger(incident: Incident) -> str | None:
    if incident.limit_lowered:
        return None  # it is who wrote the limit
    trigger = incident.trigger
    if trigger is None:
        return "The allocation that set it off was made outside of this Pod"
    if trigger.pid in {victim.pid for victim in incident.victims}:
        return None
    return f"The allocation that set it off was made by {trigger.comm} (pid {trigger.pid} on the node)"
