"""What a user is shown. In: kubectl's tables, the API's Events, the agent's metrics. Out: these, parsed."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from cluster.kubectl import Kubectl
from cluster.node import Eyes

COMPONENT = "oomeventer"
ANNOTATION = "oomeventer/incident"


@dataclass(frozen=True)
class Reported:
    """One Event."""

    body: dict[str, Any]

    @property
    def message(self) -> str:
        """What a person reads."""
        return str(self.body["message"])

    @property
    def count(self) -> int:
        """How many kills it tells."""
        return int(self.body["count"])

    @property
    def where(self) -> str:
        """The container, as a path in the Pod."""
        return str(self.body["involvedObject"].get("fieldPath", ""))

    @property
    def incident(self) -> dict[str, Any]:
        """All that is known."""
        parsed: dict[str, Any] = json.loads(self.body["metadata"]["annotations"][ANNOTATION])
        return parsed

    @property
    def killed_at(self) -> float:
        """When, in seconds of UNIX time, by the node's clock."""
        return datetime.fromisoformat(self.incident["time"]).timestamp()


def events(kubectl: Kubectl, namespace: str, pod: str) -> list[Reported]:
    """Ours about that Pod, the oldest first."""
    listed = kubectl.json("get", "events", "-n", namespace, "--field-selector", f"involvedObject.name={pod}")["items"]
    ours = [Reported(body) for body in listed if body.get("source", {}).get("component") == COMPONENT]
    return sorted(ours, key=lambda reported: reported.killed_at)


def described(kubectl: Kubectl, namespace: str, pod: str) -> list[str]:
    """The rows of ours below `Events:` in kubectl describe pod."""
    text = kubectl("describe", "pod", pod, "-n", namespace)
    below = text.partition("\nEvents:")[2].splitlines()
    return [line.strip() for line in below if re.match(rf"\s+Warning\s+OOMKilled\s.*\s{COMPONENT}\s", line)]


def listed(kubectl: Kubectl, namespace: str, pod: str) -> list[str]:
    """The rows about that Pod in kubectl get events."""
    table = kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
    return [line for line in table.splitlines() if re.search(rf"\sOOMKilled\s+pod/{re.escape(pod)}\s", line)]


def scrape(eyes: Eyes, address: str, port: int = 9836) -> dict[str, float]:
    """The agent's metrics, by name; the sum over their labels, but le, which is reported with the name."""
    sums: dict[str, float] = {}
    for sample in _samples(eyes, address, port):
        name = sample.name + (f"<={sample.labels['le']}" if "le" in sample.labels else "")
        sums[name] = sums.get(name, 0.0) + sample.value
    return sums


def stage_seconds(eyes: Eyes, address: str, port: int = 9836) -> dict[str, float]:
    """What each stage of the agent took for a kill, on average, in the order of the path."""
    found = {(sample.name, sample.labels.get("stage", "")): sample.value for sample in _samples(eyes, address, port)}
    stages = [stage for name, stage in found if name == "oomeventer_stage_seconds_count"]
    name = "oomeventer_stage_seconds"
    return {stage: found[f"{name}_sum", stage] / found[f"{name}_count", stage] for stage in stages}


def _samples(eyes: Eyes, address: str, port: int) -> Iterator[Sample]:
    host = f"[{address}]" if ":" in address else address
    for family in text_string_to_metric_families(eyes.sh(f"wget -qO- http://{host}:{port}/metrics")):
        yield from family.samples


@dataclass(frozen=True)
class Logged:
    """A kill in the agent's log: the moments of both in seconds of UNIX time, by the node's clock."""

    killed_at: float
    logged_at: float


def kills_logged(log: str, pod: str) -> list[Logged]:
    """Those of one Pod, from lines of JSON."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    found = [(line["incident"]["time"], line["time"]) for line in lines if _of(line.get("incident")) == pod]
    return [Logged(*(datetime.fromisoformat(moment).timestamp() for moment in moments)) for moments in found]


def _of(incident: dict[str, Any] | None) -> str | None:
    pod = (incident or {}).get("pod")
    return str(pod["name"]) if pod else None


class LastWords:
    """What a Pod logs from now on until it ends."""

    def __init__(self, kubectl: Kubectl, namespace: str, pod: str) -> None:
        command = ["kubectl", "logs", "-f", "--tail=5", pod, "-n", namespace]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kubectl.environ
        )

    def close(self) -> str:
        """These, once it has ended; else what came so far."""
        try:
            return self._process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            self._process.terminate()
            return self._process.communicate()[0]


class Arrivals:
    """Watches a namespace's Events from here, and notes when each change came. seen: by (arrival in seconds of UNIX
    time, kind of change, Event)."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/events?watch=1"
        self.seen: list[tuple[float, str, Reported]] = []
        self._process = subprocess.Popen(
            ["kubectl", "get", "--raw", path], stdout=subprocess.PIPE, text=True, env=kubectl.environ
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            arrived = time.time()
            change = json.loads(line)
            if change["object"].get("source", {}).get("component") == COMPONENT:
                self.seen.append((arrived, change["type"], Reported(change["object"])))

    def of(self, pod: str) -> list[tuple[float, str, Reported]]:
        """Those about one Pod."""
        return [one for one in self.seen if one[2].body["involvedObject"]["name"] == pod]

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)
        assert self._process.stdout
        self._process.stdout.close()
