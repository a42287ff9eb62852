"""The beginning of an incident, and its JSON against the schema that the project ships.

In: kills by samples, with what /proc said. Out: the incident, and as_json().
"""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomeventer.incident.assemble import assemble
from oomeventer.incident.incident import (
    SCHEMA as SCHEMA_NAME,
)
from oomeventer.incident.incident import (
    Container,
    Incident,
    Neighbour,
    Owner,
    Pod,
    Victim,
    from_json,
    rfc3339,
)
from oomeventer.incident.incident import Trigger as IncidentTrigger
from oomeventer.incident.redaction import Redaction
from oomeventer.kernel.kill import CHARGE_BATCH_PAGES, Kill, Missing, Process, Trigger
from oomeventer.kernel.record import PAGE
from oomeventer.node import procfs
from oomeventer.node.cgroup_path import identify
from oomeventer.node.procfs import Observation
from oomeventer.node.taskstats import Statistics
from samples import (
    BOOT,
    CGROUP,
    CONTAINER_ID,
    HOST,
    KI,
    LEVELS,
    LIMIT,
    MI,
    POD,
    POD_CGROUP,
    UID,
    group_of,
    incident,
    kill,
    level,
    on_the_host,
    victim,
)

SCHEMA = json.loads(resources.files("oomeventer").joinpath("incident/schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
STATISTICS = Statistics(12.5, 8 * MI, 100, 2, 0.25, None, 0.0)


def assembled(*kills: Kill, observation: Observation | None = None, **policy: Any) -> Incident:
    return assemble(kills or (kill(),), observation or Observation(), {}, HOST, Redaction(**policy))


def locked(index: int) -> tuple[Any, ...]:
    """LEVELS, where that one ran out, and all below it are locked with it."""
    full = replace(LEVELS[index], limit_bytes=LIMIT, usage_bytes=LIMIT - 1, peak_bytes=LIMIT + 1, locked=True)
    return (*(replace(below, locked=True) for below in LEVELS[:index]), full, *LEVELS[index + 1 :])


@pytest.mark.parametrize(
    ("index", "scope", "path"),
    [
        (0, "container", CGROUP),
        (1, "pod", POD_CGROUP),
        (2, "cgroup", "/kubepods/burstable"),
        (3, "cgroup", "/kubepods"),
        (4, "cgroup", "/"),
    ],
)
def test_scopes(index: int, scope: str, path: str) -> None:
    """The memcg that ran out names the scope by its place, and its figures are the incident's."""
    made = assembled(kill(levels=locked(index)))
    assert (made.scope, made.limit_cgroup) == (scope, path)
    assert (made.limit_bytes, made.usage_bytes, made.peak_bytes) == (LIMIT, LIMIT - 1, LIMIT + 1)


def test_the_node_has_no_limit() -> None:
    """Where no memcg ran out it was the node, and there are no figures."""
    made = assembled(kill(levels=(level(inode=101), level(inode=1))))
    assert (made.scope, made.limit_cgroup) == ("node", None)
    assert (made.limit_bytes, made.usage_bytes, made.peak_bytes) == (None, None, None)


def test_what_the_kernel_leaves_open_is_unknown() -> None:
    """Without locks, and with several memcgs near their limits, the likeliest is named and not called certain."""
    batches = 2 * CHARGE_BATCH_PAGES * PAGE
    levels = (
        level(LIMIT, usage_bytes=LIMIT - batches, ooms=1),
        level(LIMIT, inode=102, usage_bytes=LIMIT, ooms=1),
    )
    cpus = os.cpu_count() or 1
    made = assembled(kill(levels=levels, locks_known=False))
    assert (made.scope, made.limit_cgroup) == (("unknown", CGROUP) if cpus > 1 else ("pod", POD_CGROUP))


def test_what_ran_out_lies_beyond_the_levels() -> None:
    """The kernel named a memcg that the record has no room for: unknown, without figures, and no cgroup is made up."""
    made = assembled(kill(domain_inode=999))
    assert (made.scope, made.limit_cgroup, made.limit_bytes) == ("unknown", None, None)


def test_a_cgroup_inside_the_container() -> None:
    """A limit that the container set itself, below its own cgroup, is a cgroup's; the container is still known."""
    made = assembled(kill(cgroup=f"{CGROUP}/init.scope", levels=(replace(LEVELS[0], inode=100), *LEVELS[1:])))
    assert (made.scope, made.limit_cgroup) == ("cgroup", f"{CGROUP}/init.scope")
    assert made.container is not None
    assert made.container.id == CONTAINER_ID
    assert made.identity.pod_uid == UID


def test_a_process_of_the_host() -> None:
    """Outside any Pod there is no container."""
    made = assembled(kill(cgroup="/system.slice/backup.service", levels=LEVELS[:1]))
    assert (made.scope, made.container, made.pod) == ("cgroup", None, None)


def test_every_fact_of_the_victim() -> None:
    """What the kernel said of the victim stands in the incident, with the time of the host's clock."""
    first = kill(shmem_bytes=3, swap_bytes=5)
    made = assemble((first,), Observation(), {first.process: STATISTICS}, HOST, Redaction())
    assert made.victims == (
        victim(
            shmem_bytes=3,
            swap_bytes=5,
            started_at=HOST.time(first.process.start_ns),
            statistics=STATISTICS,
        ),
    )
    assert (made.time - BOOT).total_seconds() == 9
    assert (made.node, made.boot_id, made.lost) == (HOST.node, HOST.boot_id, 0)
    assert made.chosen.rss_bytes == first.anon_bytes + first.file_bytes + 3


def test_redaction_is_applied() -> None:
    """Secrets are masked where the incident made, and what is not listed of the environment does not appear."""
    hog = kill(arguments=b"hog\0--password\0hunter2\0-n\x005\0", environment=b"GOGC=50\0DB_PASSWORD=hunter2\0")
    made = assembled(hog)
    assert made.chosen.command == ("hog", "--password", "***", "-n", "5")
    assert made.chosen.environment == {"GOGC": "50"}
    assert "hunter2" not in repr(made)


def test_a_policy_of_none_is_no_loss() -> None:
    """With arguments turned off nothing of them is shown, and no note calls them lost."""
    made = assembled(arguments="none", environment="none")
    assert (made.chosen.command, made.chosen.environment, made.notes) == ((), {}, ())


def test_arguments_from_proc_fill_in() -> None:
    """What the record lacks is taken from /proc, redacted alike; the record's own counts first."""
    late, known = kill(1, arguments=None, environment=None), kill(2)
    observation = Observation(
        arguments={late.process: b"late\0hunter2\0", known.process: b"wrong\0"},
        environment={late.process: b"GOGC=1\0PW=hunter2\0"},
    )
    first, second = assembled(late, known, observation=observation).victims
    assert (first.command, first.environment) == (("***", "***"), {"GOGC": "1"})
    assert second.command == ("hog", "100")


def test_what_is_missing_is_noted() -> None:
    """A victim that was gone too soon, and what was cut, are told in words; nothing is refused for it."""
    made = assembled(kill(arguments=None, environment=None, missing=Missing.TRIGGER_CGROUP | Missing.LEVELS))
    assert (made.chosen.command, made.chosen.environment, made.truncated) == (None, None, True)
    assert made.notes == (
        "trigger cgroup: cut or not readable",
        "levels: cut or not readable",
        "arguments of hog (4217): it was gone, or they were swapped out",
    )
    assert not assembled().truncated


def test_hostile_names_become_printable() -> None:
    """Names that the victim chose itself cannot break a line or a terminal."""
    hostile = b"\x1b[31mx\n\xff"
    path = "/a\nb\udcff"
    made = assembled(
        kill(comm=hostile, cgroup=path, levels=locked(0), trigger=Trigger(Process(1, 1), 1, hostile, path)),
        observation=Observation(neighbours=(procfs.Neighbour(9, hostile, 1),), neighbours_total=1),
    )
    shown, shown_path = r"\x1b[31mx\n\xff", r"/a\nb\xff"
    assert (made.chosen.comm, made.trigger.comm, made.neighbours[0].comm) == (shown, shown, shown)
    assert (made.cgroup, made.trigger.cgroup, made.limit_cgroup) == (shown_path, shown_path, shown_path)


def test_group_of_several() -> None:
    """The first is the chosen one; all are members."""
    made = assembled(kill(1), kill(2), kill(3))
    assert [(one.pid, one.chosen) for one in made.victims] == [(1, True), (2, False), (3, False)]
    assert made.group


@pytest.mark.parametrize(
    ("levels", "group"),
    [
        ((replace(LEVELS[0], group=True), *LEVELS[1:]), True),
        ((LEVELS[0], replace(LEVELS[1], group=True), *LEVELS[2:]), False),
        ((level(inode=101), level(inode=102, group=True)), True),
        (LEVELS, False),
    ],
    ids=["at the limit", "above the limit", "node", "nowhere"],
)
def test_group_of_one(levels: tuple[Any, ...], group: bool) -> None:
    """A lone victim was a group where the flag stands at or below the memcg that ran out, or anywhere for a node's."""
    assert assembled(kill(levels=levels)).group is group


def test_the_key_is_the_kills_own() -> None:
    """The same kill has the same key each time, another start, pid or boot another one."""
    first = kill()
    other_boot = assemble((first,), Observation(), {}, replace(HOST, boot_id="other"), Redaction())
    keys = [
        assembled(first).key,
        assembled(kill(4218)).key,
        assembled(kill(process=Process(4217, 1))).key,
        other_boot.key,
    ]
    assert len(set(keys)) == 4
    assert assembled(first, kill(9)).key == assembled(first).key
    assert all(len(key) == 16 for key in keys)


FULL = incident(
    victims=(victim(statistics=STATISTICS), victim(4218, chosen=False, command=None, environment=None)),
    neighbours=(Neighbour(1, "sh", 4 * KI),),
    neighbours_total=1,
    notes=("a note",),
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
    ids=["full", "no pod", "bare pod", "host", "group", "begun", "thin", "hostile"],
)
def test_json_is_as_the_schema_says(sample: Incident) -> None:
    """What as_json() writes is valid, and survives the way through text."""
    VALIDATOR.validate(json.loads(json.dumps(sample.as_json())))


SAMPLES = [FULL, incident(pod=None), incident(pod=replace(POD, owner=None)), on_the_host(), group_of(50), assembled()]


@pytest.mark.parametrize("sample", SAMPLES, ids=["full", "no pod", "no owner", "host", "group", "begun"])
def test_json_and_back(sample: Incident) -> None:
    """Nothing of an incident is lost in the journal, whatever stage it was in."""
    assert from_json(json.loads(json.dumps(sample.as_json(), ensure_ascii=False))) == sample


NUMBERS = st.integers(0, 2**63)
MAYBE = st.none() | NUMBERS
SECONDS = st.none() | st.floats(0, 1e9)
TIMES = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))
VICTIMS = st.builds(
    Victim,
    command=st.none() | st.lists(st.text(), max_size=4).map(tuple),
    environment=st.none() | st.dictionaries(st.text(), st.text(), max_size=4),
    started_at=TIMES,
    statistics=st.none() | st.builds(Statistics, SECONDS, MAYBE, MAYBE, MAYBE, SECONDS, SECONDS, SECONDS),
)
INCIDENTS = st.builds(
    Incident,
    time=TIMES,
    cgroup=st.sampled_from([CGROUP, POD_CGROUP, "/", "/system.slice/x.service"]) | st.text(),
    identity=st.none(),
    trigger=st.builds(IncidentTrigger),
    victims=st.lists(VICTIMS, min_size=1, max_size=3).map(tuple),
    neighbours=st.lists(st.builds(Neighbour), max_size=3).map(tuple),
    container=st.none() | st.builds(Container, name=st.none() | st.text(), image=st.none() | st.text()),
    pod=st.none() | st.builds(Pod, owner=st.none() | st.builds(Owner), limit_bytes=MAYBE),
    notes=st.lists(st.text(), max_size=3).map(tuple),
).map(lambda one: replace(one, identity=identify(one.cgroup)))


@given(INCIDENTS)
def test_any_incident_to_json_and_back(sample: Incident) -> None:
    """Whatever is in it."""
    assert from_json(json.loads(json.dumps(sample.as_json(), ensure_ascii=False))) == sample


def test_json_of_another_version() -> None:
    """It is refused, not guessed at; keys that are new are passed over."""
    assert from_json(FULL.as_json() | {"events": "delivered"}) == FULL
    with pytest.raises(ValueError, match=f"reads {SCHEMA_NAME}"):
        from_json(FULL.as_json() | {"schema": "oomeventer/v9"})
    for wrong in ({}, [], None, {"schema": SCHEMA_NAME}, FULL.as_json() | {"victims": None}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            from_json(wrong)  # type: ignore[arg-type]


def test_the_schema_is_one() -> None:
    """It is a valid schema of draft 2020-12; each object is closed, requires its keys, and each value is described."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"

    def look(schema: dict[str, Any], path: str) -> int:
        inner = [(f"{path}[]", schema["items"])] if "properties" in schema.get("items", {}) else []
        if "properties" in schema:
            assert schema["additionalProperties"] is False, path
            assert schema["required"] == list(schema["properties"]), path
            inner += [(f"{path}.{key}", value) for key, value in schema["properties"].items()]
        assert schema["description"], path
        if path.endswith("_bytes"):
            assert "in bytes" in schema["description"], path
        if path.endswith("_seconds"):
            assert "in seconds" in schema["description"], path
        return 1 + sum(look(value, name) for name, value in inner)

    assert look(SCHEMA, "$") > 60


def keys(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of all keys of objects, but for the environment's."""
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in keys(item, (*path, index))]
    if not isinstance(value, dict) or path[-1:] == ("environment",):
        return []
    return [found for key, item in value.items() for found in [(*path, key), *keys(item, (*path, key))]]


@pytest.mark.parametrize("path", keys(FULL.as_json()), ids=lambda path: ".".join(map(str, path)))
def test_the_schema_misses_no_key(path: tuple[str | int, ...]) -> None:
    """Without any one key, with another beside it, or with a value of a wrong type, the JSON is refused."""
    for spoil in ("take", "add", "mistype"):
        whole = FULL.as_json()
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
    assert FULL.as_json()["pod"]["owner"] == {"kind": "Deployment", "name": "checkout"}
