"""`oomeventer trace`: kills on a terminal. Flows in: Settings. Flows out: a block, or a line of JSON, for each kill.

Rules: wiring, no logic; no cluster is asked.
"""

import contextlib
import json
import logging
import sys
from typing import TextIO

from oomeventer import watch
from oomeventer.incident import Incident
from oomeventer.kernel import Tracer
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.report import block
from oomeventer.settings import Settings

log = logging.getLogger(__name__)


async def trace(settings: Settings, as_json: bool, out: TextIO = sys.stdout) -> None:
    """One block, or one line of JSON, for each kill on this machine, until SIGTERM or SIGINT."""

    async def show(incident: Incident) -> None:
        text = json.dumps(incident.as_json(), ensure_ascii=False) if as_json else block(incident)
        print(text, file=out, flush=True)

    async with contextlib.AsyncExitStack() as stack:
        tracer = stack.enter_context(Tracer(settings.ring_bytes))
        stages = [*await watch.stages(settings, stack, wants_runtime=False), Stage("show", show)]
        log.info("waiting for kills on %s; end with ^C", settings.node_name)
        await watch.until_stopped(Pipeline(stages), tracer)
        if tracer.lost:
            log.error(
                "%d kills found the kernel's ring full and are not shown: choose a larger --ring-bytes", tracer.lost
            )
