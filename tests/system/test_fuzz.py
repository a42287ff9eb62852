"""What a victim or a runtime chose itself, whole: from a record's bytes to Events, the log's line and the terminal.

In: hostile values in valid structures, from hypothesis; any bytes, from libFuzzer (fuzz/). Out: the properties of
fuzz/properties.py. What one module promises alone (parse, redact, printable, identify) its own tests hold it to.
"""

import base64
import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fuzz import hostile, properties, reported, seeds, targets
from fuzz.runtime import Runtime
from oomeventer.cri import ContainerInfo, CriError
from oomeventer.cri._cri.runtime import v1
from oomeventer.incident.bounds import VICTIMS
from oomeventer.incident.codec import as_json
from oomeventer.kernel import record
from oomeventer.kernel.record import RawLevel
from oomeventer.node.cgroup_path import Identity, identify
from oomeventer.node.neighbours import Neighbour, Neighbours
from oomeventer.node.procfs import Observation
from oomeventer.redaction.arguments import Word
from oomeventer.redaction.policy import Redaction
from oomeventer.redaction.variables import MEMORY_VARIABLES
from oomeventer.text import printable
from places import SUPPORT
from samples import CONTAINER_ID, POD, UID, raw_arguments, raw_mark

SCHEMA = json.loads(resources.files("oomeventer").joinpath("incident/schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SAFE, ALL = Redaction(), Redaction(arguments="all", environment="all")

# Values that a process chooses.

texts = st.lists(st.sampled_from(hostile.PIECES) | st.binary(max_size=5), max_size=4).map(b"".join)
arguments = texts.map(lambda text: text.replace(b"\0", b""))
names = arguments.map(lambda text: text.replace(b"/", b"")[:255]).filter(bool)
comms = arguments.map(lambda text: text[:15])
variables = st.tuples(st.sampled_from(sorted(MEMORY_VARIABLES)).map(str.encode) | arguments, arguments).map(b"=".join)
secrets = (
    st.binary()
    .map(lambda raw: hashlib.sha256(raw).digest())
    .flatmap(lambda digest: st.sampled_from([digest.hex(), base64.b64encode(digest).decode().rstrip("=")]))
)

u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
levels = st.builds(RawLevel, u64, u64, u64, u64, u64, u64, u64, st.integers(0, 3), st.just(0))


def joined(parts: Sequence[bytes]) -> bytes:
    """As the kernel has them: each ended by a NUL."""
    return b"".join(part + b"\0" for part in parts)


@st.composite
def records(draw: st.DrawFn, argv: Sequence[bytes] = (), environ: Sequence[bytes] = ()) -> list[bytes]:
    """A mark, and sometimes the record of arguments that follows; of arguments and variables some are given."""
    texts = {
        "arguments": joined([*draw(st.lists(arguments, max_size=4)), *argv]),
        "environment": joined([*draw(st.lists(variables, max_size=4)), *environ]),
    }
    process = {"tgid": draw(u32), "start_ns": draw(u64)}
    follow = draw(st.booleans())
    # Not the root's inode, so that a memcg that ran out is found, or not, by chance.
    flags = draw(st.integers(0, 2**12 - 1)) & ~record.ARGUMENTS_FOLLOW | (record.ARGUMENTS_FOLLOW if follow else 0)
    mark = raw_mark(
        cgroup=draw(st.lists(names, max_size=16)),
        trigger_cgroup=draw(st.lists(names, max_size=3)),
        levels=draw(st.lists(levels, max_size=16)),
        time_ns=draw(u64),
        lost=draw(u64),
        flags=flags,
        oom_score_adj=draw(st.integers(-1000, 1000)),
        comm=draw(comms),
        trigger_comm=draw(comms),
        **{name: draw(u32) for name in ("ns_tgid", "uid", "trigger_tgid")},
        **{name: draw(u64) for name in ("domain_inode", "anon_pages", "file_pages", "swap_pages", "pgtables_bytes")},
        **process,
        **({} if follow else texts),
    )
    return [mark, raw_arguments(**texts, **process)] if follow else [mark]


# The whole pure path


@settings(max_examples=150)
@given(records(), comms, st.sampled_from([SAFE, ALL]), st.booleans())
def test_what_is_reported_of_a_hostile_victim(raw: list[bytes], comm: bytes, policy: Redaction, in_pod: bool) -> None:
    """Whatever it is called, was called with and lies in: the API takes the Event, each line is one plain line, and
    the JSON is what the schema says."""
    observation = Observation(pid1="lives", neighbours=Neighbours((Neighbour(1, comm, 4096),), 1, 4096))
    pod, name = (POD, "app") if in_pod else (None, None)
    (what,) = reported.report(*raw, observation=observation, policy=policy, pod=pod, name=name)
    properties.reported(what)
    VALIDATOR.validate(as_json(what.incident))


@settings(max_examples=150)
@given(st.data(), secrets, st.integers(0, 255), st.sampled_from([(), (b"hog",), (b"hog", b"--name")]))
def test_a_secret_stays_on_the_node(data: Any, secret: str, place: int, before: tuple[bytes, ...]) -> None:
    """A token in any place of the arguments and the environment, among hostile ones, is in nothing that leaves it."""
    argv = [*before, *hostile.arguments(place, secret), b"1"]
    raw = data.draw(records(argv, [hostile.entry(place, secret)]))
    for what in reported.report(*raw, pod=POD, name="app"):
        properties.no_trace(secret, *what.texts())


@pytest.mark.parametrize("place", range(max(len(hostile.PLACES), len(hostile.ENTRIES))))
def test_every_place_of_a_secret(place: int) -> None:
    """Each of the usual places, also where /proc is who tells."""
    argv, environ = (
        joined([b"hog", *hostile.arguments(place, targets.SECRET)]),
        joined([hostile.entry(place, targets.SECRET)]),
    )
    (by_record,) = reported.report(raw_mark(arguments=argv, environment=environ, comm=b"hog"))
    bare = raw_mark(comm=b"hog", tgid=7, start_ns=8)
    (process,) = {kill.process for kill in [record.parse(bare)]}
    seen = Observation(arguments={process: argv}, environment={process: environ})
    (by_proc,) = reported.report(bare, observation=seen)
    for what in (by_record, by_proc):
        properties.reported(what)
        properties.no_trace(targets.SECRET, *what.texts())
        assert what.incident.chosen.command
    (shown,) = reported.report(bare, observation=seen, policy=ALL)
    with pytest.raises(AssertionError):
        properties.no_trace(targets.SECRET, *shown.texts())


@pytest.mark.parametrize("policy", [SAFE, ALL], ids=["safe", "all"])
@pytest.mark.parametrize(
    "argv",
    [
        [b"hog", b"x" * (128 << 10)],
        [b""] * (128 << 10),
        [b"\xff"] * (64 << 10),
        [b"hog", b"\x1b[31m" * (24 << 10)],
        [b"hog", "\u202e\U0001f600".encode() * (16 << 10)],
        [b"%s%n{0.__class__}" * 8] * 1000,
        [b"'" * (128 << 10)],
    ],
    ids=["one", "empty", "many", "escapes", "wide", "formats", "quotes"],
)
def test_128_kib_of_arguments(argv: list[bytes], policy: Redaction) -> None:
    """As much as the kernel lets one argument have, and much more than its record keeps: an Event like any other."""
    raw = raw_mark(arguments=joined(argv), environment=joined([b"JAVA_OPTS=" + argv[0], *argv]), comm=b"hog")
    started = time.process_time()
    (what,) = reported.report(raw, policy=policy)
    assert time.process_time() - started < 5
    properties.reported(what)


def test_a_large_group_without_arguments() -> None:
    """3,000 victims with ugly names: the first are kept, all are counted, and the API server takes the Event."""
    group = RawLevel(7, 1, 1, 1, 0, 0, 1, record.LEVEL_GROUP | record.LEVEL_LOCKED)
    marks = [raw_mark(tgid=number, start_ns=1, levels=[group], comm=b"\xff" * 15) for number in range(1, 3001)]
    (what,) = reported.report(*marks)
    assert (len(what.incident.victims), what.incident.victims_total) == (VICTIMS, 3000)
    properties.reported(what)


@pytest.mark.parametrize("name", ["a" * 229 + "-" + "b" * 10, "a" * 229 + "." + "b" * 10, "a" * 228 + ".b.c"])
def test_a_long_pods_name_is_cut_to_a_name(name: str) -> None:
    """An Event's name is a DNS subdomain wherever the Pod's is cut."""
    (what,) = reported.report(raw_mark(), pod=replace(POD, name=name[:253]))
    properties.reported(what)


# Whose cgroup it is

hexadecimal = st.text("0123456789abcdef", min_size=64, max_size=64)


def container_paths(uid: str, container_id: str) -> list[list[str]]:
    """The components of a container's cgroup, by the drivers, runtimes and kinds of node that there are."""
    slice_uid = uid.replace("-", "_")
    pod_slice = f"kubepods-burstable-pod{slice_uid}.slice"
    return [
        ["kubepods", "besteffort", f"pod{uid}", container_id],
        ["kubepods", f"pod{uid}", f"crio-{container_id}"],
        ["kubepods.slice", "kubepods-burstable.slice", pod_slice, f"cri-containerd-{container_id}.scope"],
        [
            "kubelet.slice",
            "kubelet-kubepods.slice",
            f"kubelet-kubepods-pod{slice_uid}.slice",
            f"docker-{container_id}.scope",
        ],
        ["docker", "0" * 64, "kubelet", "kubepods", f"pod{uid}", container_id],
        [f"{pod_slice}:cri-containerd:{container_id}"],
    ]


@st.composite
def containers(draw: st.DrawFn) -> tuple[str, str, list[str]]:
    """A Pod's uid, a container's id and the components of its cgroup."""
    uid, container_id = str(draw(st.uuids())), draw(hexadecimal)
    return uid, container_id, draw(st.sampled_from(container_paths(uid, container_id)))


@settings(max_examples=200)
@given(containers(), st.lists(containers(), min_size=1, max_size=2), st.lists(names, max_size=2), st.booleans())
def test_a_false_pod_never_wins(
    real: tuple[str, str, list[str]], false: list[tuple[str, str, list[str]]], between: list[bytes], below_pod: bool
) -> None:
    """A container that makes itself a cgroup of any other Pod's form stays itself, in the record as in the text."""
    uid, container_id, path = real
    inner = [os.fsencode(name) for _, _, components in false for name in components]
    components = [*map(os.fsencode, path), *between, *inner][: record.LEVELS]
    (what,) = reported.report(raw_mark(cgroup=components[::-1], levels=[RawLevel(inode=1)] * len(components)))
    found = what.incident.identity
    assert (found.pod_uid, found.container_id, found.container_path) == (uid, container_id, "/" + "/".join(path))
    assert what.incident.container
    assert what.incident.container.id == container_id
    targets.identity(os.fsdecode(b"/".join([b"", *components])))


@settings(max_examples=50)
@given(containers(), containers(), st.integers(0, 12))
def test_of_a_cut_path_the_beginning_counts(
    real: tuple[str, str, list[str]], false: tuple[str, str, list[str]], between: int
) -> None:
    """However deep below its own cgroup a container makes another Pod's, it stays itself."""
    uid, container_id, path = real
    components = [*map(os.fsencode, path), *[b"d"] * between, *map(os.fsencode, false[2])][: record.LEVELS]
    flags = record.CGROUP_CUT | record.LEVELS_CUT
    (what,) = reported.report(raw_mark(cgroup=components[::-1], flags=flags))
    properties.reported(what)
    assert (what.incident.identity.pod_uid, what.incident.identity.container_id) == (uid, container_id)


def test_of_a_path_that_is_not_known_nobody_is_named() -> None:
    """Then the incident is the Node's."""
    (what,) = reported.report(raw_mark(cgroup=(), flags=record.CGROUP_CUT | record.LEVELS_CUT))
    properties.reported(what)
    assert what.incident.identity == Identity()
    assert what.incident.container is None
    assert what.events[0].body["involvedObject"]["kind"] == "Node"


# Redaction


@settings(max_examples=200)
@given(st.lists(arguments, max_size=6), comms, st.sampled_from([SAFE, Redaction(arguments="none"), ALL]))
def test_redacting_twice_shows_nothing_more(argv: list[bytes], comm: bytes, policy: Redaction) -> None:
    """What was redacted comes out of a second time as it is, or as a mask; `none` has nothing, `all` all."""
    if policy is SAFE:
        properties.command(argv, comm, policy)
    else:
        assert len(policy.command(argv, comm)) == (len(argv) if policy is ALL else 0)


@settings(max_examples=200)
@given(st.lists(variables | arguments, max_size=6), st.frozensets(st.sampled_from(["X*", "A", "GOGC", "LD_*"])))
def test_any_environment_will_do(entries: list[bytes], listed: frozenset[str]) -> None:
    """No bytes raise, what is shown is plain and bounded, and `none` and `all` are that."""
    properties.environment(entries, SAFE)
    properties.environment(entries, Redaction(environment_names=listed))
    assert Redaction(environment="none").environ(entries) == {}
    shown = ALL.environ(entries)
    assert len(shown) == len({entry.partition(b"=")[0] for entry in entries if b"=" in entry})
    for text in (*shown, *shown.values()):
        properties.one_line(text)


SLOW = [
    b"a-" * (64 << 10),
    b"--" + b"a1" * (64 << 10),
    b"-XX:" + b"G1" * (64 << 10) + b"=",
    b"/a" * (64 << 10),
    b":" * (128 << 10),
    b"glibc.a.b=1:" * (10 << 10),
    b"narenas:1," * (12 << 10),
    b"1h1m" * (32 << 10),
    b"aA" * (64 << 10),
    b"-" * (128 << 10),
    b"pass" * (32 << 10) + b"=",
    "\u017f\u212a".encode() * (24 << 10),
    b"--a " * (32 << 10),
    b"- 1 " * (32 << 10),
]


@pytest.mark.parametrize("text", SLOW, ids=lambda text: ascii(text[:12]))
def test_no_text_is_slow(text: bytes) -> None:
    """128 KiB of what a pattern could stumble over takes no longer than anything else, in any place."""
    started = time.process_time()
    for argv in ([text], [b"hog", text], [text[i : i + 255] for i in range(0, len(text), 255)]):
        SAFE.command(argv, text[:15])
    SAFE.environ([b"JAVA_OPTS=" + text, b"MALLOC_CONF=" + text, b"MALLOC_" + text + b"=1", text])
    identify("/" + os.fsdecode(text.replace(b":", b"/")))
    printable(text, 1000)
    assert time.process_time() - started < 3


# Text


@settings(max_examples=200)
@given(texts, st.integers(0, 700))
def test_a_cut_breaks_no_escape(raw: bytes, limit: int) -> None:
    """Head and tail of what is too long end and begin between two escapes, in characters as in bytes one line."""
    targets.text(bytes([min(limit, 192), 0]) + raw)
    targets.text(bytes([193 + limit % 63, limit % 3]) + raw * 8)


# The runtime's answers


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """The process may map no more than 512 MiB beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (512 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    opened = Runtime()
    yield opened
    opened.close()


strings = st.text() | texts.map(lambda raw: raw.decode("utf-8", "replace"))
labels = st.dictionaries(
    strings
    | st.sampled_from([f"io.kubernetes.{key}" for key in ("pod.uid", "pod.name", "pod.namespace", "container.name")]),
    strings,
    max_size=3,
)
int32, int64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
pod_metadata = st.builds(v1.PodSandboxMetadata, name=strings, namespace=strings, uid=strings, attempt=u32)
statuses = st.builds(
    v1.ContainerStatus,
    id=st.just(CONTAINER_ID) | strings,
    metadata=st.none() | st.builds(v1.ContainerMetadata, name=strings, attempt=u32),
    state=int32.map(v1.ContainerState),
    created_at=int64,
    finished_at=int64,
    exit_code=int32,
    image=st.none() | st.builds(v1.ImageSpec, image=strings),
    image_ref=strings,
    reason=strings,
    labels=labels,
    resources=st.none()
    | st.builds(
        v1.ContainerResources,
        linux=st.none() | st.builds(v1.LinuxContainerResources, memory_limit_in_bytes=int64),
    ),
)
sandboxes = st.builds(v1.PodSandboxStatus, id=st.just(CONTAINER_ID) | strings, metadata=st.none() | pod_metadata)
items = st.builds(
    v1.PodSandbox,
    id=strings,
    metadata=st.none() | pod_metadata,
    labels=labels | st.just({"io.kubernetes.pod.uid": UID}),
    state=int32.map(v1.PodSandboxState),
)
messages = st.one_of(
    st.builds(v1.ContainerStatusResponse, status=st.none() | statuses),
    st.builds(v1.PodSandboxStatusResponse, status=st.none() | sandboxes),
    st.builds(v1.ListPodSandboxResponse, items=st.lists(items, max_size=3)),
    st.builds(v1.VersionResponse, runtime_name=strings, runtime_version=strings),
)
READ = dict(targets.ANSWERS)


@settings(max_examples=200)
@given(message=messages, json_info=st.binary(max_size=90), cut=st.integers(0, 400))
@pytest.mark.usefixtures("bounded_memory")
def test_hostile_answers(shared_runtime: Runtime, message: Any, json_info: bytes, cut: int) -> None:
    """Valid messages of hostile values are read or refused; the verbose information, valid JSON or none, has no say;
    and what is cut off anywhere ends in a record or a CriError, too."""
    kind, raw = type(message), bytes(message)
    plain = shared_runtime.answer(kind, raw, READ[kind])
    targets.given(plain)
    if kind in (v1.ContainerStatusResponse, v1.PodSandboxStatusResponse):
        info = bytes([0x12, len(json_info) + 8, 0x0A, 4]) + b"info" + bytes([0x12, len(json_info)]) + json_info
        reported_more = shared_runtime.answer(kind, raw + info, READ[kind])
        assert repr(reported_more) == repr(plain)
    targets.given(shared_runtime.answer(kind, raw[:cut], READ[kind]))


@pytest.fixture(scope="module")
def shared_runtime() -> Iterator[Runtime]:
    """For many examples: opening one takes a while."""
    opened = Runtime()
    yield opened
    opened.close()


FRAMES = seeds.connections()


@settings(max_examples=150)
@given(
    sent=st.lists(st.sampled_from(FRAMES) | st.binary(max_size=40), max_size=3).map(b"".join),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
)
@pytest.mark.usefixtures("bounded_memory")
def test_hostile_connections(shared_runtime: Runtime, sent: bytes, changes: list[tuple[int, int]]) -> None:
    """HTTP/2 that is whole, cut, doubled or changed ends in an answer or a CriError, and leaves nothing behind."""
    raw = bytearray(sent)
    for place, byte in changes:
        raw[place : place + 1] = bytes([byte])
    targets.given(shared_runtime.connection(bytes(raw)))


def test_the_runtime_is_one(runtime: Runtime) -> None:
    """The server that answers anything can also answer well."""
    assert runtime.connection(FRAMES[0]) == ("fake", "1")
    assert isinstance(runtime.connection(b""), CriError)


# The targets under libFuzzer

RUNS = {"record": 20_000, "path": 800, "cgroup": 4000, "redaction": 2000, "text": 20_000, "cri": 8000, "wire": 4000}


@pytest.mark.parametrize("name", RUNS)
def test_seeds(name: str) -> None:
    """What the fuzzing begins with passes, also where there is no libFuzzer."""
    for seed in seeds.SEEDS[name]():
        targets.TARGETS[name](seed)


@pytest.mark.parametrize("name", ["record", "path"])
def test_a_valid_record_is_a_seed(name: str) -> None:
    """Mending leaves a valid record alone: so the fuzzing begins with it, and not with something else."""
    assert [targets.mended(seed) for seed in seeds.SEEDS[name]()] == seeds.SEEDS[name]()


def raw_text(raw: bytes | str, limit: int | None = None) -> str:
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    return text[:limit]


@pytest.mark.parametrize(
    ("name", "where", "instead"),
    [
        ("record", "fuzz.targets.parse", lambda raw: raw[10_000]),
        ("path", "oomeventer.incident.assemble.printable", raw_text),
        ("path", "oomeventer.incident.message.cut_bytes", lambda text, limit: text),
        (
            "path",
            "oomeventer.redaction.policy.Redaction.words",
            lambda policy, argv, comm, cut: tuple(Word(printable(argument)) for argument in argv),
        ),
        ("path", "oomeventer.redaction.policy._variable", printable),
        ("cgroup", "fuzz.targets.identify", lambda path: identify(path[path.rfind("/kubepods") :])),
        ("redaction", "oomeventer.redaction.policy.walk", lambda arguments, *_, **__: map(Word, arguments)),
        ("redaction", "oomeventer.redaction.shapes.is_name", lambda text: True),
        ("redaction", "oomeventer.redaction.shapes._AMOUNT", re.compile(".*")),
        ("text", "fuzz.targets.printable", raw_text),
        ("text", "fuzz.targets.cut_bytes", raw_text),
        ("cri", "oomeventer.cri.answers.ContainerInfo", lambda **fields: ContainerInfo(**fields | {"id": 7})),
        ("wire", "oomeventer.cri.wire._explain", lambda *_: "no answer within 1 s"),
    ],
)
def test_the_targets_find_faults(monkeypatch: pytest.MonkeyPatch, name: str, where: str, instead: Any) -> None:
    """With a part of the program replaced by a careless one, some seed fails: the properties are not empty."""
    monkeypatch.setattr(where, instead)
    assert any(fails(targets.TARGETS[name], seed) for seed in seeds.SEEDS[name]())


def fails(target: Callable[[bytes], None], data: bytes) -> bool:
    try:
        target(data)
    except Exception:
        return True
    return False


# atheris is libFuzzer, in wheels. From here on nothing is skipped for another reason than that there is none.
HAS_WHEEL = platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc" and sys.version_info < (3, 14)
libfuzzer = pytest.mark.skipif(
    not HAS_WHEEL,
    reason=f"atheris has no wheel for Python {platform.python_version()} on {platform.machine()}: no libFuzzer",
)


def fuzz(name: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m fuzz`, as a person would."""
    command = [sys.executable, "-m", "fuzz", name, *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=600)


@libfuzzer
@pytest.mark.parametrize("name", RUNS)
def test_libfuzzer(tmp_path: Path, name: str) -> None:
    """So many runs, each of which libFuzzer counts, from the seeds on and guided by what they reach."""
    ended = fuzz(name, f"-runs={RUNS[name]}", "-timeout=60", tmp_path / "corpus")
    assert ended.returncode == 0, ended.stderr[-6000:]
    assert re.findall(r"^Done (\d+) runs", ended.stderr, re.MULTILINE) == [str(RUNS[name])], ended.stderr[-6000:]
    (reached,) = re.findall(r"DONE +cov: (\d+)", ended.stderr)
    assert int(reached) >= 20
    assert len(list((tmp_path / "corpus").iterdir())) > len(seeds.SEEDS[name]())
    assert [file.name for file in tmp_path.iterdir()] == ["corpus"]


@libfuzzer
def test_libfuzzer_finds_a_planted_fault(tmp_path: Path) -> None:
    """A fault that chance would not find is found, is reported by the exit status, and is kept, so that it can be run
    again."""
    found = fuzz("planted", "-runs=2000000", tmp_path / "corpus")
    assert found.returncode == 77, found.stderr[-6000:]
    assert "Planted" in found.stdout
    assert "Done" not in found.stderr
    (kept,) = tmp_path.glob("crash-*")
    assert kept.read_bytes()[:4] == b"oom!"
    assert fuzz("planted", kept).returncode == 77
    kept.write_bytes(b"oom?")
    assert fuzz("planted", kept).returncode == 0


@libfuzzer
def test_a_target_that_is_none() -> None:
    """A misspelt name is no fuzzing that passes."""
    ended = fuzz("recrod", "-runs=1")
    assert ended.returncode == 1
    assert "record, path, cgroup" in ended.stderr
