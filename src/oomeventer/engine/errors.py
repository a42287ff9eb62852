"""What goes wrong with an engine."""

from oomeventer.errors import OomeventerError


class EngineError(OomeventerError):
    """The engine cannot be asked, or gives no answer that can be used."""
