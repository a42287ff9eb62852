"""Real kills for the pictures, in a real containerd, through the agent's own code. In: nothing. Out: data/kills.json:
their incidents, each with its Pod as the API server has it.

Rules: the lab of reading_page; kills at the same time, so that it takes five minutes (`make pictures RECORD=1`; root).
Nothing in an incident is edited.
"""

import asyncio
import json
from contextlib import AbstractContextManager
from typing import Any

from oomeventer.incident import ANNOTATION
from oomeventer.text import MI
from places import DATA
from reading_page.kills import SLEEP, Lab, lab
from realcri import Pod

KILLS = DATA / "kills.json"
_SECONDS = 400
_OWNED = {"Deployment": "ReplicaSet"}
#: Reads a request after the other, and keeps each: 32 KiB twenty-five times a second.
_LEAK = (
    'BEGIN { s = "cached"; while (length(s) < 32768) s = s s; '
    'for (;;) { for (i = 0; i < 25; i++) kept[n++] = s; system("sleep 1") } }'
)


def _pod(
    here: Lab, namespace: str, name: str, kind: str, owner: str, limits: dict[str, int | None], **more: Any
) -> AbstractContextManager[Pod]:
    labels = {"app": owner}
    if kind == "Deployment":
        owner = f"{owner}-{name.split('-')[-2]}"
        labels["pod-template-hash"] = owner.rpartition("-")[2]
    reference = {"kind": _OWNED.get(kind, kind), "name": owner, "controller": True}
    metadata = {"namespace": namespace, "name": name, "labels": labels, "ownerReferences": [reference]}
    return here.pod(limits, metadata=metadata, **more)


async def _leak(here: Lab) -> dict[str, Any]:
    """Twice, so that it repeats."""
    limits: dict[str, int | None] = {"app": 128}
    with here.tmpfs() as mounts, _pod(here, "shop", "checkout-7d9f8c-x2x4q", "Deployment", "checkout", limits) as pod:
        (mounts["/scratch"] / "requests.awk").write_text(_LEAK)
        command = ["sh", "-c", "while :; do /bin/awk -f /scratch/requests.awk; sleep 2; done"]
        pod.run_container(command=command, memory_limit_bytes=128 * MI, mounts=mounts)
        return await here.event(pod.cgroup, 2, _SECONDS)


async def _spike(here: Lab) -> dict[str, Any]:
    with _pod(here, "shop", "thumbs-0", "StatefulSet", "thumbs", {"worker": 64}) as pod:
        command = ["sh", "-c", f"hog 12 & sleep 150; hog 200; {SLEEP}"]
        pod.run_container(name="worker", command=command, memory_limit_bytes=64 * MI)
        return await here.event(pod.cgroup, 1, _SECONDS)


async def _tmpfs(here: Lab) -> dict[str, Any]:
    with here.tmpfs() as mounts, _pod(here, "batch", "report-28gtq", "Job", "report", {"app": 64}) as pod:
        files = "for i in 1 2 3 4 5 6 7; do dd if=/dev/zero of=/scratch/page-$i bs=1M count=8; sleep 12; done"
        command = ["sh", "-c", f"{files}; hog 12; {SLEEP}"]
        pod.run_container(command=command, memory_limit_bytes=64 * MI, mounts=mounts)
        return await here.event(pod.cgroup, 1, _SECONDS)


async def _other(here: Lab) -> dict[str, Any]:
    whole = {"resources": {"limits": {"memory": "96Mi"}}}
    limits = {"app": None, "cache": None}
    with _pod(here, "web", "search-5c6d9b-9q8vz", "Deployment", "search", limits, pod_limit=96, **whole) as pod:
        pod.run_container(name="cache", command=["hog", "70"], memory_limit_bytes=96 * MI)
        await asyncio.sleep(60)
        first = "echo 1000 > /proc/self/oom_score_adj"
        pod.run_container(command=["sh", "-c", f"({first}; exec hog 40); {SLEEP}"], memory_limit_bytes=96 * MI)
        return await here.event(pod.cgroup, 1, _SECONDS)


async def _again(here: Lab) -> dict[str, Any]:
    """Its first process, killed at each start."""
    with _pod(here, "web", "render-66b8df-mmx4k", "Deployment", "render", {"chrome": 48}) as pod:
        for attempt in range(4):
            pod.run_container(name="chrome", command=["hog", "90"], memory_limit_bytes=48 * MI, attempt=attempt)
            await here.event(pod.cgroup, attempt + 1)
            await asyncio.sleep(10 * attempt)
        return await here.event(pod.cgroup, 4)


async def record() -> None:
    """Make the kills, and write the file."""
    async with lab() as here:
        made = await asyncio.gather(*(kill(here) for kill in (_leak, _spike, _tmpfs, _other, _again)))
        pods = {one["metadata"]["uid"]: one for one in here.api.pods.values()}
    told = [
        {
            "count": event["count"],
            "incident": json.loads(event["metadata"]["annotations"][ANNOTATION]),
            "pod": pods[event["involvedObject"]["uid"]],
        }
        for event in made
    ]
    KILLS.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
