"""An incident's JSON: to text and back, against the schema that the project ships, and against what 0.1.0 wrote.

In: incidents by samples and by hypothesis; tests/support/data/incident-0.1.0.json, as the code of 0.1.0 wrote it. Out:
text, incidents, IncidentError.
"""

import json
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oomeventer.incident.assemble import assemble
from oomeventer.incident.codec import IncidentError, as_json, decode, encode, from_json
from oomeventer.incident.fields import Moment, rfc3339
from oomeventer.incident.incident import SCHEMA, Incident, Neighbour, Trigger
from oomeventer.incident.memory import CgroupEvents, Memory, NodeMemory, PodUsage, Pressure
from oomeventer.incident.story import Hint, Repeats, Sample, Trajectory
from oomeventer.incident.victim import Statistics, Victim
from oomeventer.incident.workload import Container, MemoryVolume, Owner, Pod
from oomeventer.kernel.kill import Kill, Missing
from oomeventer.node.procfs import Observation
from oomeventer.redaction.policy import Redaction
from places import DATA
from samples import (
    BOOT,
    CGROUP,
    CONTAINER_ID,
    HOST,
    KI,
    MI,
    POD,
    POD_CGROUP,
    UID,
    group_of,
    incident,
    kill,
    on_the_host,
    victim,
)
from schema import FILE, text

PUBLISHED = json.loads(resources.files("oomeventer").joinpath("incident/schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(PUBLISHED)
WRITTEN = json.loads((DATA / "incident-0.1.0.json").read_text(encoding="utf-8"))
STATISTICS = Statistics(12.5, 8 * MI, 100, 2, 0.25, None, 0.0)


def assembled(*kills: Kill) -> Incident:
    return assemble(kills or (kill(),), Observation(), {}, HOST, Redaction())


FULL = incident(
    victims=(victim(statistics=STATISTICS), victim(4218, chosen=False, command=None, environment=None)),
    neighbours=(Neighbour(1, "sh", 4 * KI, CONTAINER_ID, "app"),),
    neighbours_total=1,
    pod=replace(POD, containers_limit_bytes=32 * MI, memory_volumes=(MemoryVolume("scratch", 8 * MI, ("app",)),)),
    notes=("a note",),
    message="Container app ran out of its 32Mi memory limit",
    memory=Memory(30 * MI, MI, MI, kernel_bytes=KI),
    container_memory=Memory(30 * MI, MI, 0),
    neighbours_bytes=4 * KI,
    cgroup_events=CgroupEvents(max=12, oom=1, oom_kill=1),
    pressure=Pressure(38.0, 12.5, 3.0, 0.0),
    node_memory=NodeMemory(512 * MI, 4 * MI, 300 * MI, 1, (PodUsage(UID, 300 * MI, "shop", "checkout-0"),)),
    trajectory=Trajectory("/a", "steady", (Sample(30.0, 20 * MI),), rate_bytes_per_hour=MI, lasts_seconds=230400.0),
    repeats=Repeats(5, BOOT, 2820.0),
    hints=(Hint("tmpfs", "Limit the volume.", ("shmem 30Mi",)),),
)


@pytest.mark.parametrize(
    "sample",
    [
        FULL,
        incident(pod=None),
        incident(pod=replace(POD, owner=None, restart_policy=None), pid1=None),
        on_the_host(),
        group_of(50),
        assembled(),
        assembled(kill(arguments=None, environment=None, missing=~Missing(0))),
        assembled(kill(comm=b"\xff\n", cgroup="/\udcff", levels=())),
    ],
    ids=["full", "no pod", "bare pod", "host", "group", "recorded", "thin", "hostile"],
)
def test_json_is_as_the_schema_says(sample: Incident) -> None:
    """What is written is valid, on one line."""
    VALIDATOR.validate(json.loads(encode(sample)))
    assert encode(sample).isprintable()


SAMPLES = [FULL, incident(pod=None), incident(pod=replace(POD, owner=None)), on_the_host(), group_of(50), assembled()]


@pytest.mark.parametrize("sample", SAMPLES, ids=["full", "no pod", "no owner", "host", "group", "recorded"])
def test_json_and_back(sample: Incident) -> None:
    """Nothing of an incident is lost in the journal, whatever stage it was in."""
    assert decode(encode(sample)) == sample
    assert as_json(sample) == json.loads(encode(sample))
    assert from_json(as_json(sample)) == sample


NUMBERS = st.integers(0, 2**76)  # bytes of 2**64 pages
MAYBE = st.none() | NUMBERS
SECONDS = st.none() | st.floats(0, 1e9)
TIMES = st.datetimes(min_value=datetime(1970, 1, 1)).map(lambda one: Moment(*one.timetuple()[:6], one.microsecond, UTC))
VICTIMS = st.builds(
    Victim,
    command=st.none() | st.lists(st.text(), max_size=4).map(tuple),
    environment=st.none() | st.dictionaries(st.text(), st.text(), max_size=4),
    started_at=TIMES,
    statistics=st.none() | st.builds(Statistics, st.floats(0, 1e9), MAYBE, NUMBERS, NUMBERS, SECONDS, SECONDS, SECONDS),
)
INCIDENTS = st.builds(
    Incident,
    time=TIMES,
    cgroup=st.sampled_from([CGROUP, POD_CGROUP, "/", "/system.slice/x.service"]) | st.text(),
    trigger=st.builds(Trigger),
    victims=st.lists(VICTIMS, min_size=1, max_size=3).map(tuple),
    neighbours=st.lists(st.builds(Neighbour), max_size=3).map(tuple),
    container=st.none() | st.builds(Container, name=st.none() | st.text(), image=st.none() | st.text()),
    pod=st.none() | st.builds(Pod, owner=st.none() | st.builds(Owner), limit_bytes=MAYBE),
    notes=st.lists(st.text(), max_size=3).map(tuple),
)


@given(INCIDENTS)
def test_any_incident_to_json_and_back(sample: Incident) -> None:
    """Whatever is in it."""
    assert decode(encode(sample)) == sample
    assert from_json(as_json(sample)) == sample


def test_further_keys_are_ignored() -> None:
    """A newer agent's, of the same schema, wherever they are."""
    value = as_json(FULL) | {"events": "delivered"}
    for inner in (
        value["trigger"],
        value["memory"],
        *value["victims"],
        value["victims"][0]["statistics"],
        value["container"],
    ):
        inner["new"] = {"of": ["any", 1.5, None]}
    value["pod"]["owner"]["new"] = value["pod"]["new"] = value["neighbours"][0]["new"] = 1
    assert from_json(value) == decode(json.dumps(value)) == FULL


#: What the first version wrote. What came later may be missing.
REQUIRED = list(WRITTEN["container"])
WRONG = [
    *({}, [], None, "text", 1, {"schema": SCHEMA}),
    as_json(FULL) | {"schema": "oomeventer/v9"},
    as_json(FULL) | {"victims": None},
    as_json(FULL) | {"limit_bytes": "33554432"},
    as_json(FULL) | {"lost_before": True},
    as_json(FULL) | {"time": "yesterday"},
    as_json(FULL) | {"time": 1795335612},
    *({key: value for key, value in as_json(FULL).items() if key != left_out} for left_out in REQUIRED),
]


@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_incident(value: object) -> None:
    """Of another version, without a key, or of a wrong type: it is refused, not guessed at, with one kind of error."""
    with pytest.raises(IncidentError, match=SCHEMA):
        from_json(value)
    with pytest.raises(IncidentError, match=SCHEMA):
        decode(json.dumps(value))


@pytest.mark.parametrize(
    "text", ["", "{", "\ufffd", chr(0xD800), "[" * 100_000, '{"new": ' + "[" * 100_000, '{"key": "\\ud800"}']
)
def test_what_is_no_json(text: str) -> None:
    """The same error."""
    with pytest.raises(IncidentError):
        decode(text)


def of_that_time(now: Any, then: Any) -> Any:
    """Of what is written now the keys that were written then, in their order now."""
    if isinstance(then, dict):
        return {key: of_that_time(value, then[key]) for key, value in now.items() if key in then}
    if isinstance(then, list):
        return [of_that_time(*pair) for pair in zip(now, then, strict=True)]
    return now


@pytest.mark.parametrize("shape", sorted(WRITTEN))
def test_what_0_1_0_wrote(shape: str) -> None:
    """It is read, and written again as it was, key for key, in its order. What was added since is beside it."""
    written = json.dumps(WRITTEN[shape], ensure_ascii=False)
    again = json.loads(encode(decode(written)))
    assert json.dumps(of_that_time(again, WRITTEN[shape]), ensure_ascii=False) == written
    assert again["victims_total"] == len(WRITTEN[shape]["victims"])
    assert (again["memory"], again["hints"]) == (None, [])
    VALIDATOR.validate(again)


def test_the_schema_is_one() -> None:
    """It is made of the types, and valid of draft 2020-12; each object is closed, requires its keys, and each value is
    described."""
    assert FILE.read_text() == text(), "make schema"
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)
    assert PUBLISHED["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    objects = {"Incident": PUBLISHED, **PUBLISHED["$defs"]}
    assert len(objects) == 18
    for name, found in objects.items():
        assert found["additionalProperties"] is False, name
        assert found["required"] == list(found["properties"]), name
        assert found["description"], name
        for key, value in found["properties"].items():
            assert value["description"], (name, key)
            if key.endswith("_bytes"):
                assert "in bytes" in value["description"], (name, key)
            if key.endswith("_seconds"):
                assert "in seconds" in value["description"], (name, key)


def keys(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of all keys of objects, but for the environment's."""
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in keys(item, (*path, index))]
    if not isinstance(value, dict) or path[-1:] == ("environment",):
        return []
    return [found for key, item in value.items() for found in [(*path, key), *keys(item, (*path, key))]]


@pytest.mark.parametrize("path", keys(as_json(FULL)), ids=lambda path: ".".join(map(str, path)))
def test_the_schema_misses_no_key(path: tuple[str | int, ...]) -> None:
    """Without any one key, with another beside it, or with a value of a wrong type, the JSON is refused."""
    for spoil in ("take", "add", "mistype"):
        whole = as_json(FULL)
        place: Any = whole
        for step in path[:-1]:
            place = place[step]
        if spoil == "take":
            del place[path[-1]]
        elif spoil == "add":
            place["another"] = None
        else:
            place[path[-1]] = object
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(whole)


def test_rfc3339() -> None:
    """UTC, with microseconds, also where there are none."""
    assert rfc3339(BOOT) == "2026-11-22T08:20:12.000000Z"


def test_owner_is_written_as_an_object() -> None:
    """The workload has its kind and its name."""
    assert FULL.pod is not None
    assert FULL.pod.owner == Owner("Deployment", "checkout")
    assert as_json(FULL)["pod"]["owner"] == {"kind": "Deployment", "name": "checkout"}
