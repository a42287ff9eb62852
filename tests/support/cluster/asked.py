"""What the chart asks for with the values at hand. In: its manifest, as Helm renders it. Out: what an agent
is to be like, and what it is to have on a node."""

from pathlib import PurePosixPath
from typing import Any

import yaml

#: Bits of the kernel's capability sets, by the names that Kubernetes has for them (include/uapi/linux/capability.h).
_BITS = {"NET_ADMIN": 12, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39}
#: Of the units of Kubernetes' quantities those that memory is written in.
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class Asked:
    """Read from the DaemonSet. pins, journal: directories of the node that are the agent's alone; None: it has none."""

    def __init__(self, manifest: str) -> None:
        self._objects: list[dict[str, Any]] = [one for one in yaml.safe_load_all(manifest) if one]
        (daemonset,) = (one for one in self._objects if one["kind"] == "DaemonSet")
        self.name: str = daemonset["metadata"]["name"]
        self._pod = daemonset["spec"]["template"]["spec"]
        (self._container,) = self._pod["containers"]
        self.environ: dict[str, str] = {one["name"]: one.get("value", "") for one in self._container["env"]}
        self.port = int(self._container["ports"][0]["containerPort"])
        pins, journal = self.environ["OOMEVENTER_PINS"], self.environ["OOMEVENTER_JOURNAL"]
        self.pins = None if pins == "none" else self._on_node(PurePosixPath(pins.removeprefix("auto:")))
        self.journal = None if journal == "none" else self._on_node(PurePosixPath(journal).parent)

    def _on_node(self, path: PurePosixPath) -> str:
        """Where a directory of the container is on the node."""
        (where,) = (one for one in self._container["volumeMounts"] if path.is_relative_to(one["mountPath"]))
        (volume,) = (one for one in self._pod["volumes"] if one["name"] == where["name"])
        return str(PurePosixPath(volume["hostPath"]["path"]) / path.relative_to(where["mountPath"]))

    @property
    def capabilities(self) -> int:
        """As the kernel writes them: one bit each."""
        return sum(1 << _BITS[name] for name in self._container["securityContext"]["capabilities"]["add"])

    @property
    def memory_request(self) -> int | None:
        """In bytes; None: it requests none."""
        request = self._container["resources"].get("requests", {}).get("memory")
        return request and int(request[:-2]) * _UNITS[request[-2:]]

    @property
    def seccomp(self) -> bool:
        """Whether a profile filters the agent's calls."""
        return bool(self._pod["securityContext"]["seccompProfile"]["type"] != "Unconfined")

    @property
    def pod_verbs(self) -> frozenset[str]:
        """What may be done with Pods: rbac.listPods adds a verb, and without rbac.create the chart permits nothing."""
        roles = (one for one in self._objects if one["kind"] == "ClusterRole")
        rules = (rule for role in roles for rule in role["rules"])
        return frozenset(verb for rule in rules if "pods" in rule["resources"] for verb in rule["verbs"])
