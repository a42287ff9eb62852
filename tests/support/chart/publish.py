"""What is made of the chart: `python -m chart.publish` writes it, and test_chart.py holds it to its source.

README.md's table and values.schema.json come from values.yaml, the dashboard from dashboard.py; daemonset.yaml is the
chart's default, without Helm.
"""

import json
import re
from pathlib import Path

from chart import CHART, REPOSITORY, dashboard, render, values

_HEAD = """\
# The agent without Helm: what charts/oomeventer makes of its default values (`make chart`). For containerd, and
# Kubernetes 1.30 or newer; each line's reason is in docs/permissions.md.
#
# No image is published yet, and registry.invalid is nobody's: put yours there (`make image`), and
#
#   sed -i s,registry.invalid/,YOUR-REGISTRY/, daemonset.yaml
#   kubectl apply -f daemonset.yaml
#   kubectl -n oomeventer rollout status daemonset/oomeventer
#
# To remove it, the DaemonSet first: each agent that finds it gone clears its node. Then the rest.
#
#   kubectl -n oomeventer delete daemonset/oomeventer --cascade=foreground
#   kubectl delete -f daemonset.yaml --ignore-not-found
---
# The host's pid namespace and directories are for namespaces of this level alone.
apiVersion: v1
kind: Namespace
metadata:
  name: oomeventer
  labels:
    pod-security.kubernetes.io/enforce: privileged
"""
#: In which somebody who makes them one by one would make them.
_ORDER = ("serviceaccount.yaml", "rbac.yaml", "networkpolicy.yaml", "daemonset.yaml")


def manifests() -> str:
    """daemonset.yaml."""
    rendered = render.texts(render.LEAST)
    made = {file for file, text in rendered.items() if text.strip() and file != "NOTES.txt"}
    assert made == set(_ORDER), made
    helm_only = re.compile(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
    parts = [helm_only.sub("", rendered[file]) for file in _ORDER]
    return "---\n".join([_HEAD, *(part.strip("\n") + "\n" for part in parts)])


def readme(now: str, table: str) -> str:
    """The chart's README.md, with that table."""
    between = re.compile(r"(<!-- values: made by make chart -->\n).*(<!-- values: end -->)", re.DOTALL)
    page, count = between.subn(lambda found: f"{found[1]}{table}\n{found[2]}", now)
    assert count == 1
    return page


def documents() -> dict[Path, str]:
    """What is made of values.yaml alone, by file."""
    found = values.read((CHART / "values.yaml").read_text())
    page = CHART / "README.md"
    return {
        dashboard.FILE: dashboard.text(),
        CHART / "values.schema.json": json.dumps(values.schema(found), indent=2, ensure_ascii=False) + "\n",
        page: readme(page.read_text(), values.table(found)),
    }


def made() -> dict[Path, str]:
    """All that is made, by file."""
    return {**documents(), REPOSITORY / "daemonset.yaml": manifests()}


if __name__ == "__main__":
    for make in (documents, made):  # the schema first: by the old one a new value would be refused
        for file, text in make().items():
            file.write_text(text)
