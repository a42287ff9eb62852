"""What of the victim's arguments and environment may leave the node.

In: the NUL-separated bytes of /proc/PID/cmdline and /proc/PID/environ. Out: printable text in which all
that could be a secret is `***`. An Event can be read by many who may not read Secrets, and it is copied
into log stores.

The file's rules:

- Nothing is shown because it is on no list of forbidden words; it is shown because its *shape* is harmless:
  option names, bounded numbers, sizes, durations, plain paths, the JVM's and the allocators' memory
  settings. What no rule knows is masked.
- On top of that, what follows a name that sounds like a secret (`--pin 1234`) is masked whatever its shape.
  Such names are looked for anywhere in a word: masking the value of `--mapping` costs a reader little.
- What is harmless by its shape stands in shapes.py.
- It is a filter on shapes, so a secret that looks like an English word in a path (`/hunter`), or a number
  after a name that gives no hint (`--room 1234`), is shown. Who cannot have that sets `arguments="none"`.

Nothing here raises for any content of the process.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Literal

from oomeventer.incident.shapes import LONGEST, is_name, is_path, is_value
from oomeventer.text import printable

MASK = "***"

# Variables that bear on memory: exact names, or beginnings with a closing "*". Values are redacted too.
MEMORY_VARIABLES = frozenset(
    """
    GOMEMLIMIT GOGC GOMAXPROCS
    JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS JAVA_OPTS JAVA_OPTIONS JAVA_ARGS JVM_OPTS JVM_ARGS
    MAVEN_OPTS GRADLE_OPTS SBT_OPTS ES_JAVA_OPTS LS_JAVA_OPTS KAFKA_HEAP_OPTS KAFKA_OPTS HADOOP_HEAPSIZE*
    CATALINA_OPTS
    SPARK_DAEMON_MEMORY SPARK_DRIVER_MEMORY SPARK_EXECUTOR_MEMORY SPARK_WORKER_MEMORY
    NODE_OPTIONS UV_THREADPOOL_SIZE PYTHONMALLOC* PYTHONTRACEMALLOC RUBY_GC_* PHP_MEMORY_LIMIT
    DOTNET_GC* DOTNET_gc* COMPlus_GC* COMPlus_gc*
    WEB_CONCURRENCY GUNICORN_CMD_ARGS TOKIO_WORKER_THREADS RAYON_NUM_THREADS
    OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMEXPR_MAX_THREADS NUMEXPR_NUM_THREADS
    LD_PRELOAD GLIBC_TUNABLES MALLOC_* _RJEM_MALLOC_CONF TCMALLOC_* MIMALLOC_*
    """.split()  # noqa: SIM905 - fifty quoted names would hide the order
)

_JVM_SIZE = re.compile(r"-X(?:mx|ms|ss|mn)[0-9]{1,12}[kKmMgGtT]?")
# "G1" is the only digit that the names of memory flags have.
_JVM_FLAG = re.compile(r"-XX:[+-](?:G1|[A-Za-z]){3,48}")
_JVM_SETTING = re.compile(r"(?P<name>-XX:(?:G1|[A-Za-z]){3,48}=)(?P<value>.*)")
_LETTER_OPTION = re.compile(r"-[A-Za-z]")

_SECRET_NAME = re.compile(
    r"pass|pwd|pw|secret|token|key|pin|auth|cred|cookie|session|salt|otp|mfa|2fa|signature|private|bearer"
    r"|login|hmac|psk|cvv|ssn",
    re.IGNORECASE,
)
# By these letters common clients take a password or user:password (redis-cli -a, mysql -p, curl -u).
_SECRET_LETTER = re.compile(r"-[apPuUkK]")

_COMM_BYTES = 15  # TASK_COMM_LEN less the closing NUL: a longer name is cut to that

# A name listed by its beginning only must be no token itself: one digit, alone (RUBY_GC_HEAP_0_INIT_SLOTS).
_VARIABLE_NAME = re.compile(r"[A-Za-z_]{1,64}(?:_[0-9](?:_[A-Za-z_]{1,64})?)?")

# What a shell leaves alone, and "*", which here only ever is a mask.
_UNQUOTED = re.compile(r"[A-Za-z0-9_@%+=:,./*-]+")


@dataclass(frozen=True, slots=True)
class Redaction:
    """The node's policy; a misspelt one is a ValueError, as it must not quietly mean another.

    `arguments`: `none`, `safe` (by shape, see the module) or `all` (unredacted: Events then hold passwords).
    `environment`: `none`, `listed` (the names below, their values by shape) or `all` (unredacted).
    `environment_names`: exact names, or beginnings with a closing `*`.
    """

    arguments: Literal["none", "safe", "all"] = "safe"
    environment: Literal["none", "listed", "all"] = "listed"
    environment_names: frozenset[str] = MEMORY_VARIABLES

    def __post_init__(self) -> None:
        if self.arguments not in ("none", "safe", "all"):
            raise ValueError(f"arguments: {self.arguments!r} is not one of none, safe, all")
        if self.environment not in ("none", "listed", "all"):
            raise ValueError(f"environment: {self.environment!r} is not one of none, listed, all")

    def command(self, argv: Sequence[bytes], comm: bytes) -> tuple[str, ...]:
        """What may be shown of `argv`, one text for each argument; empty with `none`.

        `comm` is the name that the kernel has for the victim. It is reported anyway, so an argv[0] that
        agrees with it is no news.
        """
        if self.arguments == "all":
            return tuple(map(printable, argv))
        if self.arguments == "none" or not argv:
            return ()
        arguments = [printable(argument[: 2 * LONGEST]) for argument in argv]
        program = _program(arguments[0], printable(comm), len(comm) >= _COMM_BYTES)
        return (program, *islice(_sequence(arguments, named=False), 1, None))

    def environ(self, entries: Sequence[bytes]) -> dict[str, str]:
        """What may be shown of `NAME=value` entries; of a name that comes twice the first, as in getenv()."""
        shown: dict[str, str] = {}
        if self.environment == "none":
            return shown
        beginnings = tuple(name[:-1] for name in self.environment_names if name.endswith("*"))
        for entry in entries:
            raw_name, equals, value = entry.partition(b"=")
            name = printable(raw_name)
            if not equals or name in shown:
                continue
            if self.environment == "all":
                shown[name] = printable(value)
            elif name in self.environment_names or (name.startswith(beginnings) and _VARIABLE_NAME.fullmatch(name)):
                shown[name] = MASK if _SECRET_NAME.search(name) else _variable(value)
        return shown


def parse_arguments(raw: bytes) -> list[bytes]:
    """Split the content of /proc/PID/cmdline; a kernel thread's is empty.

    The NUL at the end ends the last argument. Of more there, one is an empty argument and kept; several are what a
    process left that wrote a shorter title over its arguments, and go.
    """
    stripped = raw.rstrip(b"\0")
    if not stripped:
        return []
    arguments = stripped.split(b"\0")
    return [*arguments, b""] if len(raw) - len(stripped) == 2 else arguments


def parse_environment(raw: bytes) -> list[bytes]:
    """Split the content of /proc/PID/environ; empty entries, which a process can leave there, are dropped."""
    return [entry for entry in raw.split(b"\0") if entry]


def quote(argv: Sequence[str]) -> str:
    """One line for a command that `Redaction.command` gave, quoted as a shell would need it; masks bare."""
    return " ".join(
        argument if _UNQUOTED.fullmatch(argument) else "'" + argument.replace("'", "'\\''") + "'" for argument in argv
    )


def _program(argument: str, comm: str, comm_is_cut: bool) -> str:
    """argv[0]: a plain path, or as much of it as comm says already."""
    if is_path(argument):
        return argument
    directory, slash, name = argument.rpartition("/")
    directory += slash
    place = directory if not slash or is_path(directory) else f"{MASK}/"
    name = name.removeprefix("-")  # a login shell's mark
    if not comm or not name.startswith(comm):
        return MASK
    rest = name[len(comm) :]
    if not rest or (comm_is_cut and is_name(name)):
        return place + name
    # "nginx: worker process", or the part of a long name that comm has no room for.
    return place + comm + MASK if comm_is_cut or rest[0] in ": " else MASK


def _variable(value: bytes) -> str:
    """A listed variable's value, token by token.

    A quote or backslash can join tokens ("-Dpin='1 2'"), in ways each reader has its own rules for: from
    there on all is masked.
    """
    tokens = value.split()
    simple = list(takewhile(lambda token: not re.search(rb"[\"'\\]", token), tokens))
    shown = list(_sequence((printable(token[: 2 * LONGEST]) for token in simple), named=True))
    return " ".join(shown if len(simple) == len(tokens) else [*shown, MASK])


def _sequence(arguments: Iterable[str], named: bool) -> Iterator[str]:
    """Redact arguments, each in the light of the one before; `named` as for `is_value`."""
    after_option = after_word = False
    for argument in arguments:
        is_option = argument.startswith("-")
        # What follows a mere word ("passwd 1234") is masked too, but there an option is no value.
        hidden = after_option or (after_word and not is_option)
        yield MASK if hidden else _argument(argument, named)
        name, _, value = argument.partition("=")
        secret = not value and bool(_SECRET_NAME.search(name) or _SECRET_LETTER.fullmatch(name))
        after_option, after_word = secret and is_option, secret and not is_option


def _argument(argument: str, named: bool) -> str:
    if is_value(argument, named) or argument in ("-", "--"):
        return argument
    if _JVM_SIZE.fullmatch(argument) or _JVM_FLAG.fullmatch(argument):
        return argument
    if setting := _JVM_SETTING.fullmatch(argument):
        return setting["name"] + (setting["value"] if is_value(setting["value"], named=True) else MASK)
    if argument.startswith("--"):
        name, equals, value = argument.partition("=")
        if not is_name(name[2:]):
            return MASK
        shown = is_value(value, named=True) and not (value and _SECRET_NAME.search(name))
        return name + equals + (value if shown else MASK)
    # One dash and more than a letter may be a letter with its value attached: -phunter2.
    if letter := _LETTER_OPTION.match(argument):
        return argument if letter.end() == len(argument) else letter.group() + MASK
    return MASK
