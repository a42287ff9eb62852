"""The refusals of the API server, as `Status` objects.

In: what was asked for and why it is refused. Out: an `ApiError` that carries the HTTP status and the body.
Rules: one function for each kind of refusal; `details` holds only the keys that the real answer holds.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

Json = dict[str, Any]

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Resource(NamedTuple):
    """A resource of one API version, as `Resource("events.k8s.io", "v1", "events")`; "" is the core group."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The resource as messages name it: "events", or "events.events.k8s.io"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def details(self, name: str) -> Json:
        found = {"name": name, "group": self.group, "kind": self.plural}
        return {key: value for key, value in found.items() if value}


@dataclass(frozen=True)
class Cause:
    """One fault that validation found in one field."""

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """A request is refused: `code` is the HTTP status, `body` the Status object."""

    def __init__(self, code: int, message: str, details: Json | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body = status(code, message, details, reason)


def status(code: int, message: str, details: Json | None = None, reason: str | None = None) -> Json:
    """Return the Status object of a failure; a code without a reason of its own has none."""
    body: Json = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason or code in REASONS:
        body["reason"] = reason or REASONS[code]
    if details is not None:
        body["details"] = details
    return body | {"code": code}


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, f'{resource.qualified} "{name}" not found', resource.details(name))


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, message, resource.details(name), "AlreadyExists")


def conflict(resource: Resource, name: str) -> ApiError:
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, message, resource.details(name))


def invalid(kind: str, name: str, causes: list[Cause]) -> ApiError:
    """Refuse an object that breaks rules; the message tells equal causes once, the details tell each."""
    reported = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    listed = reported[0] if len(reported) == 1 else f"[{', '.join(reported)}]"
    found = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    return ApiError(422, f'{kind} "{name}" is invalid: {listed}', {"name": name, "kind": kind, "causes": found})


def forbidden(user: str, verb: str, resource: Resource, namespace: str, name: str) -> ApiError:
    """Refuse a user who has no role for this."""
    named = f'{resource.qualified} "{name}"' if name else resource.qualified
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    what = f'cannot {verb} resource "{resource.plural}" in API group "{resource.group}" {where}'
    return ApiError(403, f'{named} is forbidden: User "{user}" {what}', resource.details(name))


def terminating(resource: Resource, name: str, namespace: str) -> ApiError:
    """Refuse a new object in a namespace that is being deleted."""
    message = (
        f'{resource.qualified} "{name}" is forbidden: unable to create new content in namespace {namespace} '
        "because it is being terminated"
    )
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    return ApiError(403, message, resource.details(name) | {"causes": [cause]})


def not_served(what: str) -> ApiError:
    """Say that a real API server serves this and the stand-in does not."""
    return ApiError(501, f"the stand-in does not serve {what}")
