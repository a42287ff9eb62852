"""Arguments, each in the light of those before it. In: a command's words. Out: for each what may be shown of it, and
whether a Pod's spec may bring the rest back.

The file's rules:

- Shown is what has a harmless shape (shapes.py); what no rule knows is masked.
- Behind a name that tells of a secret (secret_names.py; programs.py for letters) all is masked until the next option:
  the first value whatever it looks like, and what follows it. Behind a program whose name tells, and behind
  -----BEGIN, all is masked to the end.
- What was masked for a name, and not for its shape alone, is hidden: no spec brings it back.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto

from msgspec import Struct

from oomeventer.redaction import programs
from oomeventer.redaction.secret_names import tells, tells_plainly
from oomeventer.redaction.shapes import is_dotted, is_name, is_path, is_setting, is_value

MASK = "***"

_JVM_SIZE = re.compile(r"-X(?:mx|ms|ss|mn)[0-9]{1,12}[kKmMgGtT]?")
# "G1" is the only digit that the names of memory flags have.
_JVM_FLAG = re.compile(r"-XX:[+-](?:G1|[A-Za-z]){3,48}")
_JVM_SETTING = re.compile(r"(?P<name>-XX:(?:G1|[A-Za-z]){3,48}=)(?P<value>.*)")
_LETTER_OPTION = re.compile(r"-[A-Za-z]")
# -su bob:1234 is -s -u bob:1234; longer ones are rather words.
_LETTERS = re.compile(r"-[A-Za-z]{1,4}")
# -memory.allowedPercent=45.0, -Dio.netty.maxDirectMemory=0: names of several words, else it is a letter and its value.
_ONE_DASH = re.compile(r"-D?(?P<name>[A-Za-z]+(?:\.[A-Za-z]+)+|[a-z]+(?:[A-Z][a-z]+)+)=(?P<value>.*)")
_OPTION = re.compile(r"-{1,2}[^\W\d]")
_KEY_BLOCK = "-----BEGIN"
#: Of a program's first words so many can be the one that a launcher runs: npm run NAME, python -W ignore NAME.
_FIRST = 3


class Word(Struct, frozen=True):
    """shown: what leaves of an argument. hidden: it was masked for more than its shape."""

    shown: str
    hidden: bool = False


class _Until(Enum):
    """How far masking goes on."""

    NOW = auto()  # nothing is masked
    VALUE = auto()  # the next word, whatever it looks like, and then
    OPTION = auto()  # all until the next option
    END = auto()


def walk(arguments: Iterable[str], program: str = "", comm: str = "", named: bool = False) -> Iterator[Word]:
    """The words of a command behind `program`, which the kernel has as `comm`. named: as for is_value."""
    state = _State(program, comm, named)
    return (state.read(argument) for argument in arguments)


class _State:
    """What the words so far say of the next one."""

    def __init__(self, path: str, comm: str, named: bool) -> None:
        program = programs.base(path)
        self._named = named
        names = {program, comm} - {""}
        self._letters = programs.ANY.union(*map(programs.secret_letters, names))
        self._harmless = programs.harmless_letters(program)
        self._launches = any(map(programs.launches, names))
        self._is_python = program.startswith("python")
        self._words = 0
        self._expects_class = False
        self._before = ""
        if not names.isdisjoint(programs.SECRET_PROGRAMS) or any(map(tells_plainly, names)):
            self._until = _Until.END
        else:
            self._until = _Until.OPTION if any(map(tells, {path, comm} - {""})) else _Until.NOW

    def read(self, argument: str) -> Word:
        """Redact the next argument."""
        if _KEY_BLOCK in argument:
            self._until = _Until.END
        is_option = _OPTION.match(argument) is not None
        hidden = self._until in (_Until.END, _Until.VALUE) or (self._until is _Until.OPTION and not is_option)
        if hidden:
            word = Word(MASK, hidden=True)
        else:
            shown = self._show(argument)
            word = Word(shown, hidden=shown != argument and self._names_a_secret(argument))
        if self._until is not _Until.END:
            self._until = self._after_option(argument) if is_option else self._after_word(argument, hidden)
        self._before = argument
        return word

    # -- how far masking goes ----------------------------------------------------------------------------------------

    def _after_option(self, argument: str) -> _Until:
        if argument in programs.CLASS_PATHS or argument == "-jar":
            self._expects_class = argument != "-jar"
        name, equals, value = argument.partition("=")
        if _LETTERS.fullmatch(name) and name not in programs.LONG_OPTIONS and self._is_secret_letter(name[-1]):
            return _Until.VALUE
        if not tells(name):
            return _Until.NOW
        return _Until.OPTION if equals and value else _Until.VALUE

    def _after_word(self, argument: str, hidden: bool) -> _Until:
        if hidden:
            return _Until.OPTION
        if programs.runs_secretly(argument):
            return _Until.END
        if is_dotted(argument) and self._before not in programs.CLASS_PATHS:
            self._expects_class = False
        name = programs.base(argument)
        self._words += 1
        self._letters |= programs.secret_letters(name)
        if self._launches and self._words == 1:
            self._harmless = programs.harmless_letters(name)  # the letters are that program's from here on
        if self._launches and self._words <= _FIRST and not self._before.startswith("--") and tells_plainly(name):
            return _Until.END
        return _Until.OPTION if tells(argument.partition("=")[0]) else _Until.NOW

    def _is_secret_letter(self, letter: str) -> bool:
        return letter in self._letters and letter not in self._harmless

    def _names_a_secret(self, argument: str) -> bool:
        """Whether a word has a name that tells, and its value: --pin=1, -p1234."""
        name, equals, value = argument.partition("=")
        if equals and value and tells(name):
            return True
        return argument[:1] == "-" and self._is_secret_letter(argument[1:2]) and len(argument) > 2

    # -- what a word shows -------------------------------------------------------------------------------------------

    def _show(self, argument: str) -> str:
        if is_value(argument, self._named) or argument in ("-", "--") or argument in programs.LONG_OPTIONS:
            return argument
        if argument.startswith("-"):
            return self._option(argument)
        if self._is_module(argument):
            return argument
        name, equals, value = argument.partition("=")
        if equals and is_setting(name, value) and not tells(name):
            return argument
        return MASK

    def _is_module(self, argument: str) -> bool:
        """Whether a word is the name of a module or class: right behind its option, or a main class behind -cp."""
        expected = self._before in programs.MODULE_OPTIONS or self._expects_class
        if expected and is_dotted(argument):
            return True
        return self._is_python and self._before == "-m" and self._words == 0 and is_name(argument)

    def _option(self, argument: str) -> str:
        if _JVM_SIZE.fullmatch(argument) or _JVM_FLAG.fullmatch(argument):
            return argument
        if setting := _JVM_SETTING.fullmatch(argument):
            return setting["name"] + (setting["value"] if is_value(setting["value"], named=True) else MASK)
        if found := programs.PATH_OPTIONS.fullmatch(argument):
            return argument if is_value(found["path"], named=False) else found["name"] + MASK
        if argument.startswith("--"):
            return _long(argument)
        if one := _ONE_DASH.fullmatch(argument):
            harmless = is_setting(one["name"], one["value"]) or (is_name(one["name"]) and is_path(one["value"]))
            if harmless and not tells(one["name"]):
                return argument
        # One dash and more than a letter may be a letter with its value attached: -phunter2.
        if letter := _LETTER_OPTION.match(argument):
            return argument if letter.end() == len(argument) else letter.group() + MASK
        return MASK


def _long(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if not is_name(name[2:]) or name[2:3] == "-":
        return MASK
    if not equals:
        return argument
    shown = is_value(value, named=True) or _is_inner_setting(value)
    return name + equals + (value if shown and not (value and tells(name)) else MASK)


def _is_inner_setting(text: str) -> bool:
    """--conf=spark.executor.memory=1024m."""
    name, equals, value = text.partition("=")
    return bool(equals) and is_setting(name, value) and not tells(name)
