"""An incident: all that is known so far of one OOM kill, or of one group kill. Data, without I/O.

In: what assemble.py makes of an episode. Out: an Incident, which later stages replace by a fuller one
(msgspec.structs.replace). Rules: frozen; bytes and UTC; nothing secret or hostile is in one (assemble.py sees to it).
None means "not known or gone"; an incident is never refused for what it lacks.

These types are the JSON, too: codec.py writes and reads the fields by their names and in their order, and schema.json
is made of them and of what is annotated (`make schema`). So to rename a field is to break who reads the JSON.
"""

from datetime import UTC
from typing import Annotated, Final, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from oomeventer.incident.fields import NATURAL, NOT_EMPTY, U32, Moment, meaning
from oomeventer.incident.memory import CgroupEvents, Memory, NodeMemory, Pressure
from oomeventer.incident.story import Hint, Repeats, Trajectory
from oomeventer.incident.victim import Victim
from oomeventer.incident.workload import Container, Pod
from oomeventer.node import Identity, Pid1, identify

SCHEMA: Final = "oomeventer/v1"

#: Whose limit ran out: as a person set it, where the Pod's spec is known (see limits.py), else as the kernel says;
#: unknown where the kernel leaves it open.
Scope = Literal["container", "pod", "cgroup", "node", "unknown"]


class Host(Struct, frozen=True):
    """The machine: node is its name in Kubernetes; boot_offset_ns is CLOCK_REALTIME minus CLOCK_BOOTTIME."""

    node: str
    boot_id: str
    boot_offset_ns: int

    def time(self, since_boot_ns: int) -> Moment:
        """The wall clock's time of a moment that the kernel counted from boot."""
        return Moment.fromtimestamp((since_boot_ns + self.boot_offset_ns) / 1e9, UTC)


class Trigger(Struct, frozen=True):
    """The process whose allocation set the kill off."""

    pid: Annotated[int, meaning("As the node numbers it", U32)]
    comm: Annotated[str, meaning("The kernel's name for it, made printable")]
    cgroup: Annotated[str, meaning("Its cgroup")]


class Neighbour(Struct, frozen=True):
    """Another process below the cgroup that ran out, alive after the kill. (Of the container alone in 0.1.0.)"""

    pid: Annotated[int, meaning("As the node numbers it", U32)]
    comm: Annotated[str, meaning("The kernel's name for it, made printable")]
    rss_bytes: Annotated[int, meaning("Memory that it holds, in bytes", NATURAL)]
    container_id: Annotated[str | None, meaning("Its container, as the runtime has it; null outside any")] = None
    container: Annotated[str | None, meaning("Its container's name in the Pod's spec; null where not known")] = None
    pod_uid: Annotated[
        str | None, meaning("Its Pod, as the runtime or the Pod's status has it; null where neither knew")
    ] = None
    shmem_bytes: Annotated[
        int, meaning("Of what it holds, shared memory that it maps, files in a tmpfs among them, in bytes", NATURAL)
    ] = 0


class Incident(Struct, frozen=True, kw_only=True):
    """See the module. Fields without a default must be there when it is read; the others an older version did not
    write."""

    schema: Annotated[Literal["oomeventer/v1"], meaning("The version of this schema.")]
    key: Annotated[
        str,
        meaning(
            "What tells this incident from every other: of boot, pid and start time", {"pattern": "^[0-9a-f]{16}$"}
        ),
    ]
    time: Annotated[Moment, meaning("When the kernel marked the chosen victim, UTC, with microseconds")]
    node: Annotated[str, meaning("The machine's name in Kubernetes", NOT_EMPTY)]
    boot_id: Annotated[str, meaning("The random name of this boot of the machine")]
    scope: Annotated[
        Scope,
        meaning(
            "Whose limit ran out: as a person set it in the Pod's spec where that is known, else as the kernel says. "
            "cgroup: one that is neither a container's nor a Pod's own; unknown: the kernel leaves it open, and "
            "limit_cgroup is the likeliest, or null."
        ),
    ]
    limit_bytes: Annotated[
        int | None, meaning("The limit that ran out, in bytes; null where it was the node's memory", NATURAL)
    ]
    usage_bytes: Annotated[
        int | None,
        meaning("What was charged to the cgroup that ran out, in bytes; null where it was the node's memory", NATURAL),
    ]
    peak_bytes: Annotated[
        int | None,
        meaning(
            "The most that was ever charged to the cgroup that ran out, in bytes; null where it was the node's memory",
            NATURAL,
        ),
    ]
    limit_cgroup: Annotated[
        str | None,
        meaning(
            "The cgroup that the kernel says ran out; null where it was the node's memory, or one above all that the "
            "kernel's record has room for"
        ),
    ]
    cgroup: Annotated[str, meaning("The chosen victim's cgroup")]
    trigger: Annotated[
        Trigger | None,
        meaning(
            "The process whose allocation set the kill off; often the victim itself. null in the Event on a Pod where "
            "it is not that Pod's."
        ),
    ]
    victims: Annotated[
        tuple[Victim, ...],
        meaning(
            "Those that were killed, the chosen one first; of many the first ones, and of these the first 16 with "
            "arguments and environment. An annotation holds 16 at most.",
            {"minItems": 1},
        ),
    ]
    group_kill: Annotated[bool, meaning("The cgroup has memory.oom.group, so all of it was killed.")]
    pid1: Annotated[
        Pid1 | None,
        meaning(
            "PID 1 of the container. killed: it was a victim; gone: it ended with the victim, or right after; lives: "
            "it ran on once the victim was gone; seen: it ran at the kill, and what came of it was not seen; null "
            "where nothing is known."
        ),
    ]
    neighbours: Annotated[
        tuple[Neighbour, ...],
        meaning("Other processes below the cgroup that ran out, or of the container, that live on; the largest five."),
    ]
    neighbours_total: Annotated[
        int | None, meaning("How many of these processes live on; null where that is not known", NATURAL)
    ]
    container: Annotated[Container | None, meaning("The container; null for a process outside any.")]
    pod: Annotated[
        Pod | None,
        meaning("The Pod; null for a process outside any, or where neither the runtime nor the API knew it."),
    ]
    truncated: Annotated[
        bool,
        meaning(
            "Something was cut: paths or texts by the kernel's record; victims, texts or notes by the bounds of an "
            "incident, of an annotation or of a log line."
        ),
    ]
    lost_before: Annotated[
        int,
        meaning("Records that found the kernel's ring full before this one, since the object was loaded", NATURAL),
    ]
    notes: Annotated[tuple[str, ...], meaning("What is missing and why, for people.")]
    victims_total: Annotated[
        int,
        meaning("How many were killed, those included that are not among the victims", {"minimum": 1}),
    ] = 0
    path_refuted: Annotated[
        bool,
        meaning(
            "The runtime says that the container is another Pod's than the cgroup's path claims: so nobody is looked "
            "up by that path."
        ),
    ] = False

    message: Annotated[str | None, meaning("What the Event says; null in what no Event was made of.")] = None
    limit_lowered: Annotated[
        bool,
        meaning("The limit was lowered below what was in use; no allocation ran into it (cgroup v2)."),
    ] = False
    sandbox: Annotated[
        bool,
        meaning(
            "The victim was of the Pod's sandbox, its pause process or, with Kata, its VM: all its containers restart."
        ),
    ] = False
    memory: Annotated[
        Memory | None,
        meaning("What the cgroup that ran out was charged for; null where that was not to be read, or for the node."),
    ] = None
    container_memory: Annotated[
        Memory | None, meaning("The same of the victim's container; null where that was not to be read.")
    ] = None
    neighbours_bytes: Annotated[
        int | None, meaning("What all the neighbours hold together, in bytes; null where that is not known", NATURAL)
    ] = None
    cgroup_events: Annotated[CgroupEvents | None, meaning("What happened so far in the cgroup that ran out.")] = None
    pressure: Annotated[Pressure | None, meaning("How long the cgroup that ran out has waited for memory.")] = None
    node_memory: Annotated[NodeMemory | None, meaning("Who held the node's memory, where it was the node's.")] = None
    trajectory: Annotated[Trajectory | None, meaning("How its memory came to be so; null where nobody sampled.")] = None
    repeats: Annotated[Repeats | None, meaning("Which time it is; null where that was not counted.")] = None
    hints: Annotated[tuple[Hint, ...], meaning("What a person may do, the likeliest first.")] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "victims_total", max(self.victims_total, len(self.victims)))

    @property
    def chosen(self) -> Victim:
        """The victim that the kernel picked."""
        return self.victims[0]

    @property
    def identity(self) -> Identity:
        """What the victim's cgroup says of its Pod and container."""
        return identify(self.cgroup)
