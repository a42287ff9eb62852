"""Debian's packages, fetched through apt's own client with a private configuration.

In: a suite's name, an architecture, package names. Out: unpacked files below .cache/kernels. Rules: the
mirror is the one that this machine's apt already uses, or DEBIAN_MIRROR on a machine that is no Debian. apt checks
every list and package against Debian's archive keys, as the machine's debian-archive-keyring has them: a suite signed
with newer keys alone is an error, and that package to be updated. The machine's own lists, cache and package database
are neither read nor changed. Lists are fetched again after a day. What cannot be had is a PackageError that names suite
and package.
"""

import functools
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from places import REPOSITORY

CACHE = REPOSITORY / ".cache" / "kernels"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SECONDS = 600
LIST_SECONDS = 86400
_ONE_LINE = re.compile(r"^deb (?:\[.*?\] )?(\S+) (\S+) .*\bmain\b", re.MULTILINE)
_FIELD = re.compile(r"^(\S+):[ \t]*(.*)$", re.MULTILINE)


class PackageError(Exception):
    """A suite or a package cannot be had."""


@dataclass(frozen=True)
class Suite:
    """One suite's packages, with lists, cache and an empty package database of its own."""

    name: str
    architecture: str = "amd64"

    @property
    def _home(self) -> Path:
        return CACHE / "apt" / f"{self.name}-{self.architecture}"

    def newest(self, pattern: str) -> str:
        """The name of the newest package whose whole name matches, newest by the version in its name."""
        self.update()
        names = [line.split(" - ")[0] for line in self._run("apt-cache", "search", "-n", pattern).splitlines()]
        found = sorted((name for name in names if re.fullmatch(pattern, name)), key=_version)
        if not found:
            raise PackageError(f"{self.name}: no package {pattern}")
        return found[-1]

    def depends(self, package: str) -> list[str]:
        """The names of the packages that it needs directly; of alternatives the first."""
        text = self._run("apt-cache", "show", "--no-all-versions", package)
        found = re.search(r"^Depends: (.*)$", text, re.MULTILINE)
        return [part.split("|")[0].split("(")[0].strip() for part in found[1].split(",")] if found else []

    def fetch(self, *packages: str) -> list[Path]:
        """The .deb files of these packages alone."""
        self.update()
        kept = self._home / "fetched"
        kept.mkdir(exist_ok=True)
        files = []
        for package in packages:
            version = re.search(r"^Version: (.*)$", self._run("apt-cache", "show", "--no-all-versions", package), re.M)
            if not version:
                raise PackageError(f"{self.name}: no package {package}")
            pattern = f"{package}_{version[1].replace(':', '%3a')}_*.deb"
            if not list(kept.glob(pattern)):
                self._run("apt-get", "-q", "download", package, directory=kept)
            files += sorted(kept.glob(pattern))[:1]
        return files

    def fetch_closure(self, *packages: str) -> list[Path]:
        """The .deb files of these packages and all that they need."""
        self.update()
        install = ("apt-get", "-q", "-y", "--no-install-recommends", "install", *packages)
        named = re.findall(r"^Inst (\S+) \((\S+)", self._run(*install, "--simulate"), re.M)
        reported = self._run(*install, "--download-only")
        kept = self._home / "cache/archives"
        files = [found for name, version in named for found in kept.glob(f"{name}_{version.replace(':', '%3a')}_*.deb")]
        if len(files) != len(named) or not files:
            raise PackageError(f"{self.name}: {packages} did not come whole:\n{reported}")
        return sorted(files)

    def update(self) -> None:
        """Fetch the suite's list, unless that was done within a day."""
        stamp = self._home / "updated"
        if not stamp.exists() or time.time() - stamp.stat().st_mtime > LIST_SECONDS:
            self._run("apt-get", "-q", "update")
            stamp.touch()

    def _run(self, tool: str, *arguments: str, directory: Path | None = None) -> str:
        home = self._home
        for name in ("lists/partial", "cache/archives/partial", "parts"):
            (home / name).mkdir(parents=True, exist_ok=True)
        (home / "status").touch()
        mirror = _mirror("-security" if self.name.endswith("-security") else "")
        (home / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {self.name} main\n")
        options = {
            "Dir::Etc::SourceList": home / "sources.list",
            "Dir::Etc::SourceParts": home / "parts",
            "Dir::State::Lists": home / "lists",
            "Dir::State::status": home / "status",
            "Dir::Cache": home / "cache",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Update::Error-Mode": "any",
            "APT::Sandbox::User": "",
            "Acquire::Retries": "3",
        }
        flags = [f"-o{key}={value}" for key, value in options.items()]
        done = subprocess.run(
            [tool, *flags, *arguments], cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode:
            raise PackageError(f"{self.name}: {tool} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def unpack(packages: list[Path], tree: Path) -> None:
    """Put the packages' files into a tree; none of their scripts runs."""
    tree.mkdir(parents=True, exist_ok=True)
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package, tree], check=True)


@functools.cache
def _mirror(area: str) -> str:
    """Where this machine's own apt has its suite from: "" for the archive, "-security" for its security part."""
    if named := os.environ.get("DEBIAN_MIRROR"):
        return named.rstrip("/") + area
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        text = file.read_text() if file.is_file() else ""
        for uri, suites in [*_ONE_LINE.findall(text), *_stanzas(text)]:
            if f"{own}{area}" in suites.split():
                return str(uri).rstrip("/")
    if area:
        return _mirror("") + area
    raise PackageError(f"no entry for {own or 'a Debian suite'} in this machine's apt configuration: add one")


def _stanzas(text: str) -> Iterator[tuple[str, str]]:
    for stanza in text.split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        if "URIs" in fields and "Suites" in fields:
            yield fields["URIs"].split()[0], fields["Suites"]


def _version(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]
