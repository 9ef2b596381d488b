"""From a request to a function of the table and back: one look-up whatever the number of routes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from registry.api.envelope import Direct
from registry.api.mlflow import errors, probes
from registry.api.mlflow.calls import Answer, Call, actor_of
from registry.api.mlflow.fields import Fields
from registry.api.mlflow.plain import Plain
from registry.api.mlflow.table import ENDPOINTS, Endpoint, Handler
from registry.api.services import Services, now_ms
from registry.catalog.actors import Actor
from registry.catalog.default_experiment import find_default, get_or_create_default
from registry.catalog.imported_experiments import find_imported
from registry.errors import InvalidArgument, NotFound, RegistryError
from storage.errors import StorageError

PATHS = re.compile(r"/(?:ajax-)?api/[23]\.0/|/get-artifact$")
"""What paths of this door have in them, whatever stands before."""


def direct(services: Services, prefix: str) -> Direct:
    """The whole door; `prefix` (`/x` or nothing) stands before all its paths.

    MLflow's pages ask for files at its root, too.
    """
    behind = r"/(?:(?:ajax-)?api/[23]\.0/(?P<rest>.*)|(?P<file>get-artifact|model-versions/get-artifact)\Z)"
    paths = re.compile(re.escape(prefix) + behind, re.DOTALL)
    return Direct(None, paths, Door(services, paths))


def plain_routes(prefix: str) -> list[BaseRoute]:
    return [
        Route(f"{prefix}/health", probes.health, methods=["GET"], include_in_schema=False),
        Route(f"{prefix}/version", probes.version, methods=["GET"], include_in_schema=False),
    ]


def streamed(prefix: str) -> re.Pattern[str]:
    """How paths begin whose bodies are files."""
    return re.compile(re.escape(prefix) + r"/(?:ajax-)?api/[23]\.0/mlflow-artifacts/artifacts/")


class Named:
    """What the log and the counters call a route."""

    def __init__(self, path: str) -> None:
        self.path = path


class Door:
    """A shortcut that takes every call to its paths."""

    def __init__(self, services: Services, paths: re.Pattern[str]) -> None:
        self._services = services
        self._paths = paths
        self._defaults: dict[int, int] = {}
        self._imported: dict[int, Mapping[int, int]] = {}
        self._exact: dict[str, dict[str, Endpoint]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Endpoint]]] = []
        by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in ENDPOINTS:
            by_path.setdefault(endpoint.path, {})[endpoint.verb] = endpoint
        for path, verbs in by_path.items():
            if "{" in path or path.endswith("*"):
                self._patterns.append((_pattern(path), verbs))
            else:
                self._exact[path] = verbs
        self._named = {path: Named(f"/api/2.0/{path}") for path in by_path}
        self._nowhere = Named("/api/2.0/other")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._paths.match(scope["path"])
        assert path is not None, "the envelope has matched it"  # noqa: S101
        answer = await self._answer(Request(scope, receive), path["file"] or path["rest"])
        await answer(scope, receive, send)

    async def _answer(self, request: Request, path: str) -> Response:
        try:
            method = "GET" if request.method == "HEAD" else request.method  # the HTTP server leaves the body out
            if path == "mlflow/server-info" and method == "GET":
                request.scope["route"] = Named("/api/3.0/mlflow/server-info")
                return _json(probes.server_info(self._services.store))
            verbs, parameters = self._find(path)
            if verbs is None:
                request.scope["route"] = self._nowhere
                return errors.failed(404, f"there is no {request.method} {path[:200]}", code=errors.ENDPOINT_NOT_FOUND)
            endpoint = verbs.get(method) or verbs.get("*")
            request.scope["route"] = self._named[next(iter(verbs.values())).path]
            if endpoint is None:
                allowed = ", ".join(sorted(verbs))
                return errors.failed(405, f"{path} takes {allowed}", headers={"Allow": allowed})
            return await self._run(request, endpoint, parameters)
        except (RegistryError, StorageError) as error:
            return errors.of_error(request, error)

    def _find(self, path: str) -> tuple[Mapping[str, Endpoint] | None, Mapping[str, str]]:
        exact = self._exact.get(path)
        if exact is not None:
            return exact, {}
        for pattern, verbs in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                return verbs, found.groupdict()
        return None, {}

    async def _run(self, request: Request, endpoint: Endpoint, parameters: Mapping[str, str]) -> Response:
        services = self._services
        actor = await actor_of(services, request)
        actor.require(endpoint.role)
        if endpoint.handler is None:
            return errors.failed(501, f"{endpoint.path} is not served here: docs/doors/mlflow.md")
        given = await _given(request, endpoint, parameters)
        if isinstance(given, Response):
            return given
        default = self._defaults.get(actor.workspace) or await self._default(services, actor)
        fields, plain = (_NO_FIELDS, given) if isinstance(given, Plain) else (given, None)
        call = Call(services, actor, fields, default, now_ms(), request, parameters.get("rest") or "", plain)
        found = await self._handled(endpoint.handler, replace(call, imported=self._imported[actor.workspace]))
        return found if isinstance(found, Response) else _json(found)

    async def _handled(self, handler: Handler, call: Call) -> Answer:
        """Once more for an experiment that is not known, if an import has brought it meanwhile."""
        try:
            return await handler(call)
        except NotFound as error:
            if error.data.get("kind") != "experiment":
                raise
            workspace = call.actor.workspace
            found = self._imported[workspace] = await call.runner.aread(lambda session: find_imported(session, workspace))
            return await handler(replace(call, imported=found, is_fresh=True))

    async def _default(self, services: Services, actor: Actor) -> int:
        """Never changes, and so is asked for once."""
        found = await services.runner.aread(lambda session: find_default(session, actor.workspace))
        if found is None:
            now = now_ms()
            found = await services.runner.awrite(lambda session: get_or_create_default(session, actor, now=now), replayable=True)
        self._imported[actor.workspace] = await services.runner.aread(lambda session: find_imported(session, actor.workspace))
        self._defaults[actor.workspace] = found
        return found


_NO_FIELDS = Fields({})


async def _given(request: Request, endpoint: Endpoint, parameters: Mapping[str, str]) -> Fields | Plain | Response:
    """What the call says, or why that cannot be read."""
    if endpoint.raw or request.method in {"GET", "HEAD"}:
        return Fields.of_query([*([] if endpoint.raw else _words(parameters)), *request.query_params.multi_items()])
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/json":
        return errors.failed(400, "Bad Request. Content-Type must be 'application/json'.", code=errors.INVALID)
    if endpoint.plain is not None and (plain := endpoint.plain.read(body)) is not None:
        return plain
    try:
        return Fields.of_body(body).within(parameters)
    except InvalidArgument as error:
        return errors.failed(400, error.message)


def _words(parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """Without what `*` stood for: that is no field."""
    return [(name, value) for name, value in parameters.items() if name != "rest"]


def _pattern(path: str) -> re.Pattern[str]:
    """`a/*` and `a*`: with or without more behind a slash."""
    behind = r"(?:/(?P<rest>.*))?" if path.endswith("*") else ""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path.rstrip("/*"))) + behind, re.DOTALL)


def _json(body: Mapping[str, Any] | bytes) -> Response:
    return Response(body if isinstance(body, bytes) else orjson.dumps(body), media_type="application/json")
