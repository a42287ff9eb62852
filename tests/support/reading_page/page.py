"""The page's messages. In: the page, and messages by kind, each with where it was made. Out: the page with these in
their places, and nothing else changed."""

import re
import textwrap

#: A message, and where it was made.
Made = tuple[str, str]

_PLACE = re.compile(
    r"(?<=<!-- )(?P<kind>[^:]+)(?P<mark> -->\n```\n)(?P<message>.*?)```\n\n(?P<where>[^\n]*)", re.DOTALL
)


def renewed(page: str, made: dict[str, Made]) -> str:
    """A kind that was not made keeps its message."""

    def place(found: re.Match[str]) -> str:
        if found["kind"] not in made:
            return found.group()
        message, where = made[found["kind"]]
        lines = textwrap.wrap(message, 112, break_long_words=False, break_on_hyphens=False)
        return "\n".join([f"{found['kind']}{found['mark']}{lines[0]}", *lines[1:], f"```\n\n{where}"])

    return _PLACE.sub(place, page)


def messages(page: str) -> dict[str, str]:
    """Those that a page has, by kind; empty where none was made yet."""
    return {found["kind"]: " ".join(found["message"].split("\n")).strip() for found in _PLACE.finditer(page)}
