"""`python -m fleet.listing` (make fleet-listing): what the list of a node's Pods costs the API server (rbac.listPods),
against how many Pods the cluster has. Out: a table.

The list is the agent's: of one node, in pages. `old enough` is the same from the server's cache (resourceVersion=0).
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from fleet import FleetError, gauges
from fleet.control_plane import ControlPlane
from oomeventer.cluster.pods import PAGE

AMOUNTS, OF_A_NODE, TIMES, _AT_ONCE = (300, 3000, 9000), 30, 20, 16


async def _pods(plane: ControlPlane, first: int, last: int) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)
    container = {"name": "app", "image": "registry.example/app:1", "resources": {"limits": {"memory": "32Mi"}}}

    async def pod(number: int) -> None:
        spec = {"nodeName": f"node-{number // OF_A_NODE}", "containers": [container]}
        body = {"metadata": {"name": f"web-{number}"}, "spec": spec | {"automountServiceAccountToken": False}}
        async with turns:
            status, answer = await plane.do("POST", "/api/v1/namespaces/default/pods", body)
        if status != 201:
            raise FleetError(f"{status} {answer}")

    await asyncio.gather(*map(pod, range(first, last)))


async def _listed(plane: ControlPlane, **more: str) -> str:
    """Milliseconds of a list, and of the API server's CPU."""
    took, before = [], gauges.read(*await plane.pages())
    for number in range(TIMES):
        query = {"fieldSelector": f"spec.nodeName=node-{number % 10}", "limit": str(PAGE), **more}
        began = time.monotonic()
        status, answer = await plane.do("GET", f"/api/v1/pods?{urlencode(query)}")
        took.append(time.monotonic() - began)
        if status != 200 or len(answer["items"]) != OF_A_NODE or answer["metadata"].get("continue"):
            raise FleetError(f"{status}: {len(answer.get('items', ()))} Pods")
    after = gauges.read(*await plane.pages())
    used = gauges.total(after, "process_cpu_seconds_total") - gauges.total(before, "process_cpu_seconds_total")
    return f"{statistics.median(took) * 1e3:.0f}, {max(took) * 1e3:.0f} ms, {used / TIMES * 1e3:.0f} ms"


async def _table() -> None:
    print("| Pods in the cluster | list as the agent asks: median, most, CPU each | old enough |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="oomeventer-listing-") as directory:
        async with ControlPlane(Path(directory) / "plane") as plane:
            there = 0
            for amount in AMOUNTS:
                await _pods(plane, there, amount)
                there = amount
                cells = await _listed(plane), await _listed(plane, resourceVersion="0")
                print(f"| {amount:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(_table())
    except FleetError as e:
        sys.exit(f"fleet: {e}")
