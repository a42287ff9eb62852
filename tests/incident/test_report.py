"""An incident on a terminal, and an Event as kubectl describe would show it.

In: incidents by samples. Out: text.
"""

import re
from datetime import timedelta

from msgspec.structs import replace

from oomeventer.incident.codec import as_json
from oomeventer.incident.events import compose
from oomeventer.incident.incident import Neighbour, Trigger
from oomeventer.incident.listing import table
from oomeventer.incident.memory import Memory, NodeMemory, PodUsage
from oomeventer.incident.message import message
from oomeventer.incident.report import block, described
from oomeventer.incident.story import Hint, Repeats, Sample, Trajectory
from samples import (
    BOOT,
    CGROUP,
    CONTAINER,
    KI,
    MI,
    POD,
    POD_CGROUP,
    group_of,
    incident,
    on_the_host,
    victim,
)


def test_a_block() -> None:
    """The message, then the facts, each on its line."""
    sample = incident(
        limit_cgroup=POD_CGROUP,
        usage_bytes=31 * MI,
        trigger=Trigger(pid=4300, comm="curl", cgroup="/x"),
        neighbours=(Neighbour(4100, "sh", 900 * KI), Neighbour(4101, "tail", 4 * KI)),
        neighbours_total=7,
        notes=("a note", "another"),
        victims=(victim(started_at=BOOT - timedelta(hours=3), environment={"GOGC": "50", "A": "1"}),),
    )
    assert block(sample) == "\n  ".join(
        [
            f"2026-11-22T08:21:00.000000Z  {message(sample)}",
            "pod        shop/checkout-0, of Deployment checkout",
            "container  app  3f3f3f3f3f3f  registry.example/app:1",
            f"cgroup     {CGROUP}",
            f"ran out    {POD_CGROUP}: 31Mi of 32Mi used",
            "victim     hog: pid 4217 (17 inside), uid 1000, oom_score_adj 983, ran 3h, held 31.2Mi, "
            "mapped of files 0.1Mi, at most 31.4Mi, page tables 0.1Mi, address space 104Mi",
            "           hog 100",
            "           GOGC=50 A=1",
            "trigger    curl: pid 4300 in /x",
            "still in   sh (4100) 0.9Mi, tail (4101) 4Ki; 7 in all",
            "note       a note",
            "note       another",
        ]
    )


def test_a_block_of_little() -> None:
    """What is not known takes no line."""
    sample = on_the_host(victims=(victim(command=None, environment=None),))
    assert [line.split()[0] for line in block(sample).splitlines()[1:]] == ["unit", "cgroup", "victim"]
    thin = incident(container=replace(CONTAINER, name=None, image=None), pod=replace(POD, owner=None))
    lines = block(thin).splitlines()
    assert lines[1:3] == ["  pod        shop/checkout-0", "  container  ?  3f3f3f3f3f3f"]


def test_a_block_has_every_victim() -> None:
    """Of a group all members are reported, also those that the message leaves out."""
    lines = block(group_of(50)).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("  victim ")] == [
        "hog:",
        *(f"w{i}:" for i in range(49)),
    ]


def test_an_event_described() -> None:
    """The columns that kubectl shows, with nothing behind the last one."""
    body = compose(incident()).body
    words = body["message"]
    assert described(body).split("\n") == [
        "Type     Reason     Age  From        Message",
        "----     ------     ---  ----        -------",
        f"Warning  OOMKilled  0s   oomeventer  {words}",
    ]


def test_repeats_described() -> None:
    """A count beyond one stands beside the age."""
    assert "OOMKilled  0s (x5)  oomeventer" in described(compose(incident()).body | {"count": 5})


def test_a_block_tells_why() -> None:
    """Where the memory was, how it came to it, which time it is, what to do; a part that is nothing is left out."""
    sample = incident(
        memory=Memory(31 * MI, 0, MI, kernel_bytes=512 * KI, sock_bytes=4 * KI),
        container_memory=Memory(30 * MI, 0, MI, swap_bytes=0),
        node_memory=NodeMemory(512 * MI, None, 300 * MI, 1, (PodUsage("u", 300 * MI),)),
        trajectory=Trajectory(
            "/a", "spike", tuple(Sample(30.0 * n, MI * (40 - 8 * n)) for n in (4, 3, 2, 1)), before_bytes=8 * MI
        ),
        repeats=Repeats(5, BOOT, 2820.0),
        hints=(Hint("tmpfs", "Limit the volume.", ()),),
        neighbours=(Neighbour(4100, "sh", 900 * KI, "ab" * 32, "side"),),
        neighbours_total=1,
        neighbours_bytes=900 * KI,
    )
    lines = {name: rest for name, _, rest in (line.strip().partition("  ") for line in block(sample).splitlines()[1:])}
    assert lines["memory"].strip() == "anon 31Mi, tmpfs 1Mi, kernel 0.5Mi, network buffers 4Ki"
    assert lines["the container: anon 30Mi, tmpfs 1Mi"] == ""
    assert lines["node"].strip() == "512Mi; 1 Pods hold 300Mi"
    assert lines["samples"].strip() == "8Mi 2m before, 32Mi at last, 32Mi at most"
    assert lines["pattern"].strip() == "Memory rose at once from 8Mi"
    assert lines["repeats"].strip() == "5th such kill since 08:20 UTC, about every 47m"
    assert lines["hint"].strip() == "Limit the volume. (docs/hints.md#tmpfs)"
    assert lines["still in"].strip() == "sh (4100 in side) 0.9Mi; 1 in all, 0.9Mi"


def test_a_block_has_pictures() -> None:
    """Of the limit with its parts; of the samples, with the kill itself at the right where they are of what ran out."""
    samples = tuple(Sample(30.0 * n, MI * (40 - 8 * n)) for n in (4, 3, 2, 1))
    story = Trajectory(POD_CGROUP, "steady", samples)
    memory = Memory(30 * MI, 0, MI, kernel_bytes=MI)
    told = incident(
        limit_cgroup=POD_CGROUP, memory=memory, trajectory=story, victims=(victim(anon_bytes=30 * MI, shmem_bytes=0),)
    )
    lines = [line.strip() for line in block(told).splitlines()]
    position = lines.index("memory     anon 30Mi, tmpfs 1Mi, kernel 1Mi")
    assert lines[position + 1] == "█" * 56 + "▒▒" + "▚▚"
    assert lines[position + 2] == "█ process 30Mi  ▒ tmpfs 1Mi  ▚ kernel 1Mi"
    position = lines.index("samples    8Mi 2m before, 32Mi at last, 32Mi at most")
    assert lines[position + 1 : position + 5] == ["32Mi ┤┄┄┄┄┄ limit", "│  ▂██", "│ ▄███", "0 ┼▆████"]
    elsewhere = replace(told, limit_cgroup=CGROUP)
    assert "32Mi ┤┄┄┄┄ limit" in block(elsewhere)


def test_a_block_fits_a_terminal() -> None:
    """Lines break between words, pictures nowhere; only a word that is longer than the line stands out."""
    samples = tuple(Sample(30.0 * n, n * MI) for n in range(55, 0, -1))
    told = incident(
        hints=(Hint("tmpfs", "Limit the volume, " * 20, ()),),
        memory=Memory(31 * MI, 0, MI),
        trajectory=Trajectory(CGROUP, "steady", samples),
        victims=(victim(command=("/" + "x" * 100,)),),
    )
    for width in (20, 40, 60, 80, 120):
        lines = block(told, width).splitlines()
        assert [line for line in lines if len(line) > width and " " in line.strip()] == []
        assert _words(lines) == _words(block(told).splitlines())
        assert all(line.startswith("  ") for line in lines[1:])
        graph = [line[22:].strip() for line in lines if re.search("[┤│┼]", line)]
        assert [line[0] for line in graph] == (["┤", "│", "│", "┼"] if width >= 40 else [])
        assert all(line.endswith(" limit") for line in graph[:1])


def _words(lines: list[str]) -> list[str]:
    """Without pictures' lines."""
    return [word for line in lines if not re.search("[┤│┼]|[█▓▒▚░·]{2}", line) for word in line.split()]


def test_a_table() -> None:
    """Why, and by which pattern, where that is known."""
    spike = incident(trajectory=Trajectory("/a", "spike"), memory=Memory(0, 0, 64 * MI))
    head, row, bare = table(
        [as_json(one) | {"events": "delivered"} for one in (spike, incident(victims=(victim(anon_bytes=0),)))]
    )
    assert head.split()[:4] == ["TIME", "SCOPE", "WHY", "PATTERN"]
    assert row.split()[1:] == [
        "container",
        "tmpfs",
        "spike",
        "shop/checkout-0/app",
        "hog",
        "31.2Mi",
        "32Mi",
        "delivered",
    ]
    assert bare.split()[1:] == ["container", "shop/checkout-0/app", "hog", "0", "32Mi", "delivered"]
