"""`python held.py FIFO run ...`: the agent on a slow disk: it does not get on with the import of the API's client until
something was written to FIFO, and closed.

Rules: the agent is the shipped one; only the finder of that one module waits.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

from oomeventer.cli import main


class _Held(MetaPathFinder):
    def __init__(self, fifo: Path) -> None:
        self._fifo = fifo

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Nothing, so that others are asked, in their time."""
        if fullname == "aiohttp":
            self._fifo.read_bytes()


if __name__ == "__main__":
    sys.meta_path.insert(0, _Held(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
