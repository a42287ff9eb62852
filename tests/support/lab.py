"""A node with Pods in a real runtime, which the API server's stand-in knows too. In: what is to be killed. Out: the
Events about it."""

import asyncio
import json
import uuid
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from machine import Cgroup, Victim
from realcri import Containerd, Pod
from standin import Answer as Refusal
from standin import ApiServer

NODE = "lab-node"
SECONDS = 30


class Lab:
    """Pods on a node, what is killed in them, and the Events about it."""

    def __init__(self, api: ApiServer, containerd: Containerd) -> None:
        self._api = api
        self._containerd = containerd
        self._pods: list[Pod] = []

    def pod(self, namespace: str, name: str, container: str, limit_bytes: int | None = None) -> Pod:
        """Of one container; limit_bytes: the whole Pod's."""
        uid = str(uuid.uuid4())
        limits = {"resources": {"limits": {"memory": str(limit_bytes)}}} if limit_bytes else {}
        spec = {"nodeName": NODE, "containers": [{"name": container, "image": "x"}], **limits}
        metadata = {"name": name, "namespace": namespace, "uid": uid}
        self._api.put_pod({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        self._pods.append(
            self._containerd.run_pod(namespace=namespace, name=name, uid=uid, pod_limit_bytes=limit_bytes)
        )
        return self._pods[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pod in self._pods:
            pod.remove()

    def refuse(self, status: int) -> None:
        """The API server refuses the next Event."""
        # Not another request: what the agent may do is asked by POST, too, now and then.
        self._api.faults.append(Refusal(status, method="POST", resource="events"))

    @property
    def _events(self) -> list[dict[str, Any]]:
        return [stored.as_core() for stored in self._api.events.values()]

    @property
    def accepted(self) -> int:
        """Requests that told of an Event, without the one that was refused."""
        asked = [request for request in self._api.requests if "/events" in request.path]
        return sum(request.method in ("POST", "PATCH") for request in asked) - 1

    async def reported(self, kills: int) -> None:
        """Wait until the Events tell of so many kills."""
        async with asyncio.timeout(SECONDS):
            await self._api.until(lambda: sum(event["count"] for event in self._events) >= kills)

    def patterns(self) -> Counter[str]:
        """How memory came to its limit, as the Events have it."""
        found: Counter[str] = Counter()
        for event in self._events:
            trajectory = json.loads(event["metadata"]["annotations"]["oomeventer/incident"]).get("trajectory")
            found[trajectory["pattern"] if trajectory else "none"] += event["count"]
        return found


def kill(pod: Pod, container: str, times: int = 1, limit_bytes: int = 32 << 20, before: str = "") -> None:
    """So many children of a container's, one by one; its first process lives on. before: what it does first."""
    script = f"{before} {'hog 100; ' * times} sleep 1000"
    pod.run_container(name=container, command=["sh", "-c", script], memory_limit_bytes=limit_bytes)


def outside(containerd: Containerd, program: Path) -> None:
    """A process that is in no Pod."""
    with (
        Cgroup(24 << 20, name=f"{containerd.cgroup.strip('/')}/daemon") as cgroup,
        Victim(program, cgroup, ["hog", "100"]) as victim,
    ):
        victim.go()
        victim.wait()
