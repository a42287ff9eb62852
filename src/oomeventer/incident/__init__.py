"""What is known of a kill, and how it is shown.

In: an episode, and what the stations add to it. Out: an Incident, without secrets; its Events, its text for a terminal,
its JSON (codec.py, schema.json).
"""

from oomeventer.incident.aftermath import WATCHED, Aftermath
from oomeventer.incident.bounds import LOG_BYTES, ROW_BYTES, fitted, restored
from oomeventer.incident.codec import IncidentError, as_json, decode, encode, from_json
from oomeventer.incident.events import ANNOTATION, COMPONENT, PendingEvent, combine, compose, compose_all
from oomeventer.incident.fields import Moment
from oomeventer.incident.incident import Incident, Neighbour, Scope, Trigger
from oomeventer.incident.listing import place, table
from oomeventer.incident.memory import CgroupEvents, Memory, NodeMemory, PodUsage, Pressure
from oomeventer.incident.message import with_message
from oomeventer.incident.observer import Observer
from oomeventer.incident.report import block, described
from oomeventer.incident.story import Hint, Pattern, Repeats, Sample, Trajectory
from oomeventer.incident.subjects import Subject, subject
from oomeventer.incident.unmasking import Unmasking
from oomeventer.incident.victim import Victim
from oomeventer.incident.why import is_nodes, mapper, others_bytes, page_tables_bytes
from oomeventer.incident.workload import Container, MemoryVolume, Owner, Pod

__all__ = [
    "ANNOTATION",
    "COMPONENT",
    "LOG_BYTES",
    "ROW_BYTES",
    "WATCHED",
    "Aftermath",
    "CgroupEvents",
    "Container",
    "Hint",
    "Incident",
    "IncidentError",
    "Memory",
    "MemoryVolume",
    "Moment",
    "Neighbour",
    "NodeMemory",
    "Observer",
    "Owner",
    "Pattern",
    "PendingEvent",
    "Pod",
    "PodUsage",
    "Pressure",
    "Repeats",
    "Sample",
    "Scope",
    "Subject",
    "Trajectory",
    "Trigger",
    "Unmasking",
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
    "is_nodes",
    "mapper",
    "others_bytes",
    "page_tables_bytes",
    "place",
    "restored",
    "subject",
    "table",
    "with_message",
]
