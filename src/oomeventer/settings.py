"""Settings, by flag and by environment. Flows in: argv and environ. Flows out: Settings, or all mistakes at once.

Rules: a setting is one field below: its name is the flag (--node-name) and the variable (OOMEVENTER_NODE_NAME), its
docstring the help. A flag wins over a variable. Every mistake is collected and told together, each with the way out.
"""

import difflib
import math
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oomeventer.errors import OomeventerError
from oomeventer.incident import MEMORY_VARIABLES, Redaction
from oomeventer.kernel import DEFAULT_PINS, RING_BYTES_LEAST

PREFIX = "OOMEVENTER_"
#: Read elsewhere: by the libbpf binding, before there are settings.
_OTHER_VARIABLES = {"OOMEVENTER_LIBBPF"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
#: What Kubernetes puts into every container's environment for a Service that is called oomeventer.
_SERVICE_LINK = re.compile(r"OOMEVENTER_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")


class SettingsError(OomeventerError):
    """One or more settings are wrong; the message lists all of them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the agent was told. See SETTINGS for meaning, unit and the reason of each default."""

    node_name: str
    kubeconfig: str | None
    cri_endpoint: str | None
    arguments: str
    environment: str
    environment_names: frozenset[str]
    ring_bytes: int
    cgroup_root: Path | None
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
    def redaction(self) -> Redaction:
        """The policy for arguments and environment."""
        return Redaction(self.arguments, self.environment, self.environment_names)  # type: ignore[arg-type]


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"is not one of {', '.join(words)}")
        return text

    return parse


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,12})(Ki|Mi|Gi)?", text)
    return int(found[1]) * {None: 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[found[2]] if found else 0


def _ring(text: str) -> int:
    size = _bytes(text)
    if size < RING_BYTES_LEAST or size & (size - 1) or size > 1 << 30:
        raise ValueError(f"must be a power of two from {RING_BYTES_LEAST} to {1 << 30}, such as 1Mi or 262144")
    return size


def _journal_bytes(text: str) -> int:
    size = _bytes(text)
    if not 1 << 20 <= size <= 1 << 40:
        raise ValueError("must be a size from 1Mi to 1024Gi, such as 64Mi")
    return size


def _number(what: str, least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"must be a number{what} from {least:.10g} to {most:.10g}")
        return value

    return parse


_seconds = _number(" of seconds", 0.1, 86400 * 30)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise ValueError("must be a whole number from 1 to 999999")
    return int(text)


def _pins(text: str) -> tuple[Path | None, bool]:
    """The directory, and whether it is required."""
    if text == "none":
        return None, False
    auto, _, named = text.partition(":") if text.startswith("auto") else ("", "", text)
    if text != "auto" and not (auto in ("", "auto") and named.startswith("/")):
        raise ValueError("must be auto, none or the path of a directory in a BPF file system, or auto:PATH")
    return Path(named or DEFAULT_PINS), not auto


def _journal(text: str) -> Path | None:
    if text == "none":
        return None
    if not text.startswith("/") or text.endswith("/"):
        raise ValueError("must be none or the path of a file, from the root on")
    return Path(text)


def _daemonset(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not slash or not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise ValueError("must be NAMESPACE/NAME")
    return namespace, name


def _address(text: str) -> tuple[str, int] | None:
    if text == "none":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 <= int(port) <= 65535:
        raise ValueError("must be none or ADDRESS:PORT, such as 127.0.0.1:9836 or :9836 for all addresses")
    return host.strip("[]"), int(port)


def _names(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if wrong := [name for name in names if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*\*?", name)]:
        raise ValueError(f"has names that no variable can have: {', '.join(sorted(wrong))}")
    return MEMORY_VARIABLES | names


def _directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError("is not a directory")
    return Path(text)


def _endpoint(text: str) -> str:
    if text != "none" and not text.removeprefix("unix://").startswith("/"):
        raise ValueError("must be unix:///path, /path or none")
    return text


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError("is no file")
    return text


def _node(text: str) -> str:
    # As the API asks of a Node's name: a DNS subdomain.
    if len(text) > 253 or not _NAME.fullmatch(text):
        raise ValueError("is no name that a Node can have (lower-case letters, digits, '-' and '.')")
    return text


@dataclass(frozen=True, slots=True)
class Setting:
    """default: text as a user would write it, or None for none."""

    name: str
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


SETTINGS = (
    Setting("node_name", _node, None, "this machine's name in Kubernetes (default: the host name)"),
    Setting("kubeconfig", _file, None, "the cluster to tell (default: KUBECONFIG, else the Pod's service account)"),
    Setting(
        "cri_endpoint",
        _endpoint,
        None,
        "the runtime's socket, unix:///path, or none to ask nobody (default: usual places)",
    ),
    Setting("arguments", _one_of("safe", "none", "all"), "safe", "of the victim's arguments: safe, none or all"),
    Setting("environment", _one_of("listed", "none", "all"), "listed", "of its environment: listed, none or all"),
    Setting("environment_names", _names, "", "further variables that may be shown, by name or NAME*, with commas"),
    Setting("ring_bytes", _ring, "4Mi", "the kernel's ring, 1.5 to 3 KiB a kill; Ki and Mi may be used"),
    Setting(
        "pins",
        _pins,
        "auto",
        "where the kernel's side stays while no agent runs: a directory in a BPF file system; auto:PATH: there if that "
        f"can be; auto: {DEFAULT_PINS} if that can be; or none",
    ),
    Setting("journal", _journal, "/var/lib/oomeventer/journal.db", "outbox and history, a file; none: memory only"),
    Setting("journal_bytes", _journal_bytes, "64Mi", "how large it may grow before the oldest goes"),
    Setting("journal_days", _number(" of days", 0.01, 3650), "7", "how long what was told is kept"),
    Setting("cgroup_root", _directory, None, "where the memory hierarchy is mounted (default: from mountinfo)"),
    Setting("taskstats", _one_of("auto", "off"), "auto", "the victim's statistics, where CAP_NET_ADMIN is held"),
    Setting("cri_timeout_seconds", _seconds, "2", "for one answer of the runtime; the incident goes on without"),
    Setting(
        "cri_patience_seconds", _number(" of seconds", 0, 600), "10", "how long a kill waits for a runtime to start"
    ),
    Setting("api_timeout_seconds", _seconds, "10", "for one answer of the API server"),
    Setting("object_burst", _count, "25", "requests about one Pod, or the Node, at once; more kills are told together"),
    Setting("object_seconds", _seconds, "300", "after those: for one more request about it"),
    Setting("burst", _count, "50", "requests in all at once"),
    Setting("events_per_second", _number("", 0.01, 1000), "5", "after those: requests in a second"),
    Setting("give_up_seconds", _seconds, "86400", "for all tries of one process to send one Event"),
    Setting(
        "daemonset", _daemonset, None, "NAMESPACE/NAME of the DaemonSet that runs it; gone, pins and journal go, too"
    ),
    Setting("listen", _address, "none", "ADDRESS:PORT for /metrics, /livez and /readyz"),
    Setting("log_level", _one_of("debug", "info", "warning", "error"), "info", "debug, info, warning or error"),
    Setting("log_format", _one_of("text", "json"), "text", "text or json, one line each"),
)


def read(flags: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings. Raises SettingsError with every mistake."""
    mistakes: list[str] = []
    given = _flags(flags, mistakes)
    known = {setting.variable for setting in SETTINGS} | _OTHER_VARIABLES
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known and not _SERVICE_LINK.fullmatch(variable):
            mistakes.append(f"{variable} is no setting{_meant(variable, known)}")
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        source, text = setting.flag, given.get(setting.name)
        if text is None:
            source, text = setting.variable, environ.get(setting.variable) or None
        if text is None:
            source, text = "default", setting.default
        try:
            values[setting.name] = None if text is None else setting.parse(text)
        except ValueError as e:
            mistakes.append(f"{source} {text!r} {e}")
    if "node_name" in values and values["node_name"] is None:
        values["node_name"] = socket.gethostname().lower()
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    values["pins"], values["pins_required"] = values["pins"]
    return Settings(**values)


def _flags(flags: Sequence[str], mistakes: list[str]) -> dict[str, str]:
    known = {setting.flag: setting.name for setting in SETTINGS}
    given: dict[str, str] = {}
    rest = list(flags)
    while rest:
        flag, equals, text = rest.pop(0).partition("=")
        if flag not in known:
            mistakes.append(f"{flag} is no option{_meant(flag, known)}")
            if rest and not rest[0].startswith("-"):
                rest.pop(0)
        elif equals:
            given[known[flag]] = text
        elif rest and not rest[0].startswith("--"):
            given[known[flag]] = rest.pop(0)
        else:
            mistakes.append(f"{flag} needs a value")
    return given


def _meant(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean {close[0]}?" if close else ""
