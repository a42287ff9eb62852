"""Where the container runtime's socket is looked for.

In: the configured endpoint, if any. Out: paths in the order in which to try them. No I/O but resolving
symbolic links; whether a CRI runtime answers there is for `Client.connect` to find out.
"""

import os

_USUAL = (
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/var/run/cri-dockerd.sock",
    "/run/k3s/containerd/containerd.sock",  # RKE2 too
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
)


def find(endpoint: str | None = None, root: str = "/") -> list[str]:
    """The sockets to try: `endpoint` alone where it is given, else the usual places below `root`.

    `endpoint` is written as for the kubelet, "unix:///path", or as a plain absolute path; anything else is a
    ValueError. `root` is where the node's file system is mounted; it does not apply to `endpoint`. A place
    that is another one's symbolic link (/var/run, mostly) is listed once.
    """
    if endpoint is not None:
        path = endpoint.removeprefix("unix://")
        if not path.startswith("/"):
            raise ValueError(f"{endpoint!r} is no runtime endpoint: write unix:///path or /path")
        return [path]
    places: dict[str, str] = {}
    for usual in _USUAL:
        path = os.path.join(root, usual[1:])
        places.setdefault(os.path.realpath(path), path)
    return list(places.values())
