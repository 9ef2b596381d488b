"""Routes of the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from registry.api.rest.answers import answer, problems
from registry.api.rest.paging import PageSize, PageToken, before_position, by_id, cut
from registry.api.rest.schemas import AuditEventOut, AuditPage, AuditVerification
from registry.api.services import ActorOf, ServicesOf
from registry.catalog import audit as catalog
from registry.catalog import sealing

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


def rendered(event: catalog.AuditEvent) -> AuditEventOut:
    return AuditEventOut(
        id=f"audit_{event.id}",
        at=event.at,
        actor=event.actor,
        action=event.action,
        object=event.object,
        before=event.before,
        after=event.after,
        request_id=event.request_id,
        seq=event.seq,
        hash=event.hash,
    )


@router.get("", operation_id="listAudit", response_model=AuditPage, responses=problems())
async def list_audit(
    services: ServicesOf,
    actor: ActorOf,
    page_size: PageSize = 100,
    page_token: PageToken = None,
    object: Annotated[str | None, Query(max_length=512, pattern=r"^[^\x00]*$", description="An id, as `mv_3`.")] = None,
    action: Annotated[str | None, Query(max_length=255, pattern=r"^[^\x00]*$", description="As `alias.moved`.")] = None,
) -> Response:
    """Newest first: who changed what, with the values before and after."""
    query = ("audit", actor.workspace, object, action)
    before = before_position(page_token, *query)
    found = await services.runner.aread(
        lambda session: catalog.list_audit(session, actor, object=object, action=action, before=before, limit=page_size + 1)
    )
    page, token = cut(found, page_size, by_id, *query)
    return answer(AuditPage(events=[rendered(event) for event in page], next_page_token=token))


@router.get("/verification", operation_id="verifyAudit", response_model=AuditVerification, responses=problems())
async def verify(services: ServicesOf, actor: ActorOf) -> Response:
    """Walk the workspace's chain of seals: an event that was changed or removed is named."""
    found = await services.runner.aread(lambda session: sealing.verify(session, actor.workspace))
    return answer(AuditVerification(sealed=found.seals, head=found.head, unsealed=found.unsealed, problems=list(found.problems)))
