"""An episode becomes an incident. In: the kernel's kills, what /proc adds, the redaction policy. Out: an Incident.

Rules: pure. Here, and nowhere later, what the victim chose (its names, arguments, environment) is redacted and made
printable: an incident holds nothing secret or hostile.
"""

import hashlib
from dataclasses import asdict

from oomeventer.incident.incident import SCHEMA, Container, Host, Incident, Neighbour, Scope, Trigger
from oomeventer.incident.redaction import Redaction, parse_arguments, parse_environment
from oomeventer.incident.victim import Statistics, Victim
from oomeventer.kernel import Kill, Missing, Process, ran_out_here
from oomeventer.node import Identity, Observation, identify
from oomeventer.node import Statistics as Taskstats
from oomeventer.text import printable


def assemble(
    kills: tuple[Kill, ...],
    observation: Observation,
    statistics: dict[Process, Taskstats],
    host: Host,
    redaction: Redaction,
) -> Incident:
    """The incident of an episode, before anybody was asked whose container it is."""
    first = kills[0]
    identity = identify(first.cgroup)
    ran_out = ran_out_here(first)
    limit_cgroup = None if ran_out.level is None else _ancestor(first.cgroup, ran_out.level)
    level = None if ran_out.level is None else first.levels[ran_out.level]
    missing = Missing(0)
    for kill in kills:
        missing |= kill.missing
    victims = tuple(
        _victim(kill, chosen=kill is first, observation=observation, statistics=statistics, host=host, policy=redaction)
        for kill in kills
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
        pid1=observation.pid1,
        neighbours=tuple(
            Neighbour(pid=other.pid, comm=printable(other.comm), rss_bytes=other.rss_bytes)
            for other in observation.neighbours
        ),
        neighbours_total=observation.neighbours_total,
        truncated=bool(missing),
        lost_before=first.lost,
        container=Container(id=identity.container_id, runtime=identity.runtime) if identity.container_id else None,
        pod=None,
        notes=tuple(_note(what) for what in missing)
        + tuple(
            f"arguments of {v.comm} ({v.pid}): it was gone, or they were swapped out"
            for kill, v in zip(kills, victims, strict=True)
            if v.command is None and Missing.OMITTED not in kill.missing
        ),
    )


def _note(missing: Missing) -> str:
    if missing is Missing.OMITTED:
        return "arguments and environment: left out where the kernel's ring was half full"
    return f"{(missing.name or '').lower().replace('_', ' ')}: cut or not readable"


def _victim(
    kill: Kill,
    chosen: bool,
    observation: Observation,
    statistics: dict[Process, Taskstats],
    host: Host,
    policy: Redaction,
) -> Victim:
    found = statistics.get(kill.process)
    arguments = kill.arguments or observation.arguments.get(kill.process)
    environment = kill.environment or observation.environment.get(kill.process)
    return Victim(
        pid=kill.process.pid,
        container_pid=kill.container_pid,
        comm=printable(kill.comm),
        command=None if arguments is None else policy.command(parse_arguments(arguments), kill.comm),
        environment=None if environment is None else policy.environ(parse_environment(environment)),
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
        chosen=chosen,
        statistics=Statistics(**asdict(found)) if found else None,
    )


def _ancestor(path: str, steps: int) -> str:
    for _ in range(steps):
        path = path.rpartition("/")[0]
    return path or "/"


def _scope(limit_cgroup: str | None, identity: Identity) -> Scope:
    if limit_cgroup is None:
        return "node"
    if limit_cgroup == identity.container_path:
        return "container"
    if limit_cgroup == identity.pod_path:
        return "pod"
    return "cgroup"


def _key(boot_id: str, process: Process) -> str:
    """What tells this incident from every other: 16 hexadecimal digits."""
    return hashlib.sha256(f"{boot_id}/{process.pid}/{process.start_ns}".encode()).hexdigest()[:16]
