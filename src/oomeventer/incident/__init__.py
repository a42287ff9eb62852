"""What is known of a kill, and how it is shown.

In: an episode, and what the stations add to it. Out: an Incident, without secrets; its Events, its text for a terminal,
its JSON (codec.py, schema.json).
"""

from oomeventer.incident.bounds import LOG_BYTES, ROW_BYTES, fitted
from oomeventer.incident.codec import IncidentError, as_json, decode, encode, from_json
from oomeventer.incident.events import ANNOTATION, COMPONENT, PendingEvent, combine, compose, compose_all, message
from oomeventer.incident.incident import (
    Container,
    Host,
    Incident,
    Neighbour,
    Owner,
    Pod,
    Scope,
    Trigger,
)
from oomeventer.incident.observer import Observer
from oomeventer.incident.redaction import Redaction
from oomeventer.incident.report import block, described, table
from oomeventer.incident.variables import MEMORY_VARIABLES
from oomeventer.incident.victim import Victim
from oomeventer.incident.wire import Moment, rfc3339

__all__ = [
    "ANNOTATION",
    "COMPONENT",
    "LOG_BYTES",
    "MEMORY_VARIABLES",
    "ROW_BYTES",
    "Container",
    "Host",
    "Incident",
    "IncidentError",
    "Moment",
    "Neighbour",
    "Observer",
    "Owner",
    "PendingEvent",
    "Pod",
    "Redaction",
    "Scope",
    "Trigger",
    "Victim",
    "as_json",
    "block",
    "combine",
    "compose",
    "compose_all",
    "decode",
    "described",
    "encode",
    "fitted",
    "from_json",
    "message",
    "rfc3339",
    "table",
]
