"""The beginning of an incident. In: kills by samples, with what /proc adds. Out: the incident."""

import json
import os
from importlib import resources
from typing import Any

import jsonschema
import pytest
from msgspec.structs import asdict, replace

from oomeventer.incident.assemble import assemble
from oomeventer.incident.incident import Incident
from oomeventer.incident.victim import Statistics
from oomeventer.kernel.kill import CHARGE_BATCH_PAGES, Kill, Missing, Process, Trigger
from oomeventer.kernel.record import PAGE
from oomeventer.node import Neighbour, Neighbours
from oomeventer.node.procfs import Observation
from oomeventer.node.taskstats import Statistics as Taskstats
from oomeventer.redaction.policy import Redaction
from samples import (
    BOOT,
    CGROUP,
    CONTAINER_ID,
    HOST,
    LEVELS,
    LIMIT,
    MI,
    POD_CGROUP,
    UID,
    kill,
    level,
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


@pytest.mark.parametrize("index", [0, 1])
def test_the_runtimes_inner_cgroup(index: int) -> None:
    """crun's cgroup within the container's has its limit, too: either is the container's."""
    scope = f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{CONTAINER_ID}.scope"
    made = assembled(kill(cgroup=f"{scope}/container", levels=(replace(LEVELS[0], locked=False), *locked(index))[1:]))
    assert (made.scope, made.limit_cgroup) == ("container", f"{scope}/container" if index == 0 else scope)
    assert made.container is not None
    assert (made.container.id, made.container.runtime) == (CONTAINER_ID, "cri-o")


def test_a_limit_that_was_lowered() -> None:
    """By systemd, say: the incident says so, with the limit as it is now."""
    above = replace(LEVELS[0], limit_bytes=16 * MI, usage_bytes=30 * MI, locked=False, ooms=1)
    by = Trigger(process=Process(1, 1), tid=1, comm=b"systemd", cgroup="/init.scope")
    made = assembled(kill(levels=(above, *LEVELS[1:]), trigger=by))
    assert (made.limit_lowered, made.scope, made.limit_bytes, made.usage_bytes) == (True, "container", 16 * MI, 30 * MI)
    assert not assembled().limit_lowered


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
    """What the kernel recorded of the victim stands in the incident, with the time of the host's clock."""
    first = kill(shmem_bytes=3, swap_bytes=5)
    made = assemble((first,), Observation(), {first.process: Taskstats(**asdict(STATISTICS))}, HOST, Redaction())
    assert made.victims == (
        victim(
            shmem_bytes=3,
            swap_bytes=5,
            started_at=HOST.time(first.process.start_ns),
            statistics=STATISTICS,
        ),
    )
    assert (made.time - BOOT).total_seconds() == 9
    assert (made.node, made.boot_id, made.lost_before) == (HOST.node, HOST.boot_id, 0)
    assert made.chosen.rss_bytes == first.anon_bytes + first.file_bytes + 3


def test_redaction_is_applied() -> None:
    """Secrets are masked where the incident made, and what is not listed of the environment does not appear."""
    hog = kill(arguments=b"hog\0--password\0hunter2\0-n\x005\0", environment=b"GOGC=50\0DB_PASSWORD=hunter2\0")
    made = assembled(hog)
    assert made.chosen.command == ("hog", "--password", "***", "-n", "5")
    assert made.chosen.environment == {"GOGC": "50"}
    assert "hunter2" not in repr(made)


@pytest.mark.parametrize("missing", [Missing(0), Missing.ARGUMENTS | Missing.ENVIRONMENT])
def test_what_is_cut_is_not_shown(missing: Missing) -> None:
    """Half a word at the record's end, whether the kernel says that it was cut or /proc gave as much as was asked for;
    a whole one is shown."""
    arguments, environment = b"hog\0/a\0/hunter", b"GOGC=1\0GOMEMLIMIT=51"
    if not missing:
        arguments = arguments.replace(b"/a", b"/a" * 2044)[:4096]
        environment = environment.replace(b"=1", b"=" + b"1" * 8173)[:8192]
        assert (len(arguments), len(environment)) == (4096, 8192)
    hog = kill(arguments=None, environment=None, missing=missing)
    observation = Observation(arguments={hog.process: arguments}, environment={hog.process: environment})
    for made in (
        assembled(kill(arguments=arguments, environment=environment, missing=missing)),
        assembled(hog, observation=observation),
    ):
        assert made.chosen.command
        assert made.chosen.command[-1] == "***"
        assert (made.chosen.environment or {})["GOMEMLIMIT"] == "***"
    whole = assembled(kill(arguments=b"hog\0/hunter\0", environment=b"GOMEMLIMIT=51\0", missing=missing)).chosen
    assert (whole.command, whole.environment) == (("hog", "/hunter"), {"GOMEMLIMIT": "51"})


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
    """A victim that was gone too soon, and what was cut, are noted in words; nothing is refused for it."""
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
        observation=Observation(neighbours=Neighbours((Neighbour(9, hostile, 1),), 1, 1)),
    )
    shown, shown_path = r"\x1b[31mx\n\xff", r"/a\nb\xff"
    assert (made.chosen.comm, made.trigger.comm, made.neighbours[0].comm) == (shown, shown, shown)
    assert (made.cgroup, made.trigger.cgroup, made.limit_cgroup) == (shown_path, shown_path, shown_path)


def test_group_of_several() -> None:
    """The first is the chosen one; all are members."""
    made = assembled(kill(1), kill(2), kill(3))
    assert [(one.pid, one.chosen) for one in made.victims] == [(1, True), (2, False), (3, False)]
    assert made.group_kill


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
    assert assembled(kill(levels=levels)).group_kill is group


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
