"""A cluster as its user has it: through kubectl and Helm alone, so that any conformant cluster does, with one node or
with many. `kubectl.py` asks it, `helm.py` installs the chart, `asked.py` reads what that asks for, `node.py` looks at
the cluster's machines, `victims.py` has the Pods that are killed, `reported.py` reads what is shown of that."""

from cluster.asked import Asked
from cluster.helm import Release
from cluster.kubectl import Kubectl, Refused, wait
from cluster.node import Eyes, schedulable
from cluster.reported import Arrivals, Reported, scrape, stage_seconds

__all__ = [
    "Arrivals",
    "Asked",
    "Eyes",
    "Kubectl",
    "Refused",
    "Release",
    "Reported",
    "schedulable",
    "scrape",
    "stage_seconds",
    "wait",
]
