"""Where the fuzzing begins. In: nothing. Out: for each target some valid inputs, with what is hostile in them.

Rules: made by code, so that they are of the record's present layout; few and small, since libFuzzer runs all of them.
"""

from collections.abc import Callable

import hpack
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from fuzz import hostile
from fuzz.targets import REAL
from oomeventer.cri._cri.runtime import v1
from oomeventer.kernel import record
from oomeventer.kernel.record import RawLevel
from oomeventer.redaction.variables import MEMORY_VARIABLES
from samples import CGROUP, CONTAINER_ID, UID, raw_arguments, raw_mark


def records() -> list[bytes]:
    """Marks and arguments: plain, hostile, at the record's bounds."""
    components = [name.encode() for name in reversed(CGROUP.split("/")[1:])]
    full = RawLevel(101, 8192, 8192, 8192, 0, record.NO_LIMIT_PAGES, 1, record.LEVEL_LOCKED, 0)
    free = RawLevel(102, 8192, record.NO_LIMIT_PAGES, 8192, 0, record.NO_LIMIT_PAGES, 0, 0, 0)
    known = record.UNIFIED | record.LOCKS_KNOWN | record.TRIGGER_SAME_CGROUP
    plain = raw_mark(
        cgroup=components,
        arguments=b"hog\x00100\0--size=5m\0",
        environment=b"GOMEMLIMIT=30MiB\0",
        levels=[full, free],
        comm=b"hog",
        flags=known,
        tgid=7,
        start_ns=8,
    )
    marks = [
        raw_mark(
            cgroup=[piece.replace(b"/", b"")[:255], *components],
            trigger_cgroup=[piece.replace(b"/", b"")[:255]],
            arguments=piece + b"\0--name=" + piece + b"\0",
            environment=b"JAVA_OPTS=" + piece + b"\0" + piece + b"=1\0",
            levels=[free, full],
            comm=piece[:16],
            trigger_comm=piece[-16:],
            flags=record.UNIFIED | record.DOMAIN_KNOWN,
            domain_inode=102,
            padding=number | number << 8,
        )
        for number, piece in enumerate(hostile.PIECES)
    ]
    bounds = raw_mark(cgroup=[b"\xff" * 255] * 16, levels=[full] * 16, flags=record.CGROUP_CUT | record.LEVELS_CUT)
    return [plain, *marks, bounds, raw_arguments(b"hog\0--pin\x001\0", b"GOGC=off\0", tgid=7, start_ns=8)]


def paths() -> list[bytes]:
    """Cgroups: real ones, and what a container would make below its own."""
    names = [name.encode() for real in REAL for name in real.split("/") if name]
    return [*(real.encode() for real in REAL), b"/".join(names[::-1]), *hostile.PIECES, b"", b"/", b"//a//"]


def arguments() -> list[bytes]:
    """As targets.redaction reads them: a place, comm, arguments, two NULs, environment."""
    comm = b"hog".ljust(15, b"\0")
    secret = "0"
    variables = b"\0".join(name.replace("*", "X").encode() + b"=512m" for name in sorted(MEMORY_VARIABLES))
    return [
        bytes([0]) + comm + b"/usr/bin/hog\0--size=5m\0-Xmx512m\0-XX:+UseG1GC\0--pin\x001\0/etc/x:/y\0\0" + variables,
        bytes([1]) + comm + b"hog\0narenas:1,thp:never\x000x20000000\0-XX:MaxHeap=1g\0\0MALLOC_CONF=narenas:1",
        *(
            bytes([number]) + piece[:15].ljust(15, b"x") + piece + b"\0" + b"\0".join(hostile.arguments(number, secret))
            + b"\0\0JAVA_OPTS=-Dx " + piece + b"\0" + hostile.entry(number, secret)
            for number, piece in enumerate(hostile.PIECES)
        ),
    ]  # fmt: skip


def texts() -> list[bytes]:
    """As targets.text reads them: two bytes of limit, then the bytes."""
    return [bytes([limit, 0]) + piece for limit in (0, 7, 40, 200) for piece in hostile.PIECES]


#: The verbose information of a status (CRI: field 2, map<string, string>), which is never asked for: JSON, and no JSON.
_JSON = b'{"pid": 1, "config": {"envs": [{"key": "API_KEY"}]}, "x": ' + b"[" * 30
INFO = bytes([0x12, len(_JSON) + 8, 0x0A, 4]) + b"info" + bytes([0x12, len(_JSON)]) + _JSON


def answers() -> list[bytes]:
    """As targets.cri reads them: which message, then its bytes."""
    labels = {
        "io.kubernetes.pod.name": "checkout-0",
        "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.uid": UID,
    }
    metadata = v1.PodSandboxMetadata(name="checkout-0", namespace="shop", uid=UID, attempt=1)
    linux = v1.LinuxContainerResources(memory_limit_in_bytes=32 << 20)
    status = v1.ContainerStatus(
        id=CONTAINER_ID,
        metadata=v1.ContainerMetadata(name="app", attempt=2),
        state=v1.ContainerState.CONTAINER_EXITED,
        created_at=1,
        exit_code=137,
        reason="OOMKilled",
        image=v1.ImageSpec(image="registry.example/app:1"),
        labels=labels,
        resources=v1.ContainerResources(linux=linux),
    )
    container = v1.ContainerStatusResponse(status=status)
    sandbox = v1.PodSandboxStatusResponse(status=v1.PodSandboxStatus(id=CONTAINER_ID, metadata=metadata))
    item = v1.PodSandbox(id="a", metadata=metadata, state=v1.PodSandboxState.SANDBOX_READY, labels=labels)
    version = v1.VersionResponse(runtime_name="containerd", runtime_version="2.0")
    messages = (container, sandbox, v1.ListPodSandboxResponse(items=[item, item]), version)
    valid = [bytes([number]) + bytes(message) + INFO * (number < 2) for number, message in enumerate(messages)]
    return [*valid, *(seed[:-7] for seed in valid), b"", b"\0\xff\xff", b"\1\x0a\x7fabc"]


def connections() -> list[bytes]:
    """HTTP/2 as a runtime speaks it, whole and in parts."""
    encoder = hpack.Encoder()
    heads = HeadersFrame(
        1, encoder.encode([(":status", "200"), ("content-type", "application/grpc+proto")], huffman=False)
    )
    heads.flags.add("END_HEADERS")
    message = bytes(v1.VersionResponse(runtime_name="fake", runtime_version="1"))
    body = DataFrame(1, b"\0" + len(message).to_bytes(4) + message)
    trailers = HeadersFrame(1, encoder.encode([("grpc-status", "0"), ("grpc-message", "fine%0A")]))
    trailers.flags |= {"END_HEADERS", "END_STREAM"}
    frames = [frame.serialize() for frame in (SettingsFrame(0), heads, body, trailers)]
    ends = [frame.serialize() for frame in (GoAwayFrame(0, 1), RstStreamFrame(1, error_code=2))]
    return [
        b"".join(frames),
        b"".join(frames[:3]),
        *(frames[0] + end for end in ends),
        b"".join(frames[:2]) + ends[1],
        frames[0] + frames[1].replace(b"application/grpc", b"application/html"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ]


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "record": records,
    "path": records,
    "cgroup": paths,
    "redaction": arguments,
    "text": texts,
    "cri": answers,
    "wire": connections,
    "planted": lambda: [b"seed"],
}
