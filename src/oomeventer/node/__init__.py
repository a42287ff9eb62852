"""What this machine knows of a kill: /proc, the cgroup file system, taskstats, and what a cgroup's path says.

In: a kernel's Kill, a path. Out: a Glance, an Observation, Statistics, an Identity. Only reads; what is gone is None.
"""

from oomeventer.node.asker import Asker
from oomeventer.node.cgroup_path import Allocatable, Identity, allocatable, identify, unit
from oomeventer.node.glance import Glance
from oomeventer.node.memory_files import Happened, MemoryStat, Stalled
from oomeventer.node.neighbours import Neighbour, Neighbours
from oomeventer.node.node_memory import LARGEST, NodeUsage
from oomeventer.node.own_cgroup import NodeCgroup
from oomeventer.node.pidfd import Pidfd
from oomeventer.node.procfs import ARGUMENTS_BYTES, ENVIRONMENT_BYTES, Observation, Pid1, Procfs
from oomeventer.node.taskstats import Statistics, taskstats_permitted

__all__ = [
    "ARGUMENTS_BYTES",
    "ENVIRONMENT_BYTES",
    "LARGEST",
    "Allocatable",
    "Asker",
    "Glance",
    "Happened",
    "Identity",
    "MemoryStat",
    "Neighbour",
    "Neighbours",
    "NodeCgroup",
    "NodeUsage",
    "Observation",
    "Pid1",
    "Pidfd",
    "Procfs",
    "Stalled",
    "Statistics",
    "allocatable",
    "identify",
    "taskstats_permitted",
    "unit",
]
