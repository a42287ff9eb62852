"""Each rule with its evidence, and without. In: incidents. Out: the hints of one rule."""

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.hints import advise
from oomeventer.hints.table import MOST, RULES
from oomeventer.incident import (
    Incident,
    Memory,
    MemoryVolume,
    Neighbour,
    NodeMemory,
    PodUsage,
    Pressure,
    Repeats,
    Sample,
    Trajectory,
    Trigger,
)
from samples import BOOT, CGROUP, CONTAINER, CONTAINER_ID, LIMIT, MI, POD, group_of, incident, victim

GI = 1 << 30
CACHE = MemoryVolume("cache", None, ("app",))


def of(
    comm: str, *arguments: str, limit: int = LIMIT, held: int | None = None, env: dict[str, str] | None = None
) -> Incident:
    """A kill of that program with those arguments and variables, at that limit."""
    one = victim(
        comm=comm,
        command=(comm, *arguments),
        environment=env or {},
        anon_bytes=limit if held is None else held,
    )
    return incident(victims=(one,), limit_bytes=limit, container=replace(CONTAINER, limit_bytes=limit))


def where(anon: int = LIMIT, file: int = 0, shmem: int = 0, **fields: Any) -> Incident:
    """A kill where the memory was so."""
    pod = replace(POD, memory_volumes=fields.pop("volumes", ()))
    held = fields.pop("victim_shmem", 0)
    return incident(memory=Memory(anon, file, shmem, **fields), pod=pod, victims=(victim(shmem_bytes=held),))


def came(pattern: Any, **fields: Any) -> Incident:
    """A kill that came so."""
    return incident(trajectory=Trajectory(CGROUP, pattern, **fields))


def beside(*sizes_mi: int, **fields: Any) -> Incident:
    """A kill of hog, which held 10Mi, beside other processes."""
    others = tuple(Neighbour(5000 + i, "big", mi * MI, CONTAINER_ID, "app") for i, mi in enumerate(sizes_mi))
    small = victim(anon_bytes=10 * MI, file_bytes=0)
    counted = {"neighbours_total": len(others), "neighbours_bytes": sum(sizes_mi) * MI}
    return incident(**{"victims": (small,), "neighbours": others} | counted | fields)


def node(**fields: Any) -> Incident:
    """A node's kill of a container that has no limit of its own."""
    one = replace(CONTAINER, limit_bytes=fields.pop("limit", None), request_bytes=fields.pop("request", None))
    return incident(
        scope="node", limit_bytes=None, usage_bytes=None, limit_cgroup=None, container=one, node_memory=None, **fields
    )


def usage(
    *limits: int | None, total: int = 4 * GI, available: int = 0, pods: int | None = 3 * GI, request: int | None = MI
) -> Incident:
    """A node's kill with Pods of those limits."""
    largest = tuple(PodUsage(f"u{i}", GI, "shop", f"p{i}", request, limit) for i, limit in enumerate(limits))
    return replace(node(limit=LIMIT), node_memory=NodeMemory(total, available, pods, len(limits), largest))


def triggered(**fields: Any) -> Incident:
    """A kill that another process set off."""
    return incident(**{"trigger": Trigger(5000, "cat", CGROUP)} | fields)


@dataclass(frozen=True)
class Case:
    """says: part of the sentence. evidence: one of its words."""

    rule: str
    speaks: Incident
    silent: Incident
    says: str
    evidence: str


JAVA = {"JAVA_TOOL_OPTIONS": "-XX:MaxRAMPercentage=80.0"}
CASES = [
    Case(
        "jvm-heap", of("java", "-Xmx8g", limit=4 * GI), of("java", "-Xmx2g", limit=4 * GI), "8Gi of the 4Gi", "-Xmx8g"
    ),
    Case(
        "jvm-heap",
        of("java", "-Xmx8g", "-jar", "app.jar", limit=4 * GI),
        of("java", "-jar", "app.jar", "-Xmx8g", limit=4 * GI),  # its program's argument
        "lower it to 3Gi (three quarters",
        "limit 4Gi",
    ),
    Case(
        "jvm-heap",
        of("java", limit=GI, env={"_JAVA_OPTIONS": "-Xmx2g"}),
        of("java", "-Xmx2g", limit=GI, env={"_JAVA_OPTIONS": "-Xmx512m"}),  # which counts most
        "2Gi of the 1Gi",
        "-Xmx2g (_JAVA_OPTIONS)",
    ),
    Case(
        "jvm-heap",
        of("java", limit=GI, env={"JDK_JAVA_OPTIONS": "-XX:MaxRAMPercentage=95"}),
        of("sh", limit=GI, env={"JDK_JAVA_OPTIONS": "-XX:MaxRAMPercentage=95"}),  # not a JVM
        "972.8Mi of the 1Gi",
        "-XX:MaxRAMPercentage=95 (JDK_JAVA_OPTIONS)",
    ),
    Case(
        "jvm-heap",
        of("java", limit=64 * MI, env={"JDK_JAVA_OPTIONS": "-XX:MinRAMPercentage=95"}),
        of("java", limit=64 * MI, env={"JDK_JAVA_OPTIONS": "-XX:MaxRAMPercentage=95"}),  # not heeded with so little
        "60.8Mi of the 64Mi",
        "-XX:MinRAMPercentage=95 (JDK_JAVA_OPTIONS)",
    ),
    Case(
        "jvm-direct-memory",
        of("java", "-Xmx3g", "-XX:MaxDirectMemorySize=2g", limit=4 * GI),
        of("java", "-Xmx3g", "-XX:MaxDirectMemorySize=1g", limit=4 * GI),
        "heap (3Gi) and its direct buffers (2Gi)",
        "-XX:MaxDirectMemorySize=2g",
    ),
    Case(
        "jvm-outside-heap",
        of("java", limit=4 * GI, held=4000 * MI, env=JAVA),
        of("java", limit=4 * GI, held=3000 * MI, env=JAVA),
        "At least 723.2Mi of the 4000Mi",
        "held 4000Mi",
    ),
    Case(
        "node-heap",
        of("node", "--max-old-space-size=4096", "server.js", limit=2 * GI),
        of("node", "server.js", "--max-old-space-size=4096", limit=2 * GI),
        "--max-old-space-size=1536",
        "--max-old-space-size=4096",
    ),
    Case(
        "node-heap",
        of("node", limit=GI, env={"NODE_OPTIONS": "--max_old_space_size=4096"}),
        of("node", "--max-old-space-size=512", limit=GI, env={"NODE_OPTIONS": "--max_old_space_size=4096"}),
        "4Gi of the 1Gi",
        "--max-old-space-size=4096 (NODE_OPTIONS)",
    ),
    Case(
        "node-heap",
        of("nodejs", limit=GI, env={"NODE_OPTIONS": "--max-old-space-size=1000"}),
        of("sh", limit=GI, env={"NODE_OPTIONS": "--max-old-space-size=1000"}),
        "--max-old-space-size=768",
        "limit 1Gi",
    ),
    Case(
        "jvm-direct-memory",
        of("java", "-Xmx1g", "-XX:MaxDirectMemorySize=1g", limit=GI),
        of("java", "-XX:MaxDirectMemorySize=8g", limit=GI),  # its heap is not known
        "heap (1Gi)",
        "-Xmx1g",
    ),
    Case(
        "neighbours-hold-most",
        beside(25),
        beside(25, scope="cgroup", limit_cgroup="/kubepods"),  # the node's, whose Pods it tells
        "the largest is big (25Mi)",
        "neighbours 25Mi",
    ),
    Case(
        "node-outside-heap",
        of("node", "--max-old-space-size=512", limit=GI),
        of("node", "--max-old-space-size=900", limit=GI, held=900 * MI),
        "At least 512Mi of the 1Gi",
        "--max-old-space-size=512",
    ),
    Case(
        "go-memlimit",
        of("api", limit=GI, env={"GOGC": "50"}),
        of("exe", limit=GI, env={"GOGC": "50"}),  # runc
        "GOMEMLIMIT=921MiB",
        "GOMEMLIMIT is not set",
    ),
    Case(
        "go-memlimit",
        of("api", limit=GI, env={"GOMEMLIMIT": "off"}),
        of("python3", limit=GI, env={"GOMEMLIMIT": "off"}),
        "GOMEMLIMIT=921MiB",
        "GOMEMLIMIT=off",
    ),
    Case(
        "go-memlimit",
        of("api", limit=GI, env={"GOMEMLIMIT": "1024MiB"}),
        of("api", limit=GI, env={"GOMEMLIMIT": "900MiB"}),
        "set it to 921MiB",
        "GOMEMLIMIT=1024MiB",
    ),
    Case(
        "go-memlimit",
        of("api", limit=GI, env={"GOMAXPROCS": "2"}),
        of("api", limit=GI, env={"MALLOC_ARENA_MAX": "2"}),  # nothing tells of Go
        "knows nothing of the 1Gi limit",
        "GOMAXPROCS=2",
    ),
    Case(
        "go-memlimit",
        of("api", limit=GI, env={"GOMAXPROCS": "2"}),
        replace(of("api", limit=GI, env={"GOMAXPROCS": "2"}), notes=("environment: cut or not readable",)),
        "knows nothing of the 1Gi limit",
        "GOMAXPROCS=2",
    ),
    Case(
        "go-beyond-memlimit",
        of("api", limit=GI, env={"GOMEMLIMIT": "900MiB"}),
        of("api", limit=GI, held=800 * MI, env={"GOMEMLIMIT": "900MiB"}),
        "more than its GOMEMLIMIT of 900Mi",
        "held 1Gi",
    ),
    Case(
        "go-beyond-memlimit",
        of("api", limit=GI, env={"GOMEMLIMIT": "900MiB"}),
        of("api", limit=GI, env={"GOMEMLIMIT": "1000MiB"}),  # too near to the limit, which is the other rule's
        "soft limit",
        "GOMEMLIMIT=900MiB",
    ),
    Case(
        "go-beyond-memlimit",
        of("api", limit=GI, env={"GOMEMLIMIT": "900MiB"}),
        of("java", limit=GI, env={"GOMEMLIMIT": "900MiB"}),
        "heap profile",
        "GOMEMLIMIT=900MiB",
    ),
    Case(
        "go-memlimit",
        of("api", limit=GI, env={"GOMEMLIMIT": "1GiB"}),
        of("api", limit=GI, env={"GOMEMLIMIT": "1G"}),  # which Go refuses
        "leaves too little",
        "GOMEMLIMIT=1GiB",
    ),
    Case(
        "postgres-shared-buffers",
        of("postgres", "-c", "shared_buffers=512MB", limit=GI),
        of("postgres", "-c", "shared_buffers=256MB", limit=GI),
        "512Mi of the 1Gi",
        "shared_buffers=512MB",
    ),
    Case(
        "postgres-shared-buffers",
        of("postgres", "-B", "65536", limit=GI),
        of("psql", "-B", "65536", limit=GI),
        "512Mi of the 1Gi",
        "-B 65536",
    ),
    Case(
        "redis-maxmemory",
        of("redis-server", "--maxmemory", "1gb", limit=GI),
        of("redis-server", "--maxmemory", "0", limit=GI),
        "maxmemory may take 1Gi",
        "--maxmemory 1gb",
    ),
    Case(
        "mongodb-cache",
        of("mongod", "--wiredTigerCacheSizeGB", "1.5", limit=2 * GI),
        of("mongod", "--wiredTigerCacheSizeGB", "0.5", limit=2 * GI),
        "may take 1.5Gi",
        "--wiredTigerCacheSizeGB 1.5",
    ),
    Case(
        "mysql-buffer-pool",
        of("mysqld", "--innodb-buffer-pool-size=1G", limit=GI),
        of("mysqld", "--innodb-buffer-pool-size=***", limit=GI),
        "may take 1Gi",
        "--innodb-buffer-pool-size=1G",
    ),
    Case(
        "worker-pool",
        of("gunicorn", "--workers", "8", limit=GI, held=200 * MI),
        of("gunicorn", "--workers", "4", limit=GI, held=200 * MI),
        "8 workers of 200Mi",
        "--workers 8",
    ),
    Case(
        "worker-pool",
        of("gunicorn", limit=GI, held=200 * MI, env={"WEB_CONCURRENCY": "8"}),
        of("gunicorn", limit=GI, held=900 * MI, env={"WEB_CONCURRENCY": "8"}),  # one has outgrown all others
        "need up to 1600Mi",
        "WEB_CONCURRENCY=8",
    ),
    Case(
        "worker-pool",
        replace(beside(10, 10), victims=(victim(comm="big", anon_bytes=10 * MI, file_bytes=0),)),
        beside(10, 10),
        "3 processes named big hold 30Mi",
        "held 30Mi",
    ),
    Case(  # what forks share is not told as many times as they are
        "worker-pool",
        replace(
            beside(20, 20),
            victims=(victim(comm="big", anon_bytes=10 * MI, file_bytes=0),),
            memory=Memory(30 * MI, 0, 0),
        ),
        replace(
            beside(20, 20),
            victims=(victim(comm="big", anon_bytes=10 * MI, file_bytes=0),),
            memory=Memory(12 * MI, 0, 0),
        ),
        "3 processes named big hold 30Mi of the 32Mi limit together, with what they share: have",
        "held 30Mi",
    ),
    Case(
        "tmpfs", where(2 * MI, 0, 30 * MI, volumes=(CACHE,)), where(30 * MI), "volume cache (emptyDir", "volume cache"
    ),
    Case("tmpfs", where(2 * MI, 0, 30 * MI), incident(), "tmpfs such as /dev/shm", "shmem 30Mi"),
    Case(
        "shared-memory",
        where(2 * MI, 0, 30 * MI, victim_shmem=30 * MI),
        where(2 * MI, 0, 30 * MI),
        "30Mi of the 32Mi limit are shared memory",
        "mapped by hog 30Mi",
    ),
    Case(  # PostgreSQL's postmaster, whose backend was killed
        "shared-memory",
        replace(
            where(2 * MI, 0, 30 * MI, volumes=(CACHE,)),
            neighbours=(Neighbour(1, "postgres", 31 * MI, CONTAINER_ID, shmem_bytes=28 * MI),),
        ),
        replace(
            where(2 * MI, 0, 30 * MI, volumes=(CACHE,)),
            neighbours=(Neighbour(1, "postgres", 31 * MI, CONTAINER_ID, shmem_bytes=9 * MI),),
        ),
        "shared memory that postgres maps",
        "mapped by postgres 28Mi",
    ),
    Case(
        "tmpfs",
        replace(where(2 * MI, 0, 30 * MI), neighbours=(Neighbour(1, "sh", MI, CONTAINER_ID, shmem_bytes=MI),)),
        replace(where(2 * MI, 0, 30 * MI), neighbours=(Neighbour(1, "sh", MI, CONTAINER_ID, shmem_bytes=28 * MI),)),
        "are files in memory",
        "shmem 30Mi",
    ),
    Case(
        "left-behind",
        where(2 * MI, 0, 30 * MI, left_behind_bytes=28 * MI, volumes=(CACHE,)),
        where(2 * MI, 0, 30 * MI, volumes=(CACHE,)),
        "28Mi of the 32Mi limit were left behind",
        "left behind 28Mi",
    ),
    Case(
        "dirty-page-cache",
        where(2 * MI, 30 * MI, dirty_bytes=20 * MI),
        where(2 * MI, 30 * MI),
        "20Mi of the 32Mi limit waited",
        "dirty 20Mi",
    ),
    Case(
        "page-cache",
        where(2 * MI, 30 * MI),
        where(2 * MI, 30 * MI, dirty_bytes=20 * MI),
        "30Mi of the 32Mi limit are page cache",
        "file 30Mi",
    ),
    Case("socket-buffers", where(sock_bytes=20 * MI), where(), "are socket buffers", "sockets 20Mi"),
    Case(
        "page-tables", where(pagetables_bytes=8 * MI), where(pagetables_bytes=MI), "are page tables", "page tables 8Mi"
    ),
    Case(
        "page-tables",  # cgroup v1, whose files do not say
        replace(where(2 * MI, kernel_bytes=28 * MI), victims=(victim(anon_bytes=2 * MI, pgtables_bytes=28 * MI),)),
        where(2 * MI, kernel_bytes=28 * MI),
        "28Mi of the 32Mi limit are page tables",
        "page tables 28Mi",
    ),
    Case(
        "kernel-memory",
        where(2 * MI, kernel_bytes=28 * MI),
        replace(where(2 * MI, kernel_bytes=28 * MI), victims=(victim(anon_bytes=2 * MI, pgtables_bytes=28 * MI),)),
        "27.9Mi of the 32Mi limit are the kernel's own",
        "kernel 28Mi",
    ),
    Case(
        "kernel-memory",
        where(kernel_bytes=24 * MI, slab_unreclaimable_bytes=20 * MI),
        where(kernel_bytes=24 * MI, sock_bytes=23 * MI),
        "23.9Mi of the 32Mi limit are the kernel's own",
        "unreclaimable slab 20Mi",
    ),
    Case("swap", where(swap_bytes=20 * MI), where(swap_bytes=0), "Another 20Mi were in swap", "swap 20Mi"),
    Case(
        "leak",
        came("steady", rate_bytes_per_hour=10 * MI, lasts_seconds=6.4 * 3600),
        came("unknown", rate_bytes_per_hour=10 * MI),
        "twice the limit would last 6h24m",
        "steady, 10Mi an hour",
    ),
    Case(
        "spike",
        came("spike", samples=(Sample(1500.0, 12 * MI),), before_bytes=8 * MI, highest_bytes=12 * MI),
        came("spike"),
        "12Mi at most in the 25m before, so it does not look like a leak",
        "spike from 8Mi",
    ),
    Case(
        "leak",
        came("steady", rate_bytes_per_hour=MI),
        came("steady", rate_bytes_per_hour=-MI),
        "1Mi",
        "steady, 1Mi an hour",
    ),
    Case(
        "spike",
        replace(came("spike", before_bytes=8 * MI, highest_bytes=12 * MI), repeats=Repeats(2, incident().time)),
        came("unknown"),
        "until a moment before, so it does not look like a leak",
        "spike from 8Mi",
    ),
    Case("spike", came("spike", before_bytes=8 * MI), incident(), "40Mi by KRR's rule", "spike from 8Mi"),
    Case(
        "limit-too-low",
        came("at the limit", since_seconds=7200.0, samples=(Sample(60.0, 31 * MI), Sample(30.0, 30 * MI))),
        came("at the limit", since_seconds=7200.0),  # no figure to go by
        "for 120m, so the limit is below what it needs: raise it to 40Mi by KRR's rule (the limit + 25%) or 131Mi",
        "held 31Mi at most, page cache left out",
    ),
    Case("sawtooth", came("sawtooth"), came("steady"), "rises and falls", "sawtooth"),
    Case(
        "crash-loop",
        incident(repeats=Repeats(5, BOOT, 2820.0)),
        incident(repeats=Repeats(2, BOOT)),
        "kill number 5 of its kind since 2026-11-22 08:20 UTC, about every 47m",
        "5 kills",
    ),
    Case(
        "pressure",
        incident(pressure=Pressure(50.0, 38.0, 40.0, 30.0)),
        incident(pressure=Pressure(50.0, 3.0, 40.0, 3.0)),
        "waited for memory 38% of the last minute",
        "some 38% in 60 s",
    ),
    Case(
        "limit-lowered",
        incident(limit_lowered=True, usage_bytes=30 * MI, limit_bytes=16 * MI),
        incident(usage_bytes=30 * MI, limit_bytes=16 * MI),
        "lowered to 16Mi while 30Mi were in use",
        "usage 30Mi",
    ),
    Case("sandbox", incident(sandbox=True), incident(), "sandbox was killed", "hog is of the sandbox"),
    Case(
        "neighbours-hold-most",
        beside(14, 6),
        beside(12, 7),
        "Other processes below the limit hold 20Mi, the one that was killed held 10Mi, the largest is big (14Mi)",
        "neighbours 20Mi",
    ),
    Case(  # forks, whose sizes have what they share many times
        "neighbours-hold-most",
        replace(beside(20, 20, 20, neighbours_bytes=600 * MI), memory=Memory(32 * MI, 0, 0)),
        replace(beside(20, 20, 20, neighbours_bytes=600 * MI), memory=Memory(14 * MI, 0, 0)),
        "Other processes below the limit hold 22Mi, the one that was killed held 10Mi, the largest is big (20Mi)",
        "neighbours 22Mi",
    ),
    Case(
        "neighbours-hold-most",
        beside(20, neighbours_bytes=30 * MI),
        beside(20, 20, neighbours_bytes=600 * MI),  # the cgroup's own figures are not known
        "hold 30Mi",
        "neighbours 30Mi",
    ),
    Case(
        "neighbours-hold-most",
        beside(20),
        incident(victims=(victim(anon_bytes=0, file_bytes=0),)),  # nobody holds anything, as far as is known
        "hold 20Mi",
        "neighbours 20Mi",
    ),
    Case(
        "neighbours-hold-most",
        beside(90, memory=Memory(31 * MI, 0, 0)),
        beside(90, memory=Memory(11 * MI, 0, 0)),  # they map 90 MiB that others hold, too
        "hold 21Mi",
        "neighbours 21Mi",
    ),
    Case("oom-score", beside(22), beside(19), "A larger process, big (22Mi), was spared", "oom_score_adj 983"),
    Case("oom-score", beside(22), beside(22, group_kill=True), "oom_score_adj decided", "big holds 22Mi"),
    Case(
        "oom-score",
        beside(22),
        beside(22, victims=(victim(anon_bytes=10 * MI, file_bytes=0, swap_bytes=30 * MI),)),
        "hog has 983",
        "big holds 22Mi",
    ),
    Case(
        "child-killed",
        incident(pid1="lives"),
        incident(pid1="lives", container=None),
        "exit status 137",
        "PID 1 lives",
    ),
    Case("child-killed", incident(pid1="lives"), incident(pid1="seen"), "goes on without this process", "PID 1 lives"),
    Case("group-kill", group_of(3), incident(), "singleProcessOOMKill", "3 victims"),
    Case("group-kill", group_of(2), incident(group_kill=True), "All 2 processes", "2 victims"),
    Case("group-kill", replace(group_of(2), cgroup="/a.service"), incident(), "OOMPolicy=continue", "2 victims"),
    Case("trigger", triggered(), triggered(limit_lowered=True), "was one too many", "trigger cat"),
    Case("trigger", triggered(), triggered(trigger=Trigger(5000, "hog", CGROUP)), "asked for by cat", "trigger cat"),
    Case("trigger", triggered(), incident(), "asked for by cat", "trigger cat"),
    Case("trigger", triggered(), triggered(trigger=Trigger(5000, "cat", "/kubepods/podb/c")), "cat", "trigger cat"),
    Case("no-limit", node(), node(limit=LIMIT), "no memory limit", "no limit in the spec"),
    Case("no-limit", node(), replace(node(), pod=replace(POD, restart_policy=None)), "no memory limit", "held 31.4Mi"),
    Case("no-limit", node(), replace(node(), scope="cgroup"), "no memory limit", "no limit in the spec"),
    Case("no-limit", node(), replace(node(), pod=replace(POD, limit_bytes=GI)), "set one", "no limit in the spec"),
    Case("request-below-use", node(request=8 * MI), node(request=GI), "requests 8Mi", "request 8Mi"),
    Case("request-below-use", node(request=8 * MI), replace(node(request=8 * MI), scope="pod"), "held", "held 31.2Mi"),
    Case("node-overcommitted", usage(3 * GI, 3 * GI), usage(GI, GI), "limits of 6Gi", "total 4Gi"),
    Case("node-overcommitted", usage(GI, None), node(), "1 without a limit", "1 without a limit"),
    Case("node-overcommitted", usage(None), usage(None, request=None), "1 without a limit", "total 4Gi"),
    Case("outside-pods", usage(pods=GI), usage(pods=None), "3Gi of the node's", "available 0"),
    Case("outside-pods", usage(pods=GI), usage(pods=GI, available=GI + GI), "3Gi of the node's", "available 0"),
    Case("outside-pods", usage(pods=GI), usage(), "3Gi of the node's 4Gi are outside", "Pods 1Gi"),
]


def said(one: Incident) -> dict[str, Any]:
    """All that speaks, not only what is kept."""
    return {rule.name: finding for rule in RULES if (finding := rule.finds(one))}


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.rule}" for number, case in enumerate(CASES)])
def test_a_rule_speaks_on_its_evidence_alone(case: Case) -> None:
    finding = said(case.speaks)[case.rule]
    assert case.says in finding.text
    assert case.evidence in finding.evidence
    assert case.rule not in said(case.silent)


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.rule}" for number, case in enumerate(CASES)])
def test_figures_that_are_missing_are_no_fault(case: Case) -> None:
    """An incident without what others add, or of a limit that nobody knows, has fewer hints, and raises nothing."""
    nothing = {"limit_bytes": None, "usage_bytes": None, "container": None, "pod": None, "trigger": None}
    silent = [replace(case.speaks, **{name: None}) for name in nothing]
    blank = replace(case.speaks.chosen, command=None, environment=None)
    silent += [replace(case.speaks, **nothing), replace(case.speaks, victims=(blank,))]
    for one in silent:
        assert all(hint.text and hint.evidence for hint in advise(one).hints)


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.rule}" for number, case in enumerate(CASES)])
def test_what_the_message_tells_is_apart(case: Case) -> None:
    """Of a rule whose evidence the message tells, the advice stands alone; of the others there is none but the text."""
    (rule,) = (rule for rule in RULES if rule.name == case.rule)
    finding = rule.finds(case.speaks)
    assert finding
    assert finding.what
    assert finding.advice
    for hint in advise(case.speaks).hints:
        if hint.rule == rule.name:
            assert hint.advice == (finding.advice if rule.is_told else None)


def test_a_name_with_a_colon_does_not_part_a_sentence() -> None:
    trigger = Trigger(4300, "nginx: worker", CGROUP)
    (hint,) = (hint for hint in advise(incident(trigger=trigger, pid1=None)).hints if hint.rule == "trigger")
    assert hint.advice
    assert hint.advice.startswith("neither needs to be at fault")


def test_each_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == {rule.name for rule in RULES}
    assert len(RULES) == len({rule.name for rule in RULES})


def test_without_evidence_nothing_is_said() -> None:
    """The sample knows of a kill what 0.1.0 knew; its PID 1 is not known."""
    assert said(incident(pid1=None, victims=(victim(environment={}),))) == {}


def test_a_little_of_everything_is_no_cause() -> None:
    """What each process has: some files, sockets, page tables, and kernel memory."""
    kinds = ("sock", "pagetables", "slab_unreclaimable", "dirty", "swap", "left_behind")
    little = {f"{kind}_bytes": MI for kind in kinds}
    of_all = where(24 * MI, 2 * MI, MI, kernel_bytes=4 * MI, victim_shmem=MI, **little)
    assert said(replace(of_all, pid1=None, victims=(replace(of_all.chosen, environment={}),))) == {}


def test_the_likeliest_are_kept() -> None:
    loud = replace(
        of("java", "-Xmx8g", limit=LIMIT, held=LIMIT),
        memory=Memory(0, 0, 30 * MI, sock_bytes=20 * MI, pagetables_bytes=20 * MI, left_behind_bytes=20 * MI),
        repeats=Repeats(9, BOOT),
        limit_lowered=True,
    )
    hints = advise(loud).hints
    assert [hint.rule for hint in hints] == ["limit-lowered", "left-behind", "tmpfs", "jvm-heap", "socket-buffers"]
    assert len(hints) == MOST
    assert len(said(loud)) > MOST


def test_advice_is_replaced() -> None:
    once = advise(group_of(3))
    assert "group-kill" in str(once.hints)
    assert advise(once) == once
    assert "group-kill" not in str(advise(replace(once, group_kill=False)).hints)


def test_what_is_masked_is_not_quoted() -> None:
    """A word that only the Pod's spec shows is no evidence in what is shown to others."""
    shown = of("java", "-XX:MaxRAMPercentage=95.12345", limit=GI)
    masked = of("java", "-XX:MaxRAMPercentage=***", limit=GI)
    assert "95.12345" in str(advise(shown).hints)
    assert "jvm-heap" not in said(masked)


def test_a_masked_last_word_is_not_passed_over() -> None:
    """The last one counts, so an earlier one says nothing."""
    assert "worker-pool" not in said(of("gunicorn", "-w", "8", "--workers=***", limit=GI, held=200 * MI))


@pytest.mark.parametrize("scope", ["node", "cgroup", "unknown"])
def test_of_other_pods_nobody_is_named(scope: Any) -> None:
    """Below a limit above the Pod, neighbours and triggers are others'."""
    one = beside(200, 100, scope=scope, trigger=Trigger(5000, "theirs", "/kubepods/podx/y"))
    named = replace(one, neighbours=tuple(replace(other, comm="theirs") for other in one.neighbours))
    assert "theirs" not in str(advise(named).hints)
    same = replace(one, neighbours=tuple(replace(other, comm="hog") for other in one.neighbours))
    assert "worker-pool" not in said(same)


def test_outside_kubernetes_there_is_no_word_of_it() -> None:
    """Of a container of Docker's."""
    one = replace(beside(22), cgroup=f"/docker/{CONTAINER_ID}", limit_cgroup=f"/docker/{CONTAINER_ID}", pod=None)
    texts = said(replace(one, pid1="lives"))
    assert "see that PID 1 notices" in texts["child-killed"].text
    assert "was spared" in texts["oom-score"].text
    assert not any(word in str(texts) for word in ("Kubernetes", "kubelet", "QoS"))


def test_a_sentence_is_bounded() -> None:
    volumes = tuple(MemoryVolume("v" * 63) for _ in range(50))
    hint = advise(replace(where(2 * MI, 0, 30 * MI, volumes=volumes), scope="pod")).hints[0]
    assert hint.rule == "tmpfs"
    assert len(hint.text.encode()) <= 500
