"""Whose limit ran out, as a person would say it. In: an incident, the Pod's Spec. Out: the incident.

Rules: pure. The kernel names a cgroup; people set limits in a Pod's spec, and the kubelet writes them to other places
too. In a Pod of one container it gives the Pod's cgroup the container's limit, and the Pod's fills first, since the
sandbox counts in it: the person's word for that is the container's limit. A limit of the whole Pod it also writes to
each container without one: that is the Pod's. limit_cgroup keeps what the kernel says.
"""

import os
from dataclasses import replace

from oomeventer.cluster.pod_spec import ContainerSpec, Spec
from oomeventer.incident import Incident

_PAGE = os.sysconf("SC_PAGE_SIZE")


def as_set(incident: Incident, spec: Spec) -> Incident:
    """The incident with its Pod and container as the spec has them, and its scope as it was set there."""
    container = incident.container
    limit: ContainerSpec | None = None
    if container and container.name is None:
        container = replace(container, name=spec.names.get(container.id))
    if container and container.name and (limit := spec.containers.get(container.name)):
        container = replace(container, kind=limit.kind, limit_bytes=limit.limit_bytes)
    scope = incident.scope
    if scope == "pod" and spec.pod.limit_bytes is None and limit and _same(limit.limit_bytes, incident.limit_bytes):
        scope = "container"
    elif scope == "container" and limit and limit.limit_bytes is None and spec.pod.limit_bytes is not None:
        scope = "pod"
    return replace(incident, scope=scope, container=container, pod=spec.pod)


def _same(set_bytes: int | None, kernel_bytes: int | None) -> bool:
    """The kernel keeps limits in pages and rounds down."""
    return set_bytes is not None and kernel_bytes is not None and set_bytes // _PAGE == kernel_bytes // _PAGE
