"""The chart: what its values say, as README, schema and daemonset.yaml; and what it becomes, by Helm's own code."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "charts/oomeventer"
