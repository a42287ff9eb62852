"""Where the container runtimes' sockets are looked for.

In: the configured endpoint, if any; the runtime that a cgroup's path names, if any. Out: paths in the order in which to
try them. No I/O but resolving symbolic links and seeing what is there; whether a CRI runtime answers is for
`Client` to find out.
"""

import os

#: The runtime, as node/cgroup_path.py calls it, and its socket. Behind "docker" is cri-dockerd.
_USUAL = (
    ("containerd", "/run/containerd/containerd.sock"),
    ("cri-o", "/run/crio/crio.sock"),
    ("docker", "/run/cri-dockerd.sock"),
    ("docker", "/var/run/cri-dockerd.sock"),
    ("containerd", "/run/k3s/containerd/containerd.sock"),  # RKE2 too
    ("containerd", "/run/k0s/containerd.sock"),
    ("containerd", "/var/snap/microk8s/common/run/containerd.sock"),
)


def find(endpoint: str | None = None, root: str = "/", runtime: str | None = None) -> list[str]:
    """The sockets to try: `endpoint` alone where it is given, else the usual places below `root`, of `runtime` alone
    where one is named.

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
    for name, usual in _USUAL:
        if runtime in (None, name):
            path = os.path.join(root, usual[1:])
            places.setdefault(os.path.realpath(path), path)
    return list(places.values())


def there(endpoint: str | None = None, root: str = "/") -> list[str]:
    """Of what `find` gives, what exists; `endpoint` in any case."""
    return [path for path in find(endpoint, root) if endpoint is not None or os.path.exists(path)]
