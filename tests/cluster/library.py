"""`python -m cluster.library`: what helm.py asks of Helm. Flows in, on standard input: action, namespace, the release's
name, values. Flows out: the manifest, where that was asked for."""

import json
import sys

from helm_python import Config

from cluster.helm import CHART, SECONDS


def main() -> None:
    """Do it."""
    action, namespace, name, values = json.load(sys.stdin)
    with Config(namespace=namespace) as config:
        match action:
            case "install":
                config.install(CHART, name, values, namespace=namespace, wait="watcher", timeout=SECONDS)
            case "upgrade":
                config.upgrade(CHART, name, values, namespace=namespace, wait="watcher", timeout=SECONDS)
            case "uninstall":
                config.uninstall(name, ignore_not_found=True)
            case _:
                print(config.status(name)["manifest"])


if __name__ == "__main__":
    main()
