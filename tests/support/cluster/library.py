"""`python -m cluster.library`: what helm.py asks of Helm. In, on standard input: action, namespace, the release's
name, values, how Helm waits. Out: the manifest, where that was asked for: of what is installed, or of what would
be."""

import json
import sys

from helm_python import Chart, Config

from cluster.helm import CHART, SECONDS


def main() -> None:
    """Do it."""
    action, namespace, name, values, waits = json.load(sys.stdin)
    with Config(namespace=namespace) as config:
        match action:
            case "install":
                config.install(CHART, name, values, namespace=namespace, wait=waits, timeout=SECONDS)
            case "upgrade":
                config.upgrade(CHART, name, values, namespace=namespace, wait=waits, timeout=SECONDS)
            case "uninstall":
                config.uninstall(name, ignore_not_found=True)
            case "test":
                config.test(name, timeout=SECONDS)
            case "render":
                with Chart.load(CHART) as chart:
                    found = chart.render(values, name=name, namespace=namespace)
                print(
                    "\n---\n".join(
                        text for path, text in found.items() if path.endswith(".yaml") and "/tests/" not in path
                    )
                )
            case _:
                print(config.status(name)["manifest"])


if __name__ == "__main__":
    main()
