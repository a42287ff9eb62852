"""The container image: see `archive.py` for how it is built and read, `container.py` for how it is run."""

from image.archive import Archive, build
from image.container import CAPABILITIES, Container

__all__ = ["CAPABILITIES", "Archive", "Container", "build"]
