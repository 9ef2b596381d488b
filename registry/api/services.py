"""What the doors share in one process, and how a request becomes an actor."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from lineage.trails import Trails
from registry.api.keeping import FragmentKeeper
from registry.api.observing import Observer
from registry.api.problems import request_id
from registry.api.verifying import Verifier
from registry.catalog.actors import Actor
from registry.catalog.places import Links
from registry.catalog.tokens import Identity, find_identity
from registry.catalog.workspaces import find_workspace
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import NotFound, Unauthenticated
from registry.names import Role
from registry.settings import Settings
from storage.store import ObjectStore

T = TypeVar("T")
CACHE_S = 5.0
"""How long a token or workspace may be remembered: a revoked token works this much longer."""


@dataclass
class Services:
    """One per process; `app.state.services`."""

    settings: Settings
    runner: Runner
    store: ObjectStore
    login: bool
    """False on loopback: whoever can connect is an administrator."""

    grpc_port: int | None = None
    """Where the ML Metadata door listens, once it does."""

    observer: Observer = field(default_factory=Observer)
    trails: Trails = field(default_factory=Trails)
    """Of the impact listings that are being read, in every protocol."""

    _identities: dict[str, tuple[float, Identity | None]] = field(default_factory=dict)
    _workspaces: dict[str, tuple[float, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keeper = FragmentKeeper(self.runner)
        self.verifier = Verifier(self.runner, self.store)
        self.links = Links(self.store, self.settings.base_url)

    async def identity(self, token: str) -> Identity | None:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found: Identity | None = await self._cached(
            self._identities, digest, lambda session: find_identity(session, digest, now=now_ms())
        )
        return found

    def forget_identities(self) -> None:
        """After a token was revoked."""
        self._identities.clear()

    async def workspace(self, name: str) -> int:
        """Raises NotFound."""
        found = await self._cached(self._workspaces, name, lambda session: find_workspace(session, name))
        if found is None:
            raise NotFound("workspace", name)
        return int(found)

    async def _cached(self, cache: dict[str, tuple[float, Any]], key: str, read: Callable[[Session], Any]) -> Any:
        held = cache.get(key)
        if held is not None and held[0] > time.monotonic():
            return held[1]
        value = await self.runner.aread(read)
        if len(cache) > 10_000:
            cache.clear()
        if value is not None:
            cache[key] = (time.monotonic() + CACHE_S, value)
        return value


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def services_of(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def actor_of(request: Request) -> Actor:
    """Who asks, in which workspace.

    Raises:
        Unauthenticated: no token where one is needed, or one that is not known, expired or revoked.
        NotFound: a workspace that does not exist, or that the token is not of.
    """
    headers = request.headers
    return await identified(
        services_of(request),
        headers.get("authorization", ""),
        headers.get("x-lineal-workspace"),
        request_id=request_id(request),
    )


async def identified(services: Services, authorization: str, wanted: str | None, *, request_id: str) -> Actor:
    """Whom a call's `authorization` and the workspace that it wants make; for every protocol. Raises as `actor_of`."""
    scheme, _, token = authorization.partition(" ")
    if scheme:
        identity = await services.identity(token.strip()) if scheme.lower() == "bearer" else None
        if identity is None:
            raise Unauthenticated("the token is not known, has expired or was revoked")
        if wanted is not None and wanted != identity.workspace_name:
            raise NotFound("workspace", wanted)
        return Actor(identity.name, identity.workspace, identity.workspace_name, identity.role, request_id=request_id)
    if services.login:
        raise Unauthenticated("this server needs a token: Authorization: Bearer …")
    name = wanted or "default"
    return Actor("local", await services.workspace(name), name, Role.ADMIN, request_id=request_id)


async def _services(request: Request) -> Services:
    """A coroutine: FastAPI would call a plain function in a thread."""
    return services_of(request)


ServicesOf = Annotated[Services, Depends(_services)]
ActorOf = Annotated[Actor, Depends(actor_of)]
