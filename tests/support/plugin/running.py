"""Running `kubectl oom`. In: words, a kubeconfig. Out: what it printed, and its exit status."""

import asyncio
import fcntl
import json
import os
import pty
import shutil
import ssl
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from places import REPOSITORY

PACKAGE = REPOSITORY / "plugin"
SOURCES = PACKAGE / "src"
SECONDS = 60


def _kubectl() -> str | None:
    """The machine's, or the one that .ci/kubectl unpacked."""
    unpacked = REPOSITORY / ".cache" / "kubectl" / "kubectl"
    return shutil.which("kubectl") or (str(unpacked) if unpacked.exists() else None)


KUBECTL = _kubectl()


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    status: int
    out: str
    err: str


def tls(directory: Path) -> ssl.SSLContext:
    """A server's certificate, made now: kubectl sends a token over TLS alone."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test", "-days", "2")
    files = ("-keyout", str(key), "-out", str(certificate))
    names = ("-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run(["openssl", "req", "-x509", *made, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def kubeconfig(directory: Path, url: str, token: str, namespace: str = "") -> Path:
    """A kubeconfig for that server, whose certificate tls() made. JSON is YAML."""
    context = {"cluster": "test", "user": "test", **({"namespace": namespace} if namespace else {})}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": url, "certificate-authority": str(directory / "certificate.pem")}}
        ],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    file = directory / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


def shim(directory: Path, name: str, command: str) -> Path:
    """An executable of that name that runs a command with its arguments."""
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    file.chmod(0o755)
    return file


class Plugin:
    """kubectl with the plugin on its PATH, and nothing else of this machine's settings. kubectl: another one. program:
    the plugin as a command, where it is not this checkout's sources."""

    def __init__(
        self, directory: Path, kubeconfig: Path | None, kubectl: str | None = None, program: str | None = None
    ) -> None:
        programs = directory / "programs"
        shim(programs, "kubectl-oom", program or f"{sys.executable} -m kubectl_oom")
        if given := kubectl or KUBECTL:
            shim(programs, "kubectl", given)
        self.environ = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(directory),
            **({} if program else {"PYTHONPATH": str(SOURCES)}),
            "LANG": "C.UTF-8",
            **({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {}),
        }

    async def start(self, *words: str, **environ: str) -> asyncio.subprocess.Process:
        """`kubectl oom WORDS`, under way."""
        return await self._start("oom", *words, **environ)

    async def _start(self, *words: str, **environ: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "kubectl", *words,
            env=self.environ | environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 24,
        )  # fmt: skip

    async def __call__(self, *words: str, **environ: str) -> Done:
        return await self.kubectl("oom", *words, **environ)

    async def complete(self, *words: str) -> Done:
        """What kubectl makes of it when these words are to be completed; before 1.26, which asks no plugin, what the
        plugin itself answers."""
        version = json.loads((await self.kubectl("version", "--client", "-o", "json")).out)["clientVersion"]
        if int(version["minor"].rstrip("+")) >= 26:
            return await self.kubectl("__complete", "oom", *words)
        return await self._done(
            await asyncio.create_subprocess_exec(
                "kubectl_complete-oom",
                *words,
                env=self.environ,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    async def kubectl(self, *words: str, **environ: str) -> Done:
        """Another word of kubectl's."""
        return await self._done(await self._start(*words, **environ))

    async def _done(self, process: asyncio.subprocess.Process) -> Done:
        out, err = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    async def on_terminal(self, *words: str, columns: int = 80, lines: int = 40, **environ: str) -> str:
        """What `kubectl oom WORDS` prints on a terminal of that size. Raises RuntimeError where it fails."""
        return await asyncio.to_thread(self._on_terminal, words, columns, lines, environ)

    def _on_terminal(self, words: tuple[str, ...], columns: int, lines: int, environ: dict[str, str]) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environ = self.environ | {"TERM": "xterm-256color"} | environ
        with subprocess.Popen(["kubectl", "oom", *words], env=environ, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            printed = b"".join(_read(ours)).decode().replace("\r\n", "\n")
        os.close(ours)
        if process.returncode:
            raise RuntimeError(f"kubectl oom {' '.join(words)}: status {process.returncode}: {printed}")
        return printed


def _read(terminal: int) -> Iterator[bytes]:
    try:
        while part := os.read(terminal, 65536):
            yield part
    except OSError:  # its other end is closed
        return


def environment(**more: str) -> dict[str, str]:
    """This process' own, with the plugin's sources."""
    return os.environ | {"PYTHONPATH": str(SOURCES)} | more
