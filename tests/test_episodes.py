"""Which records make one episode, when it is complete, and which memcg ran out.

In: kills and arguments with times that the test makes up. Out: the episodes, by the victims' pids.
"""

from typing import Any

from samples import LIMIT, MI, kill, level

from oomeventer.kernel.episodes import ARGUMENTS_SECONDS, EARLY, GROUP_SECONDS, Episode, Episodes
from oomeventer.kill import Arguments, Kill, Missing, Process, Trigger, level_that_ran_out

TOLERANCE = MI
GROUP_LEVELS = (
    level(LIMIT, inode=101, usage_bytes=LIMIT, group=True, locked=True),
    level(inode=102),
)


def arguments_of(victim: Kill, text: bytes = b"hog\x00100\0", missing: Missing = Missing(0)) -> Arguments:
    return Arguments(victim.process, 0, text, b"A=1\0", missing)


def member(pid: int, trigger_pid: int = 1, **fields: Any) -> Kill:
    """A victim of a group kill that this trigger set off."""
    trigger = Trigger(Process(trigger_pid, 1), trigger_pid, b"trigger", "/t")
    return kill(pid, **{"trigger": trigger, "levels": GROUP_LEVELS, **fields})


def pids(episodes: list[Episode]) -> list[list[int]]:
    return [[victim.process.pid for victim in episode] for episode in episodes]


def test_idle() -> None:
    """Where nothing is open there is nothing to wait for."""
    episodes = Episodes(TOLERANCE)
    assert episodes.due() is None
    assert episodes.take(1e9) == []


def test_a_whole_kill_is_due_at_once() -> None:
    """A kill without a group, whose arguments came with it, waits for nobody, and is told once."""
    episodes = Episodes(TOLERANCE)
    episodes.feed(kill(), 5.0)
    assert episodes.due() == 5.0
    assert episodes.take(5.0) == [(kill(),)]
    assert (episodes.take(6.0), episodes.due()) == ([], None)


def test_arguments_that_follow() -> None:
    """The kill waits for its arguments, and is due when they come; what was cut adds up."""
    episodes = Episodes(TOLERANCE)
    victim = kill(arguments=None, environment=None, arguments_follow=True, missing=Missing.LEVELS)
    episodes.feed(victim, 5.0)
    assert episodes.take(5.0) == []
    assert episodes.due() == 5.0 + ARGUMENTS_SECONDS
    episodes.feed(arguments_of(victim, missing=Missing.ARGUMENTS), 5.01)
    ((whole,),) = episodes.take(5.01)
    assert (whole.arguments, whole.environment) == (b"hog\x00100\0", b"A=1\0")
    assert whole.missing == Missing.LEVELS | Missing.ARGUMENTS


def test_arguments_that_come_first() -> None:
    """A victim can be faster than the trigger on another CPU: its arguments are kept for the mark."""
    episodes = Episodes(TOLERANCE)
    victim = kill(arguments=None, arguments_follow=True)
    episodes.feed(arguments_of(victim), 4.0)
    assert episodes.due() is None
    episodes.feed(victim, 5.0)
    ((whole,),) = episodes.take(5.0)
    assert whole.arguments == b"hog\x00100\0"


def test_arguments_that_never_come() -> None:
    """A victim stuck in the kernel is told without its arguments once the bound has passed, and not before."""
    episodes = Episodes(TOLERANCE)
    episodes.feed(kill(arguments=None, arguments_follow=True), 5.0)
    assert episodes.take(5.0 + ARGUMENTS_SECONDS - 0.001) == []
    ((told,),) = episodes.take(5.0 + ARGUMENTS_SECONDS)
    assert told.arguments is None


def test_arguments_of_another_process_with_that_pid() -> None:
    """A pid is not enough: the start time must agree."""
    episodes = Episodes(TOLERANCE)
    victim = kill(arguments=None, arguments_follow=True)
    episodes.feed(victim, 5.0)
    episodes.feed(Arguments(Process(victim.process.pid, 1), 0, b"other\0", None, Missing(0)), 5.0)
    assert episodes.take(5.0) == []


def test_arguments_without_a_mark_are_bounded() -> None:
    """Of arguments that no mark follows the latest are kept, as many as the bound says."""
    episodes = Episodes(TOLERANCE)
    victims = [kill(pid, arguments=None, arguments_follow=True) for pid in range(1, EARLY + 2)]
    for victim in victims:
        episodes.feed(arguments_of(victim), 4.0)
    for victim in victims:
        episodes.feed(victim, 5.0)
    assert pids(episodes.take(5.0)) == [[pid] for pid in range(2, EARLY + 2)]
    assert pids(episodes.take(6.0)) == [[1]]


def test_a_group_kill_is_one_episode() -> None:
    """All members, of 5 and of 50, with the chosen one first, once no further one came for a while."""
    for size in (5, 50):
        episodes = Episodes(TOLERANCE)
        expected = [900, *range(1, size)]
        for number, pid in enumerate(expected):
            now = 5.0 + number * (GROUP_SECONDS - 0.001)
            assert episodes.take(now) == []
            episodes.feed(member(pid), now)
        assert episodes.take(now + GROUP_SECONDS - 0.001) == []
        assert episodes.due() == now + GROUP_SECONDS
        assert pids(episodes.take(now + GROUP_SECONDS)) == [expected]


def test_a_group_waits_for_each_members_arguments() -> None:
    """One member without its arguments holds the episode within their bound; each gets its own."""
    episodes = Episodes(TOLERANCE)
    members = [member(pid, arguments=None, arguments_follow=True) for pid in (1, 2, 3)]
    for victim in members:
        episodes.feed(victim, 5.0)
    for victim in members[:2]:
        episodes.feed(arguments_of(victim, b"%d\0" % victim.process.pid), 5.0)
    assert episodes.take(5.0 + GROUP_SECONDS) == []
    (episode,) = episodes.take(5.0 + ARGUMENTS_SECONDS)
    assert [victim.arguments for victim in episode] == [b"1\0", b"2\0", None]


def test_a_later_group_kill_is_another_episode() -> None:
    """The same trigger and memcg, after the first was taken, begin anew."""
    episodes = Episodes(TOLERANCE)
    episodes.feed(member(1), 5.0)
    first = episodes.take(6.0)
    episodes.feed(member(2), 6.0)
    assert pids(first + episodes.take(7.0)) == [[1], [2]]


def test_two_triggers_interleaved() -> None:
    """Group kills at the same time are told apart by who set them off, in the order in which they began."""
    episodes = Episodes(TOLERANCE)
    for pid, trigger in [(20, 2), (10, 1), (11, 1), (21, 2), (12, 1)]:
        episodes.feed(member(pid, trigger), 5.0)
    assert pids(episodes.take(6.0)) == [[20, 21], [10, 11, 12]]


def test_one_trigger_in_two_memcgs() -> None:
    """A task that set off two group kills, in memcgs of their own, makes two episodes."""
    other = (level(LIMIT, inode=201, usage_bytes=LIMIT, group=True, locked=True),)
    episodes = Episodes(TOLERANCE)
    for victim in (member(1), member(2, levels=other), member(3)):
        episodes.feed(victim, 5.0)
    assert pids(episodes.take(6.0)) == [[1, 3], [2]]


def test_no_group_flag() -> None:
    """Without memory.oom.group each victim is an episode, although the trigger is the same."""
    levels = (level(LIMIT, inode=101, usage_bytes=LIMIT, locked=True),)
    episodes = Episodes(TOLERANCE)
    for pid in (1, 2):
        episodes.feed(member(pid, levels=levels), 5.0)
    assert pids(episodes.take(5.0)) == [[1], [2]]


def test_a_group_above_the_limit_is_none() -> None:
    """The kernel looks for a group no higher than the memcg that ran out."""
    levels = (level(LIMIT, inode=101, usage_bytes=LIMIT, locked=True), level(inode=102, group=True))
    episodes = Episodes(TOLERANCE)
    for pid in (1, 2):
        episodes.feed(member(pid, levels=levels), 5.0)
    assert pids(episodes.take(5.0)) == [[1], [2]]


def test_the_highest_group_counts() -> None:
    """Victims in two containers of a Pod whose cgroup has the flag go together, also where the node ran out."""
    pod = level(inode=102, group=True)
    episodes = Episodes(TOLERANCE)
    episodes.feed(member(1, levels=(level(inode=101, group=True), pod)), 5.0)
    episodes.feed(member(2, levels=(level(inode=201, group=True), pod)), 5.0)
    assert pids(episodes.take(6.0)) == [[1, 2]]


def test_the_highest_locked_level_ran_out() -> None:
    """The kernel locks the memcg that ran out and all below it."""
    levels = tuple(level(LIMIT, usage_bytes=0, locked=locked) for locked in (True, True, False))
    assert level_that_ran_out(levels, TOLERANCE) == 1


def test_a_locked_level_without_a_limit_did_not_run_out() -> None:
    """What has no limit cannot run out of it, locked or not."""
    assert level_that_ran_out((level(LIMIT, locked=True), level(locked=True)), TOLERANCE) == 0


def test_the_lowest_level_within_the_tolerance_ran_out() -> None:
    """Where none is locked it is the first, from the leaf up, that is full but for what CPUs hold in advance."""
    below = level(LIMIT, usage_bytes=LIMIT - TOLERANCE - 1)
    at = level(LIMIT, usage_bytes=LIMIT - TOLERANCE)
    full = level(LIMIT, usage_bytes=LIMIT)
    assert level_that_ran_out((below, at, full), TOLERANCE) == 1


def test_no_level_is_the_node() -> None:
    """Neither locked nor near a limit, without limits, or without levels: it was the node's memory."""
    unlimited = level(usage_bytes=2**40)
    assert level_that_ran_out((level(LIMIT), unlimited), TOLERANCE) is None
    assert level_that_ran_out((unlimited, unlimited), TOLERANCE) is None
    assert level_that_ran_out((), TOLERANCE) is None
