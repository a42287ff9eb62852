"""The command line. In: its words. Out: a Line, the command and what its flags gave, with the mistakes in it.

Rules: argparse declares the options, writes the help and takes the flags apart. It ends at the first mistake, and so it
gets no wrong flag to see: those are found before it, each with what was meant. A flag may be shortened to what only one
option of the command begins with; the last of a repeated one counts. What takes long to import is imported where used.
"""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, NoReturn

from oomeventer import __version__
from oomeventer.errors import OomeventerError
from oomeventer.spelling import closest, enumerated


class UsageError(OomeventerError):
    """There is no such command."""


class Command(NamedTuple):  # not a dataclass, which takes milliseconds of each start
    """options: those of this command alone, which take no value, by flag: what they do."""

    help: str
    options: Mapping[str, str] = MappingProxyType({})


_AS_JSON = {"--json": "one JSON object a line"}
#: As people write them elsewhere.
_SHORT = {"-n": "--namespace", "-f": "--follow"}

COMMANDS = {
    "run": Command("the agent: Kubernetes Events for the kills on this node"),
    "trace": Command("show the kills on this machine as they happen; no cluster needed", _AS_JSON),
    "demo": Command("make a real kill in a cgroup of its own, and show what it becomes"),
    "doctor": Command("show what this machine has of what is needed"),
    "history": Command(
        "the kills that the agent's journal knows of", {**_AS_JSON, "--follow": "go on with those that come (also -f)"}
    ),
    "detach": Command("remove what an agent left in the kernel for the next one; kills are then no longer recorded"),
}


class Line(NamedTuple):
    """texts: by the name of a setting, what its flag gave. options: the given ones of the command's own."""

    command: str
    texts: dict[str, str]
    options: frozenset[str]
    mistakes: list[str]


def parse(words: Sequence[str]) -> Line:
    """What the words ask for. `help` and `version`, in all their forms, are answered here, and raise SystemExit.
    Raises UsageError."""
    first, *rest = words or [""]
    if first == "help":
        first, *rest = (rest[0], "--help") if rest else ("--help",)
    elif first == "version":
        first = "--version"
    if first in COMMANDS:
        return _line(first, rest)
    if not first:
        program().print_help(sys.stderr)
        raise SystemExit(2)
    if first == "-h" or (first.startswith("--") and first != "--"):
        program().parse_known_args([first])
    raise UsageError(_no_command(first))


def _line(command: str, words: Sequence[str]) -> Line:
    full, mistakes = _in_full(command, words)
    found, strays = command_parser(command).parse_known_args(full)
    mistakes += [f"{word} is not expected: '{command}' takes options only" for word in strays]
    given = {name: value for name, value in vars(found).items() if value is not None}
    options = frozenset(name for name, value in given.items() if value is True)
    return Line(command, {name: value for name, value in given.items() if name not in options}, options, mistakes)


def _no_command(word: str) -> str:
    if word.startswith("-"):
        written = word.partition("=")[0]
        if whose := _whose().get(written):
            return f"{written} is an option of {_quoted(whose)}: write it after the command"
        meant = closest(written, ("--help", "--version"), "--")
        return f"{word} is no option: " + (f"did you mean {meant}?" if meant else "see 'oomeventer --help'")
    meant = closest(word, COMMANDS)
    return f"{word} is no command" + (f": did you mean {meant}?" if meant else f"; there are {enumerated(COMMANDS)}")


# -- the parsers --------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


#: Where a help's second column begins, and how wide a line is at most.
_COLUMN, _PROGRAM_COLUMN, _WIDTH = 32, 14, 118


def _layout(prog: str) -> argparse.HelpFormatter:
    return argparse.RawTextHelpFormatter(prog, max_help_position=_COLUMN, width=_width())


def _width() -> int:
    return min(shutil.get_terminal_size().columns - 2, _WIDTH)


def _wrapped(text: str, width: int) -> str:
    # Not by argparse, which would break --ring-bytes in two.
    return textwrap.fill(text, max(width, 20), break_on_hyphens=False)


def program() -> argparse.ArgumentParser:
    """The program's parser: its commands, without their options."""
    parser = _Parser(
        "oomeventer",
        description="Explains kernel OOM kills, on a node of Kubernetes or on any machine.",
        epilog="oomeventer COMMAND --help shows the options of a command.",
        usage="oomeventer COMMAND [OPTION...]",
        formatter_class=_layout,
    )
    parser.add_argument("--version", action="version", version=f"oomeventer {__version__}", help="show the version")
    # Not subparsers: argparse would list their common name, too, as if it were a command.
    commands = parser.add_argument_group("commands")
    for name, command in COMMANDS.items():
        commands.add_argument(name, nargs="?", help=_wrapped(command.help, _width() - _PROGRAM_COLUMN))
    return parser


def command_parser(name: str) -> argparse.ArgumentParser:
    """A command's parser, with the options that it has."""
    from oomeventer.setting_table import PREFIX, SETTINGS

    width = _width()
    parser = _Parser(
        f"oomeventer {name}",
        usage=f"oomeventer {name} [OPTION...]",
        description=_wrapped(f"{name}: {COMMANDS[name].help}.", width),
        epilog=_wrapped(
            f"Each option that takes a value has a variable, too: {PREFIX}LOG_LEVEL for --log-level. The flag wins.",
            width,
        ),
        formatter_class=_layout,
        allow_abbrev=False,
    )
    for flag, text in COMMANDS[name].options.items():
        parser.add_argument(flag, action="store_const", const=True, help=text)
    for setting in SETTINGS:
        if name in setting.commands:
            default = f" (default: {setting.default})" if setting.default else ""
            unit = setting.name.partition("_per_")[0].rpartition("_")[2].upper()  # as in BYTES
            parser.add_argument(
                setting.flag,
                metavar=unit,
                help=_wrapped(f"{setting.help}{default}", width - _COLUMN).replace("%", "%%"),
            )
    return parser


# -- flags in full ------------------------------------------------------------------------------------------------


def flags(command: str) -> dict[str, bool]:
    """The flags of a command; whether each takes a value."""
    from oomeventer.setting_table import SETTINGS

    values = {setting.flag: True for setting in SETTINGS if command in setting.commands}
    return {"--help": False} | dict.fromkeys(COMMANDS[command].options, False) | values


def _in_full(command: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words, flags in full and with their values, as in --flag=value; and the mistakes, which are left out."""
    known = flags(command)
    others = {flag: takes for name in COMMANDS for flag, takes in flags(name).items()}
    rest, full, mistakes = list(words), [], []
    while rest:
        word = rest.pop(0)
        if word == "-h" or not word.startswith("-"):
            full.append(word)
            continue
        written, equals, value = word.partition("=")
        if _SHORT.get(written) in known:
            written = _SHORT[written]
        found = [written] if written in known else [flag for flag in known if _begins(flag, written)]
        flag = found[0] if len(found) == 1 else ""
        takes_value = known[flag] if flag else others.get(written, True)
        if takes_value and not equals and rest and not rest[0].startswith("-"):
            equals, value = "=", rest.pop(0)
        if not flag:
            mistakes.append(_no_option(command, written, found))
        elif equals and not takes_value:
            mistakes.append(f"{flag} takes no value")
        elif takes_value and not equals:
            mistakes.append(f"{flag} needs a value")
            if rest and rest[0] != "-h" and not rest[0].startswith("--"):
                mistakes[-1] += f"; one that begins with '-' is written {flag}={rest.pop(0)}"
        else:
            full.append(flag + equals + value)
    return full, mistakes


def _begins(flag: str, written: str) -> bool:
    return len(written) > len("--") and flag.startswith(written)


def _no_option(command: str, written: str, found: Sequence[str]) -> str:
    if found:
        return f"{written} is ambiguous: {enumerated(found, 'or')}"
    whose = _whose()
    if written in whose:
        return f"{written} is an option of {_quoted(whose[written])}, not of '{command}'"
    meant = closest(written, whose, "--")
    if meant and command not in whose[meant]:
        return f"{written} is no option: did you mean {meant}, an option of {_quoted(whose[meant])}?"
    return f"{written} is no option: " + (f"did you mean {meant}?" if meant else f"see 'oomeventer {command} --help'")


def _whose() -> dict[str, list[str]]:
    """The commands that have a flag, for each flag."""
    return {flag: [name for name in COMMANDS if flag in flags(name)] for each in COMMANDS for flag in flags(each)}


def _quoted(commands: Sequence[str]) -> str:
    return enumerated([f"'{name}'" for name in commands])
