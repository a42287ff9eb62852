"""Settings, by flag and by environment. Flows in: argv and environ. Flows out: Settings, or all mistakes at once.

Rules: a setting is one field below: its name is the flag (--node-name) and the variable (OOMEVENTER_NODE_NAME), its
docstring the help. A flag wins over a variable. Every mistake is collected and told together, each with the way out.
"""

import difflib
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oomeventer.errors import OomeventerError
from oomeventer.kernel import RING_BYTES_LEAST
from oomeventer.redact import MEMORY_VARIABLES, Redaction

PREFIX = "OOMEVENTER_"
#: Read elsewhere: by the libbpf binding, before there are settings.
_OTHER_VARIABLES = {"OOMEVENTER_LIBBPF"}
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
    cri_timeout_seconds: float
    api_timeout_seconds: float
    give_up_seconds: float
    log_level: str

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


def _ring(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,10})(Ki|Mi)?", text)
    size = int(found[1]) * {None: 1, "Ki": 1 << 10, "Mi": 1 << 20}[found[2]] if found else 0
    if size < RING_BYTES_LEAST or size & (size - 1) or size > 1 << 30:
        raise ValueError(f"must be a power of two from {RING_BYTES_LEAST} to {1 << 30}, such as 1Mi or 262144")
    return size


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0.1 <= value <= 86400:
        raise ValueError("must be a number of seconds from 0.1 to 86400")
    return value


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
    if len(text) > 253 or not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", text):
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
    Setting("ring_bytes", _ring, "1Mi", "the kernel's ring, 1.5 to 3 KiB a kill; Ki and Mi may be used"),
    Setting("cgroup_root", _directory, None, "where the memory hierarchy is mounted (default: from mountinfo)"),
    Setting("taskstats", _one_of("auto", "off"), "auto", "the victim's statistics, where CAP_NET_ADMIN is held"),
    Setting("cri_timeout_seconds", _seconds, "2", "for one answer of the runtime; the incident goes on without"),
    Setting("api_timeout_seconds", _seconds, "10", "for one answer of the API server"),
    Setting("give_up_seconds", _seconds, "900", "for all tries to send one Event"),
    Setting("log_level", _one_of("debug", "info", "warning", "error"), "info", "debug, info, warning or error"),
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
