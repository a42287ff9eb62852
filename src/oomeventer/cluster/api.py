"""The Kubernetes API; with _kubernetes.py the one place that knows kubernetes_asyncio.

In: method, path, JSON. Out: an Answer.

Rules: what the server answered, whatever its status, is an Answer; what never became an answer (refused, reset, timed
out, not HTTP) is Unreachable, with the library's exception as its cause. Nothing is asked unless somebody calls.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from msgspec import Struct, field

from oomeventer.cluster import _kubernetes
from oomeventer.errors import OomeventerError
from oomeventer.text import cut_bytes, printable

log = logging.getLogger(__name__)

#: No answer that this program reads is as large: an Event has a few KiB, a Pod seldom 100.
ANSWER_BYTES = 8 << 20
#: Of what it says in words, so much is shown.
WORDS_BYTES = 1024
#: How often the credentials are read again at most, while the server does not know us.
RENEW_SECONDS = 60.0


class Unreachable(OomeventerError):
    """The API server gave no answer."""


class Answer(Struct, frozen=True):
    """status: of HTTP. body: the JSON object, {} where the server sent something else, which `garbage` then says."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    retry_after_seconds: float | None = None
    garbage: bool = False

    @property
    def is_status(self) -> bool:
        """Whether it is a Status, the form of the API server's own refusals."""
        return self.body.get("kind") == "Status"

    def is_object(self, kind: str, namespace: str, name: str) -> bool:
        """Whether it is that object."""
        metadata = self.body.get("metadata")
        named = isinstance(metadata, dict) and (metadata.get("namespace"), metadata.get("name")) == (namespace, name)
        return named and self.body.get("kind") == kind

    @property
    def reasons(self) -> list[str]:
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
        """What the server answered, for a log: its Status message, or the bare status."""
        message = self.body.get("message") if self.is_status else None
        return f"{self.status} {cut_bytes(message, WORDS_BYTES)}" if isinstance(message, str) else str(self.status)


class Api:
    """A client of one API server; an async context manager, which closes its connections.

    configure: returns a Configuration of the client library, with the credentials as they are now. It is called again
    when the server does not know us (401), but not more often than RENEW_SECONDS: a token can have been replaced."""

    def __init__(
        self,
        configuration: Any,
        timeout_seconds: float = 10.0,
        configure: Callable[[], Awaitable[Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._configure = configure
        self._clock = clock
        self._renewed_at = -RENEW_SECONDS
        self._renewing = asyncio.Lock()
        self._client = _Client(configuration)
        self._retired: list[_Client] = []
        self.server: str = configuration.host

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in (self._client, *self._retired):
            await client.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> Answer:
        """One request, without retry, but for one with new credentials. Raises Unreachable."""
        used = self._client
        answer = await self._request(method, path, body, query, content_type)
        if answer.status == 401 and await self._renew(used):
            answer = await self._request(method, path, body, query, content_type)
        return answer

    async def _request(
        self, method: str, path: str, body: Any, query: dict[str, str] | None, content_type: str | None
    ) -> Answer:
        headers = {"Accept": "application/json", "Content-Type": content_type or "application/json"}
        target = f"{path}?{urlencode(query)}" if query else path
        data = None if body is None else msgspec.json.encode(body)
        try:
            response = await self._client.request(method, target, headers, data, self._timeout)
            async with response:
                raw = await _read(response)
        except Exception as e:  # aiohttp's, the loop's, the credentials': whatever it is, there is no answer
            what = str(e) or type(e).__name__
            raise Unreachable(f"the API server is unreachable: {method} {self.server}{path}: {what}") from e
        if 300 <= response.status < 400:
            elsewhere = printable(response.headers.get("Location", "nowhere"), WORDS_BYTES)
            request = f"{method} {self.server}{path}"
            raise Unreachable(
                f"the API server is unreachable: {request}: redirected to {elsewhere}, which no API server does"
            )
        return _answer(response.status, raw, response.headers.get("Retry-After"))

    async def _renew(self, used: "_Client") -> bool:
        """Read the credentials again. Whether there are others now than those that were used."""
        if self._configure is None:
            return False
        async with self._renewing:
            if self._client is not used:  # somebody else did
                return True
            if self._clock() - self._renewed_at < RENEW_SECONDS:
                return False
            self._renewed_at = self._clock()
            try:
                configuration = await self._configure()
            except OomeventerError as e:
                log.warning("the API server does not know us, and the credentials cannot be read again: %s", e)
                return False
            for client in self._retired:  # its last request has long had its timeout
                await client.close()
            self._client, self._retired = _Client(configuration), [used]
            log.info("the API server did not know us (401): the credentials were read again")
            return True

    async def may(self, verb: str, resource: str, **where: str) -> bool:
        """Whether this account may do that, in every namespace or there: group, namespace, name
        (SelfSubjectAccessReview, authorization.k8s.io/v1). Who is not known, or may not ask, may not. Raises
        Unreachable, also where the answer says neither: an overloaded server's, say."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "resource": resource, **where}},
        }
        answer = await self.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
        status = answer.body.get("status")
        if answer.status < 300 and isinstance(status, dict) and isinstance(status.get("allowed"), bool):
            return bool(status["allowed"])
        if answer.status in (401, 403) and answer.is_status:
            return False
        raise Unreachable(f"whether this account may {verb} {resource} is not known: {answer.words}")


class _Client:
    """Requests with the library's credentials and TLS, in a session of our own: it follows no redirect, since what we
    send goes to no other host; and it looks nothing up for a request. The library's would ask the environment for
    proxies, and a file for passwords (netrc), each time, in a thread."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration
        library = _kubernetes.RESTClientObject(configuration)
        connector = library.pool_manager.connector
        library.pool_manager.detach()
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": "oomeventer"})
        options = {"proxy": configuration.proxy, "proxy_headers": configuration.proxy_headers}
        options |= {"server_hostname": configuration.tls_server_name}
        self._options = {name: value for name, value in options.items() if value}

    async def request(
        self, method: str, target: str, headers: dict[str, str], data: bytes | None, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """The response's head has come. The library reads a token again when its time is up."""
        if auth := (await self._configuration.auth_settings()).get("BearerToken"):
            headers[auth["key"]] = auth["value"]
        return await self._session.request(
            method,
            f"{self._configuration.host}{target}",
            headers=headers,
            data=data,
            timeout=timeout,
            allow_redirects=False,
            **self._options,
        )

    async def close(self) -> None:
        await self._session.close()


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
        body = msgspec.json.decode(raw) if raw is not None else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Answer(status, retry_after_seconds=seconds, garbage=True)
    return Answer(status, body, seconds)
