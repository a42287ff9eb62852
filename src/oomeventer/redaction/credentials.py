"""What has the shape of a credential: it stays masked also where the Pod's spec says it. In: a word. Out: whether.

Rules: one-sided, as shapes.py: when in doubt, it is one. Events are copied into log stores, to which more people have
access than to the Pod. Pure; the cost is linear.
"""

import re

from oomeventer.redaction.secret_names import tells
from oomeventer.redaction.shapes import is_amount, is_known_mixture, is_word

#: Bytes; a longer word is not looked through.
LONGEST_WORD = 512

_RUN = re.compile(r"[A-Za-z0-9]+")
#: user:password@host, user/password@database. A colon alone is also "proj.wsgi:application".
_USER_INFORMATION = re.compile(r"[:/][^\s@]*[^\s@/]@")
_ADDRESS = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]{1,5})?(?![0-9.])")
#: What parts a name from what it is set to.
_SET = re.compile(r"[=:?&,;\s]")
#: A port has five digits; six in a row, or more than eight in all, are rather a code.
_RUN_DIGITS, _DIGITS = 5, 8


def is_credential(word: str) -> bool:
    """Whether a word may be one or hold one: user information, letters and digits mixed, what a name in it tells of."""
    if len(word) > LONGEST_WORD or not word.isascii() or "\\" in word or "BEGIN" in word:
        return True
    if _USER_INFORMATION.search(word) or _tells_inside(word):
        return True
    if is_amount(word):
        return False
    rest = _ADDRESS.sub(" ", word)
    runs = _RUN.findall(rest)
    return sum(len(run) for run in runs if run.isdigit()) > _DIGITS or not all(map(_is_plain, runs))


def _tells_inside(word: str) -> bool:
    """Whether a name in it tells of what it is set to; a single word is a name, and set to nothing."""
    if not _SET.search(word):
        return False
    return tells(word) or tells(word.partition("?")[2].replace("/", " "))


def _is_plain(run: str) -> bool:
    if run.isdigit():
        return len(run) <= _RUN_DIGITS
    return is_word(run) if run.isalpha() else is_known_mixture(run) or is_amount(run)
