"""The OpenAPI document: what FastAPI makes of the routes, without what it promises in vain, with what it cannot know."""

from typing import Any

from fastapi import FastAPI

from registry.api.rest.reports import report_schemas
from registry.api.rest.schemas import Problem

OPEN = {"/healthz", "/readyz", "/metrics"}
"""No identity is asked for here."""

WORKSPACE = {
    "name": "X-Lineal-Workspace",
    "in": "header",
    "required": False,
    "description": "Selects the workspace; rights come from the token. Without a token (loopback): default `default`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 512},
}


def describe(app: FastAPI) -> None:
    """Replace `app.openapi` by the corrected document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = corrected(plain())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def corrected(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    for name in ("HTTPValidationError", "ValidationError"):  # malformed input is a problem with status 400
        components.get("schemas", {}).pop(name, None)
    # Named by `answers.problems` for every status of every route: a response model there would cost a tenth of the start.
    components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    components["schemas"].update(report_schemas())
    _close_maps(components["schemas"])
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _correct(operation, guarded=path not in OPEN)
    return document


def _correct(operation: dict[str, Any], *, guarded: bool) -> None:
    invalid = operation["responses"].get("422", {})
    if "HTTPValidationError" in str(invalid):
        del operation["responses"]["422"]
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if "application/problem+json" in content:
            content.pop("application/json", None)
        if status.startswith("2"):
            response.setdefault("headers", {})["X-Request-Id"] = {"schema": {"type": "string"}}
    for parameter in operation.get("parameters", []):
        _without_null(parameter)
    if guarded:
        operation["security"] = [{"bearer": []}]
        operation.setdefault("parameters", []).append(WORKSPACE)


def _close_maps(schema: Any) -> None:
    """`patternProperties` lets through every key that does not match; what is meant is that all keys must."""
    if isinstance(schema, list):
        for item in schema:
            _close_maps(item)
    if not isinstance(schema, dict):
        return
    patterns = schema.get("patternProperties")
    if isinstance(patterns, dict) and len(patterns) == 1 and "additionalProperties" not in schema:
        del schema["patternProperties"]
        ((pattern, values),) = patterns.items()
        schema["additionalProperties"] = values
        schema["propertyNames"] = {**schema.get("propertyNames", {}), "pattern": pattern}
    for item in schema.values():
        _close_maps(item)


def _without_null(parameter: dict[str, Any]) -> None:
    """A parameter that may be left out is not therefore one that may be null: no URL or header has such a value."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1 and "anyOf" in schema:
        del schema["anyOf"]
        schema.update(kinds[0])
