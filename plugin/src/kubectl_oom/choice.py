"""Which kills are shown, and in which order. In: Kills, options. Out: Kills. Rules: pure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from kubectl_oom.errors import OomError
from kubectl_oom.kill import Kill
from kubectl_oom.plain import harmless

_KINDS = {
    "deploy": "deployment",
    "deployments": "deployment",
    "sts": "statefulset",
    "statefulsets": "statefulset",
    "ds": "daemonset",
    "daemonsets": "daemonset",
    "rs": "replicaset",
    "replicasets": "replicaset",
    "jobs": "job",
    "cj": "cronjob",
    "cronjobs": "cronjob",
}


class Choice(NamedTuple):
    """since: none that ended before. owner: as Kill has it, in small letters; without a kind any."""

    since: datetime | None = None
    owner: str = ""
    node: str = ""
    container: str = ""

    def takes(self, kill: Kill) -> bool:
        """Whether it is shown."""
        return not (
            (self.since and kill.last < self.since)
            or (self.node and kill.node != self.node)
            or (self.container and kill.container != self.container)
            or (self.owner and self.owner not in (kill.owner.lower(), kill.owner.lower().rpartition("/")[2]))
        )


def owner(given: str) -> str:
    """`deploy/web` as Kill has it, in small letters. Raises OomError."""
    kind, slash, name = given.lower().partition("/")
    if not slash:
        return kind
    if not kind or not name:
        raise OomError(f"--owner {harmless(given, 80)}: name it as KIND/NAME, such as deploy/web")
    return f"{_KINDS.get(kind.partition('.')[0], kind.partition('.')[0])}/{name}"


def ordered(kills: list[Kill], by: str) -> list[Kill]:
    """time: the newest first; count: the most often; held: the most memory."""
    keys = {
        "time": lambda kill: (kill.last, kill.count),
        "count": lambda kill: (kill.count, kill.last),
        "held": lambda kill: (kill.held or 0, kill.last),
    }
    return sorted(kills, key=keys[by], reverse=True)
