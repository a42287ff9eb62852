"""A control plane of our own: etcd and kube-apiserver, on free ports, in a directory of their own. Out: where it is.

Rules: FLEET_APISERVER and FLEET_ETCD name the programs, else they are looked for in PATH. Without them there is none:
the caller then takes the stand-in. Requests come by a ServiceAccount's token, with the chart's rights. Nothing else
runs: no controllers, no scheduler, no nodes. etcd writes to disk as it does by default, with fsync.
"""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from fleet import FleetError
from machine.agent import free_port, kubeconfig

_ADMIN = "fleet-admin-token"
_START_SECONDS = 90.0
NAMESPACE, ACCOUNT = "oomeventer", "oomeventer"


def programs() -> tuple[str, str] | None:
    """kube-apiserver and etcd; None where one is missing."""
    found = [os.environ.get(f"FLEET_{name.upper()}") or shutil.which(of) for name, of in _PROGRAMS.items()]
    return (found[0], found[1]) if found[0] and found[1] else None


_PROGRAMS = {"apiserver": "kube-apiserver", "etcd": "etcd"}


class ControlPlane:
    """While its `async with` block runs. flags: further ones of kube-apiserver."""

    def __init__(self, directory: Path, *flags: str) -> None:
        found = programs()
        if found is None:
            raise FleetError("kube-apiserver and etcd are needed: name them by FLEET_APISERVER and FLEET_ETCD")
        self._apiserver, self._etcd = found
        self._directory = directory
        self._flags = flags
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = {name: free_port() for name in ("apiserver", "etcd", "peer")}
        self.url = f"https://127.0.0.1:{self._ports['apiserver']}"
        self._etcd_url = f"http://127.0.0.1:{self._ports['etcd']}"

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True)
        self._prepare()
        self._start("etcd", self._etcd, *self._etcd_flags())
        try:
            self.start()
            await self.ready()
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._trust(), limit=16))
            await self._account()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        self._end()

    # -- the API server ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the API server."""
        self._start("apiserver", self._apiserver, *self._apiserver_flags())

    def crash(self) -> None:
        """End the API server at once."""
        process = self._running.pop("apiserver")
        process.kill()
        process.wait()

    async def ready(self) -> float:
        """Wait until it says that it is ready. Returns when it was, by the monotonic clock."""
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self._running["apiserver"].poll() is not None:
                raise FleetError(f"kube-apiserver ended: see {self._directory}/apiserver.log")
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with (
                    aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._trust())) as session,
                    session.get(f"{self.url}/readyz", headers=self._headers()) as response,
                ):
                    if response.status == 200:
                        return time.monotonic()
            await asyncio.sleep(0.1)
        raise FleetError(f"kube-apiserver was not ready within {_START_SECONDS:.0f} s: see {self._directory}")

    async def do(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """A request of the administrator's. Returns status and answer."""
        async with self._session.request(method, f"{self.url}{path}", json=body, headers=self._headers()) as response:
            raw = await response.text()
            return response.status, json.loads(raw) if raw.startswith("{") else raw

    async def pages(self) -> list[str]:
        """The /metrics of both."""
        async with self._session.get(f"{self._etcd_url}/metrics") as response:
            etcd = await response.text()
        return [(await self.do("GET", "/metrics"))[1], etcd.replace("process_cpu_seconds", "etcd_cpu_seconds")]

    # -- how they are started ------------------------------------------------------------------------------------------

    def _start(self, name: str, *command: str) -> None:
        with (self._directory / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _end(self) -> None:
        for name in ("apiserver", "etcd"):
            if process := self._running.pop(name, None):
                process.kill()
                process.wait()

    def _prepare(self) -> None:
        key, tokens = self._directory / "account.key", self._directory / "tokens.csv"
        subprocess.run(("openssl", "genrsa", "-out", key, "2048"), check=True, capture_output=True)
        tokens.write_text(f"{_ADMIN},fleet-admin,1,system:masters\n")

    def _etcd_flags(self) -> tuple[str, ...]:
        peer = f"http://127.0.0.1:{self._ports['peer']}"
        return (
            *("--data-dir", str(self._directory / "etcd"), "--listen-client-urls", self._etcd_url),
            *("--advertise-client-urls", self._etcd_url, "--listen-peer-urls", peer),
            *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
        )

    def _apiserver_flags(self) -> tuple[str, ...]:
        key = str(self._directory / "account.key")
        return (
            *("--etcd-servers", self._etcd_url, "--bind-address", "127.0.0.1", "--authorization-mode", "RBAC"),
            *("--secure-port", str(self._ports["apiserver"]), "--cert-dir", str(self._directory / "certificates")),
            *("--token-auth-file", str(self._directory / "tokens.csv"), "--service-cluster-ip-range", "10.96.0.0/16"),
            *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key),
            *("--service-account-signing-key-file", key, "--endpoint-reconciler-type", "none"),
            *("--disable-admission-plugins", "ServiceAccount", "--anonymous-auth=false", *self._flags),
        )

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._directory / "certificates" / "apiserver.crt"))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {_ADMIN}"}

    # -- who asks ------------------------------------------------------------------------------------------------------

    async def _account(self) -> None:
        for _ in range(100):  # RBAC's own roles are made after /readyz
            status, _ = await self.do("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            if status in (201, 409):
                break
            await asyncio.sleep(0.1)
        rules = [
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        ]
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE} for name in (ACCOUNT, "bystander")]
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT}
        rbac, metadata = "/apis/rbac.authorization.k8s.io/v1", {"metadata": {"name": ACCOUNT}}
        await self._made(f"{rbac}/clusterroles", metadata | {"rules": rules})
        await self._made(f"{rbac}/clusterrolebindings", metadata | {"subjects": subjects, "roleRef": role})
        self.kubeconfig = await self.account(ACCOUNT)

    async def account(self, name: str) -> str:
        """Make a ServiceAccount. Returns a kubeconfig of its."""
        accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        await self._made(accounts, {"metadata": {"name": name}})
        answer = await self._made(f"{accounts}/{name}/token", {"spec": {"expirationSeconds": 86400}})
        directory = self._directory / name
        directory.mkdir()
        file = kubeconfig(directory, self.url, answer["status"]["token"])
        config = json.loads(file.read_text())
        authority = str(self._directory / "certificates" / "apiserver.crt")
        config["clusters"][0]["cluster"]["certificate-authority"] = authority
        file.write_text(json.dumps(config))
        return str(file)

    async def apply(self, objects: list[dict[str, Any]]) -> None:
        """Make the chart's objects of API Priority and Fairness."""
        for item in objects:
            if item["apiVersion"].startswith("flowcontrol."):
                kind = f"{item['kind'].lower()}s"
                await self._made(f"/apis/{item['apiVersion']}/{kind}", item)

    async def _made(self, path: str, body: Any) -> Any:
        status, answer = await self.do("POST", path, body)
        if status not in (200, 201):
            raise FleetError(f"POST {path}: {status} {answer}")
        return answer
