"""Stories in the stand-in, and reading what is shown of them."""

from datetime import timedelta

from oomeventer.incident.events import compose_all
from standin import ApiServer
from standin.event import CORE
from standin.handlers import create_event

from .stories import STORIES, at_present


def put(api: ApiServer, *names: str, count: int = 1) -> None:
    """Stories as Events, the first the newest."""
    for position, name in enumerate(names):
        told = at_present(STORIES[name], timedelta(minutes=12 + 5 * position))
        assert told.pod
        for event in compose_all(told):
            api.put_namespace(event.namespace)
            create_event(api, CORE, event.namespace, event.body | {"count": count}, "oomeventer")


def rows(out: str) -> list[list[str]]:
    """The cells of each line."""
    return [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in out.splitlines()]
