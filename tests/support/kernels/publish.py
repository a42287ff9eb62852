"""Puts the compatibility table of the last run into docs/compatibility.md.

In: .cache/kernels/table.md. Out: the page, changed between its two markers and nowhere else. Rules: a
table of some guests only is refused: it would hide the rest.

Run as `python -m kernels.publish` by `make test-kernels`, which boots them all.
"""

import sys

from kernels.guest import GUESTS
from kernels.image import REPOSITORY
from kernels.table import TABLE

PAGE = REPOSITORY / "docs/compatibility.md"
BEGIN, END = "<!-- kernels: made by make test-kernels -->\n", "<!-- kernels: end -->\n"


def publish() -> str:
    """The page with the table in it."""
    table = TABLE.read_text()
    rows = sum(line.startswith("| ") for line in table.splitlines()) - 1
    if rows != len(GUESTS):
        sys.exit(f"{TABLE} has {rows} guests of {len(GUESTS)}: make test-kernels")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table.strip()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(publish())
