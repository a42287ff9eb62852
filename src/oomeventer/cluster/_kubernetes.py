"""kubernetes_asyncio without its models. In: nothing. Out: the few names of it that others use: credentials, and a
session with the TLS that they ask for.

Importing the package imports all 768 models, which takes 37 MB and a quarter of a second; this program reads and
writes JSON and uses none, nor the client that is made for them (ApiClient: multiprocessing, dateutil). The library's
modules name each other by full path, so they are imported beneath package objects that have the packages' paths and
have not run their __init__. Whoever imported the whole package before keeps it.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any

_PACKAGES = ("", ".client", ".config")


def _prepare() -> None:
    if "kubernetes_asyncio" in sys.modules:
        return
    root = importlib.util.find_spec("kubernetes_asyncio")
    if root is None or not root.submodule_search_locations:
        raise ImportError("kubernetes_asyncio is not installed")
    base = root.submodule_search_locations[0]
    for suffix in _PACKAGES:
        name = f"kubernetes_asyncio{suffix}"
        package = ModuleType(name)
        package.__path__ = [base + suffix.replace(".", "/")]
        sys.modules[name] = package
        if suffix:
            setattr(sys.modules["kubernetes_asyncio"], suffix[1:], package)
    client = sys.modules["kubernetes_asyncio.client"]
    models = ModuleType("kubernetes_asyncio.client.models")
    sys.modules[models.__name__] = models
    client.models = models  # type: ignore[attr-defined]
    # What kubernetes_asyncio.config takes from the package itself; of ApiClient only the name.
    client.Configuration = _configuration().Configuration  # type: ignore[attr-defined]
    client.ApiClient = None  # type: ignore[attr-defined]


def _configuration() -> ModuleType:
    """Its module, which takes urllib3 (4 MB) for one function: basic authentication. It is imported when that is."""
    if "urllib3" in sys.modules:
        return importlib.import_module("kubernetes_asyncio.client.configuration")
    later = ModuleType("urllib3")
    later.__getattr__ = lambda name: getattr(importlib.import_module("urllib3"), name)  # type: ignore[method-assign]
    sys.modules[later.__name__] = later
    try:
        return importlib.import_module("kubernetes_asyncio.client.configuration")
    finally:
        del sys.modules[later.__name__]


_prepare()

from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402
from kubernetes_asyncio.client.rest import RESTClientObject  # noqa: E402
from kubernetes_asyncio.config.incluster_config import load_incluster_config  # noqa: E402

__all__ = [
    "Configuration",
    "RESTClientObject",
    "load_incluster_config",
    "load_kube_config",
]


async def load_kube_config(**arguments: Any) -> None:
    """kubernetes_asyncio.config.load_kube_config; imported when used, since a Pod has a service account instead."""
    from kubernetes_asyncio.config import kube_config

    await kube_config.load_kube_config(**arguments)
