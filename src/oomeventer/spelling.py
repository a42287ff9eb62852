"""Words that are almost right. In: a word, and the words that are known. Out: which of them was meant. Rules: pure."""

from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """The one known word that begins so, or else the one that is most like it; None where there is none."""
    import difflib  # only a mistake pays for it

    words = list(known)
    begin = [each for each in words if each.startswith(word)]
    return next(iter(begin if len(begin) == 1 else difflib.get_close_matches(word, words, n=1)), None)


def enumerated(words: Iterable[str], last: str = "and") -> str:
    """As in "a, b and c". words: one at least."""
    *others, end = words
    return f"{', '.join(others)} {last} {end}" if others else end
