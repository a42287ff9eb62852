"""Settings as a command line and an environment give them. In: flags, variables. Out: Settings, or SettingsError."""

from collections.abc import Mapping, Sequence

from oomeventer import settings
from oomeventer.command_line import parse


def read(flags: Sequence[str], environ: Mapping[str, str], command: str = "run") -> settings.Settings:
    """The settings of a command. Raises SettingsError with every mistake."""
    line = parse([command, *flags])
    return settings.read(line.texts, environ, line.command, line.mistakes)
