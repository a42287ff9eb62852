"""`oomeventer trace`: kills on a terminal. In: Settings. Out: a block, or a line of JSON, for each kill.

Rules: wiring, no logic; no cluster is asked.
"""

import contextlib
import logging
import sys
import time
from collections import Counter
from typing import TextIO

from oomeventer.agent import RESOLVING
from oomeventer.commands import terminal, wiring
from oomeventer.commands.history import Reading
from oomeventer.commands.stopping import stopped_by_signals
from oomeventer.engine import Engines
from oomeventer.hints import advise
from oomeventer.incident import WATCHED, Incident, block, encode, from_json, place, with_message
from oomeventer.kernel import Episode, Tracer
from oomeventer.node import NodeCgroup
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.settings import Settings
from oomeventer.text import duration

log = logging.getLogger(__name__)

#: The cgroup below which all kills are: also where this node is a container.
MACHINE = "/"
#: Places that the summary names, and that are told apart.
_NAMED, _PLACES = 5, 1000
_ELSEWHERE = "other places"


async def trace(settings: Settings, as_json: bool, out: TextIO = sys.stdout) -> None:
    """One block, or one line of JSON, for each kill on this machine, until SIGTERM or SIGINT."""

    begun = time.monotonic()
    shown: Counter[str] = Counter()

    async def show(incident: Incident) -> None:
        where = place(incident)
        shown[where if where in shown or len(shown) < _PLACES else _ELSEWHERE] += 1
        incident = advise(incident)
        text = encode(with_message(incident)) if as_json else block(incident, terminal.width(out))
        print(text, file=out, flush=True)

    async with contextlib.AsyncExitStack() as stack:
        tracer = stack.enter_context(Tracer(settings.ring_bytes))
        stop = stack.enter_context(stopped_by_signals())
        observer, aftermath = wiring.observer(settings, stack)
        resolver = await wiring.resolver(settings, patience_seconds=0.0, wants_runtime=False)

        node = NodeCgroup(MACHINE, cgroups=settings.cgroup_root)
        trajectories = await wiring.trajectories(settings, node, stack)
        engines = Engines(settings.engine_endpoint, settings.cri_timeout_seconds, str(settings.host_root))

        async def name(incident: Incident) -> Incident:
            return await (engines if engines.knows(incident) else resolver)(incident)

        async def observe(episode: Episode) -> Incident:
            tracer.free(episode)  # nothing is kept: what is not shown before we end is not wanted
            incident = await observer(episode)
            return trajectories(incident, episode[0].time_ns) if trajectories else incident

        settle = Stage("pid1", aftermath, WATCHED + 1)
        if settings.since is not None and settings.journal:
            for entry in Reading(settings.journal, settings.since).entries():
                await show(from_json(entry))
        stages = [Stage("observe", observe), Stage("container", name, RESOLVING), settle, Stage("show", show)]
        log.info("waiting for kills on %s; end with ^C", settings.node_name)
        await Pipeline(stages).run(wiring.episodes(tracer, stop, observer.glance), stop)
        log.info("%s", _summary(shown, time.monotonic() - begun))
        if tracer.lost:
            log.error(
                "%d records found the kernel's ring full, so kills are not shown: choose a larger --ring-bytes",
                tracer.lost,
            )


def _summary(shown: Counter[str], seconds: float) -> str:
    """What was shown, and where most of it was."""
    total = shown.total()
    told = f"ended after {duration(seconds)}: {total} {'incident' if total == 1 else 'incidents'} shown"
    places = [f"{count} in {place}" for place, count in shown.most_common(_NAMED)]
    if more := len(shown) - len(places):
        places.append(f"the rest in {more} more")
    return told + (f": {', '.join(places)}" if places else "")
