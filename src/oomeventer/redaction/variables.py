"""Which variables of the environment are shown at all. In: a name. Out: whether it is listed.

Rules: their values are redacted like arguments. A name that is listed by a part of it only must be no token itself.
"""

import re
from collections.abc import Set
from functools import lru_cache

#: Variables that bear on memory: exact names, beginnings with a closing "*", ends with an opening one.
MEMORY_VARIABLES = frozenset(
    """
    GOMEMLIMIT GOGC GOMAXPROCS
    JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS JAVA_OPTS JAVA_OPTIONS JAVA_ARGS JVM_OPTS JVM_ARGS
    MAVEN_OPTS GRADLE_OPTS SBT_OPTS ES_JAVA_OPTS LS_JAVA_OPTS OPENSEARCH_JAVA_OPTS KAFKA_HEAP_OPTS KAFKA_OPTS
    HADOOP_HEAPSIZE* CATALINA_OPTS JAVA_OPTS_APPEND JAVA_MAX_MEM_RATIO JAVA_INITIAL_MEM_RATIO MAX_HEAP_SIZE HEAP_NEWSIZE
    *JVMFLAGS SPARK_JAVA_OPT_*
    SPARK_DAEMON_MEMORY SPARK_DRIVER_MEMORY SPARK_EXECUTOR_MEMORY SPARK_WORKER_MEMORY
    NODE_OPTIONS UV_THREADPOOL_SIZE PYTHONMALLOC* PYTHONTRACEMALLOC RUBY_GC_* PHP_MEMORY_LIMIT
    DOTNET_GC* DOTNET_gc* COMPlus_GC* COMPlus_gc*
    UWSGI_WORKERS UWSGI_PROCESSES RAILS_MAX_THREADS RAILS_MIN_THREADS
    WEB_CONCURRENCY GUNICORN_CMD_ARGS TOKIO_WORKER_THREADS RAYON_NUM_THREADS
    OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMEXPR_MAX_THREADS NUMEXPR_NUM_THREADS
    LD_PRELOAD GLIBC_TUNABLES MALLOC_* _RJEM_MALLOC_CONF TCMALLOC_* MIMALLOC_*
    """.split()  # noqa: SIM905 - fifty quoted names would hide the order
)

# One or two digits, alone (RUBY_GC_HEAP_0_INIT_SLOTS, SPARK_JAVA_OPT_12).
_NAME = re.compile(r"[A-Za-z_]{1,64}(?:_[0-9]{1,2}(?:_[A-Za-z_]{1,64})?)?")


def is_listed(name: str, names: Set[str]) -> bool:
    """Whether the name is one of `names`, or begins or ends as one of them does."""
    if name in names:
        return True
    beginnings, ends = _open(frozenset(names))
    return (name.startswith(beginnings) or name.endswith(ends)) and _NAME.fullmatch(name) is not None


@lru_cache(1)
def _open(names: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What names begin with, and what they end with."""
    beginnings = tuple(name[:-1] for name in names if name.endswith("*"))
    return beginnings, tuple(name[1:] for name in names if name.startswith("*"))
