"""The pure path: records to all that is told of them. In: raw records. Out: the incident, Events, lines and blocks.

Rules: nothing is stood in for but /proc, the runtime and the API server, whose words are parameters; the log's line and
the line of `oomeventer trace --json` are made as agent.py, cli.py and trace.py make them.
"""

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from oomeventer.begin import begin
from oomeventer.events import ANNOTATION, Draft, drafts, message
from oomeventer.incident import Container, Incident, Pod
from oomeventer.kernel.episodes import Episodes
from oomeventer.kernel.record import parse
from oomeventer.kill import Kill, ran_out_here
from oomeventer.procfs import Observation
from oomeventer.redact import Redaction
from oomeventer.report import block
from samples import HOST

_FORMATTER = logging.Formatter("%(asctime)s %(levelname)s %(message)s")


@dataclass(frozen=True)
class Told:
    """What leaves the node of one incident."""

    incident: Incident
    drafts: list[Draft]
    log_line: str
    json_line: str
    block: str

    def texts(self) -> Iterator[str]:
        """All of it as it is sent, written or printed."""
        yield self.log_line
        yield self.json_line
        yield self.block
        for draft in self.drafts:
            yield json.dumps(draft.body, ensure_ascii=False)
            yield draft.body["message"]
            yield draft.body["metadata"]["annotations"][ANNOTATION]
            yield " ".join(draft.series)


def tell(
    *raw: bytes,
    observation: Observation | None = None,
    policy: Redaction | None = None,
    pod: Pod | None = None,
    name: str | None = None,
) -> list[Told]:
    """What is told of records in the ring's order. pod, name: what the runtime says of the Pod and the container."""
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
) -> Told:
    """What is told of one episode."""
    incident = begin(kills, observation or Observation(), {}, HOST, policy or Redaction())
    if incident.identity.container_id and name:
        incident = replace(incident, container=Container(id=incident.identity.container_id, name=name))
    incident = replace(incident, pod=pod)
    where = f"{pod.namespace}/{pod.name}" if pod else incident.node
    record = logging.LogRecord("oomeventer.agent", logging.WARNING, "", 0, "%s: %s", (where, message(incident)), None)
    return Told(
        incident=incident,
        drafts=drafts(incident),
        log_line=_FORMATTER.format(record),
        json_line=json.dumps(incident.as_json(), ensure_ascii=False),
        block=block(incident),
    )
