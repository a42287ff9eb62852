"""kubernetes_asyncio without its models. In: nothing. Out: the few names of it that api.py uses.

Importing the package imports all 768 models, which takes 37 MB and a quarter of a second; this program reads and
writes JSON and uses none. Its modules name each other by full path, so they are imported beneath package objects that
have the packages' paths and have not run their __init__. Whoever imported the whole package before keeps it.
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
    # What kubernetes_asyncio.config takes from the package itself.
    client.Configuration = importlib.import_module(".configuration", client.__name__).Configuration  # type: ignore[attr-defined]
    client.ApiClient = importlib.import_module(".api_client", client.__name__).ApiClient  # type: ignore[attr-defined]


_prepare()

from kubernetes_asyncio.client.api_client import ApiClient  # noqa: E402
from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402
from kubernetes_asyncio.config.incluster_config import load_incluster_config  # noqa: E402

__all__ = [
    "ApiClient",
    "Configuration",
    "load_incluster_config",
    "load_kube_config",
]


async def load_kube_config(**arguments: Any) -> None:
    """kubernetes_asyncio.config.load_kube_config; imported when used, since a Pod has a service account instead."""
    from kubernetes_asyncio.config import kube_config

    await kube_config.load_kube_config(**arguments)
