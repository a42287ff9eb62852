"""From records to episodes: which kills belong together, and when an episode is complete.

In: Kill and Arguments, with the time they were read. Out: episodes, tuples of kills whose first is the
chosen victim. Rules: pure; time is a parameter (seconds, any clock that only goes forward).

A kill is complete once its arguments are there. Most come with it; those of a victim that is not the trigger follow in
a record of their own, when the victim runs: milliseconds later, tenths of a second on a crowded machine, and not at all
where it is stuck in the kernel. So they are waited for, until no record of the episode came for a while.

A group kill (memory.oom.group) is one episode: the kernel marks the chosen victim, then every other member, all from
one task, the trigger, and for one memcg. The trigger is a member as a rule; then the record of its own SIGKILL says
that the last mark has been made. Where it is not (it hit the Pod's limit, and a group in another container is killed
for it), the episode stays open until no member came for a while. That is set by the slowest part between two marks: the
kernel prints a line for each, and a serial console takes 9 ms for it; and those who were killed want to run, to exit,
so that the trigger can lose its CPU to each of them before it marks the next one. So the more have been killed, the
longer it is. What waited in the ring is read all at once: so whether two kills are of one group is judged by the
kernel's times, not by ours.
"""

from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct, field
from msgspec.structs import replace

from oomeventer.kernel.kill import Arguments, Kill, Process, RanOut

Episode = tuple[Kill, ...]

ARGUMENTS_SECONDS = 1.0
#: Between two marks of a group: so much, and that for each member that was killed before. A time slice is 1 to 10 ms.
GROUP_SECONDS = 0.25
MEMBER_SECONDS = 0.01
#: Arguments whose mark has not been read: the victim can be faster than the trigger on another CPU, by a record or two.
EARLY = 64


class _Open(Struct):
    opened: float
    latest: float
    latest_ns: int
    group: tuple[int, Process, int] | None
    kills: dict[Process, Kill] = field(default_factory=dict)
    waiting: set[Process] = field(default_factory=set)
    ended: bool = False

    def is_near(self, kill: Kill) -> bool:
        """Whether the kernel made that mark soon enough after the latest one."""
        return not self.ended and kill.time_ns - self.latest_ns <= quiet_seconds(len(self.kills)) * 1e9

    def due(self) -> float:
        """When the episode is to be taken as complete, whatever is still missing."""
        due = self.opened
        if self.group and not self.ended:
            due = max(due, self.latest + quiet_seconds(len(self.kills)))
        if self.waiting:
            due = max(due, self.latest + ARGUMENTS_SECONDS)
        return due


def quiet_seconds(members: int) -> float:
    """How long no mark comes after the last one of a group."""
    return GROUP_SECONDS + MEMBER_SECONDS * members


class Episodes:
    """Collects records; see the module."""

    def __init__(self, ran_out: Callable[[Kill], RanOut]) -> None:
        self._ran_out = ran_out
        self._open: list[_Open] = []
        self._early: OrderedDict[Process, Arguments] = OrderedDict()

    def feed(self, record: Kill | Arguments, now: float) -> bool:
        """Take one record, in the ring's order. Returns whether it began an episode."""
        if isinstance(record, Arguments):
            self._complete(record, now)
            return False
        group = self._group(record)
        episode = next((e for e in self._open if group and e.group == group and e.is_near(record)), None)
        begins = episode is None
        if episode is None:
            episode = _Open(opened=now, latest=now, latest_ns=record.time_ns, group=group)
            self._open.append(episode)
        episode.latest, episode.latest_ns = now, record.time_ns
        episode.kills[record.process] = record
        if record.arguments_follow:
            episode.waiting.add(record.process)
            if early := self._early.pop(record.process, None):
                self._complete(early, now)
        return begins

    def take(self, now: float) -> list[Episode]:
        """The episodes that are complete, or overdue, in the order in which they began."""
        complete = [e for e in self._open if e.due() <= now]
        self._open = [e for e in self._open if e.due() > now]
        return [tuple(e.kills.values()) for e in complete]

    def due(self) -> float | None:
        """When take() will next have something without another record; None where nothing is open."""
        return min((e.due() for e in self._open), default=None)

    def _complete(self, arguments: Arguments, now: float) -> None:
        for episode in self._open:
            if kill := episode.kills.get(arguments.process):
                episode.latest = now
                episode.waiting.discard(arguments.process)
                if arguments.process == kill.trigger.process:
                    episode.ended = True  # its arguments came with the mark
                else:
                    episode.kills[arguments.process] = replace(
                        kill,
                        arguments=arguments.arguments,
                        environment=arguments.environment,
                        missing=kill.missing | arguments.missing,
                    )
                return
        self._early[arguments.process] = arguments
        if len(self._early) > EARLY:
            self._early.popitem(last=False)

    def _group(self, kill: Kill) -> tuple[int, Process, int] | None:
        """What the members of a group kill share: the trigger, and the highest memcg with oom.group at or below the
        one that ran out (mem_cgroup_get_oom_group, mm/memcontrol.c)."""
        group = [level.inode for level in kill.levels[: self._ran_out(kill).levels] if level.group]
        return (kill.trigger.tid, kill.trigger.process, group[-1]) if group else None
