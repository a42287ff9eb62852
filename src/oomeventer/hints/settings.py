"""What a victim was told of its memory. In: a Victim, its words redacted. Out: settings, each with its words.

Rules: pure. A masked word is no setting. Where a program's own options end, its arguments begin, and these are none.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from oomeventer.incident import Victim

T = TypeVar("T", int, float)

#: Options of java that have a value behind them.
_JAVA_VALUES = frozenset(
    """
    -cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules --enable-native-access
    --add-reads --add-exports --add-opens --limit-modules --patch-module
    """.split()  # noqa: SIM905
)
_NODE_VALUES = frozenset({"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"})


class Setting(Struct, Generic[T], frozen=True):
    """value: read. words: as the victim has it, and where."""

    value: T
    words: str


Word = tuple[str, str]
"""A word, and the variable that it stands in; "" for the command."""


def java(victim: Victim) -> list[Word]:
    """The JVM's options, those that count most last."""
    command = _before_program(victim.command or (), _JAVA_VALUES, ends=("-jar", "-m", "--module"))
    return [
        *_variable(victim, "JAVA_TOOL_OPTIONS"),
        *_variable(victim, "JDK_JAVA_OPTIONS"),
        *command,
        *_variable(victim, "_JAVA_OPTIONS"),
    ]


def node(victim: Victim) -> list[Word]:
    """Node.js' options, those that count most last; with dashes for underscores, as V8 reads them."""
    words = [*_variable(victim, "NODE_OPTIONS"), *_before_program(victim.command or (), _NODE_VALUES)]
    return [(word.replace("_", "-"), place) for word, place in words]


def command(victim: Victim) -> list[Word]:
    """All of its arguments."""
    return [(word, "") for word in (victim.command or ())[1:]]


def variable(victim: Victim, name: str, read: Callable[[str], T | None]) -> Setting[T] | None:
    """A variable of the environment."""
    text = (victim.environment or {}).get(name)
    value = read(text) if text else None
    return None if value is None else Setting(value, f"{name}={text}")


def prefixed(words: Sequence[Word], prefixes: Sequence[str], read: Callable[[str], T | None]) -> Setting[T] | None:
    """-Xmx8g: the last word that begins so; None where no figure follows."""
    for word, place in reversed(words):
        for prefix in prefixes:
            if word.startswith(prefix):
                return _setting(read(word.removeprefix(prefix)), word, place)
    return None


def option(words: Sequence[Word], names: Sequence[str], read: Callable[[str], T | None]) -> Setting[T] | None:
    """--workers=8, or --workers 8: the last one; None where no figure follows."""
    behind = ""
    for word, place in reversed(words):
        name, equals, text = word.partition("=")
        if name in names:
            return _setting(read(text if equals else behind), word if equals else f"{word} {behind}", place)
        behind = word
    return None


def _setting(value: T | None, words: str, place: str) -> Setting[T] | None:
    return None if value is None else Setting(value, f"{words} ({place})" if place else words)


def variable_words(victim: Victim, name: str) -> list[Word]:
    """The options that a variable holds."""
    return list(_variable(victim, name))


def _variable(victim: Victim, name: str) -> Iterator[Word]:
    return ((word, name) for word in (victim.environment or {}).get(name, "").split())


def _before_program(argv: Sequence[str], with_value: frozenset[str], ends: tuple[str, ...] = ()) -> Iterator[Word]:
    words = iter(argv[1:])
    for word in words:
        if word in ends or not word.startswith("-"):
            return
        yield word, ""
        if word in with_value:
            next(words, None)
