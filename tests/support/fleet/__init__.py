"""A fleet: many agents' way from journal to request, against an API server. `make fleet`.

In: a model of kills. Out: requests a second, the server's latency, bytes into etcd, time until all is told, fairness.

Rules: the agents are the shipped Agent, with its journal (in memory), its pipelines, Describer, Delivery, Poster and
Api over real HTTP. Only what the kernel, /proc and the runtime would say is made up. Time is real, but in the crash
loop: there Delivery's clock and the kills run SPEED times as fast, and everything else does not.
"""


class FleetError(Exception):
    """It could not be measured; in words for people."""
