"""What of the victim's arguments and environment may leave the node.

In: the NUL-separated bytes of /proc/PID/cmdline and /proc/PID/environ. Out: printable text in which all
that could be a secret is `***`. An Event can be read by many who may not read Secrets, and it is copied
into log stores.

The file's rules:

- Nothing is shown because it is on no list of forbidden words; it is shown because its *shape* is harmless:
  option names, bounded numbers, sizes, durations, plain paths, the JVM's and the allocators' memory
  settings. What no rule knows is masked. How arguments are read is in arguments.py, the shapes are in shapes.py.
- What was cut is not shown: half a word may be half a secret, or another figure.
- It is a filter on shapes. What it may show of a secret is in docs/redaction.md; who cannot have that sets
  `arguments="none"`.

Nothing here raises for any content of the process.
"""

import re
from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Literal

from msgspec import Struct

from oomeventer.redaction.arguments import MASK, Word, walk
from oomeventer.redaction.credentials import LONGEST_WORD
from oomeventer.redaction.secret_names import tells
from oomeventer.redaction.shapes import is_name, is_path
from oomeventer.redaction.variables import MEMORY_VARIABLES, is_listed
from oomeventer.text import printable

_COMM_BYTES = 15  # TASK_COMM_LEN less the closing NUL: a longer name is cut to that

# What a shell leaves alone, and "*", which here only ever is a mask.
_UNQUOTED = re.compile(r"[A-Za-z0-9_@%+=:,./*-]+")


# What can join tokens.
_JOINS = re.compile(rb"[\"'\\]")


class Redaction(Struct, frozen=True):
    """The node's policy; a misspelt one is a ValueError, as it must not quietly mean another.

    `arguments`: `none`, `safe` (by shape, see the module) or `all` (unredacted: Events then hold passwords).
    `environment`: `none`, `listed` (the names below, their values by shape) or `all` (unredacted).
    `environment_names`: exact names, beginnings with a closing `*`, or ends with an opening one.
    """

    arguments: Literal["none", "safe", "all"] = "safe"
    environment: Literal["none", "listed", "all"] = "listed"
    environment_names: frozenset[str] = MEMORY_VARIABLES

    def __post_init__(self) -> None:
        if self.arguments not in ("none", "safe", "all"):
            raise ValueError(f"arguments: {self.arguments!r} is not one of none, safe, all")
        if self.environment not in ("none", "listed", "all"):
            raise ValueError(f"environment: {self.environment!r} is not one of none, listed, all")

    def command(self, argv: Sequence[bytes], comm: bytes, cut: bool = False) -> tuple[str, ...]:
        """What may be shown of `argv`, one text for each argument; empty with `none`.

        `comm` is the name that the kernel has for the victim. It is reported anyway, so an argv[0] that
        agrees with it is no news. cut: the last argument has lost its end.
        """
        return tuple(word.shown for word in self.words(argv, comm, cut))

    def words(self, argv: Sequence[bytes], comm: bytes, cut: bool = False) -> tuple[Word, ...]:
        """As command(), with what is hidden and what only masked."""
        if self.arguments == "all":
            return tuple(Word(printable(argument)) for argument in argv)
        if self.arguments == "none" or not argv:
            return ()
        arguments = [printable(argument[: LONGEST_WORD + 1]) for argument in argv]
        name = printable(comm)
        program = _program(arguments[0], name, len(comm) >= _COMM_BYTES)
        words = (Word(program), *walk(islice(arguments, 1, None), arguments[0], name))
        return (*words[:-1], Word(MASK, hidden=True)) if cut else words

    def environ(self, entries: Sequence[bytes], cut: bool = False) -> dict[str, str]:
        """What may be shown of `NAME=value` entries; of a name that comes twice the first, as in getenv().

        cut: the last one has lost its end.
        """
        shown: dict[str, str] = {}
        if self.environment == "none":
            return shown
        for number, entry in enumerate(entries, 1):
            raw_name, equals, value = entry.partition(b"=")
            name = printable(raw_name)
            if not equals or name in shown:
                continue
            if self.environment == "all":
                shown[name] = printable(value)
            elif is_listed(name, self.environment_names):
                is_secret = tells(name) or (cut and number == len(entries))
                shown[name] = MASK if is_secret else _variable(value)
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
    simple = list(takewhile(lambda token: not _JOINS.search(token), tokens))
    shown = [word.shown for word in walk((printable(token[:LONGEST_WORD]) for token in simple), named=True)]
    return " ".join(shown if len(simple) == len(tokens) else [*shown, MASK])
