"""What the chart becomes, by Helm's own code (helm-python-sdk). In: values. Out: objects."""

from pathlib import Path
from typing import Any

import helm_python
import yaml

from chart import CHART

NAMESPACE = NAME = "oomeventer"
#: The one value that everybody has to set. No registry can have this name.
LEAST: dict[str, Any] = {"image": {"repository": "registry.invalid/oomeventer"}}


def values(file: Path) -> dict[str, Any]:
    """A scenario's."""
    read: dict[str, Any] = yaml.safe_load(file.read_text())
    return read


def texts(given: dict[str, Any], name: str = NAME, namespace: str = NAMESPACE, tests: bool = False) -> dict[str, str]:
    """By template; without those of `helm test`, or these alone. Raises helm_python.HelmError."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(given)  # rendering alone does not ask the schema
        rendered = chart.render(given, name=name, namespace=namespace)
    return {Path(path).name: text for path, text in rendered.items() if ("/tests/" in path) is tests}


def objects(given: dict[str, Any], name: str = NAME, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """All of them."""
    manifests = (text for file, text in texts(given, name, namespace).items() if file != "NOTES.txt")
    return [found for text in manifests for found in yaml.safe_load_all(text) if found]


def one(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The only one of that kind."""
    (only,) = (item for item in found if item["kind"] == kind)
    return only
