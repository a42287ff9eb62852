"""The settings. In: texts by flag and by variable. Out: Settings, or all mistakes at once.

Rules: a setting is one row of SETTINGS; flags, variables, their documentation and the chart's schema are made from it.
A command reads only the settings that name it. Variables of the others are accepted: one environment, a DaemonSet's,
serves all commands. A flag wins over a variable. Every mistake is collected and reported, each with what would do.
"""

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oomeventer import setting_values as to
from oomeventer.errors import OomeventerError
from oomeventer.spelling import closest

if TYPE_CHECKING:
    from oomeventer.redaction import Redaction

PREFIX = "OOMEVENTER_"
#: Read elsewhere: by the libbpf binding, before there are settings.
_OTHER_VARIABLES = {"OOMEVENTER_LIBBPF"}
#: What Kubernetes puts into every container's environment for a Service that is called oomeventer.
_SERVICE_LINK = re.compile(r"OOMEVENTER_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")


class SettingsError(OomeventerError):
    """One or more options or variables are wrong; the message has a line for each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Their values. See SETTINGS for meaning, unit and default. What a command does not read has its default."""

    node_name: str
    kubeconfig: str | None
    cri_endpoint: str | None
    arguments: str
    environment: str
    environment_names: frozenset[str]
    ring_bytes: int
    cgroup_root: Path | None
    node_cgroup: str
    taskstats: str
    pins: Path | None
    pins_required: bool
    journal: Path | None
    journal_bytes: int
    journal_days: float
    cri_timeout_seconds: float
    cri_patience_seconds: float
    api_timeout_seconds: float
    object_burst: int
    object_seconds: float
    burst: int
    events_per_second: float
    give_up_seconds: float
    daemonset: tuple[str, str] | None
    listen: tuple[str, int] | None
    log_level: str
    log_format: str

    @property
    def redaction(self) -> "Redaction":
        """The policy for arguments and environment."""
        from oomeventer.redaction import Redaction

        return Redaction(self.arguments, self.environment, self.environment_names)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Setting:
    """commands: those that read it. default: text as a user would write it, or None for none."""

    name: str
    commands: tuple[str, ...]
    parse: Callable[[str], Any]
    default: str | None
    help: str

    @property
    def flag(self) -> str:
        """As in --node-name."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """As in OOMEVENTER_NODE_NAME."""
        return PREFIX + self.name.upper()


_EACH = ("run", "trace", "demo", "doctor", "history", "detach")
#: Those that make incidents, that load the BPF object, that ask the runtime, that ask the API server.
_INCIDENTS = ("run", "trace", "demo")
_KERNEL = ("run", "trace", "demo", "doctor")
_RUNTIME = ("run", "trace", "doctor")
_CLUSTER = ("run", "doctor")
_RUN = ("run",)

SETTINGS = (
    Setting("node_name", _INCIDENTS, to.node, None, "this machine's name in Kubernetes (default: the host name)"),
    Setting(
        "kubeconfig",
        _CLUSTER,
        to.file,
        None,
        "the cluster to use (default: KUBECONFIG, else the Pod's service account)",
    ),
    Setting(
        "cri_endpoint",
        _RUNTIME,
        to.endpoint,
        None,
        "the runtime's socket, unix:///path, or none to ask nobody (default: usual places)",
    ),
    Setting(
        "arguments",
        _INCIDENTS,
        to.one_of("safe", "none", "all"),
        "safe",
        "which of the victim's arguments are shown: safe, none or all",
    ),
    Setting(
        "environment",
        _INCIDENTS,
        to.one_of("listed", "none", "all"),
        "listed",
        "which variables of the victim's environment are shown: listed, none or all",
    ),
    Setting(
        "environment_names",
        _INCIDENTS,
        to.names,
        "",
        "variables that are listed besides those about memory: names, or NAME*, with commas between",
    ),
    Setting("ring_bytes", _KERNEL, to.ring, "4Mi", "the kernel's ring, 1.5 to 3 KiB a kill; Ki and Mi may be used"),
    Setting(
        "pins",
        ("run", "doctor", "detach"),
        to.pins,
        "auto",
        "where the kernel's side stays while no agent runs: a directory in a BPF file system; auto:PATH: there if that "
        "can be; auto: /sys/fs/bpf/oomeventer if that can be; or none",
    ),
    Setting(
        "journal",
        ("run", "doctor", "history"),
        to.journal,
        "/var/lib/oomeventer/journal.db",
        "the file of outbox and history; none: memory only",
    ),
    Setting(
        "journal_bytes",
        _RUN,
        to.journal_bytes,
        "64Mi",
        "how large the journal may grow before its oldest entries are dropped",
    ),
    Setting(
        "journal_days", _RUN, to.number(" of days", 0.01, 3650), "7", "how long the journal keeps what was delivered"
    ),
    Setting("cgroup_root", _KERNEL, to.directory, None, "where the memory cgroups are mounted (default: mountinfo)"),
    Setting("node_cgroup", _RUN, to.cgroup, "auto", "the cgroup that holds this node; auto: the root that it mounts"),
    Setting(
        "taskstats",
        ("run", "trace"),
        to.one_of("auto", "off"),
        "auto",
        "the victim's statistics: auto, which needs CAP_NET_ADMIN, or off",
    ),
    Setting(
        "cri_timeout_seconds",
        _RUNTIME,
        to.seconds,
        "2",
        "how long one answer of the runtime may take; the incident goes on without",
    ),
    Setting(
        "cri_patience_seconds",
        _RUN,
        to.number(" of seconds", 0, 600),
        "10",
        "how long a kill waits for a runtime to start",
    ),
    Setting("api_timeout_seconds", _CLUSTER, to.seconds, "10", "how long one answer of the API server may take"),
    Setting(
        "object_burst",
        _RUN,
        to.count,
        "25",
        "how many requests about one Pod, or the Node, may be sent at once; further kills are merged",
    ),
    Setting(
        "object_seconds", _RUN, to.seconds, "300", "how long it takes until one more request about the same may be sent"
    ),
    Setting("burst", _RUN, to.count, "50", "how many requests may be sent at once in all"),
    Setting(
        "events_per_second",
        _RUN,
        to.number("", 0.01, 1000),
        "5",
        "how many requests may be sent in each second after a burst",
    ),
    Setting("give_up_seconds", _RUN, to.seconds, "86400", "how long one process tries to send one Event"),
    Setting(
        "daemonset",
        _CLUSTER,
        to.daemonset,
        None,
        "NAMESPACE/NAME of the agent's DaemonSet; once that is gone, an agent that ends removes pins and journal",
    ),
    Setting("listen", _RUN, to.address, "none", "ADDRESS:PORT for /metrics, /livez and /readyz"),
    Setting(
        "log_level", _EACH, to.one_of("debug", "info", "warning", "error"), "info", "debug, info, warning or error"
    ),
    Setting("log_format", _EACH, to.one_of("text", "json"), "text", "text or json, one line each"),
)


def read(
    texts: Mapping[str, str], environ: Mapping[str, str], command: str = "run", mistakes: Sequence[str] = ()
) -> Settings:
    """The settings of a command. texts: what its flags gave, by a setting's name. mistakes: those found before.
    Raises SettingsError with every mistake."""
    wrong = list(mistakes)
    known = {setting.variable for setting in SETTINGS} | _OTHER_VARIABLES
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known and not _SERVICE_LINK.fullmatch(variable):
            meant = closest(variable, known, PREFIX)
            wrong.append(f"{variable} is no setting" + (f": did you mean {meant}?" if meant else ""))
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        source, text = "default", setting.default
        if setting.name in texts:
            source, text = setting.flag, texts[setting.name]
        elif command in setting.commands and environ.get(setting.variable):
            source, text = setting.variable, environ[setting.variable]
        try:
            values[setting.name] = None if text is None else setting.parse(text)
        except ValueError as e:
            wrong.append(f"{source} {text!r} {e}")
    if wrong:
        raise SettingsError("\n".join(wrong))
    if values["node_name"] is None:
        values["node_name"] = socket.gethostname().lower()
    values["pins"], values["pins_required"] = values["pins"]
    return Settings(**values)
