"""A process that was killed. Data, without I/O: see incident.py for its rules."""

from typing import Annotated

from msgspec import Struct

from oomeventer.incident.fields import NATURAL, U32, Moment, meaning

_DELAYS = "in seconds; null where the kernel keeps no delay accounting"


class Statistics(Struct, frozen=True):
    """Of one task, as the kernel's taskstats has it."""

    age_seconds: Annotated[float, meaning("Time since the task began, in seconds", NATURAL)]
    peak_rss_bytes: Annotated[
        int | None,
        meaning("The most memory that it held, in bytes; null once it has dropped its memory", {"minimum": 1}),
    ]
    minor_faults: Annotated[int, meaning("Page faults that needed no reading", NATURAL)]
    major_faults: Annotated[int, meaning("Page faults that needed reading", NATURAL)]
    cpu_delay_seconds: Annotated[float | None, meaning(f"Time spent waiting for a CPU, {_DELAYS}", NATURAL)]
    io_delay_seconds: Annotated[float | None, meaning(f"Time spent waiting for block I/O, {_DELAYS}", NATURAL)]
    swapin_delay_seconds: Annotated[
        float | None, meaning(f"Time spent waiting for pages to come back from swap, {_DELAYS}", NATURAL)
    ]


def starts_container(comm: str, pid: int, container_pid: int) -> bool:
    """Whether it is runc before it becomes the container's program: a copy of its file, or a stage of its own."""
    return (comm == "exe" and pid == container_pid) or comm.startswith("runc:[")


class Victim(Struct, frozen=True):
    """One process that was killed."""

    pid: Annotated[int, meaning("As the node numbers it", U32)]
    container_pid: Annotated[int, meaning("As its own pid namespace numbers it", U32)]
    comm: Annotated[str, meaning("The kernel's name for it, made printable")]
    command: Annotated[
        tuple[str, ...] | None,
        meaning("Its arguments, redacted by the node's policy; null where they were not to be had."),
    ]
    environment: Annotated[
        dict[str, str] | None,
        meaning(
            "Of its environment what the node's policy shows, by name; null where it was not to be had. The names are "
            "the victim's, so this is the one object whose keys are not listed here."
        ),
    ]
    uid: Annotated[int, meaning("The user, in the initial user namespace", U32)]
    started_at: Annotated[Moment, meaning("When it began, UTC, with microseconds")]
    anon_bytes: Annotated[int, meaning("Anonymous memory that it held, in bytes", NATURAL)]
    file_bytes: Annotated[int, meaning("Memory mapped from files that it held, in bytes", NATURAL)]
    shmem_bytes: Annotated[int, meaning("Shared memory that it held, in bytes", NATURAL)]
    swap_bytes: Annotated[int, meaning("What it had in swap, in bytes", NATURAL)]
    pgtables_bytes: Annotated[int, meaning("Its page tables, in bytes", NATURAL)]
    total_vm_bytes: Annotated[int, meaning("Its address space, in bytes", NATURAL)]
    peak_rss_bytes: Annotated[int, meaning("The most memory that it held at once, in bytes", NATURAL)]
    oom_score_adj: Annotated[
        int,
        meaning("From -1000, never to be killed, to 1000, first to be.", {"minimum": -1000, "maximum": 1000}),
    ]
    chosen: Annotated[bool, meaning("The kernel picked it; the others of a group kill went with it.")]
    statistics: Annotated[
        Statistics | None, meaning("The kernel's taskstats of the victim; null where they were not to be had.")
    ] = None

    @property
    def held_bytes(self) -> int:
        """What it held of what counts against its limit: anon and shmem. Its file pages may be charged elsewhere."""
        return self.anon_bytes + self.shmem_bytes

    @property
    def rss_bytes(self) -> int:
        """What it held in memory, as the kernel counts it for the OOM killer's log: anon, file and shmem."""
        return self.anon_bytes + self.file_bytes + self.shmem_bytes

    @property
    def starts_container(self) -> bool:
        """Whether it is the runtime's process that has not yet become the container's program."""
        return starts_container(self.comm, self.pid, self.container_pid)
