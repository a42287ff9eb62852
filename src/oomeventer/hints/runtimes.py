"""Heap settings of language runtimes against the limit. In: an Incident. Out: findings.

Rules: pure. What is said rests on a setting that the victim shows, or, for Go, on variables that only Go reads. What a
heap cannot explain is what the victim held beyond the largest heap that it was allowed.
"""

from oomeventer.hints import sizes
from oomeventer.hints.rule import Finding, found, is_program
from oomeventer.hints.settings import Setting, java, node, option, prefixed, variable
from oomeventer.incident import Incident
from oomeventer.text import size

#: A heap that leaves less of the limit than this has no room for what is outside of it.
_FULL = 0.9
#: What is left to the heap: the usual rule for the JVM in containers, and Node.js' own (1536 of 2 GB).
_USUAL = 0.75
#: Go's guide: leave 5 to 10% of the limit.
_GO_MOST, _GO_GOOD = 0.95, 0.9
#: Less than this beyond the heap is not worth a word: code, stacks, a young generation.
_OUTSIDE = 64 << 20
#: Only Go reads these; of programs that run where they are set, these are none.
_GO_VARIABLES = ("GOMEMLIMIT", "GOGC", "GOMAXPROCS")
_NOT_GO = (
    *("java", "node", "nodejs", "python", "ruby", "php", "php-fpm", "perl", "sh", "bash", "dash", "ash", "busybox"),
    *("exe", "runc"),  # the runtime, which was to start a container
)
#: Where a percentage of memory (-XX:MinRAMPercentage, 50 where it is not set) is less, the JVM takes that percentage,
#: and not -XX:MaxRAMPercentage: its MaxHeapSize by default, 96 MiB and a third for 64 bits (arguments.cpp).
_JVM_SMALL, _JVM_LEAST = int(96 * 1.3 * (1 << 20)), 50.0

_XMX = ("-Xmx", "-XX:MaxHeapSize=")


def jvm_heap(incident: Incident) -> Finding | None:
    """The heap alone may fill the limit."""
    limit, heap = incident.limit_bytes, _jvm_heap(incident)
    if not limit or not heap or heap.value < _FULL * limit:
        return None
    return found(
        f"The JVM's heap may grow to {size(heap.value)} of the {size(limit)} limit, and threads, classes, code and "
        f"buffers come on top",
        f"lower it to {size(int(_USUAL * limit))} (three quarters, the usual rule), or raise the limit",
        heap.words,
        f"limit {size(limit)}",
    )


def jvm_outside_heap(incident: Incident) -> Finding | None:
    """What the victim held is more than its heap can be."""
    limit, heap = incident.limit_bytes, _jvm_heap(incident)
    if not limit or not heap:
        return None
    outside = incident.chosen.held_bytes - heap.value
    if outside < _OUTSIDE:
        return None
    return found(
        f"At least {size(outside)} of the {size(incident.chosen.held_bytes)} that the JVM held are not its heap "
        f"({size(heap.value)} at most)",
        "look at direct buffers, threads, metaspace and native libraries "
        "(-XX:NativeMemoryTracking=summary), or leave them more room",
        heap.words,
        f"held {size(incident.chosen.held_bytes)}",
    )


def jvm_direct_memory(incident: Incident) -> Finding | None:
    """Heap and direct buffers together may pass the limit."""
    limit, heap = incident.limit_bytes, _jvm_heap(incident)
    direct = prefixed(java(incident.chosen), ["-XX:MaxDirectMemorySize="], sizes.jvm) if heap else None
    if not limit or not heap or not direct or heap.value + direct.value <= limit:
        return None
    return found(
        f"The JVM's heap ({size(heap.value)}) and its direct buffers ({size(direct.value)}) together may grow beyond "
        f"the {size(limit)} limit",
        "lower one of them",
        heap.words,
        direct.words,
        f"limit {size(limit)}",
    )


def go_memlimit(incident: Incident) -> Finding | None:
    """GOMEMLIMIT is missing, off, or too near to the limit."""
    limit = incident.limit_bytes
    if not limit or not _is_go(incident):
        return None
    environment = incident.chosen.environment or {}
    text = environment.get("GOMEMLIMIT")
    good = f"{int(_GO_GOOD * limit) >> 20}MiB (90%: Go's guide leaves 5 to 10%)"
    if text is None or text == "off":
        return found(
            f"Go knows nothing of the {size(limit)} limit, so its heap may outgrow it between two collections",
            f"set GOMEMLIMIT={good}",
            "GOMEMLIMIT=off" if text else "GOMEMLIMIT is not set",
            *(f"{name}={environment[name]}" for name in _GO_VARIABLES[1:] if name in environment),
        )
    setting = variable(incident.chosen, "GOMEMLIMIT", sizes.go)
    if setting is None or setting.value < _GO_MOST * limit:
        return None
    return found(
        f"GOMEMLIMIT is {size(setting.value)}, which leaves too little of the {size(limit)} limit to what Go does not "
        f"count",
        f"set it to {good}",
        setting.words,
        f"limit {size(limit)}",
    )


def go_beyond_memlimit(incident: Incident) -> Finding | None:
    """GOMEMLIMIT is sound, and the victim held more."""
    limit, setting = incident.limit_bytes, variable(incident.chosen, "GOMEMLIMIT", sizes.go)
    held = incident.chosen.held_bytes
    if not limit or not setting or not _is_go(incident) or setting.value >= _GO_MOST * limit or held <= setting.value:
        return None
    return found(
        f"The process held {size(held)}, more than its GOMEMLIMIT of {size(setting.value)}, which is a soft limit",
        "its live objects are that large, or memory that Go does not count is (cgo, mmap); take a heap profile",
        setting.words,
        f"held {size(held)}",
    )


def node_heap(incident: Incident) -> Finding | None:
    """Node.js' heap alone may fill the limit."""
    limit, heap = incident.limit_bytes, _node_heap(incident)
    if not limit or not heap or heap.value < _FULL * limit:
        return None
    return found(
        f"Node.js' old space may grow to {size(heap.value)} of the {size(limit)} limit, and buffers, code and young "
        f"objects come on top",
        f"set --max-old-space-size={int(_USUAL * limit) >> 20} (three quarters, as its "
        f"documentation does), or raise the limit",
        heap.words,
        f"limit {size(limit)}",
    )


def node_outside_heap(incident: Incident) -> Finding | None:
    """What the victim held is more than its old space can be."""
    heap = _node_heap(incident)
    if not incident.limit_bytes or not heap:
        return None
    outside = incident.chosen.held_bytes - heap.value
    if outside < _OUTSIDE:
        return None
    return found(
        f"At least {size(outside)} of the {size(incident.chosen.held_bytes)} that Node.js held are not its old space "
        f"({size(heap.value)} at most)",
        "look at Buffers, native modules, worker threads and large requests",
        heap.words,
        f"held {size(incident.chosen.held_bytes)}",
    )


def _jvm_heap(incident: Incident) -> Setting[int] | None:
    """The largest heap that was allowed. A size overrides a percentage."""
    if not is_program(incident.chosen, "java", "jsvc"):
        return None
    words = java(incident.chosen)
    if heap := prefixed(words, _XMX, sizes.jvm):
        return heap
    percentage = prefixed(words, ["-XX:MaxRAMPercentage="], sizes.percent)
    container = incident.container.limit_bytes if incident.container else None
    limit = container or incident.limit_bytes
    if not limit:
        return None
    least = prefixed(words, ["-XX:MinRAMPercentage="], sizes.percent)
    if limit * (least.value if least else _JVM_LEAST) / 100 < _JVM_SMALL:
        percentage = least
    return Setting(int(limit * percentage.value / 100), percentage.words) if percentage else None


def _node_heap(incident: Incident) -> Setting[int] | None:
    if not is_program(incident.chosen, "node", "nodejs"):
        return None
    return option(node(incident.chosen), ["--max-old-space-size"], sizes.mebibytes)


def _is_go(incident: Incident) -> bool:
    """Whether a variable that only Go reads is set, all of its environment is known, and it is no other program."""
    victim = incident.chosen
    is_whole = not any(note.startswith("environment") for note in incident.notes)
    has_any = any(name in (victim.environment or {}) for name in _GO_VARIABLES)
    return is_whole and has_any and not is_program(victim, *_NOT_GO)
