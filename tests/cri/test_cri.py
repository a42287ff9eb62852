"""cri: against a real containerd, and against servers that answer what no runtime should.

Timeouts are there to end a hanging test; nothing is measured.
"""

import asyncio
import contextlib
import os
import re
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpclib import GRPCError, Status

from fakecri import Answer, grpc_server, version
from oomeventer.cri import Client, ContainerInfo, CriError, SandboxInfo, sockets, wire
from oomeventer.cri._cri.runtime import v1
from realcri import Containerd, images

ID = "0123456789abcdef" * 4
OTHER_ID = "fedcba9876543210" * 4
UID = "7a4f9d5e-7a5b-4f0e-9a53-0d4c1ffb7f7e"
IDENTITY = {
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.pod.name": "checkout-0",
    "io.kubernetes.pod.uid": UID,
}


# A real containerd


@pytest.mark.containerd
async def test_a_running_container(containerd: Containerd) -> None:
    """A container's ID gives the Pod, the container's name and limit, and the image, as they were set."""
    pod = containerd.run_pod(namespace="shop", name="checkout-0")
    made = pod.run_container(name="app", memory_limit_bytes=32 << 20, attempt=3)
    async with await Client.connect(containerd.endpoint) as client:
        info = await client.container(made.id)
    assert client.runtime_name == "containerd"
    assert re.match(r"v?\d+\.\d+", client.runtime_version)
    assert info
    assert info.created_at <= info.started_at
    assert info == ContainerInfo(
        id=made.id,
        name="app",
        attempt=3,
        image=images.TOOLS,
        image_ref=info.image_ref,
        state="running",
        created_at=info.created_at,
        started_at=info.started_at,
        finished_at=0,
        exit_code=0,
        reason="",
        pod_namespace="shop",
        pod_name="checkout-0",
        pod_uid=pod.uid,
        memory_limit_bytes=32 << 20,
    )
    assert re.search(r"sha256:[0-9a-f]{64}", info.image_ref)


@pytest.mark.containerd
async def test_a_container_without_a_limit(containerd: Containerd) -> None:
    made = containerd.run_pod().run_container()
    client = await Client.connect(containerd.endpoint)
    info = await client.container(made.id)
    assert info
    assert info.memory_limit_bytes is None


@pytest.mark.containerd
async def test_a_container_that_ended(containerd: Containerd) -> None:
    """A container that exited is still known, with its exit code, its reason and the time."""
    made = containerd.run_pod().run_container(command=["sh", "-c", "exit 3"])
    client = await Client.connect(containerd.endpoint)
    async with asyncio.timeout(60):
        # There is nothing else to wait on: CRI is asked, it does not tell.
        while not (info := await client.container(made.id)) or info.state != "exited":
            await asyncio.sleep(0.01)
    assert (info.exit_code, info.reason) == (3, "Error")
    assert info.finished_at > info.created_at > 0  # started_at is written down later, by another hand


@pytest.mark.containerd
async def test_what_the_runtime_does_not_know(containerd: Containerd) -> None:
    """None means gone, for all three questions."""
    client = await Client.connect(containerd.endpoint)
    assert await client.container(ID) is None
    assert await client.sandbox(ID) is None
    assert await client.sandbox_of_pod(str(uuid.uuid4())) is None


@pytest.mark.containerd
async def test_a_sandbox(containerd: Containerd) -> None:
    """A sandbox is found by its ID and by its Pod's uid, and is no container."""
    pod = containerd.run_pod(namespace="shop", name="checkout-1")
    containerd.run_pod(namespace="shop", name="checkout-2")
    client = await Client.connect(containerd.endpoint)
    expected = SandboxInfo(pod.id, "shop", "checkout-1", pod.uid)
    assert await client.sandbox(pod.id) == expected
    assert await client.sandbox_of_pod(pod.uid) == expected
    assert await client.container(pod.id) is None


@pytest.mark.containerd
async def test_a_removed_container(containerd: Containerd) -> None:
    """A container that was removed is gone, while its Pod's sandbox is there until it is removed too."""
    pod = containerd.run_pod()
    made = pod.run_container()
    client = await Client.connect(containerd.endpoint)
    assert await client.container(made.id)
    made.remove()
    assert await client.container(made.id) is None
    assert await client.sandbox_of_pod(pod.uid)
    pod.remove()
    assert await client.sandbox_of_pod(pod.uid) is None


@pytest.mark.containerd
async def test_a_runtime_that_restarts(containerd: Containerd) -> None:
    """While the runtime is down a call fails; once it is up again the same client works, and lost nothing."""
    made = containerd.run_pod().run_container()
    client = await Client.connect(containerd.endpoint)
    before = await client.container(made.id)
    containerd.kill()
    try:
        with pytest.raises(CriError, match="nothing listens on it"):
            await client.container(made.id)
    finally:
        containerd.start()
    assert before
    assert await client.container(made.id) == before


# Finding the socket


def test_usual_places_below_a_root(tmp_path: Path) -> None:
    """containerd comes first; a place that is a link to another one is listed once."""
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("../run")
    found = sockets.find(root=str(tmp_path))
    assert found[:3] == [
        f"{tmp_path}/run/{usual}" for usual in ("containerd/containerd.sock", "crio/crio.sock", "cri-dockerd.sock")
    ]
    assert f"{tmp_path}/var/run/cri-dockerd.sock" not in found
    (tmp_path / "var/run").unlink()
    assert f"{tmp_path}/var/run/cri-dockerd.sock" in sockets.find(root=str(tmp_path))


def test_a_configured_endpoint_is_the_only_one() -> None:
    assert sockets.find("unix:///a/b.sock") == ["/a/b.sock"]
    assert sockets.find("/a/b.sock", root="/host") == ["/a/b.sock"]


@pytest.mark.parametrize("endpoint", ["", "a.sock", "unix://a.sock", "tcp://127.0.0.1:1", "http:///a.sock"])
async def test_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ValueError, match="unix:///path"):
        await Client.connect(endpoint)


async def test_every_socket_is_verified(tmp_path: Path) -> None:
    """Sockets that are not a CRI runtime's are passed over; if none is, each is named with what is wrong."""
    root = tmp_path
    for directory in ("run/containerd", "run/crio", "run/k0s", "run/k3s/containerd", "var"):
        (root / directory).mkdir(parents=True)
    (root / "var/run").symlink_to("../run")
    (root / "run/containerd/containerd.sock").write_text("")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(root / "run/crio/crio.sock"))
    not_cri: dict[str, Answer] = {"Version": GRPCError(Status.UNIMPLEMENTED)}
    async with (
        bytes_server(root / "run/cri-dockerd.sock", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        grpc_server(root / "run/k3s/containerd/containerd.sock", not_cri),
    ):
        with pytest.raises(CriError) as caught:
            await Client.connect(root=str(root))
        async with grpc_server(root / "run/k0s/containerd.sock", {"Version": version()}):
            client = await Client.connect(root=str(root))
    reasons = [
        "run/containerd/containerd.sock: not a socket",
        "run/crio/crio.sock: nothing listens on it",
        "run/cri-dockerd.sock: the connection broke",
        "run/k3s/containerd/containerd.sock: not CRI v1",
        "run/k0s/containerd.sock: no such file",
    ]
    assert [reason for reason in reasons if f"{root}/{reason}" not in str(caught.value)] == []
    assert caught.value.__cause__
    assert client.path == f"{root}/run/k0s/containerd.sock"
    assert (client.runtime_name, client.runtime_version) == ("fake", "1.2.3")


async def test_a_socket_that_may_not_be_opened(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be someone else for a moment")
    async with grpc_server(tmp_path / "s", {"Version": version()}):
        (tmp_path / "s").chmod(0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(CriError, match="permission denied"):
                await Client.connect(f"{tmp_path}/s")
        finally:
            os.seteuid(0)


# Servers that answer what no runtime should


async def test_a_thin_answer(tmp_path: Path) -> None:
    """A container without metadata, image, labels or resources is a thinner record, not an error."""
    async with fake(tmp_path, ContainerStatus=status(v1.ContainerStatus(id=ID))) as client:
        assert await client.container(ID) == ContainerInfo(
            id=ID,
            name="",
            attempt=0,
            image="",
            image_ref="",
            state="created",
            created_at=0,
            started_at=0,
            finished_at=0,
            exit_code=0,
            reason="",
            pod_namespace=None,
            pod_name=None,
            pod_uid=None,
            memory_limit_bytes=None,
        )


async def test_labels_stand_in_for_metadata(tmp_path: Path) -> None:
    labels = {"io.kubernetes.container.name": "app", **IDENTITY}
    async with fake(tmp_path, ContainerStatus=status(v1.ContainerStatus(id=ID, labels=labels))) as client:
        info = await client.container(ID)
    assert info
    assert (info.name, info.pod_namespace, info.pod_name, info.pod_uid) == ("app", "shop", "checkout-0", UID)


async def test_a_state_of_a_later_api(tmp_path: Path) -> None:
    answer = status(v1.ContainerStatus(id=ID, state=v1.ContainerState(7)))
    async with fake(tmp_path, ContainerStatus=answer) as client:
        info = await client.container(ID)
    assert info
    assert info.state == "unknown"


@pytest.mark.parametrize("unlimited", [0, -1])
async def test_ways_of_saying_no_limit(tmp_path: Path, unlimited: int) -> None:
    linux = v1.LinuxContainerResources(memory_limit_in_bytes=unlimited)
    answer = status(v1.ContainerStatus(id=ID, resources=v1.ContainerResources(linux=linux)))
    async with fake(tmp_path, ContainerStatus=answer) as client:
        info = await client.container(ID)
    assert info
    assert info.memory_limit_bytes is None


async def test_a_pod_is_asked_for_by_its_label(tmp_path: Path) -> None:
    """The runtime is asked for one Pod's sandboxes, not for those of the whole node."""
    requests = []

    def answer(request: bytes) -> bytes:
        requests.append(v1.ListPodSandboxRequest.parse(request))
        return b""

    async with fake(tmp_path, ListPodSandbox=answer) as client:
        assert await client.sandbox_of_pod(UID) is None
    [request] = requests
    assert request.filter
    assert request.filter.label_selector == {"io.kubernetes.pod.uid": UID}


async def test_the_sandbox_that_is_ready(tmp_path: Path) -> None:
    """Of a Pod's sandboxes the ready one is taken, else the latest; other Pods' are not, even if they are
    listed."""

    def item(name: str, attempt: int, state: v1.PodSandboxState, uid: str = UID) -> v1.PodSandbox:
        metadata = v1.PodSandboxMetadata(name=name, namespace="shop", uid=uid, attempt=attempt)
        return v1.PodSandbox(id=name, metadata=metadata, state=state, labels={"io.kubernetes.pod.uid": uid})

    ready, not_ready = v1.PodSandboxState.SANDBOX_READY, v1.PodSandboxState.SANDBOX_NOTREADY
    dead = [item("first", 0, not_ready), item("third", 2, not_ready), item("other", 9, ready, "other")]
    answers = {
        "one is ready": [*dead, item("second", 1, ready)],
        "none is": dead,
        "none at all": dead[2:],
    }
    found = {}
    for case, items in answers.items():
        answer = bytes(v1.ListPodSandboxResponse(items=items))
        async with fake(tmp_path, ListPodSandbox=answer) as client:
            found[case] = await client.sandbox_of_pod(UID)
    assert found == {
        "one is ready": SandboxInfo("second", "shop", "second", UID),
        "none is": SandboxInfo("third", "shop", "third", UID),
        "none at all": None,
    }


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field as protobuf writes it, for a number below 16 and less than 128 bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff" * 64, id="garbage"),
        pytest.param(b"\x0a\x7fabc", id="cut off"),
        pytest.param(b"\x08\x01", id="a number for the status"),
        pytest.param(field(1, field(1, OTHER_ID.encode())), id="another container"),
        pytest.param(field(1, field(1, ID.encode()) + b"\x50\x01"), id="a number for the reason"),
        pytest.param(field(1, field(1, ID.encode()) + b"\x60\x01"), id="a number for the labels"),
        pytest.param(field(1, field(1, ID.encode()) + field(4, b"now")), id="text for a time"),
        pytest.param(field(1, field(1, ID.encode()) + field(10, b"\xff\xfe")), id="a reason that is not UTF-8"),
        pytest.param(
            field(1, field(1, ID.encode()) + field(12, field(1, b"io.kubernetes.pod.name") + field(2, b"\xff"))),
            id="a label that is not UTF-8",
        ),
        pytest.param(field(1, field(1, ID.encode()) + b"\x82\x01\x05\x0d\1\2\3\4"), id="a float for linux"),
        pytest.param(bytes(10 << 20), id="10 MiB of zeros"),
        pytest.param(b"\x0a\x80\x80\x80\x05" + bytes(10 << 20), id="a status of 10 MiB"),
        pytest.param(GRPCError(Status.INTERNAL, "x" * 5000), id="INTERNAL"),
        pytest.param(GRPCError(Status.UNKNOWN, "lost the database"), id="UNKNOWN"),
        pytest.param(GRPCError(Status.UNAVAILABLE), id="UNAVAILABLE"),
        pytest.param(GRPCError(Status.UNIMPLEMENTED), id="UNIMPLEMENTED"),
    ],
)
async def test_an_unusable_answer(tmp_path: Path, answer: bytes | GRPCError) -> None:
    """Whatever a runtime answers instead of a status is a CriError, short enough to log, and breaks no later
    call."""
    good = status(v1.ContainerStatus(id=OTHER_ID))
    async with fake(
        tmp_path, ContainerStatus=lambda request: good if OTHER_ID.encode() in request else answer
    ) as client:
        with pytest.raises(CriError, match=re.escape(client.path)) as caught:
            await client.container(ID)
        assert len(str(caught.value)) < 1000
        assert caught.value.__cause__
        assert await client.container(OTHER_ID)


async def test_an_unusable_sandbox(tmp_path: Path) -> None:
    another = bytes(v1.PodSandboxStatusResponse(status=v1.PodSandboxStatus(id=OTHER_ID)))
    nameless = bytes(v1.PodSandboxStatusResponse(status=v1.PodSandboxStatus(id=ID)))
    for answer, reason in (
        (another, "another sandbox"),
        (nameless, "without metadata"),
        (b"\x08\x01", "unusable"),
    ):
        async with fake(tmp_path, PodSandboxStatus=answer) as client:
            with pytest.raises(CriError, match=reason):
                await client.sandbox(ID)


async def test_a_version_without_a_name(tmp_path: Path) -> None:
    """An empty message, which many a gRPC service would give, does not pass for a runtime."""
    async with grpc_server(tmp_path / "s", {"Version": b""}):
        with pytest.raises(CriError, match="no runtime_name"):
            await Client.connect(f"{tmp_path}/s")


@pytest.mark.parametrize(
    "error",
    [
        GRPCError(Status.NOT_FOUND, "no such thing"),
        GRPCError(Status.UNKNOWN, f"Error response from daemon: No such container: {ID}"),
    ],
    ids=["containerd, CRI-O", "cri-dockerd"],
)
async def test_ways_of_saying_gone(tmp_path: Path, error: GRPCError) -> None:
    async with fake(tmp_path, ContainerStatus=error, PodSandboxStatus=error) as client:
        assert await client.container(ID) is None
        assert await client.sandbox(ID) is None


SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # an empty HTTP/2 frame, with which a server begins
UNKNOWN_FRAME = b"\x00\x00\x00\xee\x00\x00\x00\x00\x00"
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8)
RESPONSE = b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"  # HEADERS of stream 1, END_HEADERS: ":status: 200", no more
RESPONSE_AND_END = RESPONSE[:4] + b"\x05" + RESPONSE[5:]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00", id="one byte"),
        pytest.param(os.urandom(4096), id="noise"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="HTTP/1"),
        pytest.param(SETTINGS, id="settings"),
        pytest.param(SETTINGS + UNKNOWN_FRAME, id="an unknown frame"),
        pytest.param(SETTINGS + GOAWAY, id="goaway"),
        pytest.param(SETTINGS + RESPONSE, id="headers only"),
        pytest.param(SETTINGS + RESPONSE_AND_END, id="an answer without a message"),
        pytest.param(SETTINGS * 200_000, id="more settings than an answer may be long"),
    ],
)
@pytest.mark.parametrize("then", ["close", "hang"])
async def test_a_server_that_is_none(tmp_path: Path, sent: bytes, then: str) -> None:
    """Bytes that are no gRPC answer end in a CriError: no other exception, no complaint to the event loop,
    and nothing left of grpclib's cancellations in the caller's task."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with bytes_server(tmp_path / "s", sent, hang=then == "hang"):
        with pytest.raises(CriError, match=f"{tmp_path}/s: "):
            await Client.connect(f"{tmp_path}/s", timeout_seconds=0.5)
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0
    assert complaints == []


async def test_too_long_an_answer(tmp_path: Path) -> None:
    """An answer is given up while it comes in, not once it is all in memory."""
    async with fake(tmp_path, ContainerStatus=bytes(10 << 20)) as client:
        with pytest.raises(CriError, match="more than 1048576 bytes"):
            await client.container(ID)


async def test_a_server_that_reads_nothing(tmp_path: Path) -> None:
    """A connection is closed at once, even if the other side leaves unread what was sent."""
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(SETTINGS * 1000)  # each of which is acknowledged
                await writer.drain()
        writer.close()
        closed.set()

    async with await asyncio.start_unix_server(serve, tmp_path / "s"):
        with pytest.raises(CriError, match="more than 1048576 bytes"):
            await Client.connect(f"{tmp_path}/s")
        await asyncio.wait_for(closed.wait(), 20)


async def test_a_deadline(tmp_path: Path) -> None:
    async with bytes_server(tmp_path / "s", SETTINGS, hang=True):
        with pytest.raises(CriError, match=r"no answer within 0\.1 s"):
            await Client.connect(f"{tmp_path}/s", timeout_seconds=0.1)


async def test_a_slow_call_holds_up_no_other(tmp_path: Path) -> None:
    """A call that is never answered leaves the client free for others, before and after it is given up."""
    asked = asyncio.Event()

    async def answer(request: bytes) -> bytes:
        if ID.encode() in request:
            asked.set()
            await asyncio.Event().wait()
        return status(v1.ContainerStatus(id=OTHER_ID))

    async with fake(tmp_path, ContainerStatus=answer) as client:
        slow = asyncio.create_task(client.container(ID))
        await asked.wait()
        assert await client.container(OTHER_ID)
        assert not slow.done()
        slow.cancel()
        assert await client.container(OTHER_ID)
        with pytest.raises(asyncio.CancelledError):
            await slow


async def test_cancelling_a_call(tmp_path: Path) -> None:
    """A call that is cancelled ends as cancelled, and its connection is closed."""
    connected, closed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SETTINGS)
        connected.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass
        writer.close()
        closed.set()

    async with await asyncio.start_unix_server(serve, tmp_path / "s"):
        call = asyncio.create_task(Client.connect(f"{tmp_path}/s", timeout_seconds=60))
        await connected.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(closed.wait(), 60)


async def test_cancelling_a_call_that_fails(tmp_path: Path) -> None:
    """Where a call fails and is cancelled at the same moment, the cancellation is not lost."""

    async def call() -> None:
        task = asyncio.current_task()
        assert task

        def read(_: v1.VersionResponse) -> None:
            task.cancel()
            raise ValueError("an answer that cannot be used")

        await wire.exchange(f"{tmp_path}/s", 60, lambda runtime: runtime.version(), read)

    async with grpc_server(tmp_path / "s", {"Version": version()}):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(call())


@pytest.mark.parametrize("bad", ["", ID[:12], ID[:63], ID + "/", "é" * 64, ID + "\n", " " * 64, "a" * 129])
async def test_ids_that_are_not_sent(tmp_path: Path, bad: str) -> None:
    """What is no full ID is refused here: a runtime would take a part of one for the whole."""
    requests: list[bytes] = []
    async with fake(tmp_path, ContainerStatus=requests.append, PodSandboxStatus=requests.append) as client:
        with pytest.raises(ValueError, match="not an ID"):
            await client.container(bad)
        with pytest.raises(ValueError, match="not an ID"):
            await client.sandbox(bad)
    assert requests == []


@pytest.mark.parametrize("bad", ["", "a b", "a,b=c", "a" * 64, UID + "\n"])
async def test_uids_that_are_not_sent(tmp_path: Path, bad: str) -> None:
    async with fake(tmp_path) as client:
        with pytest.raises(ValueError, match="not an ID"):
            await client.sandbox_of_pod(bad)


# The fake servers


def status(of: v1.ContainerStatus) -> bytes:
    return bytes(v1.ContainerStatusResponse(status=of))


@asynccontextmanager
async def fake(tmp_path: Path, **answers: Answer) -> AsyncIterator[Client]:
    """A client of a server with these answers."""
    async with grpc_server(tmp_path / "s", {"Version": version(), **answers}):
        yield await Client.connect(f"unix://{tmp_path}/s")


@asynccontextmanager
async def bytes_server(path: Path, sent: bytes, *, hang: bool = False) -> AsyncIterator[None]:
    """A server that sends these bytes to whoever connects, and closes, or waits for the other side to
    close."""
    handlers = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            writer.write(sent)
            await writer.drain()
            await reader.read(4096)  # so that the request is read, and closing is not a reset
            while hang and await reader.read(4096):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_unix_server(serve, path):
        yield
        await asyncio.gather(*handlers)
