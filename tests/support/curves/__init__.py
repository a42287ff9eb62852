"""What a kill costs the agent, against how much there is on the node and in the cluster. `make bench-scale`.

In: this machine. Out: CPU and memory of the shipped Agent, a line for each thing that can be many; flat, or with its
reason in docs/scale.md.

Rules: the agent's real parts, but for the kernel's ring: records are made up, of real cgroups and processes of our own.
Each point is a process of its own. The runtime is a fake (tests/support/fakecri.py), since no real one here holds 1,000
containers, and the API server is the stand-in; both in processes of their own, so that their CPU does not count.
"""


class CurvesError(Exception):
    """It could not be measured; in words for people."""
