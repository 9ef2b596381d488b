"""The composition root of the server: what is opened at start, every router, what happens to each request.

`create_app` makes the routes (enough for OpenAPI); `open_services` opens the database and the store.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI

from registry import migrate
from registry.api import problems
from registry.api.describing import describe
from registry.api.envelope import Envelope, Verbs
from registry.api.gql.routes import router as gql_router
from registry.api.mlflow import routes as mlflow
from registry.api.mlflow.errors import shape as mlflow_shape
from registry.api.mlmd import web as mlmd_web
from registry.api.rest import (
    artifacts,
    audit,
    compare,
    datasets,
    deployments,
    environments,
    experiments,
    file_bytes,
    files,
    lineage,
    metric_definitions,
    models,
    objects,
    registering,
    reports,
    run_creation,
    run_log,
    runs,
    service,
    steps,
    targets,
    version_creation,
    versions,
)
from registry.api.rest.answers import known_query
from registry.api.rest.quick import Quick
from registry.api.services import Services, now_ms
from registry.catalog.idempotency import sweep
from registry.catalog.outbox import trim_outbox
from registry.catalog.sealing import seal
from registry.catalog.tokens import any_token
from registry.catalog.workspaces import bootstrap
from registry.db.engine import open_database
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.settings import Settings
from storage.config import open_store

log = logging.getLogger("lineal.server")
SEAL_EVERY_S = 1.0
SWEEP_EVERY_S = 3600.0
ROUTERS: tuple[APIRouter, ...] = (
    service.probes,
    experiments.router,
    runs.router,
    run_creation.router,
    run_log.router,
    steps.router,
    metric_definitions.router,
    models.router,
    version_creation.router,
    versions.router,
    targets.router,
    registering.router,
    artifacts.router,
    artifacts.uses,
    datasets.router,
    datasets.of_runs,
    file_bytes.router,
    files.router,
    files.previews,
    environments.router,
    deployments.router,
    compare.router,
    lineage.router,
    reports.router,
    reports.sources,
    objects.router,
    objects.of_runs,
    audit.router,
    service.router,
)


QUICK: tuple[type[Quick], ...] = (
    run_log.QuickLog,
    run_creation.QuickCreate,
    file_bytes.QuickPut,
    file_bytes.QuickGet,
    runs.QuickRun,
    targets.QuickAlias,
    version_creation.QuickCreateVersion,
    models.QuickCreateModel,
    reports.QuickReports,
    reports.QuickReport,
)
"""Hottest first."""


def open_services(settings: Settings) -> Services:
    """Open the database (migrating it) and the store.

    Raises:
        InvalidArgument: an address that is not loopback, with no token in the store and without `insecure`.
        Unavailable: database or store cannot be used, or another server holds the SQLite file.
    """
    Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    database = open_database(settings.db_url, statement_timeout_s=settings.statement_timeout_s)
    database.hold()
    migrate.upgrade(database)
    runner = Runner(database)
    runner.write(lambda session: bootstrap(session, now=now_ms()), replayable=True)
    login = bool(settings.exposed) and not settings.insecure
    if login and not runner.read(any_token):
        runner.close()
        raise InvalidArgument(
            f"{settings.exposed} is not loopback and nobody could log in: make a token first "
            "(lineal-server token create NAME --role admin), or serve with --insecure"
        )
    store = open_store(settings.store_url)
    store.prepare()
    return Services(settings, runner, store, login)


def create_app(services: Services | None = None) -> FastAPI:
    """Without services only to read its OpenAPI."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        assert services is not None, "an app without services serves nothing"  # noqa: S101
        chores = [
            asyncio.create_task(_every(SEAL_EVERY_S, lambda: services.runner.awrite(seal, replayable=True))),
            asyncio.create_task(_every(SWEEP_EVERY_S, lambda: services.runner.awrite(_sweep, replayable=True))),
            asyncio.create_task(_every(SWEEP_EVERY_S, lambda: services.verifier.pass_by(now=now_ms()))),
        ]
        async with contextlib.AsyncExitStack() as doors:
            if services.settings.grpc:
                from registry.api.mlmd import rpc  # a third of a second that most servers need not spend

                services.grpc_port = await doors.enter_async_context(
                    rpc.serving(services, services.settings.grpc, shared=services.settings.workers > 1)
                )
            yield
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await asyncio.to_thread(services.runner.close)

    app = FastAPI(
        title="Lineal",
        version="1",
        description="The metadata and model registry store for Kubernetes ML. Ids, errors and paging: docs/rest.md.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.services = services
    prefix = services.settings.static_prefix if services else ""
    mlflow_routes = mlflow.plain_routes(prefix)
    mlmd_routes = mlmd_web.routes(services, services.settings.mlmd_prefix if services else "")
    app.router.routes.extend([*mlflow_routes, *mlmd_routes])
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(known_query)])
    app.include_router(gql_router)
    problems.install(app)
    problems.SHAPES[mlflow.PATHS] = mlflow_shape
    problems.SHAPES[mlmd_web.PATHS] = mlmd_web.shape
    describe(app)
    own = [route for route in app.routes if route not in mlflow_routes]  # that door looks up its verbs itself
    verbs = Verbs([*own, *(route for router in (*ROUTERS, gql_router) for route in router.routes)])
    direct = [mlflow.direct(services, prefix), *(quick.direct(services) for quick in QUICK)] if services else []
    streamed = (files.STREAMED, mlflow.streamed(prefix))
    app.add_middleware(Envelope, services=services, verbs=verbs, direct=direct, streamed=streamed)
    return app


def _sweep(session: Session) -> None:
    """Remove what has had its time: idempotency keys, messages of the outbox."""
    sweep(session, now=now_ms())
    trim_outbox(session, now=now_ms())


async def _every(seconds: float, chore: Callable[[], Awaitable[object]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except Exception:
            log.exception("a background task failed and will be tried again")
