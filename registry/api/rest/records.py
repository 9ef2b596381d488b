"""One record over REST: made, read, changed, deleted and tagged alike, for every kind whose ids are `<prefix>_<integer>`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from fastapi import Request, Response

from registry.api.rendering import Body
from registry.api.rest.answers import answer, create, expected_version
from registry.api.services import Services, now_ms
from registry.catalog.actors import Actor
from registry.db.session import Session
from registry.names import IdPrefix, Role, parse_id


class Record(Protocol):
    """`version` is the ETag."""

    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Record)


@dataclass(frozen=True)
class Records(Generic[T]):
    """The functions that routes give are the catalog's: (session, actor, id), changes with `now=` and `expected_version=`."""

    prefix: IdPrefix
    rendered: Callable[[T], Body]

    def shown(self, record: T) -> Response:
        return answer(self.rendered(record), version=record.version)

    async def create(
        self,
        request: Request,
        services: Services,
        actor: Actor,
        make: Callable[..., T],
        *,
        key: str | None,
        fields: Mapping[str, Any],
    ) -> Response:
        actor.require(Role.CONTRIBUTOR)
        return await create(
            request, services, actor, key, lambda session, now: self.rendered(make(session, actor, now=now, **fields))
        )

    async def get(self, services: Services, actor: Actor, id: str, read: Callable[[Session, Actor, int], T]) -> Response:
        number = parse_id(self.prefix, id)
        return self.shown(await services.runner.aread(lambda session: read(session, actor, number)))

    async def change(
        self,
        services: Services,
        actor: Actor,
        id: str,
        change: Callable[..., T],
        *,
        if_match: str | None,
        fields: Mapping[str, Any],
    ) -> Response:
        actor.require(Role.CONTRIBUTOR)
        number, expected, now = parse_id(self.prefix, id), expected_version(if_match), now_ms()
        return self.shown(
            await services.runner.awrite(
                lambda session: change(session, actor, number, now=now, expected_version=expected, **fields)
            )
        )

    async def move(self, services: Services, actor: Actor, id: str, move: Callable[..., T], **given: Any) -> Response:
        """A change that is the same said twice: of the lifecycle."""
        actor.require(Role.CONTRIBUTOR)
        number, now = parse_id(self.prefix, id), now_ms()
        moved = await services.runner.awrite(lambda session: move(session, actor, number, now=now, **given), replayable=True)
        return self.shown(moved)

    async def delete(
        self, services: Services, actor: Actor, id: str, delete: Callable[..., None], *, if_match: str | None
    ) -> Response:
        actor.require(Role.CONTRIBUTOR)
        number, expected, now = parse_id(self.prefix, id), expected_version(if_match), now_ms()
        await services.runner.awrite(lambda session: delete(session, actor, number, now=now, expected_version=expected))
        return Response(status_code=204)

    async def set_tags(
        self, services: Services, actor: Actor, id: str, set: Callable[..., None], tags: Mapping[str, str]
    ) -> Response:
        actor.require(Role.CONTRIBUTOR)
        number = parse_id(self.prefix, id)
        await services.runner.awrite(lambda session: set(session, actor, number, tags), replayable=True)
        return Response(status_code=204)

    async def delete_tag(self, services: Services, actor: Actor, id: str, delete: Callable[..., None], key: str) -> Response:
        actor.require(Role.CONTRIBUTOR)
        number = parse_id(self.prefix, id)
        await services.runner.awrite(lambda session: delete(session, actor, number, key))
        return Response(status_code=204)
