"""The chart, installed by Helm's own code, which is a library for Python (helm-python-sdk).

It runs in a process of its own (library.py): it brings a runtime with threads and signal handlers along, and a call of
it cannot be interrupted.
"""

import json
import os
import subprocess
import sys
from typing import Any

from places import REPOSITORY, SUPPORT

CHART = REPOSITORY / "charts" / "oomeventer"
#: For all Pods to be ready, on slow machines, too.
SECONDS = 300


class Release:
    """One release of the chart. kubeconfig: of the cluster."""

    def __init__(self, kubeconfig: str, namespace: str, name: str) -> None:
        self._environ = os.environ | {"KUBECONFIG": kubeconfig, "PYTHONPATH": str(SUPPORT)}
        self.namespace = namespace
        self.name = name

    def install(self, values: dict[str, Any], ready: bool = True) -> None:
        """Install it. ready: and wait until all is ready."""
        self._run("install", values, "watcher" if ready else None)

    def upgrade(self, values: dict[str, Any]) -> None:
        """Upgrade it to these values and wait until all is ready."""
        self._run("upgrade", values, "watcher")

    def test(self) -> None:
        """`helm test`; raises AssertionError where it fails."""
        self._run("test")

    def uninstall(self) -> None:
        """Remove it; that it is not there is no mistake."""
        self._run("uninstall")

    def render(self, values: dict[str, Any]) -> str:
        """All that these values would make, as YAML; the cluster is not asked."""
        return self._run("render", values)

    def manifest(self) -> str:
        """All that is installed of it, as YAML."""
        return self._run("manifest")

    def _run(self, action: str, values: dict[str, Any] | None = None, waits: str | None = None) -> str:
        reported = json.dumps([action, self.namespace, self.name, values, waits])
        command = [sys.executable, "-m", "cluster.library"]
        done = subprocess.run(
            command,
            input=reported,
            capture_output=True,
            text=True,
            env=self._environ,
            timeout=SECONDS + 60,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"helm {action}: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
        return done.stdout
