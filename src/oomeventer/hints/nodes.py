"""The node ran out of memory. In: an Incident of that scope. Out: findings.

Rules: pure. Other Pods are counted, not named: the Event on a Pod is for that Pod's readers.
"""

from oomeventer.hints.rule import Finding, found
from oomeventer.incident import Incident
from oomeventer.text import size

#: Of the node's memory: what the system needs outside of Pods.
_OUTSIDE = 0.3


def no_limit(incident: Incident) -> Finding | None:
    """Nothing but the node itself was there to stop it."""
    container, pod = incident.container, incident.pod
    # A restart policy is there once the API has answered; before, a missing limit is not known to be one.
    if incident.scope != "node" or container is None or pod is None or pod.restart_policy is None:
        return None
    if container.limit_bytes is not None or pod.limit_bytes is not None:
        return None
    return found(
        "The container has no memory limit, so nothing but the end of the node's memory stops it",
        "set one, so that it meets its own limit before others suffer",
        "no limit in the spec",
        f"held {size(incident.chosen.rss_bytes)}",
    )


def request_below_use(incident: Incident) -> Finding | None:
    """The scheduler counted on less."""
    request = incident.container.request_bytes if incident.container else None
    held = incident.chosen.held_bytes
    if incident.scope != "node" or request is None or held <= request:
        return None
    return found(
        f"It held {size(held)} and requests {size(request)}",
        "the scheduler fills nodes by requests, and the kernel "
        "prefers those who hold more than theirs; request what it needs",
        f"request {size(request)}",
        f"held {size(held)}",
    )


def node_overcommitted(incident: Incident) -> Finding | None:
    """More was promised than is there."""
    node = incident.node_memory
    if node is None or not node.pods:
        return None
    # Of a Pod whose request is known the API has said all: there is no limit. Else it may only be unknown.
    unlimited = sum(pod.limit_bytes is None and pod.request_bytes is not None for pod in node.pods)
    limits = sum(pod.limit_bytes or 0 for pod in node.pods)
    if not unlimited and limits <= node.total_bytes:
        return None
    said = [f"limits of {size(limits)}"] if limits > node.total_bytes else []
    said += [f"{unlimited} without a limit"] if unlimited else []
    return found(
        f"The node has {size(node.total_bytes)}, and its {len(node.pods)} largest Pods have {' and '.join(said)}",
        "give each a limit, and requests near to it, so that the scheduler leaves room",
        f"total {size(node.total_bytes)}",
        *said,
    )


def outside_pods(incident: Incident) -> Finding | None:
    """Much of the node's memory is no Pod's."""
    node = incident.node_memory
    if incident.scope != "node" or node is None or node.pods_bytes is None or node.available_bytes is None:
        return None
    outside = node.total_bytes - node.available_bytes - node.pods_bytes
    if outside < _OUTSIDE * node.total_bytes:
        return None
    return found(
        f"{size(outside)} of the node's {size(node.total_bytes)} are outside of Pods",
        "look at the services and the kernel of the node, and reserve for them (kubelet: systemReserved, kubeReserved)",
        f"Pods {size(node.pods_bytes)}",
        f"available {size(node.available_bytes)}",
    )
