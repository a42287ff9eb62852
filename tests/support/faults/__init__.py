"""What goes wrong around the agent, made for real: it is killed, cut off, or finds no room on its disk."""

from faults.crashing import POINTS
from faults.mount import mounted
from faults.partition import Partition
from faults.restarted import Restarted

__all__ = ["POINTS", "Partition", "Restarted", "mounted"]
