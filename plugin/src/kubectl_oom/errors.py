"""What ends the program with a sentence, and what does not."""

from __future__ import annotations

import sys


class OomError(Exception):
    """Something is broken or refused; the text says what, and what to do."""


class KubectlError(OomError):
    """kubectl failed; the text is its own."""

    @property
    def forbidden(self) -> bool:
        """The API server refused it for want of rights."""
        return "(Forbidden)" in str(self)

    @property
    def not_found(self) -> bool:
        """The API server does not have it."""
        return "(NotFound)" in str(self)

    @property
    def expired(self) -> bool:
        """The list or the watch is to be begun anew (410)."""
        return "(Expired)" in str(self) or "(Gone)" in str(self)


def warn(sentence: str) -> None:
    """Say something that is no part of the answer."""
    print(f"warning: {sentence}", file=sys.stderr)
