"""The image as .ci/image writes it: an OCI archive. In: this checkout. Out: what is in the image, and its
root file system in a directory."""

import functools
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from places import REPOSITORY

SECONDS = 1800
"""For a build on a machine that has nothing yet."""


def build() -> "Archive":
    """Build it. What did not change since the last build is not made again."""
    subprocess.run([REPOSITORY / ".ci/image"], check=True, timeout=SECONDS)
    return Archive(REPOSITORY / "build/oomeventer-image.tar")


class Archive:
    """An OCI archive of one image, which has one layer."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with tarfile.open(file) as archive:
            index = self._json(archive, "index.json")
            (described,) = index["manifests"]
            self.name: str = described["annotations"]["org.opencontainers.image.ref.name"]
            manifest = self._json(archive, _blob(described))
            self.platform: dict[str, Any] = self._json(archive, _blob(manifest["config"]))
            self.config: dict[str, Any] = self.platform["config"]
            (self._layer,) = manifest["layers"]
        self.compressed_bytes: int = self._layer["size"]

    @functools.cached_property
    def files(self) -> dict[str, tarfile.TarInfo]:
        """All that is in the image, by its path without the first slash."""
        with tarfile.open(self.file) as archive, tarfile.open(fileobj=archive.extractfile(_blob(self._layer))) as layer:
            return {member.name.removeprefix("./"): member for member in layer}

    def unpack(self, directory: Path) -> None:
        """Write the root file system there, with its owners and modes."""
        with tarfile.open(self.file) as archive:
            layer = archive.extractfile(_blob(self._layer))
            assert layer
            directory.mkdir()
            subprocess.run(["tar", "-xz", "-C", directory], input=layer.read(), check=True)

    @staticmethod
    def _json(archive: tarfile.TarFile, name: str) -> Any:
        file = archive.extractfile(name)
        assert file
        return json.load(file)


def _blob(described: dict[str, Any]) -> str:
    return "blobs/" + described["digest"].replace(":", "/")
