"""How errors leave this door: `{"error_code", "message"}`. The client branches on the code; on the status only to try again.

It tries 408, 429, 500, 502, 503 and 504 again for minutes, so nothing that trying again cannot mend has one of those.
Source: MLflow 3.17's client and server, observed.
"""

import logging
import re
from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

from registry.api.problems import TABLE, request_id
from registry.errors import AlreadyExists, Conflict, NotFound, NotWritable, RegistryError, Unauthenticated
from storage.errors import InvalidKey, RangeNotSatisfiable, StorageError

log = logging.getLogger("lineal.api")
INVALID = "INVALID_PARAMETER_VALUE"
ENDPOINT_NOT_FOUND = "ENDPOINT_NOT_FOUND"
_OWN_ID = re.compile(r"\b(?:exp_(?=[0-9])|run_(?=[0-9a-f]{32}\b))([0-9a-f]+)\b")
"""Ids of the own REST, which are bare here."""

_DELETED_RUN = re.compile(r"run run_([0-9a-f]{32}) is deleted")

STATUS: Mapping[str, int] = {INVALID: 400, "RESOURCE_ALREADY_EXISTS": 400, "RESOURCE_CONFLICT": 409}
"""Where MLflow's status for a code is not the one that our table has for the class."""

OTHER: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: ENDPOINT_NOT_FOUND,
    405: "BAD_REQUEST",
    413: INVALID,
    429: "REQUEST_LIMIT_EXCEEDED",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
    507: "RESOURCE_EXHAUSTED",
}
"""The code of an answer that no error of the service gave."""


def failed(status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    body = {"error_code": code or OTHER.get(status, "INTERNAL_ERROR"), "message": message}
    text = orjson.dumps(body) if message.isascii() else orjson.dumps(body | {"message": _encodable(message)})
    return Response(text, status, headers=dict(headers or {}), media_type="application/json")


def _encodable(message: str) -> str:
    return message.encode("utf-8", "backslashreplace").decode()


def of_error(request: Request, error: RegistryError | StorageError) -> Response:
    mapped = TABLE[type(error)]
    code = mapped.mlflow
    if isinstance(error, Conflict) and error.data.get("kind") == "param":
        code = INVALID
    status = mapped.status if isinstance(error, RangeNotSatisfiable) else STATUS.get(code, mapped.status)
    headers = dict(request.scope.get("state", {}).get("headers", {}))  # what the route wanted on its refusal
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if status in {429, 503}:
        headers["Retry-After"] = "1"
    if status >= 500:
        log.warning("refused", extra={"data": {"request_id": request_id(request), "error": str(error)}})
    return failed(status, _message(error), code=code, headers=headers)


def _message(error: RegistryError | StorageError) -> str:
    text = str(error)
    if isinstance(error, NotFound):
        text = _missing(str(error.data["kind"]), str(error.data["key"]))
    if isinstance(error, InvalidKey):
        text = f"Invalid path: {text}"
    if isinstance(error, NotWritable) and (found := _DELETED_RUN.match(text)):
        text = f"The run {found.group(1)} must be in the 'active' state: it is deleted, restore it first"
    if isinstance(error, AlreadyExists) and error.data["kind"] in {"registered model", "prompt"}:
        text = f"{str(error.data['kind']).title()} (name={error.data['key']}) already exists."
    if isinstance(error, Conflict) and error.data.get("kind") == "param":
        text = f"Changing param values is not allowed: {error.message}"
    return _OWN_ID.sub(r"\1", text)


def _missing(kind: str, key: str) -> str:
    match kind:
        case "tag":
            return f"No tag with name: {key}"
        case "run":
            return f"Run with id={key} not found"
        case "registered model":
            return f"Registered Model with name={key} not found"
        case "model version":
            name, _, number = key.rpartition("/")
            return f"Model Version (name={name}, version={number}) not found"
        case "tag of a logged model":
            tag, _, model_id = key.rpartition("/")
            return f"No tag with key {tag!r} found for model with ID {model_id!r}."
        case "logged model":
            return f"Logged model with ID '{key}' not found."
    return f"{kind.capitalize()} {key} does not exist"


def shape(request: Request, status: int, kind: str, detail: str, headers: Mapping[str, str]) -> Response:
    """An answer of what surrounds the door (body too large, too much work in hand, a fault of ours), in this door's form."""
    return failed(status, f"{detail} (request {request_id(request)}, {kind})", headers=headers)
