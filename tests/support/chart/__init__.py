"""The chart: what its values say, as README, schema and daemonset.yaml; and what it becomes, by Helm's own code."""

from places import REPOSITORY

__all__ = ["CHART", "REPOSITORY"]

CHART = REPOSITORY / "charts/oomeventer"
