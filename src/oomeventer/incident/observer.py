"""The first stage: an episode becomes an incident. In: an Episode. Out: an Incident.

Rules: the victim is dying, so this comes first and asks only the machine it runs on: where the memory was as soon as
its record is read (glance()), the rest when the episode is complete (observe()). Files and netlink can block, so they
are read in threads, and after a deadline the incident goes on without them. At most two threads read for each; where
both hang, the next incidents go on without at once.
"""

import asyncio
import logging
import time

from oomeventer.incident.aftermath import Aftermath
from oomeventer.incident.assemble import assemble
from oomeventer.incident.commands import read_commands
from oomeventer.incident.incident import Host, Incident
from oomeventer.incident.looks import Looks
from oomeventer.incident.unmasking import Unmasking
from oomeventer.kernel import Episode, Kill, Process
from oomeventer.node import Asker, Glance, Observation, Procfs, Statistics
from oomeventer.redaction import Redaction
from oomeventer.threads import Call

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 1.0
#: Victims whose statistics are asked for; of a group kill the first ones.
_STATISTICS = 8


class Observer:
    """Call it with an episode. statistics: ask taskstats, which needs CAP_NET_ADMIN. unmasking: has what was masked.
    aftermath: looks again at PID 1."""

    def __init__(
        self,
        procfs: Procfs,
        node: str,
        redaction: Redaction,
        statistics: bool,
        unmasking: Unmasking | None = None,
        aftermath: Aftermath | None = None,
    ) -> None:
        self._procfs = procfs
        self._node = node
        self._boot_id = procfs.boot_id() or "unknown"
        self._redaction = redaction
        self._asker = Asker() if statistics else None
        self._unmasking = unmasking
        self._aftermath = aftermath
        self._glances = Looks("glance", self._read_memory)
        self._observations = Looks("observe", procfs.observe)

    def close(self) -> None:
        """Without waiting for threads that hang in the kernel."""
        if self._asker:
            self._asker.close()
        self._glances.close()
        self._observations.close()

    def glance(self, kill: Kill) -> None:
        """Begin to read where the memory was: for the first kill of an episode, as soon as it is seen."""
        self._glances.begin(kill.process, kill)

    def observe(self, episode: Episode) -> None:
        """Begin to look at the rest: of an episode that is complete, while those before it are on their way to disk."""
        self._observations.begin(episode[0].process, episode)

    async def __call__(self, episode: Episode) -> Incident:
        """The incident, whatever /proc says."""
        glance, observation, statistics = await self._look(episode)
        offset_ns = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        host = Host(node=self._node, boot_id=self._boot_id, boot_offset_ns=offset_ns)
        commands = read_commands(episode, observation, self._redaction)
        incident = assemble(episode, observation, statistics, host, self._redaction, glance, commands)
        if self._unmasking:
            self._unmasking.keep(incident, episode, commands)
        if self._aftermath:
            self._aftermath.keep(incident, episode)
        return incident

    async def _look(self, episode: Episode) -> tuple[Glance, Observation, dict[Process, Statistics]]:
        first, asked = episode[0], episode[:_STATISTICS]
        glancing = self._glances.take(first.process, first)
        observing = self._observations.take(first.process, episode)
        asking = self._asker.ask([kill.process.pid for kill in asked]) if self._asker else None
        looks = (glancing, observing, asking)
        if waited := [asyncio.wrap_future(look) for look in looks if look and not look.done()]:
            await asyncio.wait(waited, timeout=DEADLINE_SECONDS)
        if not all(call.done() for call in (glancing, observing) if call):
            log.warning(
                "/proc or cgroup files did not answer within %.0f s; the incident goes on without", DEADLINE_SECONDS
            )
        found = asking.result() if asking and asking.done() else {}
        statistics = {kill.process: found[kill.process.pid] for kill in asked if kill.process.pid in found}
        return self._glance(glancing), self._observation(observing), statistics

    def _glance(self, call: Call[Glance] | None) -> Glance:
        if call is None:
            return Glance(unseen="too much was to be read at once")
        if not call.done():
            self._glances.leave(call)
            return Glance(unseen="its files did not answer in time")
        return call.result()

    def _observation(self, call: Call[Observation] | None) -> Observation:
        if call and call.done():
            return call.result()
        if call:
            self._observations.leave(call)
        return Observation(is_late=True)

    def _read_memory(self, kill: Kill) -> Glance:
        """In a thread."""
        try:
            return self._procfs.glance(kill)
        except Exception:  # an incident that says less is better than none
            log.exception("where the memory was is not known, through a fault of this program")
            return Glance(unseen="a fault of this program")
