"""Where the API server is, and who we are there. In: a kubeconfig, or the Pod's service account; proxies' variables.
Out: an Api.

Rules: the client library reads files and runs exec plugins; here is what it leaves out: credentials are read again when
they are refused (a token file that was replaced, an exec plugin's next token), and the environment's proxy, looked up
once. NO_PROXY may name networks (10.0.0.0/8), as Kubernetes' own clients allow.
"""

import ipaddress
import os
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from oomeventer.cluster import _kubernetes
from oomeventer.cluster.api import Api
from oomeventer.errors import OomeventerError


class NoCluster(OomeventerError):
    """Nothing says where the API server is, or what says it cannot be used."""


async def connect(kubeconfig: str | None = None, timeout_seconds: float = 10.0) -> Api:
    """A client for the cluster that `kubeconfig` names, else $KUBECONFIG, else the Pod's service account.

    Raises NoCluster, which says where it looked.
    """
    kubeconfig = kubeconfig or os.environ.get("KUBECONFIG")
    if not kubeconfig and "KUBERNETES_SERVICE_HOST" not in os.environ:
        raise NoCluster(
            "no Kubernetes API: name a kubeconfig (--kubeconfig or KUBECONFIG), run in a Pod with a service account, "
            "or use 'oomeventer trace', which needs no cluster"
        )

    async def configure() -> Any:
        return await _configuration(kubeconfig)

    return Api(await configure(), timeout_seconds, configure)


async def _configuration(kubeconfig: str | None) -> Any:
    configuration = _kubernetes.Configuration()
    try:
        if kubeconfig:
            await _kubernetes.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        else:
            _kubernetes.load_incluster_config(client_configuration=configuration)
    except Exception as e:  # the library's own, OSError, YAML's: whatever is wrong, it is that file
        where = f"kubeconfig {kubeconfig}" if kubeconfig else "the Pod's service account"
        raise NoCluster(f"{where} cannot be used: {e}") from e
    # From 3.13 on Python refuses CAs without the keyUsage extension (VERIFY_X509_STRICT), which many clusters' have.
    configuration.disable_strict_ssl_verification = True
    configuration.proxy = configuration.proxy or _proxy(configuration.host or "")
    return configuration


def _proxy(url: str) -> str | None:
    """The environment's proxy for that URL, as urllib finds it, unless NO_PROXY names a network that the server's
    address is in."""
    found = urlsplit(url)
    host = found.hostname or ""
    excepted = (os.environ.get(variable) for variable in ("no_proxy", "NO_PROXY"))
    if proxy_bypass(host) or any(_is_within(host, networks) for networks in excepted if networks):
        return None
    return getproxies().get(found.scheme)


def _is_within(host: str, excepted: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in excepted.split(","):
        try:
            if "/" in entry and address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:  # a name, or nothing that is a network
            continue
    return False
