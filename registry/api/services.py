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

_Cache = dict[str, tuple[float, Any]]


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

    _identities: _Cache = field(default_factory=dict)
    _workspaces: _Cache = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keeper = FragmentKeeper(self.runner)
        self.verifier = Verifier(self.runner, self.store)
        self.links = Links(self.store, self.settings.base_url)

    async def identity(self, token: str) -> Identity | None:
        digest = _digest(token)
        found: Identity | None = await self._cached(
            self._identities, digest, lambda session: find_identity(session, digest, now=now_ms())
        )
        return found

    def identity_here(self, token: str) -> Identity | None:
        """As `identity`, for a thread that may wait."""
        digest = _digest(token)
        found: Identity | None = self._cached_here(
            self._identities, digest, lambda session: find_identity(session, digest, now=now_ms())
        )
        return found

    def forget_identities(self) -> None:
        """After a token was revoked."""
        self._identities.clear()

    async def workspace(self, name: str) -> int:
        """Raises NotFound."""
        return _there(name, await self._cached(self._workspaces, name, lambda session: find_workspace(session, name)))

    def workspace_here(self, name: str) -> int:
        """As `workspace`, for a thread that may wait."""
        return _there(name, self._cached_here(self._workspaces, name, lambda session: find_workspace(session, name)))

    async def _cached(self, cache: _Cache, key: str, read: Callable[[Session], Any]) -> Any:
        held = cache.get(key)
        if held is not None and held[0] > time.monotonic():
            return held[1]
        return _kept(cache, key, await self.runner.aread(read))

    def _cached_here(self, cache: _Cache, key: str, read: Callable[[Session], Any]) -> Any:
        held = cache.get(key)
        if held is not None and held[0] > time.monotonic():
            return held[1]
        return _kept(cache, key, self.runner.read_here(read))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _kept(cache: _Cache, key: str, value: Any) -> Any:
    if len(cache) > 10_000:
        cache.clear()
    if value is not None:
        cache[key] = (time.monotonic() + CACHE_S, value)
    return value


def _there(name: str, workspace: Any) -> int:
    if workspace is None:
        raise NotFound("workspace", name)
    return int(workspace)


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
    token = _token(services, authorization)
    if token is None:
        name = wanted or "default"
        return _local(name, await services.workspace(name), request_id)
    return _known(await services.identity(token), wanted, request_id)


def identified_here(services: Services, authorization: str, wanted: str | None, *, request_id: str) -> Actor:
    """As `identified`, for a thread that may wait."""
    token = _token(services, authorization)
    if token is None:
        name = wanted or "default"
        return _local(name, services.workspace_here(name), request_id)
    return _known(services.identity_here(token), wanted, request_id)


def _token(services: Services, authorization: str) -> str | None:
    """None: whoever can connect is an administrator. Raises Unauthenticated."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    if scheme:
        raise Unauthenticated(_UNKNOWN)
    if services.login:
        raise Unauthenticated("this server needs a token: Authorization: Bearer …")
    return None


_UNKNOWN = "the token is not known, has expired or was revoked"


def _known(identity: Identity | None, wanted: str | None, request_id: str) -> Actor:
    if identity is None:
        raise Unauthenticated(_UNKNOWN)
    if wanted is not None and wanted != identity.workspace_name:
        raise NotFound("workspace", wanted)
    return Actor(identity.name, identity.workspace, identity.workspace_name, identity.role, request_id=request_id)


def _local(name: str, workspace: int, request_id: str) -> Actor:
    return Actor("local", workspace, name, Role.ADMIN, request_id=request_id)


async def _services(request: Request) -> Services:
    """A coroutine: FastAPI would call a plain function in a thread."""
    return services_of(request)


ServicesOf = Annotated[Services, Depends(_services)]
ActorOf = Annotated[Actor, Depends(actor_of)]
