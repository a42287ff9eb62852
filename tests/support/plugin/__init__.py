"""The kubectl plugin, run by a real kubectl. In: words, a kubeconfig. Out: what it prints."""

from .putting import put, rows
from .running import KUBECTL, PACKAGE, SOURCES, Done, Plugin, environment, kubeconfig, shim, tls
from .stories import STORIES, at_present, pod_of

__all__ = [
    "KUBECTL",
    "PACKAGE",
    "SOURCES",
    "STORIES",
    "Done",
    "Plugin",
    "at_present",
    "environment",
    "kubeconfig",
    "pod_of",
    "put",
    "rows",
    "shim",
    "tls",
]
