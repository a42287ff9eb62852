"""The pure path: records to all that is reported of them. In: raw records. Out: the incident, Events, lines and blocks.

Rules: nothing is stood in for but /proc, the runtime and the API server, whose words are parameters; an incident goes
through JSON, as it does in the journal; lines are made as agent.py, history and trace.py make them.
"""

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from oomeventer.incident.assemble import assemble
from oomeventer.incident.codec import as_json, decode, encode
from oomeventer.incident.events import ANNOTATION, PendingEvent, combine, compose_all
from oomeventer.incident.incident import Incident
from oomeventer.incident.listing import table
from oomeventer.incident.message import with_message
from oomeventer.incident.report import block
from oomeventer.incident.workload import Container, Pod
from oomeventer.kernel.episodes import Episodes
from oomeventer.kernel.kill import Kill, ran_out_here
from oomeventer.kernel.record import parse
from oomeventer.logs import Json, Text
from oomeventer.node.procfs import Observation
from oomeventer.redaction.policy import Redaction
from samples import HOST


@dataclass(frozen=True)
class Reported:
    """What leaves the node of one incident."""

    incident: Incident
    events: list[PendingEvent]
    log_lines: tuple[str, str]
    json_line: str
    row: str
    block: str

    def texts(self) -> Iterator[str]:
        """All of it as it is sent, written or printed."""
        yield from self.log_lines
        yield self.json_line
        yield self.row
        yield self.block
        for pending in self.events:
            yield json.dumps(pending.body, ensure_ascii=False)
            yield pending.body["message"]
            yield pending.body["metadata"]["annotations"][ANNOTATION]
            yield " ".join(pending.series)


def report(
    *raw: bytes,
    observation: Observation | None = None,
    policy: Redaction | None = None,
    pod: Pod | None = None,
    name: str | None = None,
) -> list[Reported]:
    """What is reported of records in the ring's order. pod, name: what the runtime says of the Pod and the
    container."""
    episodes = Episodes(ran_out_here)
    for one in raw:
        episodes.feed(parse(one), 0.0)
    return [of(episode, observation, policy, pod, name) for episode in episodes.take(math.inf)]


def of(
    kills: tuple[Kill, ...],
    observation: Observation | None = None,
    policy: Redaction | None = None,
    pod: Pod | None = None,
    name: str | None = None,
) -> Reported:
    """What is reported of one episode."""
    incident = assemble(kills, observation or Observation(), {}, HOST, policy or Redaction())
    if incident.identity.container_id and name:
        incident = replace(incident, container=Container(id=incident.identity.container_id, name=name))
    incident = with_message(decode(encode(replace(incident, pod=pod))))
    where = f"{pod.namespace}/{pod.name}" if pod else incident.node
    record = logging.LogRecord("oomeventer.agent", logging.WARNING, "", 0, "%s: %s", (where, incident.message), None)
    record.incident = partial(encode, incident)
    events = compose_all(incident)
    _, row = table([as_json(incident) | {"events": events[0].name}])
    return Reported(
        incident=incident,
        events=[*events, *map(combine, events)],
        log_lines=(Text().format(record), Json().format(record)),
        json_line=encode(incident),
        row=row,
        block=block(incident),
    )
