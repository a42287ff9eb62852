"""Settings by flag and by variable, and every mistake at once. In: flags and environments. Out: Settings, or the
mistakes in words. (The command line itself is in test_cli.py.)"""

import ast
import socket
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from oomeventer.command_line import COMMANDS
from oomeventer.kernel import DEFAULT_PINS
from oomeventer.redaction.policy import Redaction
from oomeventer.redaction.variables import MEMORY_VARIABLES
from oomeventer.setting_table import SETTINGS, Setting
from oomeventer.settings import Settings, SettingsError
from reading import read


def mistakes(*flags: str, command: str = "run", **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(flags, environ, command)
    return str(caught.value).split("\n")


def test_defaults() -> None:
    """Without flags and variables every setting has its default, and the node has the machine's name."""
    assert read([], {}) == Settings(
        node_name=socket.gethostname().lower(),
        kubeconfig=None,
        cri_endpoint=None,
        host_root=Path("/"),
        engine_endpoint=None,
        arguments="safe",
        environment="listed",
        environment_names=MEMORY_VARIABLES,
        ring_bytes=4 << 20,
        cgroup_root=None,
        node_cgroup="auto",
        taskstats="auto",
        sample_seconds=30.0,
        pins=Path("/sys/fs/bpf/oomeventer"),
        pins_required=False,
        journal=Path("/var/lib/oomeventer/journal.db"),
        journal_bytes=64 << 20,
        journal_days=7.0,
        cri_timeout_seconds=2.0,
        cri_patience_seconds=10.0,
        api_timeout_seconds=10.0,
        object_burst=25,
        object_seconds=300.0,
        burst=50,
        events_per_second=5.0,
        give_up_seconds=86400.0,
        daemonset=None,
        listen=None,
        since=None,
        namespace=None,
        pod=None,
        log_level="info",
        log_format="text",
    )
    assert read([], {}).redaction == Redaction()


def samples(directory: Path) -> dict[str, tuple[str, Any]]:
    """For each setting a text that is not its default, and its value."""
    file = directory / "file"
    file.touch()
    return {
        "node_name": ("lab-node.example", "lab-node.example"),
        "kubeconfig": (str(file), str(file)),
        "cri_endpoint": ("unix:///run/x.sock", "unix:///run/x.sock"),
        "engine_endpoint": ("/run/docker.sock", "/run/docker.sock"),
        "arguments": ("none", "none"),
        "environment": ("all", "all"),
        "environment_names": ("A, B*", MEMORY_VARIABLES | {"A", "B*"}),
        "ring_bytes": ("262144", 262144),
        "cgroup_root": (str(directory), directory),
        "host_root": (str(directory), directory),
        "node_cgroup": ("/docker/abc", "/docker/abc"),
        "taskstats": ("off", "off"),
        "since": ("2h", 7200.0),
        "namespace": ("shop", "shop"),
        "pod": ("checkout-0", "checkout-0"),
        "sample_seconds": ("0", 0.0),
        "pins": ("/sys/fs/bpf/other", Path("/sys/fs/bpf/other")),
        "journal": ("/data/x.db", Path("/data/x.db")),
        "journal_bytes": ("1Gi", 1 << 30),
        "journal_days": ("0.5", 0.5),
        "cri_timeout_seconds": ("0.5", 0.5),
        "cri_patience_seconds": ("0", 0.0),
        "api_timeout_seconds": ("20", 20.0),
        "object_burst": ("1", 1),
        "object_seconds": ("60", 60.0),
        "burst": ("999999", 999999),
        "events_per_second": ("0.5", 0.5),
        "give_up_seconds": ("900", 900.0),
        "daemonset": ("kube-system/oomeventer", ("kube-system", "oomeventer")),
        "listen": (":9836", ("", 9836)),
        "log_level": ("debug", "debug"),
        "log_format": ("json", "json"),
    }


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_flag_and_variable(tmp_path: Path, setting: Setting) -> None:
    """Each setting by its flag, in both forms, and by its variable; the flag wins, an empty variable is none."""
    text, value = samples(tmp_path)[setting.name]
    default = getattr(read([], {}), setting.name)
    assert value != default
    command = setting.commands[0]
    for settings in (
        read([setting.flag, text], {}, command),
        read([f"{setting.flag}={text}"], {}, command),
        read([], {setting.variable: text}, command),
        read([setting.flag, text], {setting.variable: setting.default or "nonsense"}, command),
    ):
        assert getattr(settings, setting.name) == value
    assert getattr(read([], {setting.variable: ""}, command), setting.name) == default


def test_the_last_flag_counts() -> None:
    """As a shell's user expects who adds one to a command."""
    assert read(["--log-level", "debug", "--log-level=error"], {}).log_level == "error"


def test_the_redaction_is_what_was_set() -> None:
    """The three settings make one policy."""
    redaction = read(["--arguments=all", "--environment=none", "--environment-names=X"], {}).redaction
    assert redaction == Redaction("all", "none", MEMORY_VARIABLES | {"X"})


@pytest.mark.parametrize(
    ("text", "size"),
    [("64Ki", 1 << 16), ("1Mi", 1 << 20), ("1024Mi", 1 << 30), ("1048576", 1 << 20), ("8192Ki", 1 << 23)],
)
def test_ring_bytes(text: str, size: int) -> None:
    """A power of two, with or without a unit."""
    assert read(["--ring-bytes", text], {}).ring_bytes == size


@pytest.mark.parametrize(
    ("text", "pins", "required"),
    [
        ("auto", DEFAULT_PINS, False),
        ("none", None, False),
        ("/host/bpf/other", Path("/host/bpf/other"), True),
        ("auto:/host/bpf/other", Path("/host/bpf/other"), False),
    ],
)
def test_pins(text: str, pins: Path | None, required: bool) -> None:
    """A directory that somebody names is to be had; the usual one is taken where it can be."""
    settings = read(["--pins", text], {})
    assert (settings.pins, settings.pins_required) == (pins, required)


def test_the_usual_pins_are_documented() -> None:
    """By the path that the kernel's station has for them."""
    (pins,) = (setting for setting in SETTINGS if setting.name == "pins")
    assert f"auto: {DEFAULT_PINS} if that can be" in pins.help


def test_no_journal() -> None:
    """None is none, and not a file of that name."""
    assert read(["--journal=none"], {}).journal is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("none", None),
        ("127.0.0.1:9836", ("127.0.0.1", 9836)),
        (":0", ("", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("node.example:1", ("node.example", 1)),
    ],
)
def test_listen(text: str, address: tuple[str, int] | None) -> None:
    """An address and a port, all addresses, or none at all."""
    assert read(["--listen", text], {}).listen == address


@pytest.mark.parametrize(
    ("flag", "text", "says"),
    [
        ("--node-name", "Node_1", "is no name that a Node can have"),
        ("--node-name", "a" * 254, "is no name"),
        ("--node-name", "", "is no name"),
        ("--kubeconfig", "/nowhere/config", "is no file"),
        ("--cri-endpoint", "tcp://1.2.3.4:5", "must be unix:///path, /path or none"),
        ("--cri-endpoint", "unix://run/x.sock", "must be"),
        ("--arguments", "some", "is not one of safe, none, all"),
        ("--environment", "safe", "is not one of listed, none, all"),
        ("--environment-names", "A,B C,D-E,*", "has names that no variable can have: *, B C, D-E"),
        ("--ring-bytes", "1000000", "must be a power of two from"),
        ("--ring-bytes", "4096", "must be a power of two from"),
        ("--ring-bytes", "2048Mi", "must be a power of two from"),
        ("--ring-bytes", "-1Mi", "must be a power of two from"),
        ("--cgroup-root", "/nowhere", "is not a directory"),
        ("--node-cgroup", "docker/abc", "must be auto or the path of a cgroup"),
        ("--cgroup-root", "", "is not a directory"),
        ("--taskstats", "on", "is not one of auto, off"),
        ("--cri-timeout-seconds", "0", "must be a number of seconds from 0.1 to 2592000"),
        ("--api-timeout-seconds", "inf", "must be a number of seconds"),
        ("--give-up-seconds", "nan", "must be a number of seconds"),
        ("--give-up-seconds", "5m", "must be a number of seconds"),
        ("--give-up-seconds", "2592001", "must be a number of seconds"),
        ("--pins", "sys/fs/bpf", "must be auto, none or the path of a directory in a BPF file system"),
        ("--pins", "on", "must be auto, none or"),
        ("--pins", "auto:", "must be auto, none or"),
        ("--pins", "auto:bpf", "must be auto, none or"),
        ("--pins", "automatic", "must be auto, none or"),
        ("--pins", "auto/:/bpf", "must be auto, none or"),
        ("--journal", "journal.db", "must be none or the path of a file, from the root on"),
        ("--journal", "/var/lib/oomeventer/", "must be none or the path of a file"),
        ("--journal-bytes", "1023Ki", "must be a size from 1Mi to 1024Gi, such as 64Mi"),
        ("--journal-bytes", "1025Gi", "must be a size from"),
        ("--journal-bytes", "64M", "must be a size from"),
        ("--sample-seconds", "4", "must be 0 or a number of seconds from 5 to 3600"),
        ("--sample-seconds", "nan", "must be 0 or a number of seconds from 5 to 3600"),
        ("--journal-days", "0", "must be a number of days from 0.01 to 3650"),
        ("--cri-patience-seconds", "-1", "must be a number of seconds from 0 to 600"),
        ("--cri-patience-seconds", "601", "must be a number of seconds from 0 to 600"),
        ("--object-burst", "0", "must be a whole number from 1 to 999999"),
        ("--object-burst", "1.5", "must be a whole number"),
        ("--object-seconds", "0", "must be a number of seconds"),
        ("--burst", "1000000", "must be a whole number"),
        ("--events-per-second", "0", "must be a number from 0.01 to 1000"),
        ("--daemonset", "oomeventer", "must be NAMESPACE/NAME"),
        ("--daemonset", "a/b/c", "must be NAMESPACE/NAME"),
        ("--daemonset", "/oomeventer", "must be NAMESPACE/NAME"),
        ("--daemonset", "kube-system/../secrets", "must be NAMESPACE/NAME"),
        ("--listen", "9836", "must be none or ADDRESS:PORT, such as 127.0.0.1:9836 or :9836 for all addresses"),
        ("--listen", "127.0.0.1:65536", "must be none or ADDRESS:PORT"),
        ("--listen", "127.0.0.1:http", "must be none or ADDRESS:PORT"),
        ("--log-level", "INFO", "is not one of debug, info, warning, error"),
        ("--log-format", "logfmt", "is not one of text, json"),
    ],
)
def test_a_wrong_value(flag: str, text: str, says: str) -> None:
    """It is refused, by flag and by variable, and the message has the source, the value and what would do."""
    (mistake,) = mistakes(f"{flag}={text}")
    assert mistake.startswith(f"{flag} {text!r} {says}")
    if text:
        variable = "OOMEVENTER_" + flag[2:].upper().replace("-", "_")
        (mistake,) = mistakes(**{variable: text})
        assert mistake.startswith(f"{variable} {text!r} {says}")


def test_all_mistakes_at_once() -> None:
    """Wrong flags, variables and values are reported together, so that one try is enough to mend them."""
    reported = mistakes(
        "--log-level=loud",
        "--ringbytes",
        "1Mi",
        "--node-name",
        "--object",
        "3",
        "--api-timeout-seconds",
        "0",
        "stray",
        OOMEVENTER_ARGUMENTS="some",
        OOMEVENTER_NODE="x",
    )
    assert reported == [
        "--ringbytes is no option: did you mean --ring-bytes?",
        "--node-name needs a value",
        "--object is ambiguous: --object-burst or --object-seconds",
        "stray is not expected: 'run' takes options only",
        "OOMEVENTER_NODE is no setting: did you mean OOMEVENTER_NODE_NAME?",
        "OOMEVENTER_ARGUMENTS 'some' is not one of safe, none, all",
        "--api-timeout-seconds '0' must be a number of seconds from 0.1 to 2592000",
        "--log-level 'loud' is not one of debug, info, warning, error",
    ]


@pytest.mark.parametrize(
    ("flag", "meant"),
    [("--nodename", "--node-name"), ("--log_level", "--log-level"), ("--cgroup-rot=/x", "--cgroup-root")],
)
def test_suggestions(flag: str, meant: str) -> None:
    """A slip of the fingers is answered with what was meant."""
    (mistake,) = mistakes(flag)
    assert mistake == f"{flag.partition('=')[0]} is no option: did you mean {meant}?"


def test_no_suggestion_for_anything() -> None:
    """What is like nothing gets none."""
    assert mistakes("--zzzzzz", "value", OOMEVENTER_QQQQQQQQQQQ="1", OOMEVENTER_X="1") == [
        "--zzzzzz is no option: see 'oomeventer run --help'",
        "OOMEVENTER_QQQQQQQQQQQ is no setting",
        "OOMEVENTER_X is no setting",
    ]


def read_by(module: str) -> set[str]:
    """The names that a command's module reads of its `settings`, and the modules of commands/ that it imports, or whose
    functions."""
    file = import_module(f"oomeventer.commands.{module}").__file__
    nodes = list(ast.walk(ast.parse(Path(str(file)).read_text())))
    names = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "settings"
    }
    imported = {
        (node.module or "", alias.name) for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    room = "oomeventer.commands"
    modules = {
        name if of == room else of.removeprefix(f"{room}.")
        for of, name in imported
        if of.startswith(room) and name.islower()
    }
    return names.union(*map(read_by, modules))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_the_settings_that_it_reads(command: str) -> None:
    """No more, and no less: by the attributes of Settings that its modules name."""
    # What an attribute is made of, where it is not the setting of that name.
    made_of = {"redaction": {"arguments", "environment", "environment_names"}, "pins_required": {"pins"}}
    names = set().union(*(made_of.get(name, {name}) for name in read_by(command)))
    assert names | {"log_level", "log_format"} == {each.name for each in SETTINGS if command in each.commands}


@pytest.mark.parametrize("command", COMMANDS)
def test_variables_of_other_commands(tmp_path: Path, command: str) -> None:
    """They are accepted and not looked at, also with a value that their own command refuses."""
    environ = {each.variable: "\n;" for each in SETTINGS if command not in each.commands}
    assert read([], environ, command) == read([], {}, command)
    for setting in SETTINGS:
        if command in setting.commands:
            text, value = samples(tmp_path)[setting.name]
            assert getattr(read([], environ | {setting.variable: text}, command), setting.name) == value


def test_an_unknown_variable_is_every_commands_mistake() -> None:
    """Which command it was meant for is not known."""
    for command in COMMANDS:
        (mistake,) = mistakes(command=command, OOMEVENTER_JOURNL="none")
        assert mistake == "OOMEVENTER_JOURNL is no setting: did you mean OOMEVENTER_JOURNAL?"


def test_settings_name_commands() -> None:
    """That there are."""
    assert {name for setting in SETTINGS for name in setting.commands} == set(COMMANDS)


@pytest.mark.parametrize(
    "variable",
    [
        "OOMEVENTER_SERVICE_HOST",
        "OOMEVENTER_SERVICE_PORT",
        "OOMEVENTER_SERVICE_PORT_METRICS",
        "OOMEVENTER_PORT",
        "OOMEVENTER_PORT_9090_TCP",
        "OOMEVENTER_PORT_9090_TCP_ADDR",
        "OOMEVENTER_METRICS_SERVICE_HOST",
        "OOMEVENTER_METRICS_PORT_9090_TCP_PROTO",
        "OOMEVENTER_LIBBPF",
        "OOMEVENTE_NODE_NAME",
        "PATH",
    ],
)
def test_variables_that_are_none_of_ours(variable: str) -> None:
    """What Kubernetes sets for a Service of that name, and what is read elsewhere, is no mistake."""
    assert read([], {variable: "tcp://10.0.0.1:9090"}) == read([], {})
