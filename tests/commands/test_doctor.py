"""What doctor says of a cluster that lets the agent do nothing, and of the host's runtimes and engines.

In: the API server's stand-in, accounts with and without rights; a host's root with a real engine's socket, and others.
Out: its lines, and its status.
"""

import asyncio
import socket
from pathlib import Path

import pytest

from fakecri import grpc_server, version
from machine import kubeconfig
from oomeventer.commands.doctor import doctor
from reading import read
from realpodman import UID, Podman
from standin import ApiServer

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("is_powerful", [True, False])
async def test_rights(api: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_powerful: bool) -> None:
    """Without the right to create and patch Events there are none: it fails, and says what to do. What the agent
    can do without it does not fail."""
    config = kubeconfig(tmp_path, api.url, api.token if is_powerful else api.powerless_token)
    flags = ["--kubeconfig", str(config), "--journal", str(tmp_path / "journal.db"), "--daemonset", "monitoring/oom"]
    status = await doctor(read([*flags, "--cri-endpoint", "none", "--pins", "none"], {}))
    out = capsys.readouterr().out
    lines = out.splitlines()
    rights = [line.split()[0] for line in lines if " may " in line[:30] and line.startswith("  ")]
    assert [line for line in lines if line and not line.startswith((" ", "first", "nothing"))] == [
        *("machine", "runtime", "cluster")
    ]
    if is_powerful:
        assert (status, rights) == (0, ["ok"] * 5)
        assert lines[-1] == "nothing is missing that is needed"
    else:
        assert (status, rights) == (1, ["MISSING", "MISSING", "without", "without", "without"])
        assert any("may create events" in line and "rbac.create" in line for line in lines)
        assert lines[-1].startswith("first: may create events: no: ")


async def runtime_lines(capsys: pytest.CaptureFixture[str], *flags: str) -> list[str]:
    """The group about runtimes, with single spaces."""
    common = "--journal", "none", "--pins", "none", "--cri-timeout-seconds", "5"
    await doctor(read([*common, *flags], {"KUBECONFIG": "/dev/null"}, "doctor"))
    lines = capsys.readouterr().out.splitlines()
    found = lines[lines.index("runtime") + 1 : lines.index("cluster")]
    return [" ".join(line.split()) for line in found]


async def test_engines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Docker's and Podman's sockets that exist, the machine's and users', have a line each; others have none."""
    root = tmp_path / "h"
    (root / "run/podman").mkdir(parents=True)
    flags = "--cri-endpoint", "none", "--host-root", str(root)
    assert await runtime_lines(capsys, *flags) == ["ok CRI not asked, as set"]
    with Podman(tmp_path / "d") as podman:
        real = podman("version", "--format", "{{.Server.Version}}")
        (root / "run/podman/podman.sock").symlink_to(podman.socket)
        of_user = podman.as_users(root)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(root / "run/docker.sock"))
        (root / f"run/user/{UID}/docker.sock").symlink_to("/nowhere")
        lines = await runtime_lines(capsys, *flags)
        set_one = await runtime_lines(capsys, *flags, "--engine-endpoint", podman.endpoint)
    nameless = "'trace' shows its containers without names"
    assert lines[1:] == [
        f"without docker {root}/run/docker.sock: nothing listens on it: {nameless}",
        f"ok podman {real} at {root}/run/podman/podman.sock",
        f"without docker of {UID} {root}/run/user/{UID}/docker.sock: not a socket, or a link to one, which is not "
        f"followed in a user's directory: {nameless}",
        f"ok podman of {UID} {real} at {of_user}",
    ]
    assert set_one[1:] == [f"ok engine {real} at {podman.socket}"]
    assert len(await runtime_lines(capsys, *flags, "--engine-endpoint", "none")) == 1


async def test_what_is_no_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A socket that answers something else is told as that."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "s"):
        flags = "--cri-endpoint", "none", "--engine-endpoint", f"unix://{tmp_path}/s"
        (_, line) = await runtime_lines(capsys, *flags)
    assert "it tells no version: it is no Docker and no Podman" in line


async def test_several_runtimes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each socket of the usual places has a line once one of them answers."""
    for place in ("run/containerd", "run/crio"):
        (tmp_path / place).mkdir(parents=True)
    flags = "--host-root", str(tmp_path)
    (line,) = await runtime_lines(capsys, *flags)
    assert line.startswith("without CRI no container runtime answers CRI v1")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "run/crio/crio.sock"))
    async with grpc_server(tmp_path / "run/containerd/containerd.sock", {"Version": version()}):
        lines = await runtime_lines(capsys, *flags)
    assert lines == [
        f"ok CRI fake 1.2.3 at {tmp_path}/run/containerd/containerd.sock",
        f"without CRI {tmp_path}/run/crio/crio.sock: nothing listens on it; another socket's runtime answers",
    ]
