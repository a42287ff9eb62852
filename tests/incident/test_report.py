"""An incident on a terminal, and an Event as kubectl describe would show it.

In: incidents by samples. Out: text.
"""

from dataclasses import replace
from datetime import timedelta

from oomeventer.incident.events import compose, message
from oomeventer.incident.incident import Neighbour, Trigger
from oomeventer.incident.report import block, described
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
            "victim     hog: pid 4217 (17 inside), uid 1000, oom_score_adj 983, ran 3h, held 31.4Mi, at most 31.4Mi, "
            "page tables 0.1Mi, address space 104Mi",
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
    assert [line.split()[0] for line in block(sample).splitlines()[1:]] == ["cgroup", "victim"]
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
