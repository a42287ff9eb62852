"""Where it is shown. In: --color, the environment. Out: a rich Console; its size, None where there is no terminal.

Rules: plain text when piped, and with NO_COLOR; no markup, no emoji, no highlighting: what is printed is what is there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

#: Of one screen where there is no terminal.
WIDTH = 100


class Terminal:
    """Prints lines. width, height: None where nothing is to be cut."""

    def __init__(self, color: str) -> None:
        is_terminal = sys.stdout.isatty()
        coloured = color == "always" or (color == "auto" and is_terminal and not os.environ.get("NO_COLOR"))
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode, such as an old Windows console
        self._console = Console(
            force_terminal=coloured,
            no_color=not coloured,
            color_system="auto" if is_terminal else "standard",
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=None if coloured else False,
        )
        self._coloured = coloured
        self.width = self._console.width if is_terminal else None
        self.height = self._console.height if is_terminal else None

    def print(self, lines: Iterable[Text]) -> None:
        """Print each on its line."""
        for line in lines:
            if self._coloured:
                self._console.print(line, no_wrap=True, crop=False, overflow="ignore", soft_wrap=True)
            else:
                print(line.plain.rstrip())
