"""The targets. In: any bytes. Out: nothing, or an AssertionError. Rules: pure but for the runtime's socket; a target
that needs a structure makes one of any bytes, in such a way that a valid one stays what it is: so seeds are valid ones,
and what a mutation breaks of the lengths is mended instead of being refused.
"""

import atexit
import ctypes
import functools
import itertools
import os
import re
from collections.abc import Callable
from typing import Any

from fuzz import hostile, planted, properties, reported
from fuzz.runtime import Runtime
from oomeventer.cri import CriError, answers
from oomeventer.cri._cri.runtime import v1
from oomeventer.kernel import record
from oomeventer.kernel.kill import Arguments, Kill, Missing
from oomeventer.kernel.record import RecordError, parse
from oomeventer.node.cgroup_path import ancestors, identify
from oomeventer.node.neighbours import Neighbour, Neighbours
from oomeventer.node.procfs import Observation
from oomeventer.redaction.policy import Redaction, parse_arguments, parse_environment
from oomeventer.text import CUT, cut_bytes, printable
from samples import CGROUP, CONTAINER_ID, POD, POD_CGROUP, UID, raw_mark

#: Of letters and digits without a pattern, as tokens are.
SECRET = "q7Zk2Vw9Xb4Rt8Lm3Pc6Hd5Jf1Ns0Gy"
#: Where a container really is, by both cgroup drivers, and in a node that is a container.
REAL = (
    CGROUP,
    f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID.replace('-', '_')}.slice"
    f"/cri-containerd-{CONTAINER_ID}.scope",
    f"/docker/{'ab' * 32}/kubelet/kubepods/pod{UID}/{CONTAINER_ID}",
    f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UID.replace('-', '_')}.slice"
    f"/crio-{CONTAINER_ID}.scope",
)
_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt\\])")
_MARK, _ARGUMENTS = ctypes.sizeof(record.RawMark), ctypes.sizeof(record.RawArguments)


def parsed(data: bytes) -> None:
    """A record is read, and then holds what the bytes say, or is refused by RecordError."""
    try:
        read = parse(data)
    except RecordError as e:
        properties.one_line(str(e))
        return
    texts = [read.arguments or b"", read.environment or b""]
    if isinstance(read, Arguments):
        assert data[_ARGUMENTS:] == b"".join(texts)
        return
    assert isinstance(read, Kill)
    assert data.endswith(b"".join(texts))
    assert len(read.levels) <= record.LEVELS
    assert read.peak_rss_bytes >= read.anon_bytes + read.file_bytes + read.shmem_bytes
    length = record.RawMark.from_buffer_copy(data).cgroup_length
    names = data[_MARK : _MARK + length].split(b"\0")[:-1]
    path = b"/" + b"/".join(reversed(names))
    assert os.fsencode(read.cgroup) in ((path, os.fsencode(CUT)) if Missing.CGROUP in read.missing else (path,))
    assert names or Missing.CGROUP not in read.missing or read.cgroup == CUT


def mended(data: bytes) -> bytes:
    """A record that is valid whatever `data` is: its header, lengths and paths are made to fit; a valid one stays."""
    if len(data) > record.Header.kind.offset and data[record.Header.kind.offset] == record.KIND_ARGUMENTS:
        return _mended_arguments(data.ljust(_ARGUMENTS, b"\0"))
    return _mended_mark(data.ljust(_MARK, b"\0"))


def _mended_arguments(data: bytes) -> bytes:
    raw, text = record.RawArguments.from_buffer_copy(data), data[_ARGUMENTS:]
    raw.arguments_length = min(raw.arguments_length, len(text))
    raw.environment_length = len(text) - raw.arguments_length
    raw.header.format, raw.header.kind, raw.header.size = record.FORMAT, record.KIND_ARGUMENTS, len(data)
    return bytes(raw) + text


def _mended_mark(data: bytes) -> bytes:
    mark, rest = record.RawMark.from_buffer_copy(data), data[_MARK:]
    texts = []
    for name in ("cgroup", "trigger_cgroup", "arguments", "environment"):
        length = min(getattr(mark, f"{name}_length"), len(rest))
        text, rest = rest[:length], rest[length:]
        if name.endswith("cgroup") and text and not text.endswith(b"\0"):
            text = text[:-1] + b"\0"
        texts.append(text)
    texts[-1] += rest
    mark.cgroup_length, mark.trigger_cgroup_length, mark.arguments_length, mark.environment_length = map(len, texts)
    mark.levels = min(mark.levels, record.LEVELS)
    mark.header.format, mark.header.kind, mark.header.size = (
        record.FORMAT,
        record.KIND_MARK,
        _MARK + sum(map(len, texts)),
    )
    return bytes(mark) + b"".join(texts)


def path(data: bytes) -> None:
    """A record to all that is reported of it, with a secret among its arguments and in its environment.

    Which secret's place it is, and what is known of the Pod, a number says that the program does not look at.
    """
    raw = mended(data)
    read = parse(raw)
    if isinstance(read, Arguments):
        number, fixed = read.lost, _ARGUMENTS
        before = [raw_mark(flags=record.ARGUMENTS_FOLLOW, tgid=read.process.pid, start_ns=read.process.start_ns)]
        neighbours = [Neighbour(1, b"hog", 4096)]
    else:
        mark = record.RawMark.from_buffer_copy(raw)
        number, fixed = mark.padding, _MARK + mark.cgroup_length + mark.trigger_cgroup_length
        before = []
        neighbours = [Neighbour(1, read.comm + read.trigger.comm, 4096)]
    place, variant = number % 256, number // 256
    arguments = [*(read.arguments or b"").split(b"\0"), *hostile.arguments(place, SECRET), b"1", b""]
    environment = [*(read.environment or b"").split(b"\0"), hostile.entry(place, SECRET), b""]
    observation = Observation(
        pid1=("lives", "killed", "gone", None)[number % 4],
        neighbours=Neighbours(tuple(neighbours), total=variant % 9),
    )
    shows_all = variant % 4 == 3
    (what,) = reported.report(
        *before,
        with_texts(raw, fixed, b"\0".join(arguments), b"\0".join(environment)),
        observation=observation,
        policy=Redaction(arguments="all", environment="all") if shows_all else Redaction(),
        pod=POD if variant % 2 else None,
        name="app" if variant % 2 else None,
    )
    properties.reported(what)
    if not shows_all:
        properties.no_trace(SECRET, *what.texts())


def with_texts(raw: bytes, end: int, arguments: bytes, environment: bytes) -> bytes:
    """The record with other arguments and environment, which begin at `end`."""
    layout: Any = record.RawMark if raw[record.Header.kind.offset] == record.KIND_MARK else record.RawArguments
    fixed = layout.from_buffer_copy(raw)
    fixed.arguments_length, fixed.environment_length = len(arguments), len(environment)
    fixed.header.size = end + len(arguments) + len(environment)
    return bytes(fixed) + raw[ctypes.sizeof(layout) : end] + arguments + environment


def cgroup(data: bytes) -> None:
    """A path of any bytes; below a real container, and below a real Pod, it changes nothing."""
    text = os.fsdecode(data)
    identity(text)
    for real in REAL:
        found = identify(f"{real}/{text}")
        assert (found.pod_uid, found.container_id, found.container_path) == (UID, CONTAINER_ID, real)
        identity(f"{real}/{text}")
    below = identify(f"{POD_CGROUP}/{text}")
    assert (below.pod_uid, below.qos, below.pod_path) == (UID, "Burstable", POD_CGROUP)


def identity(text: str) -> None:
    """What is found stands in the path, at the ends of components, and what lies above leads there step by step."""
    found = identify(text)
    paths = ancestors(text)
    for inside in (found.pod_path, found.container_path):
        assert inside is None or inside in paths
    if found.container_id:
        assert re.fullmatch("[0-9a-f]{64}", found.container_id)
    if found.pod_uid:
        assert re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found.pod_uid)
    if found.container_path:
        whole = identify(found.container_path)
        assert (whole.pod_uid, whole.container_id, whole.nested) == (found.pod_uid, found.container_id, False)
    assert len(paths) == sum(map(bool, text.split("/")))
    for inner, outer in itertools.pairwise(paths):
        assert inner.startswith(outer + "/")
        assert "/" not in inner[len(outer) :].strip("/")


def redaction(data: bytes) -> None:
    """Arguments and environment of any bytes, with a secret among them, by the policy that holds by default; also where
    the Pod's spec says all of the arguments."""
    place, comm, text = data[:1], data[1:16], data[16:]
    number = place[0] if place else 0
    raw_arguments, _, raw_environment = text.partition(b"\0\0")
    safe = Redaction()
    argv = parse_arguments(raw_arguments)
    entries = parse_environment(raw_environment)
    properties.command(argv, comm, safe)
    properties.environment(entries, safe)
    for secrets in ([*argv, *hostile.arguments(number, SECRET), *argv], [*hostile.arguments(number, SECRET), *argv]):
        properties.no_trace(SECRET, *properties.command(secrets, comm, safe))
        properties.no_trace(SECRET, *properties.unmasked(secrets, comm, safe))
    variable = hostile.entry(number, SECRET)
    shown = properties.environment([*entries, variable, *(name + b"=" + variable for name in entries)], safe)
    properties.no_trace(SECRET, *shown, *shown.values())


def text(data: bytes) -> None:
    """Bytes as text, whole and cut to any length."""
    limit = int.from_bytes(data[:1]) + int.from_bytes(data[1:2]) * (data[:1] > b"\xc0")
    raw = data[2:]
    whole = printable(raw)
    properties.one_line(whole)
    assert printable(os.fsdecode(raw)) == whole
    assert len(whole) <= 10 * len(raw)
    cut = printable(raw, limit)
    properties.one_line(cut)
    assert len(cut) <= limit
    if len(whole) <= limit:
        assert cut == whole
    else:
        no_escape_is_broken(cut, whole)
    short = cut_bytes(raw.decode("utf-8", "surrogateescape"), limit)
    assert len(short.encode()) <= limit
    line = cut_bytes(whole, limit)
    properties.one_line(line)
    assert len(line.encode()) <= limit


def no_escape_is_broken(cut: str, whole: str) -> None:
    """Of a text that was cut, head and tail are beginning and end of the whole, between two escapes."""
    insides = {place for found in _ESCAPE.finditer(whole) for place in range(found.start() + 1, found.end())}
    fits = [
        place
        for place, character in enumerate(cut)
        if character == "…"
        and whole.startswith(cut[:place])
        and whole.endswith(cut[place + 1 :])
        and place not in insides
        and len(whole) - len(cut) + place + 1 not in insides
    ]
    assert fits or not cut, (cut, whole)


@functools.cache
def _runtime() -> Runtime:
    opened = Runtime()
    atexit.register(opened.close)
    return opened


#: By the first byte of the input: what is answered, and who reads it.
ANSWERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (v1.ContainerStatusResponse, lambda answer: answers.container(answer, CONTAINER_ID)),
    (v1.PodSandboxStatusResponse, lambda answer: answers.sandbox(answer, CONTAINER_ID)),
    (v1.ListPodSandboxResponse, lambda answer: answers.sandbox_of_pod(answer, UID)),
    (v1.VersionResponse, answers.version),
)


def cri(data: bytes) -> None:
    """An answer of any bytes ends in a record of the types that it declares, or in a CriError."""
    message, read = ANSWERS[data[0] % len(ANSWERS) if data else 0]
    given(_runtime().answer(message, data[1:], read))


def wire(data: bytes) -> None:
    """A connection of any bytes ends in a version or in a CriError."""
    given(_runtime().connection(data))


def given(answer: Any) -> None:
    """What the client hands out is what it declares, of bounded text of one line."""
    if isinstance(answer, CriError):
        properties.one_line(str(answer))
        assert len(str(answer)) < 1000
        assert not isinstance(answer.__cause__, MemoryError)
        assert "no answer within" not in str(answer)
        return
    if answer is None:
        return
    if isinstance(answer, tuple):
        values = [(part, str) for part in answer]
    else:
        values = [(getattr(answer, name), kind) for name, kind in type(answer).__annotations__.items()]
    for value, kind in values:
        assert isinstance(value, kind), answer
        if isinstance(value, str):
            properties.one_line(value)
            assert len(value) <= 512


TARGETS: dict[str, Callable[[bytes], None]] = {
    "record": parsed,
    "path": path,
    "cgroup": cgroup,
    "redaction": redaction,
    "text": text,
    "cri": cri,
    "wire": wire,
    "planted": planted.planted,
}
