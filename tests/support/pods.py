"""Pods of one container with a limit: as cgroups of our own, named as a kubelet's, and in the stand-in's cluster.

No runtime knows them: so the agent finds each by its uid, with one list of this node's Pods. of_kubelet() is such a Pod
in the API alone.
"""

import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from json import loads
from types import TracebackType
from typing import Any, Self

from machine import Cgroup
from standin import ApiServer, Request

NODE = "lab-node"
LIMIT = 8 << 20


class Pods:
    """Made when entered, gone when left. containers: their cgroups; cgroups: these, as the kernel names them; names:
    the Pods', in the same order, made up if they are not given. kubepods: the cgroup above them all."""

    def __init__(self, api: ApiServer, count: int, namespace: str = "bench", names: Sequence[str] = ()) -> None:
        self._api = api
        self._namespace = namespace
        self.names = list(names) or [f"app-{uuid.uuid4()}" for _ in range(count)]
        self.containers: list[Cgroup] = []
        self.cgroups: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            top = _parent(stack, Cgroup())
            self.kubepods = kubepods = _parent(stack, Cgroup(name="kubepods", parent=top))
            for name in self.names:
                uid, container = str(uuid.uuid4()), uuid.uuid4().hex * 2
                pod = _parent(stack, Cgroup(name=f"pod{uid}", parent=kubepods))
                self.containers.append(stack.enter_context(Cgroup(LIMIT, name=container, parent=pod)))
                self.cgroups.append(self.containers[-1].path)
                self._api.put_pod(of_kubelet(self._namespace, name, uid, container))
                stack.callback(self._api.delete_pod, self._namespace, name)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def delays(self, requests: list[Request]) -> dict[str, float]:
        """By cgroup, the seconds from its first kill to the request that tells it, which the stand-in had then read."""
        offset = time.time() - time.monotonic()
        found: dict[str, float] = {}
        for request in requests:
            if request.method != "POST" or (incident := _incident(request.body)) is None:
                continue
            if incident["cgroup"] in self.cgroups:
                killed = datetime.fromisoformat(incident["time"]).timestamp()
                found.setdefault(incident["cgroup"], request.time + offset - killed)
        return found


def _parent(stack: ExitStack, cgroup: Cgroup) -> Cgroup:
    """Makes it, so that those below it may have a limit."""
    stack.enter_context(cgroup)
    control = cgroup.directory / "cgroup.subtree_control"  # cgroup v2's
    if control.exists():
        control.write_text("+memory")
    return cgroup


def _incident(body: Any) -> dict[str, Any] | None:
    annotations = body.get("metadata", {}).get("annotations") if isinstance(body, dict) else None
    return loads(annotations["oomeventer/incident"]) if annotations else None


def of_kubelet(namespace: str, name: str, uid: str, container: str) -> dict[str, Any]:
    """As the API has it; container: its id."""
    resources = {"limits": {"memory": str(LIMIT)}}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "spec": {"nodeName": NODE, "containers": [{"name": "app", "image": "x", "resources": resources}]},
        "status": {"containerStatuses": [{"name": "app", "containerID": f"containerd://{container}"}]},
    }
