"""Words that were masked, and that the Pod's spec shows anyway: they may be shown again.

In: masked words with their keyed digests, and the container's `command` and `args`. Out: the command with those words
unmasked.

Whoever may read a Pod's Events may read the Pod (role view), and `kubectl describe pod` prints the container's command
right above them. So a word is shown if it stands there as it was written, unexpanded, and no name before it tells of a
secret, neither here nor there. What has the shape of a credential stays masked: Events are copied into log stores.

Rules: pure. Of a masked word nothing is kept but its digest under a key that is in memory only, so nothing more than
the mask reaches the disk or a log before the Pod is known, and of a short word nobody can try out what it was.
"""

import hashlib
import re
import shlex
from collections.abc import Iterable, Sequence

from oomeventer.redaction.arguments import Word, walk
from oomeventer.redaction.credentials import LONGEST_WORD, is_credential
from oomeventer.redaction.policy import Redaction
from oomeventer.text import printable

KEY_BYTES, _DIGEST_BYTES = 32, 16

#: For each word of a command its digest; None for one that is shown, or that no spec may bring back.
Digests = tuple[bytes | None, ...]

#: What the kubelet expands: $(NAME) becomes the value of a variable, which may be a Secret's.
_EXPANDED = "$("
#: What a shell may make something else of.
_SHELL = re.compile(r"[$`*?~\[{]")
_SCRIPT = re.compile(r"[\s;|&()'\"`]+")
_SAFE = Redaction()


def digests(argv: Sequence[bytes], words: Sequence[Word], key: bytes) -> Digests:
    """The digests of arguments that Redaction.words() masks for their shape alone."""
    return tuple(
        _digest(argument, key) if _may_be_shown(word, argument) else None
        for argument, word in zip(argv, words, strict=False)
    )


def unmask(command: Sequence[str], masked: Digests, clear: Iterable[str], key: bytes) -> tuple[str, ...]:
    """The command with those of its masked words that are in clear there; as it is if the digests are not its own."""
    if len(masked) != len(command):
        return tuple(command)
    shown_by = {_digest(_raw(word), key): printable(word) for word in clear}
    return tuple(
        shown if digest is None else shown_by.get(digest, shown) for shown, digest in zip(command, masked, strict=True)
    )


def words_in_clear(spec_words: Sequence[str]) -> frozenset[str]:
    """The words of a container's command and args that no name there tells to be secrets, each as the kubelet hands it
    over. A script's words are among them, since a shell hands them over in turn; what it would expand is not."""
    words: set[str] = set()
    hidden: set[str] = set()
    for sequence in (spec_words, *filter(None, map(_script, spec_words))):
        read = _SAFE.words([_raw(word) for word in sequence], b"")
        secret = {word for word, redacted in zip(sequence, read, strict=True) if redacted.hidden}
        hidden |= secret
        if sequence is spec_words or not secret:  # of a script that handles a secret no word is known to be none
            words.update(sequence)
    return frozenset(word for word in words - hidden if _EXPANDED not in word)


def _may_be_shown(word: Word, argument: bytes) -> bool:
    """Whether a word was masked for its shape alone, and does not look like a secret, nor a script that handles one."""
    text = printable(argument[: LONGEST_WORD + 1])
    if word.hidden or word.shown == text or is_credential(text):
        return False
    parts = list(filter(None, _SCRIPT.split(text)))
    return len(parts) < 2 or not any(part.hidden for part in walk(parts))


def _script(word: str) -> list[str]:
    """The words of a script as a shell parts them; empty for a single word, or where it is more than that."""
    if not any(map(str.isspace, word)):
        return []
    lexer = shlex.shlex(word, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return [part for part in lexer if not _SHELL.search(part)]
    except ValueError:  # quotes that do not close
        return []


def _raw(word: str) -> bytes:
    return word.encode("utf-8", "replace")


def _digest(word: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(word, digest_size=_DIGEST_BYTES, key=key).digest()
