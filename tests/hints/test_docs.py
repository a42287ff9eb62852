"""docs/hints.md and the table of rules are held together. In: both. Out: that each row has its section."""

from oomeventer.hints.table import RULES
from places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "hints.md").read_text()


def test_each_rule_has_its_section() -> None:
    """In the table's order or another, each once, and no section without a rule."""
    sections = [line.removeprefix("## ") for line in PAGE.splitlines() if line.startswith("## ")]
    assert sorted(sections) == sorted(rule.name for rule in RULES)


def test_a_section_says_something() -> None:
    for section in PAGE.split("\n## ")[1:]:
        heading, _, text = section.partition("\n\n")
        assert 1 < len(text.strip().splitlines()) <= 6, heading
