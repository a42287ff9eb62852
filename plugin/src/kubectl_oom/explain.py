"""What the hints rest on, and more of what to do: docs/hints.md, which is in this package. In: rules' names. Out: lines
of rich Text.

Rules: asks no cluster. hints.md is made of docs/hints.md by `make docs`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence

from rich.text import Text

from kubectl_oom.errors import OomError
from kubectl_oom.paint import TITLE, wrapped
from kubectl_oom.plain import harmless

_PAGE = "hints.md"
_SECTION = "\n## "


def rules() -> dict[str, str]:
    """Each rule's text, by its name, in the page's order."""
    page = (pkgutil.get_data("kubectl_oom", _PAGE) or b"").decode()
    sections = (section.partition("\n") for section in page.split(_SECTION)[1:])
    return {name.strip(): text.strip() for name, _, text in sections}


def sections(names: Sequence[str], width: int) -> Iterator[Text]:
    """Those that are named. Raises OomError for a name that no rule has."""
    known = rules()
    for position, name in enumerate(names):
        rule = name.strip("#,")
        if rule not in known:
            raise OomError(f"there is no hint {harmless(name, 80)}; kubectl oom explain lists them")
        if position:
            yield Text()
        yield Text(rule, TITLE)
        for paragraph in known[rule].split("\n\n"):
            yield from wrapped(paragraph.replace("\n", " "), width, 2)


def titles(width: int) -> Iterator[Text]:
    """All names, each with the first sentence of its text."""
    for name, text in rules().items():
        first = text.replace("\n", " ").partition(". ")[0].rstrip(".")
        yield Text(name, TITLE)
        yield from wrapped(first, width, 2)
