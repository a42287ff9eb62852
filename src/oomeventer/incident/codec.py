"""An incident's JSON, by msgspec: from its types to text and back.

In: an Incident, or its JSON. Out: the other. Rules: what is written has all keys, in the types' order; None is null.
What is read has all keys of its version, each of its type; further keys, a newer agent's, are ignored. Raises
IncidentError, and nothing else.
"""

from typing import Any

import msgspec

from oomeventer.errors import OomeventerError
from oomeventer.incident.fields import Moment, rfc3339
from oomeventer.incident.incident import SCHEMA, Incident


class IncidentError(OomeventerError):
    """It is no incident of this version: damaged, or another version's."""


def encode(incident: Incident) -> str:
    """As JSON, on one line."""
    return _ENCODER.encode(incident).decode()


def decode(text: str) -> Incident:
    """Of JSON."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as e:
        raise IncidentError(f"no incident of {SCHEMA}: {e}") from e


def with_few_victims(text: str, most: int) -> str:
    """Of JSON, JSON of the same incident with the first victims alone. The others are counted, and never become
    objects: of text that is many short words these have ten times the bytes."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        victims = msgspec.json.decode(fields["victims"], type=list[msgspec.Raw])
    except (ValueError, KeyError, RecursionError) as e:
        raise IncidentError(f"no incident of {SCHEMA}: {e}") from e
    total = fields.get("victims_total", msgspec.Raw(b"%d" % len(victims)))
    return msgspec.json.encode({**fields, "victims": victims[:most], "victims_total": total}).decode()


def as_json(incident: Incident) -> dict[str, Any]:
    """What json.loads() would make of its JSON."""
    found: dict[str, Any] = msgspec.json.decode(_ENCODER.encode(incident))
    return found


def from_json(value: object) -> Incident:
    """Of what as_json() gave."""
    try:
        return msgspec.convert(value, Incident, dec_hook=_from_text)
    except (ValueError, RecursionError) as e:
        raise IncidentError(f"no incident of {SCHEMA}: {e}") from e


def _to_text(value: object) -> str:
    if isinstance(value, Moment):
        return rfc3339(value)
    raise NotImplementedError(f"no JSON for {type(value)}")


def _from_text(_: type, value: str) -> Moment:
    return Moment.fromisoformat(value)


_ENCODER = msgspec.json.Encoder(enc_hook=_to_text)
_DECODER = msgspec.json.Decoder(Incident, dec_hook=_from_text)
