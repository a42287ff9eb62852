"""The message: what it says of each kind of incident, in which order, and what goes where there is no room.

In: incidents by samples, and any by hypothesis. Out: message()'s line.
"""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oomeventer.incident.fields import Moment
from oomeventer.incident.incident import Incident, Neighbour, Trigger
from oomeventer.incident.memory import Memory, NodeMemory, PodUsage, Pressure
from oomeventer.incident.message import message
from oomeventer.incident.report import block
from oomeventer.incident.story import Hint, Repeats, Sample, Trajectory
from oomeventer.incident.why import Share, why
from oomeventer.incident.workload import Container, MemoryVolume
from oomeventer.text import printable
from samples import BOOT, CGROUP, CONTAINER, LIMIT, MI, NODE, POD, UID, group_of, incident, on_the_host, victim

HELD = "which held 31.2Mi"
HOG = f"and the kernel killed hog (pid 17 in the container), {HELD}"
LIVES = "PID 1 lives on: the container was not restarted"


def test_the_model_message() -> None:
    """Who ran out of what, what was killed and held how much, and whether the container goes on."""
    assert message(incident()) == (
        "Container app ran out of its 32Mi memory limit and the kernel killed hog (pid 17 in the container), which "
        "held 31.2Mi. PID 1 lives on: the container was not restarted. "
        "Command: hog 100"
    )


ELSEWHERE = f"and the kernel killed hog (pid 17 in container app), {HELD}"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"scope": "pod", "limit_bytes": 64 * MI}, f"Pod checkout-0 ran out of its 64Mi memory limit {ELSEWHERE}"),
        ({"scope": "pod", "pod": None}, f"Pod {UID} ran out of its 32Mi memory limit {ELSEWHERE}"),
        (
            {"scope": "cgroup", "limit_cgroup": "/kubepods"},
            f"Node {NODE} ran out of the 32Mi that its Pods may use together (node allocatable) {ELSEWHERE}",
        ),
        (
            {"scope": "cgroup", "limit_cgroup": "/kubepods.slice/kubepods-burstable.slice"},
            f"Node {NODE} ran out of the 32Mi that its Burstable Pods may use together {ELSEWHERE}",
        ),
        (
            {"scope": "cgroup", "limit_cgroup": "/system.slice"},
            f"Cgroup /system.slice ran out of its 32Mi memory limit {ELSEWHERE}",
        ),
        (
            {"scope": "cgroup", "limit_cgroup": f"{CGROUP}/jobs/1", "cgroup": f"{CGROUP}/jobs/1/x"},
            f"Cgroup jobs/1 within container app ran out of its 32Mi memory limit {ELSEWHERE}",
        ),
        (
            {"scope": "pod", "limit_bytes": 64 * MI, "pod": replace(POD, containers_limit_bytes=64 * MI + 1)},
            f"Pod checkout-0 ran out of 64Mi of memory (its containers' limits together) {ELSEWHERE}",
        ),
        (
            {"scope": "pod", "limit_bytes": 64 * MI, "pod": replace(POD, limit_bytes=96 * MI)},
            f"Pod checkout-0 ran out of the 64Mi memory limit in force (its spec says 96Mi) {ELSEWHERE}",
        ),
        (
            {"limit_bytes": 16 * MI, "usage_bytes": 16 * MI},
            f"Container app ran out of the 16Mi memory limit in force (its spec says 32Mi) {HOG}",
        ),
        (
            {"limit_lowered": True, "limit_bytes": 16 * MI, "usage_bytes": 30 * MI, "trigger": Trigger(1, "runc", "/")},
            f"The memory limit of container app was lowered to 16Mi while 30Mi were in use {HOG}. {LIVES}",
        ),
        (
            {"sandbox": True, "container": None, "scope": "pod", "victims": (victim(comm="pause"),)},
            "Pod checkout-0 ran out of its 32Mi memory limit and the kernel killed the Pod's sandbox (its pause "
            "process, pause, pid 4217 on the node): all its containers restart. Command",
        ),
        (
            {"sandbox": True, "container": None, "victims": (victim(comm="qemu-system-x86"),)},
            "The sandbox of Pod checkout-0 ran out of its 32Mi memory limit and the kernel killed the Pod's sandbox "
            "(the VM that it runs in, qemu-system-x86, pid 4217 on the node): all its containers restart. Command",
        ),
        ({"scope": "node", "limit_bytes": None}, f"Node {NODE} ran out of memory {ELSEWHERE}"),
        (
            {"scope": "unknown"},
            f"A memory limit ran out, most likely that of cgroup {CGROUP} (32Mi) {ELSEWHERE}",
        ),
        (
            {"scope": "unknown", "limit_cgroup": None, "limit_bytes": None},
            f"The memory limit of a cgroup above {CGROUP} ran out {ELSEWHERE}",
        ),
        (
            {"container": replace(CONTAINER, name=None)},
            f"Container 3f3f3f3f3f3f ran out of its 32Mi memory limit {HOG}",
        ),
    ],
)
def test_who_ran_out(fields: dict[str, Any], says: str) -> None:
    """Each scope is named as a person would; outside the container's own limit the victim's container is named."""
    assert message(incident(**fields)).startswith(says)


def test_a_process_of_the_host_is_reported_by_the_nodes_pid() -> None:
    """Where there is no container, there is no PID 1 to tell of."""
    assert message(on_the_host()) == (
        f"Node {NODE} ran out of memory and the kernel killed hog (pid 4217), {HELD}. Command: hog 100"
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "held 31.2Mi. "),
        ({"swap_bytes": 3 * MI}, "held 31.2Mi and had 3Mi in swap. "),
        ({"file_bytes": 6 * MI}, "held 31.2Mi and mapped 6Mi of files. "),
        ({"anon_bytes": 8 * MI, "shmem_bytes": 24 * MI}, "held 32Mi (24Mi of it shared). "),
        ({"anon_bytes": 0, "file_bytes": 0}, "(pid 17 in the container). "),
    ],
)
def test_what_the_victim_held(fields: dict[str, Any], says: str) -> None:
    """What counts against its limit; the rest apart, where it is much; nothing of what is nothing."""
    assert says in message(incident(victims=(victim(**fields),)))


@pytest.mark.parametrize(
    ("pid1", "says"),
    [
        ("lives", f". {LIVES}. "),
        ("killed", ". PID 1 was killed: the container ends with it. "),
        ("gone", ". PID 1 has ended, and the container with it. "),
        ("seen", ". PID 1 still ran when it was last seen. "),
        (None, "held 31.2Mi. Command"),
    ],
)
def test_pid1(pid1: Any, says: str) -> None:
    """Whether the container goes on is reported where it is known."""
    assert says in message(incident(pid1=pid1))


OTHERS = CGROUP.replace(UID, "5b0e7a52-0000-4000-8000-000000000001")


def test_the_triggers_words() -> None:
    """A trigger that is no victim is named, since the kernel's log blames it."""
    trigger = Trigger(pid=4300, comm="curl", cgroup=CGROUP)
    says = ". The allocation that set it off was made by curl (pid 4300 on the node). "
    assert says in message(incident(trigger=trigger))
    assert "allocation" not in message(incident())
    assert "allocation" not in message(replace(group_of(3), trigger=replace(trigger, pid=5001)))


def test_a_groups_words() -> None:
    """The others of a group kill are named, the first eight of many."""
    assert (
        ". With it went the rest of its group of 3 (memory.oom.group): w0 (20) 31.2Mi, w1 (21) 31.2Mi. PID 1"
        in message(group_of(3))
    )
    reported = message(group_of(50))
    assert "group of 50 (memory.oom.group): w0 (20) 31.2Mi, " in reported
    assert ", w7 (27) 31.2Mi and 41 more. " in reported
    assert "group" not in message(incident(group_kill=True))
    wrapped = replace(group_of(2), victims=(victim(), victim(pid=2, container_pid=1, comm="sh", anon_bytes=0)))
    assert "group of 2 (memory.oom.group): sh (1). PID 1" in message(wrapped)


def test_the_command_is_quoted() -> None:
    """One that cannot be known apart from two is quoted; without one there is no word of it."""
    assert message(incident(victims=(victim(command=("hog", "a b", "***")),))).endswith("Command: hog 'a b' ***")
    for command in (None, ()):
        assert message(incident(victims=(victim(command=command),))).endswith(LIVES)


@pytest.mark.parametrize("letter", ["x", "ü", "界", "😀"])
def test_the_message_has_1024_bytes_at_most(letter: str) -> None:
    """However long the command, in bytes as the API counts; beginning and end stay."""
    for length in (0, 250, 900, 5000):
        text = message(incident(victims=(victim(command=("hog", letter * length)),)))
        assert len(text.encode()) <= 1024
        assert text.startswith("Container app ran out of its 32Mi memory limit")
        assert LIVES in text
    assert len(text.encode()) > 1015
    assert text.endswith(f"{letter}'" if letter != "x" else letter)


def hostile(text: str) -> Incident:
    """As assemble() would have it: what the victim chose is printable, and ugly."""
    path = f"/{text}"
    return incident(
        scope="cgroup",
        limit_cgroup=path,
        cgroup=path,
        trigger=Trigger(pid=1, comm=text, cgroup=path),
        victims=(victim(comm=text, command=(text, text)),),
    )


def test_the_message_stays_one_line() -> None:
    """Long multi-byte names everywhere leave one line of valid text."""
    text = message(hostile(r"\n\x1b[31m界😀" * 40))
    assert len(text.encode()) <= 1024
    assert text.isprintable()
    assert len(text.splitlines()) == 1


def test_a_limit_of_zero_is_reported() -> None:
    """A figure of 0 is a figure."""
    assert "its 0 memory limit" in message(incident(limit_bytes=0, container=replace(CONTAINER, limit_bytes=0)))
    assert "its 32Mi memory limit" in message(incident(limit_bytes=LIMIT))


def held_by(**parts: int) -> Incident:
    """A victim that held 2Mi of 32Mi, of which the parts, in MiB, were elsewhere."""
    names = {f"{part}_bytes": mi * MI for part, mi in ({"anon": 2, "file": 0, "shmem": 0} | parts).items()}
    return incident(victims=(victim(anon_bytes=2 * MI),), memory=Memory(**names))


VOLUMES = (MemoryVolume("scratch", None, ("app",)), MemoryVolume("other", None, ("side",)))


@pytest.mark.parametrize(
    ("sample", "reason", "says"),
    [
        (
            replace(held_by(shmem=30), pod=replace(POD, memory_volumes=VOLUMES)),
            "tmpfs",
            "30Mi of it are files in memory (tmpfs, most likely volume scratch), which stay when the container "
            "restarts",
        ),
        (held_by(shmem=30), "tmpfs", "30Mi of it are files in memory (tmpfs, shared memory)"),
        (
            replace(
                held_by(shmem=30),
                pod=replace(POD, memory_volumes=VOLUMES),
                neighbours=(Neighbour(1, "postgres", 31 * MI, CONTAINER.id, shmem_bytes=28 * MI),),
            ),
            "tmpfs",
            "30Mi of it are shared memory that postgres maps",
        ),
        (held_by(file=30, dirty=20), "cache", "30Mi of it are page cache, of which 20Mi wait to be written to a disk"),
        (
            held_by(kernel=30, sock=26, slab_unreclaimable=3),
            "kernel",
            "30Mi of it are the kernel's own (network buffers 26Mi)",
        ),
        (
            replace(
                held_by(anon=32),
                neighbours=(
                    Neighbour(1, "db", 28 * MI, "ab" * 32, "side"),
                    Neighbour(2, "sh", MI, CONTAINER.id, "app"),
                ),
                neighbours_total=2,
            ),
            "others",
            "container side holds 28Mi of it",
        ),
        (
            replace(
                held_by(anon=32), neighbours=(Neighbour(2, "worker", 4 * MI, CONTAINER.id, "app"),), neighbours_total=8
            ),
            "others",
            "its 8 other processes hold 30Mi of it, the largest worker 4Mi",
        ),
        (  # forks: what they share counts in the size of each
            replace(
                held_by(anon=32),
                neighbours=(Neighbour(2, "worker", 31 * MI, CONTAINER.id, "app"),),
                neighbours_total=20,
                neighbours_bytes=600 * MI,
            ),
            "others",
            "its 20 other processes hold 30Mi of it",
        ),
        (
            replace(held_by(kernel=30), victims=(victim(anon_bytes=2 * MI, pgtables_bytes=28 * MI),)),  # v1
            "kernel",
            "30Mi of it are the kernel's own (page tables 28Mi)",
        ),
        (
            replace(
                held_by(),
                memory=None,
                neighbours=(Neighbour(2, "worker", 30 * MI),),
                neighbours_total=1,
                neighbours_bytes=30 * MI,
            ),
            "others",
            "its other process worker holds 30Mi of it",
        ),
    ],
)
def test_who_held_it_where_it_was_not_the_victim(sample: Incident, reason: str, says: str) -> None:
    """That leads, before the victim."""
    assert why(sample) == reason
    assert message(sample).startswith(
        f"Container app ran out of its 32Mi memory limit: {says}. The kernel killed hog (pid 17 in the container), "
        "which held 2Mi. PID 1"
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sandbox": True, "limit_lowered": True}, "sandbox"),
        ({"limit_lowered": True, "memory": Memory(0, 0, 64 * MI)}, "lowered"),
        ({"scope": "node", "memory": Memory(0, 0, 64 * MI)}, "node"),
        ({"scope": "cgroup", "limit_cgroup": "/kubepods"}, "node"),
        ({"memory": Memory(31 * MI, 9 * MI, 9 * MI)}, "process"),
        ({}, "process"),
        ({"victims": (victim(anon_bytes=MI),)}, None),
        ({"victims": (victim(anon_bytes=MI),), "neighbours_bytes": 600 * MI}, None),  # forks
    ],
)
def test_why(fields: dict[str, Any], reason: str | None) -> None:
    """In one word; of what is not known none."""
    assert why(incident(**fields)) == reason
    assert reason not in ("process", None) or "limit and the kernel killed hog" in message(incident(**fields))


def test_what_else_held_much() -> None:
    """A good part that is neither the victim's nor the cause, and what earlier containers left."""
    sample = replace(held_by(anon=3, file=8, shmem=20), usage_bytes=LIMIT)
    assert ". Of the 32Mi, 8Mi are page cache. PID 1" in message(sample)
    left = replace(sample, memory=Memory(3 * MI, 0, 20 * MI, left_behind_bytes=10 * MI))
    assert ". 10Mi of it were left behind by an earlier container. PID 1" in message(left)
    all_of_it = message(replace(sample, memory=Memory(3 * MI, 0, 20 * MI, left_behind_bytes=19 * MI)))
    assert "20Mi of it are files in memory (tmpfs, shared memory), left behind by an earlier container." in all_of_it
    assert all_of_it.count("left behind") == 1


def test_others_that_have_ended() -> None:
    """What a group's end took along is nobody's who lives on."""
    pause = Neighbour(7, "pause", MI // 2, "c" * 64)
    sample = replace(
        held_by(anon=24, file=0, shmem=0), neighbours=(pause,), neighbours_total=1, neighbours_bytes=MI // 2
    )
    assert ": processes that have ended since held 22Mi of it. The kernel" in message(sample)


def test_others_that_grew_after_the_kill() -> None:
    """All together did not hold more than was in use."""
    large = Neighbour(7, "cache", 33 * MI, "c" * 64, "cache")
    sample = incident(
        victims=(victim(anon_bytes=20 * MI),),
        usage_bytes=LIMIT,
        neighbours=(large,),
        neighbours_total=1,
        neighbours_bytes=33 * MI,
    )
    assert ". Of the 32Mi, container cache holds 12Mi. PID 1" in message(sample)


def test_what_was_in_use_is_told_where_it_is_not_the_limit() -> None:
    """Two kills at once: the second one's usage is far below it. A limit that is being lowered: far above."""
    says = "ran out of its 32Mi memory limit (9Mi were in use when the victim was chosen) and the kernel"
    assert says in message(incident(usage_bytes=9 * MI))
    assert "in use" not in message(incident(usage_bytes=30 * MI))
    assert "(40Mi were in use when" in message(incident(usage_bytes=40 * MI))


@pytest.mark.parametrize(("comm", "inside"), [("exe", 4217), ("runc:[2:INIT]", 1)])
def test_the_runtime_was_starting_the_container(comm: str, inside: int) -> None:
    """It is no process of the container's program, and a pid of the node's is called so."""
    says = f"and the kernel killed the runtime's process that was to start the container ({comm}, pid 4217 on the node)"
    assert says in message(incident(victims=(victim(comm=comm, container_pid=inside),)))
    own = victim(comm="exe", container_pid=17)
    assert "killed exe (pid 17 in the container)" in message(incident(victims=(own,)))


def test_the_node_ran_out() -> None:
    """What the Pods hold, and what is outside them; the largest on the Node's Event, its own on the Pod's."""
    pods = (
        PodUsage("u-2", 300 * MI, "bank", "vault-0", None, 400 * MI),
        PodUsage(UID, 100 * MI, "shop", "checkout-0", MI),
    )
    sample = incident(scope="node", limit_bytes=None, node_memory=NodeMemory(512 * MI, 2 * MI, 410 * MI, 3, pods))
    together = "Pods together hold 410Mi of 512Mi; outside Pods 100Mi"
    largest = "bank/vault-0 300Mi (no request, limit 400Mi), shop/checkout-0 100Mi (request 1Mi, no limit)"
    assert f". {together}. The largest: {largest}. PID 1" in message(sample, on_node=True)
    unknown = replace(
        sample, node_memory=NodeMemory(512 * MI, 2 * MI, 410 * MI, 3, (replace(pods[0], limit_bytes=None),))
    )
    assert ". The largest: bank/vault-0 300Mi. PID 1" in message(unknown, on_node=True)
    assert f". {together}. This Pod holds 100Mi (request 1Mi, no limit). PID 1" in message(sample)


@pytest.mark.parametrize(
    ("story", "says"),
    [
        (
            Trajectory("/a", "steady", rate_bytes_per_hour=12 * MI, lasts_seconds=18000.0),
            "Memory grew steadily, by about 12Mi an hour: twice the limit would last 5h",
        ),
        (Trajectory("/a", "steady", rate_bytes_per_hour=MI // 2), "Memory grew steadily, by about 12Mi a day"),
        (
            Trajectory("/a", "spike", (Sample(1500.0, 14 * MI),), before_bytes=12 * MI, highest_bytes=14 * MI),
            "Memory rose at once from 12Mi, and had no more than 14Mi in the 25m before",
        ),
        (Trajectory("/a", "at the limit", since_seconds=10800.0), "Memory was within 10% of the limit for 3h"),
        (
            Trajectory("/a", "sawtooth", highest_bytes=30 * MI),
            "Memory rises and falls again and again, up to 30Mi before",
        ),
    ],
)
def test_how_it_came_to_it(story: Trajectory, says: str) -> None:
    """The pattern in words."""
    assert f". {says}. Command" in message(incident(trajectory=story))


def test_the_highest_is_left_out_where_it_was_killed_before() -> None:
    """It had more then, between two samples."""
    spike = Trajectory("/a", "spike", before_bytes=12 * MI, highest_bytes=14 * MI)
    again = Repeats(2, Moment.fromisoformat("2026-11-22T08:20:00Z"))
    assert ". Memory rose at once from 12Mi. 2nd such" in message(incident(trajectory=spike, repeats=again))


def test_what_is_known_beside_it() -> None:
    """Which time it is, how long it was stalled, what to do; nothing of a first time, a little waiting, no pattern."""
    sample = incident(
        trajectory=Trajectory("/a", "unknown"),
        repeats=Repeats(5, BOOT, 2820.0),
        pressure=Pressure(1.0, 38.2, 0.0, 0.0),
        hints=(Hint("tmpfs", "Limit the volume.", ()), Hint("leak", "Another.", ())),
    )
    assert message(sample).endswith(
        f"{LIVES}. 5th such kill since 08:20 UTC, about every 47m. Stalled on memory for 38% of the last minute. "
        "Limit the volume. Command: hog 100"
    )
    first = replace(sample, repeats=Repeats(1, BOOT), pressure=Pressure(9.0, 9.0, 9.0, 9.0), hints=())
    assert message(first).endswith(f"{LIVES}. Command: hog 100")
    assert "22nd such kill since 2026-11-21 08:20 UTC." in message(
        replace(sample, repeats=Repeats(22, Moment.fromisoformat("2026-11-21T08:20:00Z")))
    )


@pytest.mark.parametrize(
    ("text", "advice", "says"),
    [
        ("27Mi of the 32Mi limit are files: set a sizeLimit.", "set a sizeLimit.", "Set a sizeLimit"),
        ("-Xmx is 64Mi: lower it.", None, "-Xmx is 64Mi: lower it"),
    ],
)
def test_a_hint_repeats_nothing(text: str, advice: str | None, says: str) -> None:
    """What the message has told already is left out of the hint; evidence that it has not stays."""
    assert f". {says}. Command" in message(incident(hints=(Hint("any", text, (), advice),)))


def test_where_there_is_no_room_whole_sentences_go() -> None:
    """The least important first; what ran out, the victim and PID 1 stay, and so does the command, cut."""
    sample = incident(
        trigger=Trigger(4300, "curl", CGROUP),
        pressure=Pressure(0.0, 38.2, 0.0, 0.0),
        trajectory=Trajectory("/a", "sawtooth"),
        victims=(victim(command=("hog", "x" * 900)),),
    )
    told = {
        "curl": True,
        "Stalled on memory for 38% of the last minute. ": True,
        "!!!. ": True,
        "rises and falls": True,
    }
    for length, gone in (
        (300, None),
        (500, "curl"),
        (580, "Stalled on memory for 38% of the last minute. "),
        (900, "!!!. "),
    ):
        if gone:
            told[gone] = False
        text = message(replace(sample, hints=(Hint("tmpfs", "!" * length, ()),)))
        assert {sentence: sentence in text for sentence in told} == told, length
        assert len(text.encode()) == 1024
        assert f"{LIVES}. " in text


NUMBERS = st.integers(0, 2**76)
MAYBE, SECONDS = st.none() | NUMBERS, st.floats(0, 1e9)
NAMES = st.text().map(printable) | st.just("界" * 400)
PARTS = st.builds(Memory, NUMBERS, NUMBERS, NUMBERS, *[MAYBE] * 10)
STORIES = st.builds(
    Trajectory,
    cgroup=NAMES,
    pattern=st.sampled_from(["steady", "spike", "at the limit", "sawtooth", "unknown"]),
    samples=st.lists(st.builds(Sample, SECONDS, NUMBERS), max_size=3).map(tuple),
    rate_bytes_per_hour=st.none() | st.integers(),
    lasts_seconds=st.none() | SECONDS,
    before_bytes=MAYBE,
    highest_bytes=MAYBE,
    since_seconds=st.none() | SECONDS,
)
NODES = st.builds(
    NodeMemory, NUMBERS, MAYBE, MAYBE, NUMBERS, st.lists(st.builds(PodUsage, NAMES, NUMBERS, NAMES, NAMES)).map(tuple)
)
NEIGHBOURS = st.builds(Neighbour, NUMBERS, NAMES, NUMBERS, st.none() | NAMES, st.none() | NAMES)
ANY = st.builds(
    incident,
    scope=st.sampled_from(["container", "pod", "cgroup", "node", "unknown"]),
    limit_bytes=MAYBE,
    usage_bytes=MAYBE,
    limit_cgroup=st.none() | st.sampled_from(["/kubepods", "/kubepods/burstable", CGROUP]) | NAMES,
    victims=st.lists(
        st.builds(
            victim, comm=NAMES, command=st.none() | st.tuples(NAMES, NAMES), anon_bytes=NUMBERS, file_bytes=NUMBERS
        ),
        min_size=1,
        max_size=12,
    ).map(tuple),
    pid1=st.sampled_from(["lives", "seen", "killed", "gone", None]),
    container=st.none() | st.builds(Container, NAMES, st.none() | NAMES, limit_bytes=MAYBE),
    pod=st.none() | st.just(replace(POD, memory_volumes=VOLUMES, containers_limit_bytes=LIMIT)),
    trigger=st.none() | st.builds(Trigger, NUMBERS, NAMES, NAMES),
    limit_lowered=st.booleans(),
    sandbox=st.booleans(),
    memory=st.none() | PARTS,
    container_memory=st.none() | PARTS,
    neighbours=st.lists(NEIGHBOURS, max_size=5).map(tuple),
    neighbours_total=MAYBE,
    neighbours_bytes=MAYBE,
    node_memory=st.none() | NODES,
    trajectory=st.none() | STORIES,
    repeats=st.none() | st.builds(Repeats, NUMBERS, st.just(BOOT), st.none() | SECONDS),
    pressure=st.none() | st.builds(Pressure, SECONDS, SECONDS, SECONDS, SECONDS),
    hints=st.lists(st.builds(Hint, NAMES, NAMES, st.just(()), st.none() | NAMES), max_size=2).map(tuple),
)


@given(ANY, st.booleans())
def test_any_incident_has_a_message_and_a_block(sample: Incident, on_node: bool) -> None:
    """Within its bound, on one line; and why it was is one of the words that there are."""
    text = message(sample, on_node)
    assert 0 < len(text.encode()) <= 1024
    assert text.isprintable()
    assert all(line.isprintable() for line in block(sample).split("\n"))
    assert why(sample) in {None, *get_args(Share), "sandbox", "lowered", "node"}
