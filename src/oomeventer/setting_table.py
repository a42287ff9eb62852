"""The table of settings. In: nothing. Out: SETTINGS, a row for each.

Rules: flags, variables, their documentation and the chart's schema are made from it.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oomeventer import setting_values as to

PREFIX = "OOMEVENTER_"


class Setting(Struct, frozen=True):
    """commands: those that read it. default: text as a user would write it, or None for none."""

    name: str
    commands: tuple[str, ...]
    parse: Callable[[str], Any]
    default: str | None
    help: str

    @property
    def flag(self) -> str:
        """As in --node-name."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """As in OOMEVENTER_NODE_NAME."""
        return PREFIX + self.name.upper()


_EACH = ("run", "trace", "demo", "doctor", "history", "detach")
#: Those that make incidents, that load the BPF object, that ask the runtime, that ask the API server.
_INCIDENTS = ("run", "trace", "demo")
_KERNEL = ("run", "trace", "demo", "doctor")
_RUNTIME = ("run", "trace", "doctor")
_CLUSTER = ("run", "doctor")
_RUN = ("run",)

SETTINGS = (
    Setting("node_name", _INCIDENTS, to.node, None, "this machine's name in Kubernetes (default: the host name)"),
    Setting(
        "kubeconfig",
        _CLUSTER,
        to.file,
        None,
        "the cluster to use (default: KUBECONFIG, else the Pod's service account)",
    ),
    Setting(
        "cri_endpoint",
        _RUNTIME,
        to.endpoint,
        None,
        "the runtime's socket, unix:///path, or none to ask nobody (default: usual places)",
    ),
    Setting(
        "host_root",
        _RUNTIME,
        to.directory,
        "/",
        "where the node's file system is: the usual places of sockets are below it",
    ),
    Setting(
        "engine_endpoint",
        ("trace", "doctor"),
        to.endpoint,
        None,
        "Docker's or Podman's socket, for containers outside Kubernetes: unix:///path, or none (default: usual places)",
    ),
    Setting(
        "arguments",
        _INCIDENTS,
        to.one_of("safe", "none", "all"),
        "safe",
        "which of the victim's arguments are shown: safe, none or all",
    ),
    Setting(
        "environment",
        _INCIDENTS,
        to.one_of("listed", "none", "all"),
        "listed",
        "which variables of the victim's environment are shown: listed, none or all",
    ),
    Setting(
        "environment_names",
        _INCIDENTS,
        to.names,
        "",
        "variables that are listed besides those about memory: names, or NAME*, with commas between",
    ),
    Setting("ring_bytes", _KERNEL, to.ring, "4Mi", "the kernel's ring, 1.5 to 3 KiB a kill; Ki and Mi may be used"),
    Setting(
        "pins",
        ("run", "doctor", "detach"),
        to.pins,
        "auto",
        "where the kernel's side stays while no agent runs: a directory in a BPF file system; auto:PATH: there if that "
        "can be; auto: /sys/fs/bpf/oomeventer if that can be; or none",
    ),
    Setting(
        "journal",
        ("run", "doctor", "history", "trace"),
        to.journal,
        "/var/lib/oomeventer/journal.db",
        "the file of outbox and history; none: memory only",
    ),
    Setting(
        "journal_bytes",
        _RUN,
        to.journal_bytes,
        "64Mi",
        "how large the journal may grow before its oldest entries are dropped",
    ),
    Setting(
        "journal_days", _RUN, to.number(" of days", 0.01, 3650), "7", "how long the journal keeps what was delivered"
    ),
    Setting("cgroup_root", _KERNEL, to.directory, None, "where the memory cgroups are mounted (default: mountinfo)"),
    Setting("node_cgroup", _RUN, to.cgroup, "auto", "the cgroup that holds this node; auto: the root that it mounts"),
    Setting(
        "taskstats",
        ("run", "trace"),
        to.one_of("auto", "off"),
        "auto",
        "the victim's statistics: auto, which needs CAP_NET_ADMIN, or off",
    ),
    Setting(
        "sample_seconds",
        ("run", "trace"),
        to.sample_seconds,
        "30",
        "how often the memory of each container and Pod is sampled, to tell a leak from a spike; 0: never",
    ),
    Setting(
        "cri_timeout_seconds",
        _RUNTIME,
        to.seconds,
        "2",
        "how long one answer of the runtime may take; the incident goes on without",
    ),
    Setting(
        "cri_patience_seconds",
        _RUN,
        to.number(" of seconds", 0, 600),
        "10",
        "how long a kill waits for a runtime to start",
    ),
    Setting("api_timeout_seconds", _CLUSTER, to.seconds, "10", "how long one answer of the API server may take"),
    Setting(
        "object_burst",
        _RUN,
        to.count,
        "25",
        "how many requests about one Pod, or the Node, may be sent at once; further kills are merged",
    ),
    Setting(
        "object_seconds", _RUN, to.seconds, "300", "how long it takes until one more request about the same may be sent"
    ),
    Setting("burst", _RUN, to.count, "50", "how many requests may be sent at once in all"),
    Setting(
        "events_per_second",
        _RUN,
        to.number("", 0.01, 1000),
        "5",
        "how many requests may be sent in each second after a burst",
    ),
    Setting("give_up_seconds", _RUN, to.seconds, "86400", "how long one process tries to send one Event"),
    Setting(
        "daemonset",
        _CLUSTER,
        to.daemonset,
        None,
        "NAMESPACE/NAME of the agent's DaemonSet; once that is gone, an agent that ends removes pins and journal",
    ),
    Setting("listen", _RUN, to.address, "none", "ADDRESS:PORT for /metrics, /livez and /readyz"),
    Setting(
        "since",
        ("history", "trace"),
        to.duration,
        None,
        "only kills of so long ago at most, such as 90s, 30m, 2h, 7d; trace begins with those that the journal has",
    ),
    Setting("namespace", ("history",), str, None, "only kills in Pods of this namespace (also -n)"),
    Setting("pod", ("history",), str, None, "only kills in this Pod"),
    Setting(
        "log_level", _EACH, to.one_of("debug", "info", "warning", "error"), "info", "debug, info, warning or error"
    ),
    Setting("log_format", _EACH, to.one_of("text", "json"), "text", "text or json, one line each"),
)
