"""Whose container it was: container, Pod, workload. Data, without I/O: see incident.py for its rules."""

from typing import Annotated, Literal

from msgspec import Struct

from oomeventer.incident.fields import NATURAL, NOT_EMPTY, meaning


class Container(Struct, frozen=True):
    """name, image: null outside Kubernetes, or where the runtime no longer knows."""

    id: Annotated[str, meaning("As the runtime has it", NOT_EMPTY)]
    name: Annotated[str | None, meaning("As the Pod's spec has it")] = None
    image: Annotated[str | None, meaning("As the runtime has it")] = None
    runtime: Annotated[str | None, meaning("containerd, cri-o, docker or podman")] = None
    kind: Annotated[
        Literal["containers", "initContainers", "ephemeralContainers"] | None,
        meaning("The list in the Pod's spec that has it."),
    ] = None
    limit_bytes: Annotated[
        int | None,
        meaning(
            "Its memory limit as set in the Pod's spec, else as the runtime has it, in bytes; null for none", NATURAL
        ),
    ] = None
    project: Annotated[str | None, meaning("Of Docker Compose: its project")] = None
    service: Annotated[str | None, meaning("Of Docker Compose: its service")] = None
    request_bytes: Annotated[
        int | None, meaning("Its memory request as set in the Pod's spec, in bytes; null for none", NATURAL)
    ] = None


class Owner(Struct, frozen=True):
    """The workload that a person would name."""

    kind: Annotated[str, meaning("Deployment, StatefulSet, DaemonSet, Job, ...")]
    name: Annotated[str, meaning("Its name")]


class MemoryVolume(Struct, frozen=True):
    """A volume whose files are memory (emptyDir, medium Memory)."""

    name: Annotated[str, meaning("As the Pod's spec has it", NOT_EMPTY)]
    size_limit_bytes: Annotated[int | None, meaning("Its sizeLimit, in bytes; null for none", NATURAL)] = None
    containers: Annotated[tuple[str, ...], meaning("The containers that mount it, by name.")] = ()


class Pod(Struct, frozen=True):
    """As the runtime knows it, and then the API."""

    namespace: Annotated[str, meaning("Its namespace", NOT_EMPTY)]
    name: Annotated[str, meaning("Its name", NOT_EMPTY)]
    uid: Annotated[str, meaning("As the kubelet has it; a static Pod's mirror in the API has another", NOT_EMPTY)]
    owner: Annotated[Owner | None, meaning("The workload that a person would name; null where there is none.")] = None
    limit_bytes: Annotated[
        int | None,
        meaning("The memory limit of the Pod as a whole, in bytes; null where its spec has none", NATURAL),
    ] = None
    restart_policy: Annotated[str | None, meaning("Always, OnFailure or Never")] = None
    containers_limit_bytes: Annotated[
        int | None,
        meaning(
            "Its containers' memory limits together, as the kubelet adds them up for the Pod's cgroup, in bytes; null "
            "where one of them has none",
            NATURAL,
        ),
    ] = None
    memory_volumes: Annotated[tuple[MemoryVolume, ...], meaning("Its volumes whose files are memory.")] = ()
