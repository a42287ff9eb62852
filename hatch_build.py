"""Builds the BPF object for a wheel where it is missing. In: bpf/, by the Makefile's own rule. Out: oom.bpf.o in the
package. Rules: the compile command stands in the Makefile alone; nothing is installed; what fails, fails with one
sentence, and not at run time.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OBJECT = Path("src/oomeventer/kernel/oom.bpf.o")
#: What the Makefile's rule calls, and by which variables it is replaced there.
PROGRAMS = {"MAKE": "make", "CLANG": "clang", "STRIP": "llvm-strip"}


class BpfObject(BuildHookInterface[Any]):
    """hatchling calls it before it collects a wheel's files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the object, if it is not there. Ends the build if that fails."""
        root = Path(self.root)
        if (root / OBJECT).exists():
            return
        programs = {name: os.environ.get(name, program) for name, program in PROGRAMS.items()}
        made = all(shutil.which(program) for program in programs.values()) and self._make(root, programs)
        if not made:
            packages = re.search("^OBJECT_PACKAGES := (.*)$", (root / "Makefile").read_text(), re.MULTILINE)
            assert packages
            self.app.abort(
                f"{OBJECT} is missing and could not be built: install make and Debian's packages {packages[1]}, "
                f"then run `make object`, or this again."
            )

    def _make(self, root: Path, programs: dict[str, str]) -> bool:
        # -o: the rule's Debian packages are not this build's to install.
        how = ["--no-print-directory", "-C", str(root), "-o", "packages-build"]
        variables = [f"{name}={program}" for name, program in programs.items() if name != "MAKE"]
        return subprocess.run([programs["MAKE"], *how, "object", *variables], check=False).returncode == 0
