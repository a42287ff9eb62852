"""`oomeventer run`: the node's agent. In: Settings. Out: Events for the kills on this node.

Rules: what keeps kills comes first, what reports them second. The kernel's programs need a quarter of the imports: they
are attached before the rest is imported, so that a kill of meanwhile waits in the ring (taking.py, reporting.py).
"""

from oomeventer.commands.stopping import stopped_by_signals
from oomeventer.commands.taking import taking
from oomeventer.kernel import share_heap
from oomeventer.settings import Settings


async def run(settings: Settings) -> None:
    """Events for every kill on this node, until SIGTERM or SIGINT."""
    share_heap()
    with stopped_by_signals() as stop:
        async with taking(settings, stop) as taken:
            from oomeventer.commands.reporting import report

            await report(settings, taken, stop)
