"""What the chart asks for on a node and in the cluster. In: objects. Out: sets, for comparison."""

from typing import Any

from chart import render


def pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The agent's."""
    spec: dict[str, Any] = render.one(objects, "DaemonSet")["spec"]["template"]["spec"]
    return spec


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Its only container."""
    spec = pod(objects)
    assert "initContainers" not in spec
    (only,) = spec["containers"]
    found: dict[str, Any] = only
    return found


def environ(objects: list[dict[str, Any]]) -> dict[str, str]:
    """What the agent is given; of what is taken from elsewhere, that it is."""
    return {
        variable["name"]: variable["value"] if "value" in variable else ", ".join(variable["valueFrom"])
        for variable in container(objects)["env"]
    }


def mounts(objects: list[dict[str, Any]]) -> dict[str, tuple[str, str, bool]]:
    """Where of what of the node's, of which type, and whether it may be written."""
    paths = {volume["name"]: volume["hostPath"] for volume in pod(objects)["volumes"] or [] if "hostPath" in volume}
    return {
        mount["mountPath"]: (paths[mount["name"]]["path"], paths[mount["name"]]["type"], not mount.get("readOnly"))
        for mount in container(objects)["volumeMounts"] or []
        if mount["name"] in paths
    }


def rules(objects: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    """(kind, group, resource, name, verb) for all that the account may do."""
    return {
        (role["kind"], group, resource, name, verb)
        for role in objects
        if role["kind"] in ("ClusterRole", "Role")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
        for verb in rule["verbs"]
    }
