"""The cases: ways in which the kernel comes to kill. In: nothing. Out: the cases by name, and their needs.

Rules: a case provokes the kernel by means that any container has, and says what must have happened by how it was
built; sizes leave no doubt who is chosen. Each takes as little memory as will do: every page is touched by an emulated
processor.
"""

from collections.abc import Callable
from dataclasses import dataclass

from inside import NAMES, NUMA, groups, limits, memory, victims
from inside import UNIFIED as NEEDS_V2
from inside.cgroups import UNIFIED
from inside.stage import Stage


@dataclass(frozen=True)
class Case:
    """A case, and what it needs: cgroup v2, two NUMA nodes."""

    play: Callable[[Stage], None]
    unified: bool = False
    nodes: bool = False

    def possible(self, nodes: int) -> bool:
        """Whether it can be played here."""
        return (UNIFIED or not self.unified) and (nodes > 1 or not self.nodes)


def _case(name: str) -> Case:
    room = next(room for room in (limits, victims, groups, memory) if hasattr(room, name))
    return Case(getattr(room, name), unified=name in NEEDS_V2, nodes=name in NUMA)


CASES = {name: _case(name) for name in NAMES}
