"""`oomeventer detach`: remove what an agent left in the kernel. In: Settings. Out: what was removed, as text.

Rules: nothing is removed while an agent runs.
"""

import os

from oomeventer.kernel import Pins
from oomeventer.settings import Settings


async def detach(settings: Settings) -> None:
    """Remove the pins; kills are then no longer recorded. Raises Held while an agent has them, and PinsError."""
    if settings.pins is None or not os.path.exists(settings.pins):  # noqa: ASYNC240 - nothing else runs
        print("nothing is attached that would outlive an agent")
        return
    pins = Pins(settings.pins)
    print(f"{pins.remove()} removed from {settings.pins}; kills are no longer recorded")
