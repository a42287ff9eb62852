"""Whose limit ran out, as a person would say it, and whose the processes are. In: an incident, the Pod's Spec. Out: the
incident.

Rules: pure. The kernel names a cgroup; people set limits in a Pod's spec, and the kubelet writes them to other places
too. In a Pod of one container it gives the Pod's cgroup the container's limit, and the Pod's fills first, since the
sandbox counts in it: the person's word for that is the container's limit. While a resize is on its way that limit is
the one in force, which the runtime knows, and not the spec's. A limit of the whole Pod it also writes to each container
without one: that is the Pod's. limit_cgroup and limit_bytes keep what the kernel says.
"""

import os

from msgspec.structs import replace

from oomeventer.cluster.pod_spec import ContainerSpec, Spec
from oomeventer.incident import Incident, Neighbour

_PAGE = os.sysconf("SC_PAGE_SIZE")


def as_set(incident: Incident, spec: Spec) -> Incident:
    """The incident with its Pod, container and neighbours as the spec has them, and its scope as it was set there."""
    container = incident.container
    in_force = container.limit_bytes if container else None
    limit: ContainerSpec | None = None
    if container and container.name is None:
        container = replace(container, name=spec.names.get(container.id))
    if container and container.name and (limit := spec.containers.get(container.name)):
        container = replace(
            container, kind=limit.kind, limit_bytes=limit.limit_bytes, request_bytes=limit.request_bytes
        )
    scope = incident.scope
    if scope == "pod" and spec.pod.limit_bytes is None and limit and limit.limit_bytes is not None:
        if _same(limit.limit_bytes, incident.limit_bytes) or _same(in_force, incident.limit_bytes):
            scope = "container"
    elif scope == "container" and limit and limit.limit_bytes is None and spec.pod.limit_bytes is not None:
        scope = "pod"
    neighbours = tuple(_named(neighbour, spec) for neighbour in incident.neighbours)
    return replace(incident, scope=scope, container=container, pod=spec.pod, neighbours=neighbours)


def _named(neighbour: Neighbour, spec: Spec) -> Neighbour:
    """What the runtime has not named, by the Pod's status."""
    name = spec.names.get(neighbour.container_id or "")
    if name is None or neighbour.container is not None:
        return neighbour
    return replace(neighbour, container=name, pod_uid=spec.pod.uid)


def _same(set_bytes: int | None, kernel_bytes: int | None) -> bool:
    """The kernel keeps limits in pages and rounds down."""
    return set_bytes is not None and kernel_bytes is not None and set_bytes // _PAGE == kernel_bytes // _PAGE
