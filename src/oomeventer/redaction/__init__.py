"""What of a victim's arguments and environment may leave the node.

In: their bytes, the node's policy, a Pod's spec. Out: text in which all that could be a secret is masked. arguments.py
walks through a command, word by word; what it goes by are the tables in secret_names.py, programs.py, shapes.py,
credentials.py and variables.py; spec_words.py shows again what the spec shows anyway.
"""

from oomeventer.redaction.arguments import MASK, Word
from oomeventer.redaction.policy import Redaction, parse_arguments, parse_environment, quote
from oomeventer.redaction.spec_words import KEY_BYTES, Digests, digests, unmask, words_in_clear
from oomeventer.redaction.variables import MEMORY_VARIABLES

__all__ = [
    "KEY_BYTES",
    "MASK",
    "MEMORY_VARIABLES",
    "Digests",
    "Redaction",
    "Word",
    "digests",
    "parse_arguments",
    "parse_environment",
    "quote",
    "unmask",
    "words_in_clear",
]
