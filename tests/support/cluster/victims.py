"""Pods that are killed. In: a node, an image with a shell, a command that takes more memory than it may. Flows
out: manifests."""

from typing import Any

LIMIT = "64Mi"
#: A shell and what it starts and is not to be killed alone.
SMALL = "16Mi"


class Victims:
    """Makes manifests. eater: a shell command that takes 100 MiB, killed with a limit of 64; its first word is a path,
    so that a shell that has the program built in executes it all the same."""

    def __init__(self, namespace: str, image: str, eater: str) -> None:
        self.namespace, self.eater = namespace, eater
        self._image = image

    @property
    def program(self) -> str:
        """As the kernel calls it."""
        return self.eater.split()[0].rpartition("/")[2][:15]

    def container(self, name: str, script: str, limit: str | None = LIMIT, **more: Any) -> dict[str, Any]:
        """A container that runs a script."""
        limited = {"limits": {"memory": limit}, "requests": {"memory": SMALL, "cpu": "10m"}} if limit else {}
        return {
            "name": name,
            "image": self._image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script],
            "resources": limited,
            **more,
        }

    def pod(self, name: str, node: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
        """A Pod of these containers, which have a directory /shared in common. Its name has the node's, too."""
        shared = {"name": "shared", "mountPath": "/shared"}
        for container in (*containers, *spec.get("initContainers", ())):
            container["volumeMounts"] = [shared]
        base = {
            "nodeName": node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": list(containers),
            "volumes": [{"name": "shared", "emptyDir": {}}],
        }
        metadata = {"name": f"{name}-{node}", "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": base | spec}

    @property
    def once(self) -> str:
        """PID 1 is the one that takes the memory. Of a container that dies as soon as it runs, containerd may not say
        OOMKilled (containerd#8180)."""
        return f"sleep 1; exec {self.eater}"

    @property
    def child(self) -> str:
        """A child takes it, and PID 1 goes on."""
        return f"{self.eater}; echo PID 1 goes on; {idle()}"

    @property
    def family(self) -> str:
        """A child takes it, and two more are there that do nothing."""
        return f"sleep 3600 & sleep 3600 & sleep 1; {self.eater}; echo PID 1 goes on; {idle()}"

    @property
    def first_time(self) -> str:
        """Only the first container of this Pod takes it; the one that is started after it does not."""
        return f"[ -e /shared/before ] || {{ : >/shared/before; {self.once}; }}; {idle()}"

    @property
    def storm(self) -> str:
        """Child after child until /shared/stop is there; PID 1 counts those that were killed."""
        return (
            f"killed=0; until [ -e /shared/stop ]; do {self.eater} 2>/dev/null; "
            '[ $? = 137 ] && killed=$((killed + 1)); sleep 0.3; done; echo "killed $killed"; '
            f"{idle()}"
        )

    def in_a_row(self, kills: int) -> str:
        """So many children are killed one after the other, from the moment that /shared/go is there."""
        return (
            f"until [ -e /shared/go ]; do sleep 1; done; killed=0; until [ $killed = {kills} ]; do "
            f'{self.eater} 2>/dev/null; [ $? = 137 ] && killed=$((killed + 1)); done; echo "killed $killed"; {idle()}'
        )

    def in_turn(self, number: int, seconds: float) -> str:
        """From the moment that /shared/go is there, at its turn."""
        return f"until [ -e /shared/go ]; do sleep 1; done; sleep {number * seconds:.1f}; {self.once}"


def idle() -> str:
    """Do nothing, and end when asked to."""
    return "trap exit TERM; while :; do sleep 1; done"
