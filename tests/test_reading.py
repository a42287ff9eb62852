"""docs/reading-an-event.md: its messages are kept apart from its words. In: the page. Out: its messages, by kind."""

import re

from oomeventer.incident.message import MESSAGE_BYTES
from places import REPOSITORY
from reading_page.kills import KILLS, SLOW
from reading_page.page import messages, renewed

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGE = (REPOSITORY / "docs/reading-an-event.md").read_text(encoding="utf-8")


def test_every_kind_that_is_made_here_is_on_the_page() -> None:
    """With a message as an Event has it, and where it was made."""
    found = messages(PAGE)
    assert {*KILLS, *SLOW} <= set(found)
    made = {kind: message for kind, message in found.items() if message}
    assert {*KILLS, *SLOW} <= set(made)
    assert len(made) >= 10
    assert all(len(message.encode()) <= MESSAGE_BYTES for message in made.values())
    assert PAGE.count("\nMade by `make ") == len(made)
    assert PAGE.count("\nNot made yet.\n") == len(found) - len(made)


def test_a_message_is_renewed_and_nothing_else() -> None:
    """Of one kind; a long one is wrapped, and is the same again."""
    long = "Pod web-0 ran out of its 64Mi memory limit and the kernel killed hog. " * 9
    page = renewed(PAGE, {"tmpfs": (long.strip(), "Made here.")})
    assert messages(page) == messages(PAGE) | {"tmpfs": long.strip()}
    assert "\nMade here.\n" in page
    without = re.compile(r"<!-- tmpfs -->.*?\n```\n\n[^\n]*", re.DOTALL)
    assert without.sub("", page) == without.sub("", PAGE)
    assert renewed(PAGE, {}) == PAGE


def test_the_readme_has_one_of_them() -> None:
    """The same message, made in the same run."""
    (kind,) = messages(README)
    assert messages(README)[kind] == messages(PAGE)[kind] != ""
