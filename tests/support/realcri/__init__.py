"""A real containerd for the tests: see `containerd.py` for the Pods and containers, `keeper.py` for how it
ends."""

from realcri.containerd import Container, Containerd, Pod

__all__ = ["Container", "Containerd", "Pod"]
