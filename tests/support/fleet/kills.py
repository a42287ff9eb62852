"""When which node has a kill. In: a model's name, how many nodes, a seed. Out: seconds from the start, by node.

Rules: pure. A node has one Pod that is killed. After a kill the kubelet starts its container again after 10 s, 20 s, 40
s and so on, 300 s at most (CrashLoopBackOff).
"""

import random
from collections.abc import Callable, Iterator

Times = list[list[float]]
_FIRST, _LONGEST = 10.0, 300.0
#: From a container's start until its limit runs out.
_RUNS_SECONDS = 1.0


def independent(nodes: int, seconds: float, seed: int) -> Times:
    """Each node has one kill, at any time."""
    chance = random.Random(seed)
    return [[chance.uniform(0, seconds)] for _ in range(nodes)]


def roll_out(nodes: int, seconds: float, seed: int) -> Times:
    """A bad version, on all nodes within the same second, and again after each restart."""
    chance = random.Random(seed)
    return [list(_restarts(chance.uniform(0, 1), seconds)) for _ in range(nodes)]


def crash_loop(nodes: int, seconds: float, seed: int) -> Times:
    """A crash loop on each node, which began at any time before."""
    chance = random.Random(seed)
    return [[at for at in _restarts(chance.uniform(-600, 0), seconds) if at >= 0] for _ in range(nodes)]


def _restarts(first: float, seconds: float) -> Iterator[float]:
    at, wait = first, _FIRST
    while at < seconds:
        yield at
        at += wait + _RUNS_SECONDS
        wait = min(2 * wait, _LONGEST)


MODELS: dict[str, Callable[[int, float, int], Times]] = {
    "independent": independent,
    "roll-out": roll_out,
    "crash loop": crash_loop,
}
