"""Routes of datasets and their versions."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, problems, word
from registry.api.rest.graph_schemas import (
    DatasetIn,
    DatasetOut,
    DatasetPage,
    DatasetPatch,
    DatasetUseIn,
    DatasetVersionOut,
    DatasetVersionPage,
)
from registry.api.rest.paging import Asked, ExactName, PageSize, PageToken, by_id, cut, id_position
from registry.api.rest.records import Records
from registry.api.rest.runs import RunPath
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import datasets as catalog
from registry.db.session import Session
from registry.names import EventType, IdPrefix, Role, own_id, parse_id, parse_run_id

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"])
of_runs = APIRouter(prefix="/api/v1/runs", tags=["runs"])
DatasetPath = Annotated[str, Path(pattern=r"^ds_[1-9][0-9]{0,17}$", examples=["ds_1"])]


def rendered(dataset: catalog.Dataset) -> DatasetOut:
    return DatasetOut(
        id=dataset.own_id,
        namespace=dataset.namespace,
        name=dataset.name,
        description=dataset.description,
        created_at=dataset.created_at,
        updated_at=dataset.updated_at,
        version=dataset.version,
    )


def rendered_version(version: catalog.DatasetVersion) -> DatasetVersionOut:
    return DatasetVersionOut(
        id=version.own_id,
        dataset_id=own_id(IdPrefix.DATASET, version.dataset),
        namespace=version.namespace,
        name=version.name,
        digest=version.digest,
        source_type=version.source_type,
        source=version.source,
        schema_text=version.schema,
        profile_text=version.profile,
        uri=version.uri,
        lifecycle=word(version.lifecycle),
        tags=dict(version.tags),
        created_at=version.created_at,
        updated_at=version.updated_at,
        version=version.version,
    )


records = Records(IdPrefix.DATASET, rendered)


@router.post("", status_code=201, operation_id="createDataset", response_model=DatasetOut, responses=problems(409, 413, 422))
async def create_dataset(
    request: Request, body: DatasetIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    return await records.create(request, services, actor, catalog.create_dataset, key=idempotency_key, fields=body.model_dump())


@router.get("", operation_id="listDatasets", response_model=DatasetPage, responses=problems())
async def list_datasets(services: ServicesOf, actor: ActorOf, asked: Asked, name: ExactName = None) -> Response:
    listing = asked.of("datasets", actor.workspace, name)
    page = await services.runner.aread(lambda session: catalog.list_datasets(session, actor, listing.search, name=name))
    return answer(DatasetPage(datasets=[rendered(one) for one in page.records], **listing.ends(page)))


@router.get("/{id}", operation_id="getDataset", response_model=DatasetOut, responses=problems(404))
async def get_dataset(id: DatasetPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.get(services, actor, id, catalog.get_dataset)


@router.patch("/{id}", operation_id="updateDataset", response_model=DatasetOut, responses=problems(404, 412, 413))
async def update_dataset(
    id: DatasetPath, body: DatasetPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    return await records.change(services, actor, id, catalog.update_dataset, if_match=if_match, fields=body.model_dump())


@router.get("/{id}/versions", operation_id="listDatasetVersions", response_model=DatasetVersionPage, responses=problems(404))
async def list_versions(
    id: DatasetPath,
    services: ServicesOf,
    actor: ActorOf,
    page_size: PageSize = 100,
    page_token: PageToken = None,
    digest: Annotated[str | None, Query(max_length=255, pattern=r"^[^\x00]*$", description="Exactly this content.")] = None,
) -> Response:
    """One per content, by id."""
    number = parse_id(IdPrefix.DATASET, id)
    query = ("dataset versions", actor.workspace, number, digest)
    after = id_position(page_token, *query)

    def read(session: Session) -> list[catalog.DatasetVersion]:
        catalog.get_dataset(session, actor, number)
        return catalog.list_dataset_versions(session, actor, dataset=number, digest=digest, after=after, limit=page_size + 1)

    page, token = cut(await services.runner.aread(read), page_size, by_id, *query)
    return answer(DatasetVersionPage(versions=[rendered_version(one) for one in page], next_page_token=token))


@of_runs.post("/{id}/datasets", operation_id="logDataset", response_model=DatasetVersionOut, responses=problems(404, 409, 413))
async def log_dataset(id: RunPath, body: DatasetUseIn, services: ServicesOf, actor: ActorOf) -> Response:
    """The run, or a step of it, read or made this content of a dataset, which is made where missing. Said again: no change."""
    actor.require(Role.CONTRIBUTOR)
    hex, now = parse_run_id(id), now_ms()
    fields = body.model_dump()
    fields |= {"schema": fields.pop("schema_text"), "profile": fields.pop("profile_text")}
    fields |= {
        "type": EventType[fields.pop("direction").upper()],
        "step": parse_id(IdPrefix.STEP, body.step) if body.step else None,
    }
    found = await services.runner.awrite(
        lambda session: catalog.log_dataset(session, actor, hex, now=now, **fields), replayable=True
    )
    return answer(rendered_version(found))
