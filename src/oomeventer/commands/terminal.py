"""The terminal that a command writes to. In: its output. Out: how wide that is."""

import shutil
from typing import TextIO


def width(out: TextIO) -> int | None:
    """In characters; None where it is no terminal, and nothing is to be cut."""
    return shutil.get_terminal_size().columns if out.isatty() else None
