"""kubectl, as a process. In: arguments, and objects to create. Out: what it prints."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
#: How often a cluster is asked whether something has happened.
POLL_SECONDS = 0.3


class Refused(Exception):
    """kubectl failed; the message is its own."""


class Kubectl:
    """Runs kubectl on the cluster that a kubeconfig names. environ: what it finds there besides this process' own."""

    def __init__(self, kubeconfig: str, **environ: str) -> None:
        self.environ = os.environ | environ | {"KUBECONFIG": kubeconfig}

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
        done = self._run(arguments, stdin, seconds)
        if done.returncode:
            raise Refused(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def attempt(self, *arguments: str) -> tuple[int, str]:
        """Its exit status, which is that of the command that it executes, and all that it prints."""
        done = self._run(arguments)
        return done.returncode, done.stdout + done.stderr

    def _run(
        self, arguments: tuple[str, ...], stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", *arguments]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=self.environ, timeout=seconds, check=False
        )

    def json(self, *arguments: str) -> dict[str, Any]:
        """An object, or a list of them."""
        parsed: dict[str, Any] = json.loads(self(*arguments, "-o", "json"))
        return parsed

    def raw(self, path: str) -> Any:
        """The API server's answer to a GET."""
        return json.loads(self("get", "--raw", path))

    def create(self, body: dict[str, Any]) -> None:
        """Create it. What the server does not know of is dropped by it: whether it did, its answer to a GET shows."""
        self("create", "--validate=false", "-f", "-", stdin=json.dumps(body))

    def there(self, kind: str, name: str, namespace: str = "default") -> bool:
        """Whether it is there. namespace: where that kind of object is in one."""
        return bool(self("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "name").strip())

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete it, if it is there, and do not wait until it is gone."""
        self("delete", kind, name, "-n", namespace, "--ignore-not-found", "--wait=false")


def wait(what: str, look: Callable[[], T | None], seconds: float = 180) -> T:
    """Wait until something is there, and return it. look: None or False as long as it is not."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(POLL_SECONDS)
    return found
