"""The Kubernetes API; with _kubernetes.py the one place that knows kubernetes_asyncio.

In: method, path, JSON. Out: an Answer.

Rules: what the server answered, whatever its status, is an Answer; what never became an answer (refused, reset, timed
out, not HTTP) is Unreachable, with the library's exception as its cause. Nothing is asked unless somebody calls.
"""

import json
import os
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from oomeventer.cluster import _kubernetes
from oomeventer.errors import OomeventerError
from oomeventer.text import cut_bytes

#: No answer that this program reads is as large: an Event has a few KiB, a Pod seldom 100.
ANSWER_BYTES = 8 << 20
#: Of what it says in words, so much is shown.
WORDS_BYTES = 1024


class Unreachable(OomeventerError):
    """The API server gave no answer."""


class NoCluster(OomeventerError):
    """Nothing says where the API server is, or what says it cannot be used."""


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP. body: the JSON object, {} where the server sent something else, which `garbage` then says."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    retry_after_seconds: float | None = None
    garbage: bool = False

    @property
    def is_status(self) -> bool:
        """Whether it is a Status, the form of the API server's own refusals."""
        return self.body.get("kind") == "Status"

    @property
    def said(self) -> list[str]:
        """The causes and the reason that a Status names."""
        details = self.body.get("details")
        causes = details.get("causes") if isinstance(details, dict) else None
        reasons = [cause.get("reason") for cause in causes or () if isinstance(cause, dict)]
        return [reason for reason in (*reasons, self.body.get("reason")) if isinstance(reason, str)]

    @property
    def version(self) -> str | None:
        """The resourceVersion of the object that it holds."""
        metadata = self.body.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        return version if isinstance(version, str) and version else None

    @property
    def words(self) -> str:
        """What the server said, for a log: its Status message, or the bare status."""
        message = self.body.get("message") if self.is_status else None
        return f"{self.status} {cut_bytes(message, WORDS_BYTES)}" if isinstance(message, str) else str(self.status)


class Api:
    """A client of one API server; an async context manager, which closes its connections."""

    def __init__(self, configuration: Any, timeout_seconds: float = 10.0) -> None:
        self._client = _kubernetes.ApiClient(configuration)
        self._client.user_agent = "oomeventer"
        self._timeout_seconds = timeout_seconds
        self.server: str = configuration.host

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> Answer:
        """One request, without retry. Raises Unreachable."""
        headers = {"Accept": "application/json", "Content-Type": content_type or "application/json"}
        try:
            response = await self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=self._timeout_seconds,
            )
            async with response:
                raw = await _read(response)
        except Exception as e:  # aiohttp's, the loop's, the credentials': whatever it is, there is no answer
            what = str(e) or type(e).__name__
            raise Unreachable(f"{method} {self.server}{path}: {what}") from e
        if response.history:  # a POST that is sent elsewhere becomes a GET there
            raise Unreachable(f"{method} {self.server}{path}: redirected to {response.url}, which no API server does")
        return _answer(response.status, raw, response.headers.get("Retry-After"))

    async def may(self, verb: str, resource: str, **where: str) -> bool:
        """Whether this account may do that, in every namespace or there: group, namespace, name
        (SelfSubjectAccessReview, authorization.k8s.io/v1). Raises Unreachable."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "resource": resource, **where}},
        }
        answer = await self.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
        status = answer.body.get("status")
        return isinstance(status, dict) and status.get("allowed") is True


async def connect(kubeconfig: str | None = None, timeout_seconds: float = 10.0) -> Api:
    """A client for the cluster that `kubeconfig` names, else $KUBECONFIG, else the Pod's service account.

    Raises NoCluster, which says where it looked.
    """
    configuration = _kubernetes.Configuration()
    kubeconfig = kubeconfig or os.environ.get("KUBECONFIG")
    if not kubeconfig and "KUBERNETES_SERVICE_HOST" not in os.environ:
        raise NoCluster(
            "no Kubernetes API: name a kubeconfig (--kubeconfig or KUBECONFIG), run in a Pod with a service account, "
            "or use 'oomeventer trace', which needs no cluster"
        )
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
    return Api(configuration, timeout_seconds)


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, or None where it is larger than any that this program can want."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > ANSWER_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _answer(status: int, raw: bytes | None, retry_after: str | None) -> Answer:
    seconds = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    try:
        body = json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Answer(status, retry_after_seconds=seconds, garbage=True)
    return Answer(status, body, seconds)
