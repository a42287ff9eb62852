"""The machines of a cluster. In: what the API says of them, and what a Pod sees that looks around there."""

from typing import Any, Self

from cluster.kubectl import Kubectl, Refused, wait

#: What a node's taints say to Pods that do not tolerate them.
_REPELS = {"NoSchedule", "NoExecute"}
#: The kernel's magic number of a BPF file system, and the inode number of the machine's own pid namespace
#: (include/uapi/linux/magic.h, include/linux/proc_ns.h).
_BPF_FS, _PID_INIT = "cafe4a11", 0xEFFFFFFC


def schedulable(kubectl: Kubectl, which: str) -> list[str]:
    """Names of the nodes that any Pod may run on, in order. which: how many at most, or their names with commas."""
    found = sorted(node["metadata"]["name"] for node in kubectl.json("get", "nodes")["items"] if _takes_pods(node))
    return found[: int(which)] if which.isdigit() else [name for name in found if name in which.split(",")]


def _takes_pods(node: dict[str, Any]) -> bool:
    spec, status = node["spec"], node["status"]
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status["conditions"])
    repels = spec.get("unschedulable") or any(taint["effect"] in _REPELS for taint in spec.get("taints", []))
    return ready and not repels and status["nodeInfo"]["operatingSystem"] == "linux"


def static_pod_path(kubectl: Kubectl, node: str) -> str | None:
    """Where that node's kubelet reads static Pods from, as it says itself; None: it does not."""
    config = kubectl.raw(f"/api/v1/nodes/{node}/proxy/configz")["kubeletconfig"]
    return config.get("staticPodPath") or None


class Eyes:
    """A Pod that sees its node: all processes, the network, and all files below /host. writable: a directory of the
    node that it may write to, at /writable. Where it cannot read them it raises AssertionError: what it does not see is
    not there."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str, node: str, image: str, writable: str = "") -> None:
        self.node = node
        self._kubectl, self._namespace, self.name = kubectl, namespace, name
        # Without mountPropagation, which asks that the node's / be shared: what is mounted there by now is seen.
        mounts: list[dict[str, Any]] = [{"name": "host", "mountPath": "/host", "readOnly": True}]
        volumes: list[dict[str, Any]] = [{"name": "host", "hostPath": {"path": "/"}}]
        if writable:
            mounts.append({"name": "writable", "mountPath": "/writable"})
            volumes.append({"name": "writable", "hostPath": {"path": writable}})
        container = {
            "name": "eyes",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", "trap exit TERM; while :; do sleep 1; done"],
            # SELinux would hide the node's files from a container; where there is none the type says nothing.
            "securityContext": {"runAsUser": 0, "seLinuxOptions": {"type": "spc_t"}},
            "volumeMounts": mounts,
        }
        spec = {
            "nodeName": node,
            "hostPID": True,
            "hostNetwork": True,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": volumes,
        }
        metadata = {"name": name, "namespace": namespace}
        kubectl.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        try:
            self._id = wait(f"Pod {name} runs on {node}", self._running)
        except AssertionError as e:
            reported = kubectl("get", "events", "-n", namespace, "--field-selector", f"involvedObject.name={name}")
            raise AssertionError(f"{e}\n{reported}") from None
        self._prove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._kubectl.delete("pod", self.name, self._namespace)

    def _prove(self) -> None:
        """That it sees what the node's own programs keep, which SELinux would not let a container read."""
        try:
            found = self.sh("ls -A /host/var/lib")
        except Refused as e:
            raise AssertionError(f"Pod {self.name} cannot read the files of {self.node}: {e}") from None
        assert found.strip(), (
            f"Pod {self.name} sees nothing in /var/lib of {self.node}, so nothing can be reported of it"
        )

    def _running(self) -> str | None:
        status = self._kubectl.json("get", "pod", self.name, "-n", self._namespace)["status"]
        if status["phase"] != "Running":
            return None
        return str(status["containerStatuses"][0]["containerID"]).rpartition("/")[2]

    def sh(self, script: str) -> str:
        """What a script prints there."""
        return self._kubectl("exec", self.name, "-n", self._namespace, "--", "sh", "-c", script)

    @property
    def kills_groups(self) -> bool:
        """Whether a container's processes are killed together on this node: cgroup v2, and the kubelet asks for it."""
        file = f"find /host/sys/fs/cgroup -path '*{self._id}*' -name memory.oom.group"
        return self.sh(f'for file in $({file}); do cat "$file"; done').split()[:1] == ["1"]

    @property
    def sees_all(self) -> bool:
        """Whether hostPID shows all processes of the kernel on this node. Not where the node is a container itself, as
        kind's are: there the pids that the kernel names are not those in /proc."""
        return self.sh("readlink /proc/self/ns/pid").strip() == f"pid:[{_PID_INIT}]"

    def is_bpf(self, directory: str) -> bool:
        """Whether a directory of the node is in a BPF file system."""
        return self.sh(f"stat -f -c %t /host{directory}").strip() == _BPF_FS

    def status(self, container_id: str) -> dict[str, str]:
        """The kernel's word about the process of a container that has one."""
        lines = self._proc(container_id, "status").splitlines()
        return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}

    def bpf_mounts(self, container_id: str) -> dict[str, str]:
        """What that container has of BPF file systems, by where it has it: a path in that, of which / is the whole."""
        lines = self._proc(container_id, "mountinfo").splitlines()
        return {fields[4]: fields[3] for fields in map(str.split, lines) if fields[fields.index("-") + 1] == "bpf"}

    def _proc(self, container_id: str, file: str) -> str:
        """A file in /proc of a container's process."""
        bare = container_id.rpartition("/")[2]
        return self.sh(f"cat $(grep -l {bare} /proc/[0-9]*/cgroup | sed s/cgroup$/{file}/ | head -n 1)")

    def page(self, address: str, port: int, path: str) -> str:
        """What a server of the node's says to a GET, whatever the status, which is in it; nothing where none listens.
        It takes 3 s, in which the server may."""
        return self.sh(f"{{ printf 'GET {path} HTTP/1.0\\r\\n\\r\\n'; sleep 3; }} | nc {address} {port} || :")

    def files(self, directory: str) -> list[str]:
        """All that lies in a directory of the node; nothing where there is no such directory."""
        return self.sh(f"[ ! -e /host{directory} ] || find /host{directory} -mindepth 1").split()
