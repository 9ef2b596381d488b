"""The one table from error classes to what each protocol says, and the handlers that answer problems (RFC 9457).

`type` is stable: `urn:lineal:problem:<kebab-case class name>`. `instance` is the request's id. A fault of ours is 500 without
details: they are in the log under that id.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from registry import errors
from storage import errors as storage

log = logging.getLogger("lineal.api")
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Mapped:
    """HTTP status, GraphQL `extensions.code`, gRPC status name, MLflow's error code."""

    status: int
    graphql: str
    grpc: str
    mlflow: str


TABLE: dict[type[Exception], Mapped] = {
    errors.InvalidArgument: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    errors.InvalidName: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    errors.InvalidFilter: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    errors.InvalidPageToken: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    errors.TooLarge: Mapped(413, "TOO_LARGE", "RESOURCE_EXHAUSTED", "INVALID_PARAMETER_VALUE"),
    errors.Unauthenticated: Mapped(401, "UNAUTHENTICATED", "UNAUTHENTICATED", "UNAUTHENTICATED"),
    errors.NotPermitted: Mapped(403, "FORBIDDEN", "PERMISSION_DENIED", "PERMISSION_DENIED"),
    errors.NotFound: Mapped(404, "NOT_FOUND", "NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"),
    errors.AlreadyExists: Mapped(409, "ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_ALREADY_EXISTS"),
    errors.Conflict: Mapped(409, "CONFLICT", "FAILED_PRECONDITION", "RESOURCE_CONFLICT"),
    errors.PreconditionFailed: Mapped(412, "PRECONDITION_FAILED", "FAILED_PRECONDITION", "RESOURCE_CONFLICT"),
    errors.NotWritable: Mapped(409, "NOT_WRITABLE", "FAILED_PRECONDITION", "INVALID_PARAMETER_VALUE"),
    errors.InUse: Mapped(409, "IN_USE", "FAILED_PRECONDITION", "RESOURCE_CONFLICT"),
    errors.NotSupported: Mapped(501, "NOT_SUPPORTED", "UNIMPLEMENTED", "NOT_IMPLEMENTED"),
    errors.IdempotencyMismatch: Mapped(422, "IDEMPOTENCY_MISMATCH", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    errors.Exhausted: Mapped(507, "EXHAUSTED", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    errors.Overloaded: Mapped(429, "OVERLOADED", "RESOURCE_EXHAUSTED", "REQUEST_LIMIT_EXCEEDED"),
    errors.DatabaseFull: Mapped(507, "EXHAUSTED", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    errors.StatementTimeout: Mapped(503, "TIMEOUT", "DEADLINE_EXCEEDED", "TEMPORARILY_UNAVAILABLE"),
    errors.Unavailable: Mapped(503, "UNAVAILABLE", "UNAVAILABLE", "TEMPORARILY_UNAVAILABLE"),
    errors.Aborted: Mapped(503, "UNAVAILABLE", "ABORTED", "TEMPORARILY_UNAVAILABLE"),
    storage.InvalidStoreUrl: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    storage.InvalidKey: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    storage.ObjectNotFound: Mapped(404, "NOT_FOUND", "NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"),
    storage.ObjectExists: Mapped(412, "PRECONDITION_FAILED", "FAILED_PRECONDITION", "RESOURCE_ALREADY_EXISTS"),
    storage.KeyConflict: Mapped(409, "CONFLICT", "FAILED_PRECONDITION", "RESOURCE_CONFLICT"),
    storage.RangeNotSatisfiable: Mapped(416, "BAD_INPUT", "OUT_OF_RANGE", "INVALID_PARAMETER_VALUE"),
    storage.UploadNotFound: Mapped(404, "NOT_FOUND", "NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"),
    storage.InvalidParts: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    storage.UploadTooLarge: Mapped(413, "TOO_LARGE", "RESOURCE_EXHAUSTED", "INVALID_PARAMETER_VALUE"),
    storage.UploadCutOff: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    storage.DigestMismatch: Mapped(400, "BAD_INPUT", "INVALID_ARGUMENT", "INVALID_PARAMETER_VALUE"),
    storage.InvalidContent: Mapped(422, "BAD_INPUT", "FAILED_PRECONDITION", "INVALID_PARAMETER_VALUE"),
    storage.StoreUnavailable: Mapped(503, "UNAVAILABLE", "UNAVAILABLE", "TEMPORARILY_UNAVAILABLE"),
    storage.StoreFull: Mapped(507, "EXHAUSTED", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    storage.StoreDenied: Mapped(503, "UNAVAILABLE", "UNAVAILABLE", "TEMPORARILY_UNAVAILABLE"),
    errors.OutcomeUnknown: Mapped(500, "OUTCOME_UNKNOWN", "UNKNOWN", "INTERNAL_ERROR"),
}
OTHER_STATUS = {
    400: "invalid-argument",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}


Shape = Callable[[Request, int, str, str, Mapping[str, str]], Response | None]
SHAPES: dict[re.Pattern[str], Shape] = {}
"""How a door whose paths match says what is no success: from request, status, kind, detail and headers. None: like the others."""


def kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def problem_type(error: Exception) -> str:
    return f"urn:lineal:problem:{kebab(type(error).__name__)}"


def problem(
    request: Request,
    status: int,
    kind: str,
    detail: str,
    *,
    data: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    for pattern, shape in SHAPES.items():
        if pattern.search(request.scope["path"]):
            shaped = shape(request, status, kind, detail, headers or {})
            if shaped is not None:
                return shaped
    body = {
        "type": f"urn:lineal:problem:{kind}",
        "title": kind.replace("-", " "),
        "status": status,
        "detail": detail,
        "instance": request_id(request),
        **({"data": data} if data else {}),
    }
    text = json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
    return Response(text, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def of_error(request: Request, error: errors.RegistryError | storage.StorageError) -> Response:
    mapped = TABLE[type(error)]
    headers = dict(request.scope.get("state", {}).get("headers", {}))  # what the route wanted on its refusal
    if mapped.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if mapped.status in {429, 503}:
        headers["Retry-After"] = "1"
    data = error.data if isinstance(error, errors.RegistryError) else None
    return problem(request, mapped.status, kebab(type(error).__name__), str(error), data=data, headers=headers)


def install(app: FastAPI) -> None:
    """Every answer that is no success is a problem."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.RegistryError | storage.StorageError)  # noqa: S101  (what it is registered for)
        return of_error(request, error)

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        wrong = [{"at": ".".join(str(part) for part in item["loc"]), "message": item["msg"]} for item in error.errors()]
        detail = "; ".join(f"{item['at']}: {item['message']}" for item in wrong[:5])
        return problem(request, 400, "invalid-argument", detail, data={"errors": wrong[:50]})

    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        kind = OTHER_STATUS.get(error.status_code, "http-error")
        return problem(request, error.status_code, kind, str(error.detail), headers=error.headers)

    app.add_exception_handler(errors.RegistryError, refused)
    app.add_exception_handler(storage.StorageError, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, plain)
