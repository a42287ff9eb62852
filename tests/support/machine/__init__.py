"""The machine under the tests: memory cgroups of their own, processes that get killed, the agent as a process."""

from machine.agent import Agent, free_port, kubeconfig
from machine.cgroup import Cgroup
from machine.victim import Victim, build

__all__ = ["Agent", "Cgroup", "Victim", "build", "free_port", "kubeconfig"]
