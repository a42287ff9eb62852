"""The Kubernetes API: what it knows of a Pod, and Events to it.

In: incidents, and what waits in the outbox. Out: incidents with the Pod's owner and limits; Events. kubernetes_asyncio
and aiohttp's client live here.
"""

from oomeventer.cluster.api import Api, Unreachable
from oomeventer.cluster.connection import NoCluster, connect
from oomeventer.cluster.delivery import Delivery
from oomeventer.cluster.describer import Describer
from oomeventer.cluster.pods import Pods
from oomeventer.cluster.retry import GIVE_UP_REASONS
from oomeventer.cluster.rights import RIGHTS, Right, lacking, no_events, warn_of_lacking
from oomeventer.cluster.schedule import Limits

__all__ = [
    "GIVE_UP_REASONS",
    "RIGHTS",
    "Api",
    "Delivery",
    "Describer",
    "Limits",
    "NoCluster",
    "Pods",
    "Right",
    "Unreachable",
    "connect",
    "lacking",
    "no_events",
    "warn_of_lacking",
]
