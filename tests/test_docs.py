"""The pages: made from the tables that they are of, and without a link to nowhere. In: README.md, docs/, the chart's
README, examples/. Out: what does not fit."""

import re
from pathlib import Path

import pytest

from docs import CONFIGURATION, METRICS, PLUGINS_HINTS, configuration, page, plugins_hints
from pages import PAGES
from places import REPOSITORY

_LINK = re.compile(r"\]\((?P<path>[^)#:]*)(?:#(?P<anchor>[^)]*))?\)")


def test_generated() -> None:
    """`make docs` was run."""
    assert METRICS.read_text() == page()
    assert CONFIGURATION.read_text() == configuration()
    assert PLUGINS_HINTS.read_text() == plugins_hints()


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_links(file: Path) -> None:
    """Each names a file of the repository, and a heading in it."""
    links = list(_LINK.finditer(file.read_text()))
    for link in links:
        target = (file.parent / link["path"]).resolve() if link["path"] else file
        assert target.exists(), link[0]
        if link["anchor"]:
            assert link["anchor"] in headings(target), link[0]


def headings(file: Path) -> set[str]:
    """Their anchors, as the usual renderers make them."""
    found = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_links_are_there() -> None:
    assert sum(len(_LINK.findall(file.read_text())) for file in PAGES) > 30
