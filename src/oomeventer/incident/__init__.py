"""What is known of a kill, and how it is said.

In: an episode, and what the stations add to it. Out: an Incident, without secrets; its Events, its text for a terminal,
its JSON (schema.json).
"""

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
    Victim,
    from_json,
    rfc3339,
)
from oomeventer.incident.observer import Observer
from oomeventer.incident.redaction import MEMORY_VARIABLES, Redaction
from oomeventer.incident.report import block, described, table

__all__ = [
    "ANNOTATION",
    "COMPONENT",
    "MEMORY_VARIABLES",
    "Container",
    "Host",
    "Incident",
    "Neighbour",
    "Observer",
    "Owner",
    "PendingEvent",
    "Pod",
    "Redaction",
    "Scope",
    "Trigger",
    "Victim",
    "block",
    "combine",
    "compose",
    "compose_all",
    "described",
    "from_json",
    "message",
    "rfc3339",
    "table",
]
