"""File systems of the test's own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def mounted(directory: Path, kind: str, options: str = "rw") -> Iterator[Path]:
    """A new file system of that kind at a directory that is made, until the context ends."""
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", options, kind, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)
