"""The whole path: a kill by this kernel, in a real container, becomes an Event at the API server."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from machine import Agent, kubeconfig
from realcri import Containerd
from standin import ApiServer

pytestmark = [pytest.mark.kernel, pytest.mark.containerd]

NODE = "lab-node"
SECONDS = 30


def pod(name: str, uid: str, limit: str = "32Mi") -> dict[str, Any]:
    """A Pod as the API server has it, of one container."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid,
            "labels": {"pod-template-hash": "5d4f"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-5d4f", "uid": "x", "controller": True}
            ],
        },
        "spec": {
            "nodeName": NODE,
            "restartPolicy": "Always",
            "containers": [{"name": "app", "image": "x", "resources": {"limits": {"memory": limit}}}],
        },
    }


async def watching(api: ApiServer, containerd: Containerd, directory: Path) -> Agent:
    config = kubeconfig(directory, api.url, api.token)
    flags = ["--kubeconfig", str(config), "--cri-endpoint", containerd.endpoint, "--node-name", NODE]
    return Agent("run", *flags, ready="watches node")


async def test_child_killed(api: ApiServer, containerd: Containerd, tmp_path: Path) -> None:
    """A child is killed while PID 1 lives, which Kubernetes itself never tells: the Pod gets an Event that does."""
    uid = str(uuid.uuid4())
    api.put_pod(pod("checkout-0", uid))
    sandbox = containerd.run_pod(namespace="shop", name="checkout-0", uid=uid)
    try:
        async with await watching(api, containerd, tmp_path) as agent:
            container = sandbox.run_container(
                name="app",
                command=["sh", "-c", "hog 100; sleep 1000"],
                memory_limit_bytes=32 << 20,
                env={"GOMEMLIMIT": "30MiB", "DB_PASSWORD": "hunter2"},
            )
            async with asyncio.timeout(SECONDS):
                await api.until(lambda: len(api.events) == 1)
        (event,) = (stored.as_core() for stored in api.events.values())
    finally:
        sandbox.remove()
    print(json.dumps(event, indent=1), "\n".join(agent.log))
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "shop",
        "name": "checkout-0",
        "uid": uid,
        "fieldPath": "spec.containers{app}",
    }
    assert event["reason"] == "OOMKilled"
    assert event["type"] == "Warning"
    assert event["source"] == {"component": "oomeventer", "host": NODE}
    assert event["message"].startswith("Container app ran out of its 32Mi memory limit and the kernel killed hog (pid ")
    assert "PID 1 lives on: the container was not restarted. Command: hog 100" in event["message"]
    incident = json.loads(event["metadata"]["annotations"]["oomeventer/incident"])
    assert incident["pod"]["owner"] == {"kind": "Deployment", "name": "checkout"}
    assert incident["container"]["id"] == container.id
    assert incident["victims"][0]["environment"] == {"GOMEMLIMIT": "30MiB"}
    assert "hunter2" not in json.dumps(event)
