"""Routes about the service itself: probes, tokens, workspaces."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import PlainTextResponse

from registry import migrate
from registry.api.observing import Observer
from registry.api.rest.answers import answer, problems, word
from registry.api.rest.paging import PageSize, PageToken, by_id, cut, id_position
from registry.api.rest.schemas import TokenIn, TokenMade, TokenOut, TokenPage, WorkspaceIn, WorkspaceList, WorkspaceOut
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import tokens as catalog
from registry.catalog.workspaces import get_or_create_workspace, list_workspaces
from registry.errors import NotFound, Unavailable
from registry.names import IdPrefix, Role, own_id, parse_id

probes = APIRouter(tags=["probes"])
router = APIRouter(prefix="/api/v1", tags=["service"])
TokenPath = Annotated[str, Path(pattern=r"^tok_[1-9][0-9]{0,17}$")]


@probes.get("/healthz", operation_id="healthz", response_class=PlainTextResponse)
async def healthz() -> Response:
    """The process answers."""
    return PlainTextResponse("ok")


@probes.get("/readyz", operation_id="readyz", response_class=PlainTextResponse, responses={503: problems()[503]})
async def readyz(services: ServicesOf) -> Response:
    """Database, its schema and the object store can be used."""
    if not await services.runner.aread(lambda _session: migrate.is_current(services.runner.database)):
        raise Unavailable("the database has another schema version: run lineal-server migrate")
    await services.runner.aread(lambda _session: services.store.check())
    return PlainTextResponse("ok")


@probes.get("/metrics", operation_id="metrics", response_class=PlainTextResponse)
async def metrics(services: ServicesOf) -> Response:
    """In the text format of Prometheus."""
    observer: Observer = services.observer
    return PlainTextResponse(observer.exposition(commits=services.runner.commits), media_type="text/plain; version=0.0.4")


def rendered(token: catalog.Token) -> TokenOut:
    return TokenOut(
        id=token.own_id,
        name=token.name,
        role=word(token.role),
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )


@router.post("/tokens", status_code=201, operation_id="createToken", response_model=TokenMade, responses=problems(413))
async def create_token(body: TokenIn, services: ServicesOf, actor: ActorOf) -> Response:
    """The answer shows the secret; the server keeps its digest only."""
    now, secret, role = now_ms(), catalog.new_secret(), Role[body.role.upper()]
    made, _ = await services.runner.awrite(
        lambda session: catalog.create_token(session, actor, body.name, role, now=now, expires_at=body.expires_at, secret=secret)
    )
    return answer(TokenMade(**rendered(made).model_dump(), token=secret), status=201)


@router.get("/tokens", operation_id="listTokens", response_model=TokenPage, responses=problems())
async def list_tokens(services: ServicesOf, actor: ActorOf, page_size: PageSize = 100, page_token: PageToken = None) -> Response:
    query = ("tokens", actor.workspace)
    after = id_position(page_token, *query)
    found = await services.runner.aread(lambda session: catalog.list_tokens(session, actor, after=after, limit=page_size + 1))
    page, token = cut(found, page_size, by_id, *query)
    return answer(TokenPage(tokens=[rendered(one) for one in page], next_page_token=token))


@router.delete("/tokens/{id}", status_code=204, operation_id="revokeToken", response_class=Response, responses=problems(404))
async def revoke_token(id: TokenPath, services: ServicesOf, actor: ActorOf) -> Response:
    """Works at once on this process, within five seconds on others."""
    number, now = parse_id(IdPrefix.TOKEN, id), now_ms()
    await services.runner.awrite(lambda session: catalog.revoke_token(session, actor, number, now=now), replayable=True)
    services.forget_identities()
    return Response(status_code=204)


@router.post("/workspaces", status_code=201, operation_id="createWorkspace", response_model=WorkspaceOut, responses=problems(413))
async def create_workspace(body: WorkspaceIn, services: ServicesOf, actor: ActorOf) -> Response:
    """Idempotent: a workspace of that name is given back."""
    actor.require(Role.ADMIN)
    now = now_ms()

    found = await services.runner.awrite(
        lambda session: (get_or_create_workspace(session, body.name, now=now), list_workspaces(session)), replayable=True
    )
    row = next((row for row in found[1] if row[0] == found[0]), None)
    if row is None:
        raise NotFound("workspace", body.name)
    return answer(WorkspaceOut(id=own_id(IdPrefix.WORKSPACE, row[0]), name=row[1], created_at=row[2]), status=201)


@router.get("/workspaces", operation_id="listWorkspaces", response_model=WorkspaceList, responses=problems())
async def workspaces(services: ServicesOf, actor: ActorOf) -> Response:
    """All of the server for an administrator on loopback, else the token's own."""
    found = await services.runner.aread(list_workspaces)
    visible = [row for row in found if not services.login or row[0] == actor.workspace]
    return answer(
        WorkspaceList(
            workspaces=[WorkspaceOut(id=own_id(IdPrefix.WORKSPACE, row[0]), name=row[1], created_at=row[2]) for row in visible]
        )
    )
