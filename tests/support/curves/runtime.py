"""`python -m curves.runtime SOCKET`: a runtime in a process of its own. In: a line of JSON, by container its Pod (name,
uid). Out: a line when it answers. It knows sandboxes of Pods, too."""

import asyncio
import json
import sys
from pathlib import Path

from grpclib import GRPCError
from grpclib.const import Status

from fakecri import grpc_server, version
from oomeventer.cri._cri.runtime import v1

NAMESPACE = "curves"
_UID = "io.kubernetes.pod.uid"


class Runtime:
    """containers: by ID, the Pod's name and uid."""

    def __init__(self, containers: dict[str, tuple[str, str]]) -> None:
        self._containers = containers
        self._pods = {uid: name for name, uid in containers.values()}

    def container(self, request: bytes) -> bytes | GRPCError:
        """ContainerStatus."""
        asked = v1.ContainerStatusRequest.parse(request).container_id
        if asked not in self._containers:
            return GRPCError(Status.NOT_FOUND, "no such container")
        name, uid = self._containers[asked]
        labels = {"io.kubernetes.pod.namespace": NAMESPACE, "io.kubernetes.pod.name": name, _UID: uid}
        metadata, image = v1.ContainerMetadata(name="app"), v1.ImageSpec(image="registry.example/app:1")
        status = v1.ContainerStatus(id=asked, metadata=metadata, image=image, labels=labels)
        return bytes(v1.ContainerStatusResponse(status=status))

    def sandbox(self, request: bytes) -> bytes | GRPCError:
        """PodSandboxStatus: a container's ID is no sandbox's."""
        return GRPCError(Status.NOT_FOUND, "no such sandbox")

    def sandboxes(self, request: bytes) -> bytes:
        """ListPodSandbox."""
        asked = v1.ListPodSandboxRequest.parse(request)
        uid = (asked.filter.label_selector if asked.filter else {}).get(_UID, "")
        items = []
        if name := self._pods.get(uid):
            metadata = v1.PodSandboxMetadata(name=name, uid=uid, namespace=NAMESPACE)
            items.append(v1.PodSandbox(id="5a" * 32, metadata=metadata, labels={_UID: uid}))
        return bytes(v1.ListPodSandboxResponse(items=items))


async def main() -> None:
    """Until it is killed."""
    runtime = Runtime({id_: tuple(pod) for id_, pod in json.loads(sys.stdin.readline()).items()})
    answers = {
        "Version": version(),
        "ContainerStatus": runtime.container,
        "PodSandboxStatus": runtime.sandbox,
        "ListPodSandbox": runtime.sandboxes,
    }
    async with grpc_server(Path(sys.argv[1]), answers):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
