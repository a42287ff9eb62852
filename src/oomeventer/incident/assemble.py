"""An episode becomes an incident. In: the kernel's kills, what /proc adds, the redaction policy. Out: an Incident.

Rules: pure. Here, and nowhere later, what the victim chose (its names, environment; of arguments see commands.py) is
redacted, made printable and bounded: an incident holds nothing secret or hostile, and is never large (bounds.py).
"""

import hashlib
from collections.abc import Iterator, Sequence

from msgspec.structs import asdict

from oomeventer.incident import bounds, where
from oomeventer.incident.commands import Commands, is_cut, kept, read_commands
from oomeventer.incident.incident import SCHEMA, Host, Incident, Neighbour, Scope, Trigger
from oomeventer.incident.victim import Statistics, Victim
from oomeventer.incident.workload import Container
from oomeventer.kernel import Kill, Missing, Process, ancestor, is_lowered, ran_out_here
from oomeventer.node import ENVIRONMENT_BYTES, Glance, Identity, Observation, identify
from oomeventer.node import Statistics as Taskstats
from oomeventer.redaction import Redaction, parse_environment
from oomeventer.text import printable

_NO_GLANCE = Glance()


def assemble(
    kills: tuple[Kill, ...],
    observation: Observation,
    statistics: dict[Process, Taskstats],
    host: Host,
    redaction: Redaction,
    glance: Glance = _NO_GLANCE,
    commands: Commands | None = None,
) -> Incident:
    """The incident of an episode, before anybody was asked whose container it is. commands: where they are read
    already."""
    first = kills[0]
    commands = read_commands(kills, observation, redaction) if commands is None else commands
    identity = identify(first.cgroup)
    ran_out = ran_out_here(first)
    limit_cgroup = None if ran_out.level is None else ancestor(first.cgroup, ran_out.level)
    level = None if ran_out.level is None else first.levels[ran_out.level]
    missing = _missing(kills)
    victims = bounds.within_text(
        tuple(
            _victim(kill, number, observation, statistics, host, redaction, commands)
            for number, kill in enumerate(kept(kills))
        )
    )
    return Incident(
        schema=SCHEMA,
        key=_key(host.boot_id, first.process),
        time=host.time(first.time_ns),
        node=host.node,
        boot_id=host.boot_id,
        scope=_scope(limit_cgroup, identity) if ran_out.certain else "unknown",
        limit_bytes=level.limit_bytes if level else None,
        usage_bytes=level.usage_bytes if level else None,
        peak_bytes=level.peak_bytes if level else None,
        limit_cgroup=None if limit_cgroup is None else printable(limit_cgroup),
        cgroup=printable(first.cgroup),
        trigger=Trigger(
            pid=first.trigger.process.pid,
            comm=printable(first.trigger.comm),
            cgroup=printable(first.trigger.cgroup),
        ),
        victims=victims,
        group_kill=len(kills) > 1 or any(level.group for level in first.levels[: ran_out.levels]),
        pid1="killed" if any(kill.process == first.init for kill in kills) else observation.pid1,
        limit_lowered=ran_out.level is not None and ran_out.certain and is_lowered(first, ran_out.level),
        neighbours=tuple(
            Neighbour(
                other.pid,
                printable(other.comm),
                other.rss_bytes,
                other.container_id,
                shmem_bytes=other.shmem_bytes,
            )
            for other in observation.neighbours.largest
        ),
        neighbours_total=observation.neighbours.total,
        neighbours_bytes=observation.neighbours.rss_bytes,
        truncated=bool(missing) or len(victims) < len(kills) or len(victims) > bounds.VICTIMS_WITH_TEXT,
        lost_before=first.lost,
        container=Container(id=identity.container_id, runtime=identity.runtime) if identity.container_id else None,
        pod=None,
        notes=bounds.notes((*_notes(kills, victims, observation), *where.notes(glance))),
        memory=where.memory(glance, kills),
        container_memory=where.container_memory(glance, kills, identity),
        cgroup_events=where.cgroup_events(glance),
        pressure=where.pressure(glance),
        node_memory=where.node_memory(glance, kills, identity),
        victims_total=len(kills),
    )


def _missing(kills: Sequence[Kill]) -> Missing:
    missing = Missing(0)
    for kill in kills:
        missing |= kill.missing
    return missing


def _notes(kills: Sequence[Kill], victims: Sequence[Victim], observation: Observation) -> Iterator[str]:
    if observation.is_late:
        yield "PID 1 and other processes: /proc did not answer in time"
    for what in _missing(kills):
        if what is Missing.OMITTED:
            yield "arguments and environment: left out where the kernel's ring was half full"
        else:
            yield f"{(what.name or '').lower().replace('_', ' ')}: cut or not readable"
    for kill, victim in zip(kept(kills)[: bounds.VICTIMS_WITH_TEXT], victims, strict=False):
        if victim.command is None and Missing.OMITTED not in kill.missing:
            yield f"arguments of {victim.comm} ({victim.pid}): it was gone, or they were swapped out"


def _victim(
    kill: Kill,
    number: int,
    observation: Observation,
    statistics: dict[Process, Taskstats],
    host: Host,
    policy: Redaction,
    commands: Commands,
) -> Victim:
    found = statistics.get(kill.process)
    command = commands.get(kill.process)
    return Victim(
        pid=kill.process.pid,
        container_pid=kill.container_pid,
        comm=printable(kill.comm),
        command=command.shown if command else None,
        environment=_environment(kill, observation, policy) if number < bounds.VICTIMS_WITH_TEXT else None,
        uid=kill.uid,
        started_at=host.time(kill.process.start_ns),
        anon_bytes=kill.anon_bytes,
        file_bytes=kill.file_bytes,
        shmem_bytes=kill.shmem_bytes,
        swap_bytes=kill.swap_bytes,
        pgtables_bytes=kill.pgtables_bytes,
        total_vm_bytes=kill.total_vm_bytes,
        peak_rss_bytes=kill.peak_rss_bytes,
        oom_score_adj=kill.oom_score_adj,
        chosen=number == 0,
        statistics=Statistics(**asdict(found)) if found else None,
    )


def _environment(kill: Kill, observation: Observation, policy: Redaction) -> dict[str, str] | None:
    raw = kill.environment or observation.environment.get(kill.process)
    if raw is None:
        return None
    cut = is_cut(raw, Missing.ENVIRONMENT in kill.missing, ENVIRONMENT_BYTES)
    return bounds.variables(policy.environ(parse_environment(raw), cut))


def _scope(limit_cgroup: str | None, identity: Identity) -> Scope:
    if limit_cgroup is None:
        return "node"
    limited = identify(limit_cgroup)
    if limited.container_id and not limited.nested and limited.container_path == identity.container_path:
        return "container"
    if limit_cgroup == identity.pod_path:
        return "pod"
    return "cgroup"


def _key(boot_id: str, process: Process) -> str:
    """What tells this incident from every other: 16 hexadecimal digits."""
    return hashlib.sha256(f"{boot_id}/{process.pid}/{process.start_ns}".encode()).hexdigest()[:16]
