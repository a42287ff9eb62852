"""The settings. In: texts by flag and by variable. Out: Settings, or all mistakes at once.

Rules: a setting is one row of SETTINGS (setting_table.py). A command reads only the settings that name it. Variables of
the others are accepted: one environment, a DaemonSet's, serves all commands. A flag wins over a variable. Every mistake
is collected and reported, each with what would do.
"""

import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from oomeventer.errors import OomeventerError
from oomeventer.setting_table import PREFIX, SETTINGS
from oomeventer.spelling import closest

if TYPE_CHECKING:
    from oomeventer.redaction import Redaction

#: Read elsewhere: by the libbpf binding, before there are settings.
_OTHER_VARIABLES = {"OOMEVENTER_LIBBPF"}
#: What Kubernetes puts into every container's environment for a Service that is called oomeventer.
_SERVICE_LINK = re.compile(r"OOMEVENTER_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")


class SettingsError(OomeventerError):
    """One or more options or variables are wrong; the message has a line for each."""


class Settings(Struct, frozen=True):
    """Their values. See SETTINGS for meaning, unit and default. What a command does not read has its default."""

    node_name: str
    kubeconfig: str | None
    cri_endpoint: str | None
    host_root: Path
    engine_endpoint: str | None
    arguments: str
    environment: str
    environment_names: frozenset[str]
    ring_bytes: int
    cgroup_root: Path | None
    node_cgroup: str
    taskstats: str
    sample_seconds: float
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
    since: float | None
    namespace: str | None
    pod: str | None
    log_level: str
    log_format: str

    @property
    def redaction(self) -> "Redaction":
        """The policy for arguments and environment."""
        from oomeventer.redaction import Redaction

        return Redaction(self.arguments, self.environment, self.environment_names)  # type: ignore[arg-type]


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
