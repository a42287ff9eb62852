"""How a cgroup came to its limit: leak or spike.

In: samples of the memory of each container and Pod, taken from time to time; an Incident. Out: its trajectory.
"""

from oomeventer.trajectory.trajectories import NOTE, Note, Trajectories

__all__ = ["NOTE", "Note", "Trajectories"]
