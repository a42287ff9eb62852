"""What the pages tell a reader to type. In: README.md, docs/ and the other pages. Out: their commands, each with the
page that it is on.

Rules: a command is a line of a fenced block that begins with a program's name, or a piece of code in the text that has
more than that. `...` leaves something out, and says so: no command. A block that goes on with a backslash is one line.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from places import REPOSITORY

PAGES = sorted(
    [
        *(REPOSITORY / "docs").glob("*.md"),
        *(REPOSITORY / "examples").glob("*.md"),
        *(
            REPOSITORY / name
            for name in ("README.md", "CONTRIBUTING.md", "charts/oomeventer/README.md", "plugin/README.md")
        ),
    ]
)
_BLOCK = re.compile(r"^```(?:sh)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
#: What begins a command. What a page says with another program is no command until it is added here.
_PROGRAM = re.compile(
    r"(buildah|ctr|docker|helm|install|journalctl|kind|kubectl|ln|make|oomeventer|pip|skopeo|until)(?= |$)"
)


class Typed(NamedTuple):
    """page: relative to the repository."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def commands() -> list[Typed]:
    """All of them, each once a page."""
    return list(dict.fromkeys(typed for file in PAGES for typed in _of(file)))


def _of(file: Path) -> Iterator[Typed]:
    page, text = str(file.relative_to(REPOSITORY)), file.read_text()
    for block in _BLOCK.findall(text):
        yield from _typed(page, block.replace("\\\n", " ").splitlines())
    pieces = [" ".join(piece.split()) for piece in _INLINE.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))]
    yield from _typed(page, [piece for piece in pieces if " " in piece])


def _typed(page: str, lines: list[str]) -> Iterator[Typed]:
    for line in lines:
        if _PROGRAM.match(line) and "..." not in line.split("#")[0]:
            yield Typed(page, tuple(shlex.split(line, comments=True)))
