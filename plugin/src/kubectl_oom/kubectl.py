"""kubectl, as a process: the only way to the cluster. In: arguments, paths of the API. Out: what it prints, as it
comes.

Rules: every flag that says which cluster and who one is goes to kubectl as it was given; no kubeconfig is read here.
Objects are asked for by `kubectl get --raw`: one request without discovery, whose answer passes through kubectl as
bytes. Requests begin when a Call is made, so that several are under way at once.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from types import TracebackType
from typing import IO
from urllib.parse import quote, urlencode

from kubectl_oom.errors import KubectlError, OomError
from kubectl_oom.plain import harmless


class Call:
    """One kubectl under way; its output is read from `out`. Leaving the block ends it."""

    def __init__(self, command: list[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this)
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as e:
            self._errors.close()
            raise OomError(f"kubectl does not start: {e}") from e
        assert self._process.stdout
        self.out: IO[bytes] = self._process.stdout
        _under_way.add(self)

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.out.close()
        self._errors.close()
        _under_way.discard(self)

    def kill(self) -> None:
        """End it now."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Wait for its end. Raises KubectlError where it failed."""
        if self._process.wait():
            self._errors.seek(0)
            said = self._errors.read(65536).decode("utf-8", "replace").strip().splitlines()
            words = " ".join(harmless(line, 1000) for line in said[-3:])
            raise KubectlError(words or f"kubectl ended with status {self._process.returncode}")

    def all(self) -> str:
        """Everything that it prints. Raises KubectlError."""
        with self:
            printed = self.out.read().decode("utf-8", "replace")
            self.end()
        return printed


def end_all() -> None:
    """End each kubectl that is under way: none outlives this program."""
    for call in list(_under_way):
        call.kill()


_under_way: set[Call] = set()


class Kubectl:
    """Runs kubectl with the flags that were given."""

    def __init__(self, flags: list[str], namespace: str | None) -> None:
        found = shutil.which("kubectl")
        if found is None:
            raise OomError("kubectl is not on PATH: kubectl oom works through it")
        self._command = [found, *flags]
        self._namespace = namespace

    @property
    def namespace(self) -> str:
        """The namespace that was given, or the context's."""
        if self._namespace is None:
            try:
                self._namespace = self.run(*_CURRENT).all().strip() or "default"
            except KubectlError:
                self._namespace = _own_namespace()  # no kubeconfig: as kubectl does in a Pod
        return self._namespace

    def run(self, *arguments: str) -> Call:
        """Any command of kubectl's."""
        return Call([self._command[0], *arguments[:1], *self._command[1:], *arguments[1:]])

    def get(self, path: str, **query: str) -> Call:
        """A GET of a path of the API. query: parameters; "" for none."""
        given = {name: value for name, value in query.items() if value}
        return self.run("get", "--raw", f"{path}?{urlencode(given)}" if given else path)


def path(resource: str, namespace: str | None, name: str = "") -> str:
    """Where the API has it. namespace: None for all."""
    where = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
    return f"/api/v1{where}/{resource}" + (f"/{quote(name, safe='')}" if name else "")


_CURRENT = ("config", "view", "--minify", "-o", "jsonpath={..namespace}")
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


def _own_namespace() -> str:
    try:
        with open(_ACCOUNT, encoding="utf-8") as file:
            return file.read().strip() or "default"
    except OSError:
        return "default"
