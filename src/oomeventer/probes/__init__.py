"""The agent seen from outside: /metrics, /livez, /readyz.

In: the agent's parts, when somebody asks. Out: text over HTTP. prometheus_client and aiohttp's server live here.
"""

from oomeventer.probes.health import Health, Progress
from oomeventer.probes.metrics import Metrics, Parts
from oomeventer.probes.server import HealthError, serve

__all__ = [
    "Health",
    "HealthError",
    "Metrics",
    "Parts",
    "Progress",
    "serve",
]
