"""How large an incident may be, whatever a tenant does: when it is made, and where it is copied to.

In: group kills of many with as much text as the kernel's record holds, hostile text, other Pods' victims. Out: sizes.
"""

import json
import tracemalloc
from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.incident import (
    Incident,
    IncidentError,
    MemoryVolume,
    Trigger,
    as_json,
    compose,
    decode,
    encode,
)
from oomeventer.incident import bounds as module
from oomeventer.incident.assemble import assemble
from oomeventer.incident.bounds import (
    ANNOTATION_BYTES,
    ARGUMENTS,
    LOG_BYTES,
    NOTES,
    ROW_BYTES,
    TEXT_BYTES,
    VARIABLES,
    VICTIMS,
    VICTIMS_WITH_TEXT,
    fitted,
    restored,
)
from oomeventer.incident.events import ANNOTATION
from oomeventer.incident.message import message
from oomeventer.kernel import Kill
from oomeventer.node import Observation
from oomeventer.redaction.policy import Redaction
from oomeventer.text import CUT
from samples import CGROUP, CONTAINER, HOST, POD, UID, incident, kill, victim

#: As the kernel's record has it at most: arguments of a byte each, and bytes that take five characters each in JSON.
MANY = b"a\0" * 2048
HOSTILE = b"\x1b" * 4095 + b"\0"
ALL = Redaction("all", "all")


def made(*kills: Kill, policy: Redaction = ALL) -> Incident:
    return assemble(kills, Observation(), {}, HOST, policy)


def group(count: int, **fields: Any) -> tuple[Kill, ...]:
    return tuple(kill(5000 + number, **fields) for number in range(count))


def size(text: str) -> int:
    return len(text.encode())


@pytest.mark.parametrize("arguments", [MANY, HOSTILE, b"x" * 4096])
@pytest.mark.parametrize("environment", [b"A=b\0" * 2048, b"A=" + b"\x1b" * 8189 + b"\0"])
@pytest.mark.parametrize("count", [1, 60, 700])
def test_an_incident_is_bounded_when_it_is_made(arguments: bytes, environment: bytes, count: int) -> None:
    """Text for the first sixteen, of so many arguments and variables, and figures for some more; the others are
    counted. It was 3.7 MB for 350 victims before."""
    bounded = made(*group(count, arguments=arguments, environment=environment))
    assert bounded.victims_total == count
    assert len(bounded.victims) == min(count, VICTIMS)
    assert all(victim.command is None and victim.environment is None for victim in bounded.victims[VICTIMS_WITH_TEXT:])
    assert all(len(victim.command or ()) <= ARGUMENTS + 1 for victim in bounded.victims)
    assert all(len(victim.environment or {}) <= VARIABLES for victim in bounded.victims)
    assert sum(map(module._text_bytes, bounded.victims)) <= TEXT_BYTES
    assert len(bounded.notes) <= NOTES
    assert size(module.encode(bounded)) <= ROW_BYTES // 2
    if count > 1:
        assert f"its group of {count} (memory.oom.group)" in message(bounded)


def test_what_the_pods_spec_names_is_bounded() -> None:
    """As many volumes of memory as are kept, with the longest names that the API server would not give: the Event has
    room, and where it has not, they go."""
    names = tuple(str(number) + "\U0001f4a3" * 252 for number in range(8))
    volumes = tuple(MemoryVolume(name, 1 << 60, names) for name in names)
    one = incident(pod=replace(POD, memory_volumes=volumes), container=replace(CONTAINER, name=names[0]))
    assert size(encode(one)) > ANNOTATION_BYTES
    text = fitted(one, ANNOTATION_BYTES)
    assert size(text) <= ANNOTATION_BYTES
    told = decode(text)
    assert told.pod
    assert (told.pod.memory_volumes, told.pod.name, told.truncated) == ((), POD.name, True)
    assert restored(encode(one)) == one


def test_what_is_cut_is_marked() -> None:
    """An argument more than there may be, and one fewer."""
    for count, is_cut in ((ARGUMENTS, False), (ARGUMENTS + 1, True)):
        bounded = made(kill(arguments=b"a\0" * count))
        assert bounded.chosen.command is not None
        assert (bounded.chosen.command[-1] == CUT) == is_cut
        assert len(bounded.chosen.command) == ARGUMENTS + is_cut


def test_the_first_have_their_text() -> None:
    """What there is room for, and those behind it have none rather than a part."""
    bounded = made(*group(16, arguments=b"x" * 4000 + b"\0", environment=b""))
    having = [victim.command is not None for victim in bounded.victims]
    assert having == sorted(having, reverse=True)
    assert having.count(True) == TEXT_BYTES // 4000


def test_victims_of_other_pods_are_only_counted() -> None:
    """A limit above the Pods can end several at once, and the Event is on one."""
    others = CGROUP.replace(UID, "5b0e7a52-0000-4000-8000-000000000001")
    bounded = made(kill(1), kill(2, cgroup=others, comm=b"theirs"), kill(3))
    assert [victim.pid for victim in bounded.victims] == [1, 3]
    assert bounded.victims_total == 3
    assert "theirs" not in module.encode(bounded)


def hostile() -> Incident:
    """As large as the stages can make one: the longest paths, names and notes that pass their gates."""
    path = "/" + "/".join(["\\x1b" * 60] * 16)
    long = "\u2713" * 512
    one = victim(command=("x" * 200,) * ARGUMENTS, environment={f"NAME_{n}": "y" * 500 for n in range(VARIABLES)})
    return incident(
        cgroup=path,
        limit_cgroup=path,
        trigger=Trigger(pid=1, comm="c", cgroup=path),
        victims=(one,) * VICTIMS_WITH_TEXT + (victim(command=None, environment=None),) * (VICTIMS - VICTIMS_WITH_TEXT),
        victims_total=900,
        pod=replace(POD, namespace=long, name=long, uid=long),
        notes=tuple(long for _ in range(NOTES)),
    )


@pytest.mark.parametrize("most", sorted({ANNOTATION_BYTES, LOG_BYTES, 32 << 10, 64 << 10, ROW_BYTES}))
def test_a_copy_fits(most: int) -> None:
    """Whatever the incident is; what is left is an incident, says that it was cut, and how many there were."""
    text = fitted(hostile(), most)
    assert size(text) <= most
    found = decode(text)
    assert (found.victims_total, found.chosen.pid) == (900, 4217)
    assert found.truncated or most == ROW_BYTES


def test_what_fits_stays() -> None:
    """Nothing is cut without need."""
    assert json.loads(fitted(incident(), ANNOTATION_BYTES)) == as_json(incident())


def test_an_annotation_is_small() -> None:
    """Of the largest incident too. It was up to 149 KiB before."""
    for one in (hostile(), made(*group(350, arguments=MANY)), made(*group(300, environment=b"A=b\0" * 2048))):
        annotation = compose(one).body["metadata"]["annotations"][ANNOTATION]
        assert size(annotation) <= ANNOTATION_BYTES
        assert json.loads(annotation)["truncated"]


def unbounded(count: int) -> Incident:
    """As 0.1.0 made it."""
    one = victim(command=("a",) * 2048, environment={f"V{number:04}": "x" for number in range(1024)})
    victims = tuple(replace(one, pid=5000 + number) for number in range(count))
    return incident(victims=victims, notes=tuple(f"note {number}" for number in range(count)))


@pytest.mark.parametrize("count", [1, 8, 60, 700])
def test_what_an_earlier_version_wrote_is_bounded_when_it_is_read(count: int) -> None:
    """As it would be if it were made now, in whatever way it is large: it was 7 MB of text for 700 victims."""
    found = restored(module.encode(unbounded(count)))
    assert found == restored(module.encode(found)), "it is not cut twice"
    assert (found.victims_total, found.chosen.pid, found.truncated) == (count, 5000, True)
    assert len(found.victims) == min(count, VICTIMS)
    assert len([one for one in found.victims if one.command]) <= VICTIMS_WITH_TEXT
    assert found.chosen.command == ("a",) * ARGUMENTS + (CUT,)
    assert sum(map(module._text_bytes, found.victims)) <= TEXT_BYTES
    assert size(module.encode(found)) <= ROW_BYTES // 2


def test_those_that_are_only_counted_never_become_objects() -> None:
    """Of 8 MB of JSON the objects would have 50."""
    text = module.encode(unbounded(700))
    tracemalloc.start()
    try:
        restored(text)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [1, 60])
def test_what_this_version_wrote_is_read_as_it_was(count: int) -> None:
    """Nothing is cut, or marked as cut, by being written down."""
    for one in (made(*group(count, arguments=MANY)), made(*group(count)), incident()):
        assert restored(fitted(one, ROW_BYTES)) == one


@pytest.mark.parametrize("victims", ["", ', "victims": 1', ', "victims": [1]'])
def test_a_large_row_that_is_no_incident(victims: str) -> None:
    """Is refused as a small one is."""
    with pytest.raises(IncidentError):
        restored('{"notes": ["' + "x" * ROW_BYTES + '"]' + victims + "}")
