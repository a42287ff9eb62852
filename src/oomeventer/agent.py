"""`oomeventer run`: the node's agent. Flows in: Settings. Flows out: Events for the kills on this node.

Rules: wiring, no logic.
"""

import asyncio
import contextlib
import logging

from oomeventer import __version__, api, watch
from oomeventer.delivery import Delivery
from oomeventer.describer import Describer
from oomeventer.events import drafts, message
from oomeventer.incident import Incident
from oomeventer.kernel import Tracer
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.pods import Pods
from oomeventer.settings import Settings

log = logging.getLogger(__name__)

#: Incidents in work at once. The API answers in milliseconds; more would only crowd it in a storm.
DESCRIBING, DELIVERING = 4, 8


async def run(settings: Settings) -> None:
    """Events for every kill on this node, until SIGTERM or SIGINT."""
    async with contextlib.AsyncExitStack() as stack:
        tracer = stack.enter_context(Tracer(settings.ring_bytes))  # first: what happens from here on is recorded
        cluster = await stack.enter_async_context(await api.connect(settings.kubeconfig, settings.api_timeout_seconds))
        describer = Describer(Pods(cluster, settings.node_name))
        delivery = Delivery(cluster, settings.give_up_seconds)

        async def deliver(incident: Incident) -> None:
            where = f"{incident.pod.namespace}/{incident.pod.name}" if incident.pod else incident.node
            log.warning("%s: %s", where, message(incident))
            await asyncio.gather(*map(delivery.deliver, drafts(incident)))

        stages = [
            *await watch.stages(settings, stack, wants_runtime=True),
            Stage("pod", describer, DESCRIBING),
            Stage("deliver", deliver, DELIVERING),
        ]
        log.info("oomeventer %s watches node %s and tells %s", __version__, settings.node_name, cluster.server)
        await watch.until_stopped(Pipeline(stages), tracer)
        log.info("stopped: %s; lost in the kernel: %d", delivery.tally, tracer.lost)
