"""What /livez and /readyz say. In: the agent's parts, when somebody asks. Out: a status and text.

/livez is about what a restart can mend: that the ring holds records, and none of them comes out. /readyz is about what
Events need: each check has its line, `NAME ok` or `NAME: what is wrong`.

Rules: nothing runs while nobody asks: no timer, no request. Runtime and API server are asked for /readyz alone, never
for several callers at once, and not each time. A caller waits two seconds at most: give probes a timeout of five.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from oomeventer.cluster import lacking, no_events
from oomeventer.cri import Client
from oomeventer.errors import OomeventerError
from oomeventer.probes.metrics import Metrics
from oomeventer.text import cut_bytes, one_line

log = logging.getLogger(__name__)

#: The ring may hold records for so long with none coming out. Writing one down takes milliseconds; a disk that hangs
#: is given up after five seconds.
STUCK_SECONDS = 60.0
#: How old the runtime's, and the API server's, last answer may be.
RUNTIME_SECONDS, API_SECONDS = 10.0, 60.0
#: The same of an answer by which all is well there, but up to half as long: each node's agent is asked every 10 s, and
#: all of them together, and in step, would be the API server's load at rest.
API_WELL_SECONDS = 600.0
#: How old the page of metrics may be: however many scrape, it is made once a second.
METRICS_SECONDS = 1.0
#: How long a caller waits for them. What comes later is the next caller's.
WAIT_SECONDS = 2.0
_TROUBLE_BYTES = 500


class Progress:
    """Whether records come out of the ring. clock: seconds, any that only goes forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._freed = 0
        self._seen = (0, 0)
        self._since: float | None = None

    def freed(self) -> None:
        """A kill is out of the ring."""
        self._freed += 1

    def stuck_seconds(self, used_bytes: int) -> float:
        """For how long, as far as was looked, the ring has held records of which none came out."""
        now, (used_before, freed_before) = self._clock(), self._seen
        self._seen = used_bytes, self._freed
        if not used_bytes or used_bytes < used_before or self._freed != freed_before:
            self._since = None
        if not used_bytes:
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since


class _Asked:
    """A check whose answer is asked for again when it is old. ask: returns what is wrong, or None. well_seconds: when
    that is, where nothing is wrong; of it at least half, at random."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[str | None]],
        seconds: float,
        clock: Callable[[], float],
        well_seconds: float | None = None,
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._well_seconds = well_seconds
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None
        self._due: float | None = None
        self._trouble: str | None = None

    async def __call__(self) -> str | None:
        """What is wrong, or None."""
        if self._asking is None and (self._due is None or self._clock() >= self._due):
            self._asking = asyncio.create_task(self._refresh())
        if asking := self._asking:
            await asyncio.wait((asking,), timeout=WAIT_SECONDS)
            if not asking.done():
                return f"no answer within {WAIT_SECONDS:g} s"
        return self._trouble

    async def _refresh(self) -> None:
        try:
            self._trouble = await self._ask()
        except OomeventerError as e:
            self._trouble = str(e)
        except Exception as e:
            log.exception("a check could not be made, through a fault of this program")
            self._trouble = f"a fault of this program: {e}"
        finally:
            self._due, self._asking = self._clock() + self._keeps(), None

    def _keeps(self) -> float:
        """For how many seconds the last answer does."""
        if self._trouble or self._well_seconds is None:
            return self._seconds
        return self._well_seconds * random.uniform(0.5, 1)

    def close(self) -> None:
        """Ask no more."""
        if self._asking:
            self._asking.cancel()


class Health:
    """What the pages say. cri_endpoint: as in the settings; "none" where no runtime is to be asked. host_root:
    where the node's file system is."""

    def __init__(
        self,
        metrics: Metrics,
        cri_endpoint: str | None,
        cri_timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        host_root: str = "/",
    ) -> None:
        self._metrics = metrics
        self._cri_endpoint = cri_endpoint
        self._host_root = host_root
        self._cri_timeout_seconds = cri_timeout_seconds
        self._clock = clock
        self._rendered_at, self._page = -METRICS_SECONDS, b""
        self.progress = Progress(clock)
        self._runtime = _Asked(self._ask_runtime, RUNTIME_SECONDS, clock)
        self._api = _Asked(self._ask_api, API_SECONDS, clock, API_WELL_SECONDS)
        self._journal = _Asked(self._ask_journal, 0.0, clock)

    def close(self) -> None:
        """Ask nobody any more."""
        for asked in (self._runtime, self._api, self._journal):
            asked.close()

    async def livez(self) -> tuple[int, str]:
        """Status and text."""
        used = self._metrics.parts.ring.used_bytes if self._metrics.parts else 0
        stuck = self.progress.stuck_seconds(used)
        if stuck > STUCK_SECONDS:
            return 503, f"no record came out of the kernel's ring for {stuck:.0f} s, and it holds {used} bytes\n"
        return 200, "ok\n"

    async def readyz(self) -> tuple[int, str]:
        """Status and text: a line for each check."""
        parts = self._metrics.parts
        if parts is None:
            return 503, "attached: not yet, or not any more\n"
        names = ["journal", "runtime", "api"] if self._cri_endpoint != "none" else ["journal", "api"]
        checks: dict[str, Callable[[], Awaitable[str | None]]]
        checks = {"journal": self._check_journal, "runtime": self._runtime, "api": self._check_api}
        troubles = dict(zip(names, await asyncio.gather(*(checks[name]() for name in names)), strict=True))
        self._metrics.answers |= {name: troubles[name] is None for name in names if name != "journal"}
        lines = ["attached ok", f"pins {parts.pins or 'none: kills are not recorded while no agent runs'}"]
        for name, trouble in troubles.items():
            lines.append(f"{name}: {cut_bytes(one_line(trouble), _TROUBLE_BYTES)}" if trouble else f"{name} ok")
        return 503 if any(troubles.values()) else 200, "\n".join(lines) + "\n"

    async def metrics(self) -> tuple[int, bytes]:
        """Status and text."""
        if self._clock() - self._rendered_at >= METRICS_SECONDS:
            self._rendered_at, self._page = self._clock(), self._metrics.text()
        return 200, self._page

    # -- checks: what is wrong, or None --------------------------------------------------------------------------------

    async def _check_journal(self) -> str | None:
        parts = self._metrics.parts
        if parts is None or parts.journal.trouble is None:
            return None
        await self._journal()
        return parts.journal.trouble

    async def _ask_journal(self) -> str | None:
        if parts := self._metrics.parts:
            await parts.journal.note("lost")  # whatever is asked: when it is time, the disk is tried again
        return None

    async def _ask_runtime(self) -> str | None:
        # Not by what the last kill's look-up gave: that may be long ago, and the runtime back, or gone, since.
        await Client.connect(self._cri_endpoint, timeout_seconds=self._cri_timeout_seconds, root=self._host_root)
        return None

    async def _check_api(self) -> str | None:
        parts = self._metrics.parts
        if parts and parts.delivery.trouble and parts.delivery.series:  # it is being tried again and again
            return parts.delivery.trouble
        if parts and parts.describer and parts.describer.is_unreachable:  # incidents wait for it
            return "the API server is unreachable"
        accepted_at = self._metrics.accepted_at
        if accepted_at is not None and self._clock() - accepted_at < API_WELL_SECONDS / 2:
            return None
        return await self._api()

    async def _ask_api(self) -> str | None:
        if (parts := self._metrics.parts) is None:
            return None
        answer = await parts.cluster.request("GET", "/version")
        # 403: it knows who asks, and this path is not for everybody there.
        if not (200 <= answer.status < 300 or answer.status == 403):
            return f"{parts.cluster.server} answers {answer.words}"
        rights = await lacking(parts.cluster)
        return no_events(rights) if rights else None
