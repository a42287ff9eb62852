"""Caches and workers that a server was told to have, against the limit. In: an Incident. Out: findings. Rules: pure."""

from collections.abc import Callable

from msgspec import Struct

from oomeventer.hints import sizes
from oomeventer.hints.rule import Finding, found, is_program, names_nobody_else
from oomeventer.hints.settings import Setting, command, option, variable, variable_words
from oomeventer.incident import Incident, Victim, others_bytes
from oomeventer.text import size


class Cache(Struct, frozen=True):
    """most: the part of the limit from which on it is too much. advice: whose figure it is."""

    programs: tuple[str, ...]
    options: tuple[str, ...]
    read: Callable[[str], int | None]
    what: str
    most: float
    advice: str


POSTGRES = Cache(
    ("postgres", "postmaster"),
    ("shared_buffers", "--shared_buffers", "--shared-buffers", "-B"),
    sizes.postgres,
    "PostgreSQL's shared_buffers",
    0.4,
    "a quarter of the memory is a good start, says its manual, and more than 40% rarely helps",
)
REDIS = Cache(
    ("redis-server", "valkey-server", "keydb-server"),
    ("--maxmemory",),
    sizes.redis,
    "Redis' maxmemory",
    0.75,
    "fragmentation, client buffers and what changes during a snapshot (copy-on-write) come on top",
)
MONGODB = Cache(
    ("mongod",),
    ("--wiredTigerCacheSizeGB",),
    sizes.gibibytes,
    "MongoDB's WiredTiger cache",
    0.5,
    "its own default is half of what is beyond 1 GB, and connections and queries come on top",
)
MYSQL = Cache(
    ("mysqld", "mariadbd"),
    ("--innodb-buffer-pool-size", "--innodb_buffer_pool_size"),
    sizes.mysql,
    "MySQL's InnoDB buffer pool",
    0.75,
    "50 to 75% of the memory is its manual's advice, and connections come on top",
)

_WORKER_OPTIONS = {
    ("gunicorn", "uvicorn", "hypercorn", "puma"): ("--workers", "-w"),
    ("celery",): ("--concurrency", "-c"),
    ("uwsgi",): ("--processes", "--workers", "-p"),
}
_WORKER_VARIABLES = ("WEB_CONCURRENCY", "UWSGI_PROCESSES", "UWSGI_WORKERS")
#: Fewer processes than these are no pool.
_POOL = 3


def cache(kind: Cache) -> Callable[[Incident], Finding | None]:
    """The rule of one server."""

    def finds(incident: Incident) -> Finding | None:
        limit = incident.limit_bytes
        if not limit or not is_program(incident.chosen, *kind.programs):
            return None
        setting = option(command(incident.chosen), kind.options, kind.read)
        if setting is None or setting.value < kind.most * limit:
            return None
        return found(
            f"{kind.what} may take {size(setting.value)} of the {size(limit)} limit",
            f"lower it, or raise the limit; {kind.advice}",
            setting.words,
            f"limit {size(limit)}",
        )

    return finds


def worker_pool(incident: Incident) -> Finding | None:
    """So many workers of the victim's size do not fit; or several of its name hold most of the limit."""
    limit, victim = incident.limit_bytes, incident.chosen
    if not limit:
        return None
    workers, each = _workers(victim), victim.held_bytes
    # One that has outgrown half of the limit by itself says nothing of the others.
    if workers and each <= limit / 2 and workers.value * each > limit:
        return found(
            f"{workers.value} workers of {size(each)}, as the one that was killed, need up to "
            f"{size(workers.value * each)}, and the limit is {size(limit)}",
            "have fewer workers, or raise the limit",
            workers.words,
            f"held {size(each)}",
        )
    others = [other.rss_bytes for other in incident.victims[1:] if other.comm == victim.comm]
    if names_nobody_else(incident):
        others += [other.rss_bytes for other in incident.neighbours if other.comm == victim.comm]
    number, together = 1 + len(others), each + sum(others)
    if number < _POOL or each > limit / 2:
        return None
    about = f", about {size(together // number)} each"
    if together > limit:  # what they share, as forks do, counts in the size of each
        together, about = each + (others_bytes(incident) or 0), ", with what they share"
    if together < limit / 2:
        return None
    return found(
        f"{number} processes named {victim.comm} hold {size(together)} of the {size(limit)} limit together{about}",
        "have fewer of these processes, or raise the limit",
        f"{number} processes named {victim.comm}",
        f"held {size(together)}",
    )


def _workers(victim: Victim) -> Setting[int] | None:
    words = victim.command or ()
    for programs, options in _WORKER_OPTIONS.items():
        # python3 /usr/bin/gunicorn, python3 -m gunicorn: an interpreter's word is the program.
        names = {word.rpartition("/")[2] for word in words[:3]} | {victim.comm}
        if names.isdisjoint(programs):
            continue
        extra = variable_words(victim, "GUNICORN_CMD_ARGS") if "gunicorn" in programs else []
        if setting := option(extra + command(victim), options, sizes.count):
            return setting
        return next(filter(None, (variable(victim, name, sizes.count) for name in _WORKER_VARIABLES)), None)
    return None
