"""Words that are almost right. In: a word, and the words that are known. Out: which of them was meant. Rules: pure."""

from collections.abc import Iterable


def closest(word: str, known: Iterable[str], prefix: str = "") -> str | None:
    """The one known word that begins so, or else the one that is most like it, capitals or not; None where there is
    none. prefix: what all known words begin with, which makes none of them alike."""
    import difflib  # only a mistake pays for it

    part = word.lower().removeprefix(prefix.lower())
    words = {each.lower().removeprefix(prefix.lower()): each for each in known}
    begin = [each for each in words if each.startswith(part)]
    return words.get(next(iter(begin if len(begin) == 1 else difflib.get_close_matches(part, words, n=1)), ""))


def enumerated(words: Iterable[str], last: str = "and") -> str:
    """As in "a, b and c". words: one at least."""
    *others, end = words
    return f"{', '.join(others)} {last} {end}" if others else end
