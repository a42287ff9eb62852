"""The whole path: a kill by this kernel, in a real container, becomes an Event at the API server."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace

from machine import Agent, Cgroup, Victim, free_port, kubeconfig
from oomeventer.cri.resolver import Resolver
from oomeventer.incident.observer import Observer
from oomeventer.kernel import Tracer
from oomeventer.node.procfs import Procfs
from oomeventer.redaction.policy import Redaction
from realcri import Containerd, Pod
from standin import ApiServer

pytestmark = [pytest.mark.kernel, pytest.mark.containerd]

NODE = "lab-node"
SECONDS = 30


def pod(name: str, uid: str, limit: str | None = "32Mi") -> dict[str, Any]:
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
            "containers": [{"name": "app", "image": "x", "resources": {"limits": {"memory": limit}} if limit else {}}],
        },
    }


def watching(api: ApiServer, endpoint: str, directory: Path, *flags: str) -> Agent:
    """The agent, telling that API server."""
    config = kubeconfig(directory, api.url, api.token)
    places = ["--pins", "none", "--journal", str(directory / "journal.db")]
    whom = ["--kubeconfig", str(config), "--cri-endpoint", endpoint, "--node-name", NODE]
    return Agent("run", *whom, *places, *flags, ready="sends Events to")


@pytest.fixture
def sandbox(containerd: Containerd, api: ApiServer) -> Iterator[Pod]:
    """A Pod on the node, which the API server knows."""
    running = containerd.run_pod(namespace="shop", name="checkout-0", uid=str(uuid.uuid4()))
    api.put_pod(pod("checkout-0", running.uid))
    yield running
    running.remove()


async def reported(api: ApiServer, cgroup: str, kills: int = 1) -> list[dict[str, Any]]:
    """The Events about what is in a cgroup, once they tell of so many kills. Others on this machine are not ours."""

    def ours() -> list[dict[str, Any]]:
        events = [stored.as_core() for stored in api.events.values()]
        return [event for event in events if incident_of(event)["cgroup"].startswith(cgroup)]

    async with asyncio.timeout(SECONDS):
        await api.until(lambda: sum(event["count"] for event in ours()) >= kills)
    return ours()


def incident_of(event: dict[str, Any]) -> dict[str, Any]:
    """The machine-readable copy that an Event carries."""
    incident: dict[str, Any] = json.loads(event["metadata"]["annotations"]["oomeventer/incident"])
    return incident


async def test_child_killed(api: ApiServer, containerd: Containerd, sandbox: Pod, tmp_path: Path) -> None:
    """A child is killed while PID 1 lives, which Kubernetes itself never tells: the Pod gets an Event that does."""
    async with watching(api, containerd.endpoint, tmp_path):
        container = sandbox.run_container(
            command=["sh", "-c", "hog 100; sleep 1000"],
            memory_limit_bytes=32 << 20,
            env={"GOMEMLIMIT": "30MiB", "DB_PASSWORD": "hunter2"},
        )
        (event,) = await reported(api, sandbox.cgroup)
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "shop",
        "name": "checkout-0",
        "uid": sandbox.uid,
        "fieldPath": "spec.containers{app}",
    }
    assert event["reason"] == "OOMKilled"
    assert event["type"] == "Warning"
    assert event["source"] == {"component": "oomeventer", "host": NODE}
    assert re.fullmatch(
        r"Container app ran out of its 32Mi memory limit and the kernel killed hog \(pid [0-9]+ in the container\), "
        r"which held 3[0-9.]+Mi\. "
        r"PID 1 lives on: the container was not restarted\. .*GOMEMLIMIT.*\. Command: hog 100",
        event["message"],
    )
    incident = incident_of(event)
    assert incident["message"] == event["message"]
    assert incident["scope"] == "container"
    assert incident["limit_bytes"] == 32 << 20
    assert 30 << 20 < incident["memory"]["anon_bytes"] <= 32 << 20
    assert incident["container_memory"] == incident["memory"]
    assert incident["neighbours"][0]["container_id"] == container.id
    assert incident["cgroup"] == container.cgroup
    assert incident["pod"]["owner"] == {"kind": "Deployment", "name": "checkout"}
    assert incident["container"]["id"] == container.id
    assert incident["container"]["runtime"] == "containerd"
    assert incident["victims"][0]["environment"] == {"GOMEMLIMIT": "30MiB"}
    assert not incident["truncated"]
    assert "hunter2" not in json.dumps(event)
    assert [(request.method, request.path) for request in api.requests if "/shop/" in request.path] == [
        ("GET", "/api/v1/namespaces/shop/pods/checkout-0"),
        ("POST", "/api/v1/namespaces/shop/events"),
    ]


async def test_pid_1_killed(api: ApiServer, containerd: Containerd, sandbox: Pod, tmp_path: Path) -> None:
    """The container's first process is the victim: the Event says that the container ends."""
    async with watching(api, containerd.endpoint, tmp_path):
        sandbox.run_container(command=["hog", "100"], memory_limit_bytes=32 << 20)
        (event,) = await reported(api, sandbox.cgroup)
    assert "killed hog (pid 1 in the container)" in event["message"]
    assert "PID 1 was killed: the container ends with it" in event["message"]


async def test_pid_1_ends_with_its_child(api: ApiServer, containerd: Containerd, sandbox: Pod, tmp_path: Path) -> None:
    """PID 1 is a wrapper that ends as its child does, some time after the kill: never does the Event say that it lives.
    That it has ended is known by the time the Event is sent."""
    async with watching(api, containerd.endpoint, tmp_path):
        for attempt in range(5):
            sandbox.run_container(
                name=f"app{attempt}", command=["sh", "-c", "hog 100; exit $?"], memory_limit_bytes=32 << 20
            )
        events = await reported(api, sandbox.cgroup, 5)
    assert [incident_of(event)["pid1"] for event in events] == ["gone"] * 5
    assert all("PID 1 has ended, and the container with it" in event["message"] for event in events)


async def test_repeats_count_up(api: ApiServer, containerd: Containerd, sandbox: Pod, tmp_path: Path) -> None:
    """The same kill again in the same container is the same Event with a higher count, each kill counted once."""
    async with watching(api, containerd.endpoint, tmp_path):
        sandbox.run_container(
            command=["sh", "-c", "for i in 1 2 3 4 5; do hog 100; done; sleep 1000"], memory_limit_bytes=32 << 20
        )
        (event,) = await reported(api, sandbox.cgroup, kills=5)
    assert event["count"] == 5
    assert event["firstTimestamp"] <= event["lastTimestamp"]


async def test_limit_of_the_pod(api: ApiServer, containerd: Containerd, tmp_path: Path) -> None:
    """The Pod's cgroup fills first: with a limit set for the whole Pod it is the Pod's, and the Event says so."""
    uid = str(uuid.uuid4())
    known = pod("batch-0", uid, limit=None)
    known["spec"]["resources"] = {"limits": {"memory": "32Mi"}}
    api.put_pod(known)
    sandbox = containerd.run_pod(namespace="shop", name="batch-0", uid=uid, pod_limit_bytes=32 << 20)
    try:
        async with watching(api, containerd.endpoint, tmp_path):
            sandbox.run_container(command=["sh", "-c", "hog 100; sleep 1000"], memory_limit_bytes=64 << 20)
            (event,) = await reported(api, sandbox.cgroup)
    finally:
        sandbox.remove()
    assert event["message"].startswith("Pod batch-0 ran out of its 32Mi memory limit")
    assert "(pid 7 in container app)" in re.sub("pid [0-9]+", "pid 7", event["message"])
    assert incident_of(event)["limit_cgroup"] == sandbox.cgroup


async def test_limit_of_the_only_container(api: ApiServer, containerd: Containerd, tmp_path: Path) -> None:
    """A Pod of one container: the kubelet gives the Pod's cgroup the same limit, and it fills first, since the sandbox
    counts in it. Somebody wrote the container's limit, so that is what the Event says."""
    uid = str(uuid.uuid4())
    api.put_pod(pod("single-0", uid))
    sandbox = containerd.run_pod(namespace="shop", name="single-0", uid=uid, pod_limit_bytes=32 << 20)
    try:
        async with watching(api, containerd.endpoint, tmp_path):
            sandbox.run_container(command=["sh", "-c", "hog 100; sleep 1000"], memory_limit_bytes=32 << 20)
            (event,) = await reported(api, sandbox.cgroup)
    finally:
        sandbox.remove()
    assert event["message"].startswith("Container app ran out of its 32Mi memory limit")
    incident = incident_of(event)
    assert (incident["scope"], incident["limit_cgroup"]) == ("container", sandbox.cgroup)


async def test_pod_gone_from_the_api(api: ApiServer, containerd: Containerd, sandbox: Pod, tmp_path: Path) -> None:
    """The Pod is deleted already: the runtime's labels still name it, and the Event is thinner, not lost."""
    api.delete_pod("shop", "checkout-0")
    async with watching(api, containerd.endpoint, tmp_path):
        sandbox.run_container(command=["sh", "-c", "hog 100; sleep 1000"], memory_limit_bytes=32 << 20)
        (event,) = await reported(api, sandbox.cgroup)
    assert event["involvedObject"]["uid"] == sandbox.uid
    assert event["involvedObject"]["fieldPath"] == "spec.containers{app}"
    assert "pod: gone from the API" in incident_of(event)["notes"]


async def test_no_runtime(api: ApiServer, sandbox: Pod, tmp_path: Path) -> None:
    """No runtime answers: the Pod's uid in the path finds the Pod, and its status the container's name."""
    async with watching(api, f"unix://{tmp_path}/nobody.sock", tmp_path) as agent:
        container = sandbox.run_container(
            command=["sh", "-c", "sleep 2; hog 100; sleep 99"], memory_limit_bytes=32 << 20
        )
        known = pod("checkout-0", sandbox.uid)
        known["status"] = {"containerStatuses": [{"name": "app", "containerID": f"containerd://{container.id}"}]}
        api.put_pod(known)
        (event,) = await reported(api, sandbox.cgroup)
    assert event["involvedObject"]["name"] == "checkout-0"
    assert event["involvedObject"]["fieldPath"] == "spec.containers{app}"
    assert event["message"].startswith("Container app ran out of its 32Mi memory limit")
    assert any("no runtime yet" in line and "nobody.sock" in line for line in agent.log)


async def test_container_and_pod_gone(containerd: Containerd, sandbox: Pod, program: Path) -> None:
    """What is gone makes the incident thinner stage by stage: the container, then its sandbox."""
    observer = Observer(Procfs(), NODE, Redaction(), statistics=False)
    containers = Resolver(containerd.endpoint, timeout_seconds=5)
    with Tracer() as tracer, contextlib.closing(observer):
        container = sandbox.run_container(command=["sh", "-c", "hog 100; sleep 1000"], memory_limit_bytes=32 << 20)
        async with asyncio.timeout(SECONDS):
            async for episode in tracer.episodes():
                tracer.free(episode)
                if episode[0].cgroup == container.cgroup:
                    break
        incident = await observer(episode)
    whole = await containers(incident)
    container.remove()
    thinner = await containers(incident)
    assert whole.container
    assert thinner.container
    assert whole.container.name == "app"
    assert thinner.container.name is None
    assert whole.pod == thinner.pod
    socket = containerd.endpoint.removeprefix("unix://")
    assert f"container: containerd at {socket}, as set, does not know it" in thinner.notes
    other = containerd.run_pod(namespace="shop", name="other")
    other.remove()
    gone = replace(incident, cgroup=incident.cgroup.replace(str(incident.identity.pod_uid), other.uid))
    assert (await containers(gone)).pod is None


async def test_process_outside_any_pod(api: ApiServer, program: Path, tmp_path: Path) -> None:
    """A process of the host: the Event is on the Node, in namespace default, with a reason that has OOM in it."""
    async with watching(api, "none", tmp_path):
        with Cgroup(24 << 20) as cgroup, Victim(program, cgroup, ["hog", "100"]) as victim:
            victim.go()
            victim.wait()
            (event,) = await reported(api, cgroup.path)
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": NODE}
    assert event["reason"] == "ProcessOOMKilled"
    assert event["message"].startswith(
        f"Cgroup {cgroup.path} ran out of its 24Mi memory limit and the kernel killed victim"
    )
    # Others may be killed on this machine meanwhile.
    assert [request.method for request in api.requests if cgroup.path in json.dumps(request.body)] == ["POST"]


async def test_node_that_is_a_container(api: ApiServer, program: Path, tmp_path: Path) -> None:
    """Of the machine's kills those in the node's own cgroup alone are reported, by the paths that the node sees; the
    others do not stay in the ring, and are counted."""
    listen = f"127.0.0.1:{free_port()}"
    with Cgroup() as node, Cgroup(4 << 20, "workload", node) as inside, Cgroup(4 << 20) as beside:
        flags = ["--node-cgroup", node.path, "--listen", listen]
        async with watching(api, "none", tmp_path, *flags):
            for cgroup in (beside, inside):
                with Victim(program, cgroup, ["hog", "100"]) as victim:
                    victim.go()
                    victim.wait()
            (event,) = await reported(api, "")
            with await asyncio.to_thread(urllib.request.urlopen, f"http://{listen}/metrics", timeout=10) as answer:
                metrics = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
    assert incident_of(event)["cgroup"] == incident_of(event)["trigger"]["cgroup"] == "/workload"
    assert "memory: where its cgroup is below what is mounted here is not known" in incident_of(event)["notes"]
    assert float(metrics["oomeventer_kills_elsewhere_total"]) >= 1
    assert float(metrics["oomeventer_ring_used_bytes"]) == 0


async def test_trace(program: Path) -> None:
    """Without a cluster: one JSON object a line, as the schema has it; at the end how many there were, and where."""
    schema = json.loads(resources.files("oomeventer").joinpath("incident/schema.json").read_text())
    async with Agent("trace", "--json", "--cri-endpoint", "none", ready="waiting for kills") as agent:
        with Cgroup(24 << 20) as cgroup, Victim(program, cgroup, ["hog", "100", "--pin", "1234"]) as victim:
            victim.go()
            victim.wait()
            async with asyncio.timeout(SECONDS):
                async for incident in agent.lines():
                    if incident["cgroup"] == cgroup.path:
                        break
    jsonschema.validate(incident, schema)
    assert incident["schema"] == "oomeventer/v1"
    assert incident["scope"] == "cgroup"
    assert 22 << 20 < incident["memory"]["anon_bytes"] <= 24 << 20
    assert incident["message"].startswith(f"Cgroup {cgroup.path} ran out of its 24Mi memory limit")
    program_shown, *arguments = incident["victims"][0]["command"]
    assert program_shown.endswith("/victim")
    assert arguments == ["***", "100", "--pin", "***"]
    (summary,) = [line for line in agent.log if "ended after" in line]
    # Where more places had kills meanwhile than are named, this one may be among the rest.
    assert re.search(rf"ended after \S+: \d+ incidents? shown: .*(1 in {cgroup.path}|the rest in)", summary)


async def test_no_request_while_nothing_happens(api: ApiServer, tmp_path: Path) -> None:
    """The agent starts, asks once whether it may create and patch Events, watches and stops, and that is all. Its node
    has a cgroup of its own, in which nobody is killed."""
    with Cgroup() as node:
        async with watching(api, "none", tmp_path, "--node-cgroup", node.path):
            async with asyncio.timeout(SECONDS):
                await api.until(lambda: len(api.requests) == 2)
            await asyncio.sleep(1)
    asked = [request.body["spec"]["resourceAttributes"] for request in api.requests]
    assert [(of["verb"], of["resource"]) for of in asked] == [("create", "events"), ("patch", "events")]


@pytest.mark.parametrize(
    ("command", "says"), [("demo", "ProcessOOMKilled"), ("doctor", "the object loads and attaches")]
)
def test_commands(command: str, says: str) -> None:
    """`demo` and `doctor` work here and end well."""
    run = [sys.executable, "-m", "oomeventer", command]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stdout
