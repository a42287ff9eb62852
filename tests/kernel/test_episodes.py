"""Which records make one episode, when it is complete, and which memcg ran out.

In: kills and arguments with times that the test makes up. Out: the episodes, by the victims' pids.
"""

from typing import Any

import pytest

from oomeventer.kernel.episodes import (
    ARGUMENTS_SECONDS,
    EARLY,
    GROUP_SECONDS,
    MEMBER_SECONDS,
    Episode,
    Episodes,
    quiet_seconds,
)
from oomeventer.kernel.kill import Arguments, Kill, Level, Missing, Process, RanOut, Trigger, ran_out_here, what_ran_out
from samples import CGROUP, LIMIT, MI, POD_CGROUP, kill, level

NOTHING = Missing(0)
GROUP_LEVELS = (
    level(LIMIT, inode=101, usage_bytes=LIMIT, group=True, locked=True),
    level(inode=102),
)


def arguments_of(victim: Kill, text: bytes = b"hog\x00100\0", missing: Missing = NOTHING) -> Arguments:
    return Arguments(victim.process, 0, text, b"A=1\0", missing)


def blameless(pid: int = 4217, trigger_pid: int = 70, **fields: Any) -> Kill:
    """A victim that another process set off: its arguments follow."""
    trigger = Trigger(Process(trigger_pid, 7_000_000_000 + trigger_pid), trigger_pid, b"trigger", "/t")
    follow = {"arguments": None, "environment": None, "arguments_follow": True}
    return kill(pid, **{"trigger": trigger, **follow, **fields})


def member(pid: int, trigger_pid: int = 70, **fields: Any) -> Kill:
    """A victim of a group kill, whose arguments came with it."""
    return blameless(
        pid, trigger_pid, **{"levels": GROUP_LEVELS, "arguments": b"x\0", "arguments_follow": False, **fields}
    )


def pids(episodes: list[Episode]) -> list[list[int]]:
    return [[victim.process.pid for victim in episode] for episode in episodes]


def test_idle() -> None:
    """Where nothing is open there is nothing to wait for."""
    episodes = Episodes(ran_out_here)
    assert episodes.due() is None
    assert episodes.take(1e9) == []


def test_which_record_begins_an_episode() -> None:
    """The first kill of each, at once, though its members and arguments are still to come."""
    episodes = Episodes(ran_out_here)
    first = member(1, arguments=None, arguments_follow=True)
    records = [first, member(2), arguments_of(first), kill(9)]
    assert [episodes.feed(record, 0.0) for record in records] == [True, False, False, True]


def test_a_whole_kill_is_due_at_once() -> None:
    """A kill without a group, whose arguments came with it, waits for nobody, and is reported once."""
    episodes = Episodes(ran_out_here)
    episodes.feed(kill(), 5.0)
    assert episodes.due() == 5.0
    assert episodes.take(5.0) == [(kill(),)]
    assert (episodes.take(6.0), episodes.due()) == ([], None)


def test_arguments_that_follow() -> None:
    """The kill waits for its arguments, and is due when they come; what was cut adds up."""
    episodes = Episodes(ran_out_here)
    victim = blameless(missing=Missing.LEVELS)
    episodes.feed(victim, 5.0)
    assert episodes.take(5.0) == []
    assert episodes.due() == 5.0 + ARGUMENTS_SECONDS
    episodes.feed(arguments_of(victim, missing=Missing.ARGUMENTS), 5.01)
    ((whole,),) = episodes.take(5.01)
    assert (whole.arguments, whole.environment) == (b"hog\x00100\0", b"A=1\0")
    assert whole.missing == Missing.LEVELS | Missing.ARGUMENTS


def test_arguments_that_come_first() -> None:
    """A victim can be faster than the trigger on another CPU: its arguments are kept for the mark."""
    episodes = Episodes(ran_out_here)
    victim = blameless()
    episodes.feed(arguments_of(victim), 4.0)
    assert episodes.due() is None
    episodes.feed(victim, 5.0)
    ((whole,),) = episodes.take(5.0)
    assert whole.arguments == b"hog\x00100\0"


def test_arguments_that_never_come() -> None:
    """A victim stuck in the kernel is reported without its arguments once the bound has passed, and not before."""
    episodes = Episodes(ran_out_here)
    episodes.feed(blameless(), 5.0)
    assert episodes.take(5.0 + ARGUMENTS_SECONDS - 0.001) == []
    ((reported,),) = episodes.take(5.0 + ARGUMENTS_SECONDS)
    assert reported.arguments is None


def test_arguments_that_come_slowly() -> None:
    """Where many wait for a CPU, each that comes shows that the next may still come."""
    episodes = Episodes(ran_out_here)
    members = [member(pid, arguments=None, arguments_follow=True) for pid in range(1, 9)]
    for victim in members:
        episodes.feed(victim, 5.0)
    now = 5.0
    for victim in members[:-1]:
        now += ARGUMENTS_SECONDS - 0.1
        assert episodes.take(now) == []
        episodes.feed(arguments_of(victim), now)
    assert episodes.take(now + ARGUMENTS_SECONDS - 0.001) == []
    ((*victims,),) = episodes.take(now + ARGUMENTS_SECONDS)
    assert [victim.arguments is None for victim in victims] == [False] * 7 + [True]


def test_arguments_of_another_process_with_that_pid() -> None:
    """A pid is not enough: the start time must agree."""
    episodes = Episodes(ran_out_here)
    victim = blameless()
    episodes.feed(victim, 5.0)
    episodes.feed(Arguments(Process(victim.process.pid, 1), 0, b"other\0", None, NOTHING), 5.0)
    assert episodes.take(5.0) == []


def test_arguments_without_a_mark_are_bounded() -> None:
    """Of arguments that no mark follows the latest are kept, as many as the bound says."""
    episodes = Episodes(ran_out_here)
    victims = [blameless(pid) for pid in range(1, EARLY + 2)]
    for victim in victims:
        episodes.feed(arguments_of(victim), 4.0)
    for victim in victims:
        episodes.feed(victim, 5.0)
    assert pids(episodes.take(5.0)) == [[pid] for pid in range(2, EARLY + 2)]
    assert pids(episodes.take(6.0)) == [[1]]


def test_a_group_kill_is_one_episode() -> None:
    """All members, of 5 and of 50, with the chosen one first, once no further one came for a while."""
    for size in (5, 50):
        episodes = Episodes(ran_out_here)
        expected = [900, *range(1, size)]
        for number, pid in enumerate(expected):
            now = 5.0 + number * (GROUP_SECONDS - 0.001)
            assert episodes.take(now) == []
            episodes.feed(member(pid), now)
        ends = now + quiet_seconds(size)
        assert episodes.take(ends - 0.001) == []
        assert episodes.due() == ends
        assert pids(episodes.take(ends)) == [expected]


def test_the_more_were_killed_the_longer_the_trigger_may_take() -> None:
    """Those who were killed take its CPU: 900 members whose marks are ever further apart are one episode."""
    episodes = Episodes(ran_out_here)
    at, gap = 5.0, 0.0
    for pid in range(900):
        assert episodes.take(at) == []
        episodes.feed(member(pid, time_ns=int(at * 1e9)), at)
        gap = GROUP_SECONDS + MEMBER_SECONDS * pid
        at += gap
    assert gap > 9
    ((*victims,),) = episodes.take(at + 10)
    assert len(victims) == 900


def test_a_group_waits_for_each_members_arguments() -> None:
    """Although the last mark is known, a member without its arguments holds the episode, within their bound."""
    episodes = Episodes(ran_out_here)
    trigger = member(70, arguments=b"70\0", arguments_follow=True)
    others = [member(pid, arguments=None, arguments_follow=True) for pid in (1, 2, 3)]
    for victim in [trigger, *others]:
        episodes.feed(victim, 5.0)
    for victim in [trigger, *others[:2]]:
        episodes.feed(arguments_of(victim, b"late %d\0" % victim.process.pid), 5.0)
    assert episodes.take(5.0 + ARGUMENTS_SECONDS - 0.001) == []
    (episode,) = episodes.take(5.0 + ARGUMENTS_SECONDS)
    assert [victim.arguments for victim in episode] == [b"70\0", b"late 1\0", b"late 2\0", None]


def test_the_triggers_own_end_completes_a_group() -> None:
    """Its SIGKILL is delivered after the last mark: then nothing is waited for, and its arguments stay as marked."""
    episodes = Episodes(ran_out_here)
    trigger = member(70, arguments=b"70\0", arguments_follow=True)
    for victim in (member(1), trigger, member(2)):
        episodes.feed(victim, 5.0)
    assert episodes.take(5.0) == []
    episodes.feed(arguments_of(trigger, b"late\0"), 5.001)
    (episode,) = episodes.take(5.001)
    assert [victim.arguments for victim in episode] == [b"x\0", b"70\0", b"x\0"]


def test_a_later_group_kill_is_another_episode() -> None:
    """The same trigger and memcg, after the first was taken, begin another episode."""
    episodes = Episodes(ran_out_here)
    episodes.feed(member(1), 5.0)
    first = episodes.take(6.0)
    episodes.feed(member(2), 6.0)
    assert pids(first + episodes.take(7.0)) == [[1], [2]]


def test_group_kills_that_are_read_at_once() -> None:
    """What waited in the ring while no agent ran comes at one time: the kernel's times tell one group from the next."""
    apart = int(GROUP_SECONDS * 1e9)
    most = int(quiet_seconds(3) * 1e9)
    times = {1: 0, 2: apart, 3: 2 * apart, 4: 2 * apart + most + 1, 5: 2 * apart + most + 2, 6: 10 * apart}
    episodes = Episodes(ran_out_here)
    for pid, at in times.items():
        episodes.feed(member(pid, time_ns=9_000_000_000 + at), 5.0)
    assert pids(episodes.take(6.0)) == [[1, 2, 3], [4, 5], [6]]


def test_a_group_that_is_reported_slowly() -> None:
    """A reader that is late, or in a hurry, does not tear apart or join what the kernel's times do not."""
    episodes = Episodes(ran_out_here)
    episodes.feed(member(1, time_ns=9_000_000_000), 5.0)
    episodes.feed(member(2, time_ns=9_000_000_001), 5.0 + GROUP_SECONDS * 3)
    episodes.feed(member(3, time_ns=99_000_000_000), 5.0 + GROUP_SECONDS * 3)
    assert pids(episodes.take(10.0)) == [[1, 2], [3]]


def test_two_triggers_interleaved() -> None:
    """Group kills at the same time are reported apart by who set them off, in the order in which they began."""
    episodes = Episodes(ran_out_here)
    for pid, trigger in [(20, 2), (10, 1), (11, 1), (21, 2), (12, 1)]:
        episodes.feed(member(pid, trigger), 5.0)
    assert pids(episodes.take(6.0)) == [[20, 21], [10, 11, 12]]


def test_one_trigger_in_two_memcgs() -> None:
    """A task that set off two group kills, in memcgs of their own, makes two episodes."""
    other = (level(LIMIT, inode=201, usage_bytes=LIMIT, group=True, locked=True),)
    episodes = Episodes(ran_out_here)
    for victim in (member(1), member(2, levels=other), member(3)):
        episodes.feed(victim, 5.0)
    assert pids(episodes.take(6.0)) == [[1, 3], [2]]


def test_no_group_flag() -> None:
    """Without memory.oom.group each victim is an episode, although the trigger is the same."""
    levels = (level(LIMIT, inode=101, usage_bytes=LIMIT, locked=True),)
    episodes = Episodes(ran_out_here)
    for pid in (1, 2):
        episodes.feed(member(pid, levels=levels), 5.0)
    assert pids(episodes.take(5.0)) == [[1], [2]]


def test_a_group_above_the_limit_is_none() -> None:
    """The kernel looks for a group no higher than the memcg that ran out."""
    levels = (level(LIMIT, inode=101, usage_bytes=LIMIT, locked=True), level(inode=102, group=True))
    episodes = Episodes(ran_out_here)
    for pid in (1, 2):
        episodes.feed(member(pid, levels=levels), 5.0)
    assert pids(episodes.take(5.0)) == [[1], [2]]


def test_the_highest_group_counts() -> None:
    """Victims in two containers of a Pod whose cgroup has the flag go together, also where the node ran out."""
    pod = level(inode=102, group=True)
    episodes = Episodes(ran_out_here)
    episodes.feed(member(1, levels=(level(inode=101, group=True), pod)), 5.0)
    episodes.feed(member(2, levels=(level(inode=201, group=True), pod)), 5.0)
    assert pids(episodes.take(6.0)) == [[1, 2]]


BATCH, CPUS = MI, 4
FULL = level(LIMIT, usage_bytes=LIMIT, ooms=1)
ROOMY = level(LIMIT, ooms=1)
UNLIMITED = level(usage_bytes=2**40, ooms=1)


def ran_out(*levels: Level, locks_known: bool = True, domain_inode: int | None = None) -> RanOut:
    return what_ran_out(kill(levels=levels, locks_known=locks_known, domain_inode=domain_inode), BATCH, CPUS)


def room(bytes_: int, **fields: Any) -> Level:
    """A memcg whose limit ran out before, with that much left below it."""
    return level(LIMIT, **{"usage_bytes": LIMIT - bytes_, "ooms": 1, **fields})


def test_the_kernel_says_which() -> None:
    """Where the kernel could be asked its word counts, whatever the figures suggest; 0 is the node."""
    levels = (FULL, level(LIMIT, inode=7), room(0, locked=True))
    assert ran_out(*levels, domain_inode=7) == RanOut(1)
    assert ran_out(*levels, domain_inode=0) == RanOut(None)
    assert ran_out(*levels, domain_inode=8) == RanOut(None, certain=False)


def test_the_highest_locked_level_ran_out() -> None:
    """The kernel locks the memcg that ran out and all below it, however full they are."""
    assert ran_out(room(0, locked=True), room(LIMIT, locked=True), FULL) == RanOut(1)


def test_a_locked_level_without_a_limit_did_not_run_out() -> None:
    """What has no limit cannot run out of it, locked or not."""
    assert ran_out(level(LIMIT, locked=True), level(locked=True)) == RanOut(0)


def test_no_lock_where_the_kernel_has_them() -> None:
    """A task that hit a limit just after another one kills without the lock: then the likeliest is named, no more."""
    assert ran_out(ROOMY, FULL) == RanOut(1, certain=False)
    assert ran_out(ROOMY, level(LIMIT)) == RanOut(0, certain=False)


def test_without_locks_the_one_near_its_limit_ran_out() -> None:
    """Usage may have fallen by what all CPUs hold in advance; when it fell further, it is open."""
    assert ran_out(ROOMY, room(BATCH * CPUS), UNLIMITED, locks_known=False) == RanOut(1)
    assert ran_out(ROOMY, room(BATCH * CPUS + 1), UNLIMITED, locks_known=False) == RanOut(0, certain=False)


def test_without_locks_of_several_near_their_limits_the_lowest() -> None:
    """It is certain within one CPU's batch, and likely beyond that."""
    assert ran_out(room(BATCH), FULL, locks_known=False) == RanOut(0)
    assert ran_out(room(BATCH + 1), FULL, locks_known=False) == RanOut(0, certain=False)


def test_levels_that_are_missing() -> None:
    """Where those next to the victim are not known, it is open whether one of them ran out."""

    def cut(*levels: Level, locks_known: bool) -> RanOut:
        return what_ran_out(kill(levels=levels, locks_known=locks_known, missing=Missing.LEVELS), BATCH, CPUS)

    for locks_known in (True, False):
        assert cut(level(LIMIT), locks_known=locks_known) == RanOut(None, certain=False)
        assert cut(level(LIMIT), FULL, locks_known=locks_known) == RanOut(1, certain=False)
    assert cut(level(LIMIT), room(0, locked=True), locks_known=True) == RanOut(1)


def lowered(*levels: Level, trigger: str = "/system.slice", **fields: Any) -> RanOut:
    """With the trigger in that cgroup."""
    by = Trigger(Process(70, 7), 70, b"systemd", trigger)
    return what_ran_out(kill(levels=levels, trigger=by, **fields), BATCH, CPUS)


def test_a_limit_that_was_lowered() -> None:
    """Usage far above a limit, and the trigger outside of it: that one ran out, whether this kernel has locks or not,
    and whatever is near its limit below it. Usage a little above is what the kernel forces, and says nothing."""
    above = room(-14 * MI)
    for locks_known in (True, False):
        assert lowered(above, UNLIMITED, locks_known=locks_known) == RanOut(0)
        assert lowered(FULL, above, FULL, locks_known=locks_known) == RanOut(1)
    assert lowered(room(-MI - 1)) == RanOut(0)
    assert lowered(room(-MI)) == RanOut(0, certain=False)
    assert lowered(above, above) == RanOut(0, certain=False)
    assert lowered(above, FULL, domain_inode=1) == RanOut(0), "the kernel's own word"


@pytest.mark.parametrize("trigger", [CGROUP, f"{CGROUP}/inner", "…", "…/inner"])
def test_no_limit_was_lowered_from_inside(trigger: str) -> None:
    """The trigger is in the cgroup, or it is not known where it is."""
    assert lowered(room(-14 * MI), trigger=trigger) == RanOut(0, certain=False)


def test_no_limit_was_lowered_on_cgroup_v1() -> None:
    """There a limit below the usage is refused."""
    assert lowered(room(-14 * MI), unified=False) == RanOut(0, certain=False)


def test_a_sibling_is_outside() -> None:
    """A cgroup whose name only begins like the one that ran out; the Pod's own is outside the container's."""
    for trigger in (f"{CGROUP}x", POD_CGROUP, "/"):
        assert lowered(room(-14 * MI), trigger=trigger) == RanOut(0)
    assert lowered(level(), room(-14 * MI), trigger=CGROUP) == RanOut(1, certain=False)


def test_no_limit_ever_ran_out() -> None:
    """Then it was the node's memory, however near to their limits they are; that concerns all levels."""
    for levels in [(level(LIMIT, usage_bytes=LIMIT), level(LIMIT)), (UNLIMITED, UNLIMITED), ()]:
        for locks_known in (True, False):
            assert ran_out(*levels, locks_known=locks_known) == RanOut(None)
    assert RanOut(None).levels is None
    assert RanOut(1).levels == 2
