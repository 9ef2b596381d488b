"""Routes of aliases and stages: moving them, and the history of their moves."""

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from registry.api.rendering import encode
from registry.api.rest.answers import answer, problems, word
from registry.api.rest.model_schemas import AliasIn, MoveList, MoveOut, MovePage, StageIn, VersionOut
from registry.api.rest.models import ModelPath
from registry.api.rest.paging import PageSize, PageToken, before_position, by_id, cut
from registry.api.rest.quick import QuickRead
from registry.api.rest.versions import VersionPath, records
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import targets as catalog
from registry.catalog.actors import Actor
from registry.catalog.models import get_model
from registry.catalog.targets import ANY, Expected, Target
from registry.catalog.version_reads import get_by_alias as find_by_alias
from registry.catalog.version_reads import get_version
from registry.db.session import Session
from registry.names import IdPrefix, Role, TargetKind, own_id, parse_id

router = APIRouter(prefix="/api/v1", tags=["models"])
AliasPath = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_-]{1,255}$",
        examples=["champion"],
        description="`latest` and `v<number>` always name a version and cannot be moved.",
    ),
]


def rendered(move: catalog.Move) -> MoveOut:
    return MoveOut(
        id=f"move_{move.id}",
        kind=word(move.kind),
        target=move.target,
        from_version=None if move.from_version is None else own_id(IdPrefix.VERSION, move.from_version),
        to_version=None if move.to_version is None else own_id(IdPrefix.VERSION, move.to_version),
        actor=move.actor,
        reason=move.reason,
        at=move.at,
    )


def _listed(moves: list[catalog.Move]) -> Response:
    return answer(MoveList(moves=[rendered(move) for move in moves]))


class QuickAlias(QuickRead):
    path = "/api/v1/models/{id}/aliases/{alias}"
    paths = re.compile(r"/api/v1/models/(model_[1-9][0-9]{0,17})/aliases/([A-Za-z0-9_-]{1,255})")

    async def read(self, actor: Actor, path: re.Match[str]) -> tuple[bytes, int]:
        model = parse_id(IdPrefix.MODEL, path[1])
        found = await self.services.runner.aread(lambda session: find_by_alias(session, actor, model, path[2]))
        return encode(records.rendered(found)), found.version


@router.get("/models/{id}/aliases/{alias}", operation_id="getByAlias", response_model=VersionOut, responses=problems(404))
async def get_by_alias(id: ModelPath, alias: AliasPath, services: ServicesOf, actor: ActorOf) -> Response:
    """The version that holds the alias; `latest` and `v<number>` always name one."""
    model = parse_id(IdPrefix.MODEL, id)
    return records.shown(await services.runner.aread(lambda session: find_by_alias(session, actor, model, alias)))


@router.put(
    "/models/{id}/aliases/{alias}",
    operation_id="moveAlias",
    response_model=MoveList,
    responses=problems(404, 409, 412, 413),
)
async def move_alias(id: ModelPath, alias: AliasPath, body: AliasIn, services: ServicesOf, actor: ActorOf) -> Response:
    """Put the alias onto a version, whoever holds it, or only if `expected` does."""
    actor.require(Role.CONTRIBUTOR)
    target = Target(TargetKind.ALIAS, parse_id(IdPrefix.MODEL, id), alias)
    version, now = parse_id(IdPrefix.VERSION, body.version_id), now_ms()
    expected: int | Expected | None = ANY
    if "expected" in body.model_fields_set:
        expected = None if body.expected is None else parse_id(IdPrefix.VERSION, body.expected)
    moves = await services.runner.awrite(
        lambda session: catalog.move(session, target, version, expected=expected, actor=actor, now=now, reason=body.reason),
        replayable=expected is ANY,
    )
    return _listed(moves)


@router.delete(
    "/models/{id}/aliases/{alias}",
    operation_id="deleteAlias",
    response_model=MoveList,
    responses=problems(404, 409, 412),
)
async def delete_alias(
    id: ModelPath,
    alias: AliasPath,
    services: ServicesOf,
    actor: ActorOf,
    expected: Annotated[str | None, Query(pattern=r"^mv_[1-9][0-9]{0,17}$", description="Who must hold it, else 412.")] = None,
) -> Response:
    """Idempotent: without a holder nothing moves."""
    actor.require(Role.CONTRIBUTOR)
    target, now = Target(TargetKind.ALIAS, parse_id(IdPrefix.MODEL, id), alias), now_ms()
    holder: int | Expected | None = ANY if expected is None else parse_id(IdPrefix.VERSION, expected)
    moves = await services.runner.awrite(
        lambda session: catalog.move(session, target, None, expected=holder, actor=actor, now=now),
        replayable=expected is None,
    )
    return _listed(moves)


@router.put(
    "/model-versions/{id}/stage",
    operation_id="setStage",
    response_model=MoveList,
    responses=problems(404, 409, 413),
)
async def set_stage(id: VersionPath, body: StageIn, services: ServicesOf, actor: ActorOf) -> Response:
    """A version has one stage or none; several versions may share one."""
    actor.require(Role.CONTRIBUTOR)
    number, now = parse_id(IdPrefix.VERSION, id), now_ms()

    def write(session: Session) -> list[catalog.Move]:
        target = Target(TargetKind.STAGE, get_version(session, actor, number).model, body.stage)
        return catalog.move(
            session,
            target,
            number,
            expected=ANY,
            actor=actor,
            now=now,
            reason=body.reason,
            archive_existing=body.archive_existing,
        )

    return _listed(await services.runner.awrite(write, replayable=True))


@router.get("/models/{id}/moves", operation_id="listMoves", response_model=MovePage, responses=problems(404))
async def list_moves(
    id: ModelPath,
    services: ServicesOf,
    actor: ActorOf,
    page_size: PageSize = 100,
    page_token: PageToken = None,
    kind: Literal["alias", "stage"] | None = None,
    target: Annotated[str | None, Query(max_length=255, pattern=r"^[^\x00]*$")] = None,
) -> Response:
    """Who moved which alias or stage from where to where, newest first."""
    model = parse_id(IdPrefix.MODEL, id)
    query = ("moves", actor.workspace, model, kind, target)
    before = before_position(page_token, *query)
    of = None if kind is None else TargetKind[kind.upper()]

    def read(session: Session) -> list[catalog.Move]:
        get_model(session, actor, model)
        return catalog.list_moves(session, actor, model, kind=of, name=target, before=before, limit=page_size + 1)

    page, token = cut(await services.runner.aread(read), page_size, by_id, *query)
    return answer(MovePage(moves=[rendered(move) for move in page], next_page_token=token))
