"""Shortcuts of the own API: a hot call in which nothing is unusual is read and answered past the router and its models.

What a shortcut does not take (a wrong value, a NUL, a query, another content type, a key of idempotency) it leaves to the route
as declared, which knows the errors. It takes nothing that the route would refuse.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Annotated, ClassVar, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from registry.api.envelope import Direct, received, replaying
from registry.api.problems import of_error
from registry.api.services import Services, identified
from registry.catalog.actors import Actor
from registry.errors import RegistryError

Body = TypeVar("Body")
NO_NUL = r"^[^\x00]*$"
ShortKey = Annotated[str, msgspec.Meta(min_length=1, max_length=250)]
ShortText = Annotated[str, msgspec.Meta(max_length=10_000)]
"""Longer ones are unusual."""

FewPairs = Annotated[dict[ShortKey, ShortText], msgspec.Meta(max_length=1_000)]
ShortName = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_NUL = b"\\u0000"
"""The only form in which JSON can have the character that no text of ours may have."""

_WORKSPACE = b"x-lineal-workspace"
_ASKED = {b"authorization", b"content-type", b"idempotency-key", _WORKSPACE}
_JSON = [(b"content-type", b"application/json")]
Head = dict[bytes, bytes]
Answer = tuple[int, bytes, int | None]
"""Status, JSON, the version for the ETag."""


class Quick(ABC):
    """One call. `path` is the route's, for the log line and the counters; `paths` matches it whole."""

    method: ClassVar[str]
    path: ClassVar[str]
    paths: ClassVar[re.Pattern[str]]

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    def direct(cls, services: Services) -> Direct:
        return Direct(cls.method, cls.paths, cls(services))

    @abstractmethod
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Receive | None: ...

    async def actor(self, scope: Scope, head: Head) -> Actor:
        """Raises as `identified`."""
        return await identified(
            self.services,
            head.get(b"authorization", b"").decode("latin-1"),
            head[_WORKSPACE].decode("latin-1") if _WORKSPACE in head else None,
            request_id=scope["state"]["request_id"],
        )

    async def _answered(
        self, scope: Scope, receive: Receive, send: Send, head: Head, answer: Callable[[Actor], Awaitable[Answer]]
    ) -> None:
        scope["route"] = self
        try:
            status, body, version = await answer(await self.actor(scope, head))
        except RegistryError as error:
            await of_error(Request(scope), error)(scope, receive, send)
            return
        headers = [*_JSON, (b"content-length", str(len(body)).encode())] if body else []
        if version is not None:
            headers.append((b"etag", f'"{version}"'.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class QuickRead(Quick):
    method = "GET"

    @abstractmethod
    async def read(self, actor: Actor, path: re.Match[str]) -> tuple[bytes, int]:
        """JSON, and the record's version. Raises RegistryError."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        path = self.paths.fullmatch(scope["path"])
        if path is None or scope["query_string"]:
            return receive
        found: re.Match[str] = path

        async def answer(actor: Actor) -> Answer:
            return (200, *await self.read(actor, found))

        await self._answered(scope, receive, send, head_of(scope), answer)
        return None


class QuickWrite(Quick, Generic[Body]):
    method = "POST"
    body: type[Body]

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._decode = msgspec.json.Decoder(self.body).decode

    @abstractmethod
    async def write(self, actor: Actor, path: re.Match[str], body: Body) -> tuple[int, bytes]:
        """Status and JSON. Raises RegistryError."""

    def takes(self, body: Body) -> bool:
        """Whether this one is not unusual in what only its content tells."""
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        head, path = head_of(scope), self.paths.fullmatch(scope["path"])
        plain = head.get(b"content-type") == b"application/json" and b"idempotency-key" not in head
        if path is None or scope["query_string"] or not plain:
            return receive
        raw = await received(receive)
        body = self._read(raw)
        if body is None:
            return replaying(raw, receive)
        found: re.Match[str] = path
        said: Body = body

        async def answer(actor: Actor) -> Answer:
            return (*await self.write(actor, found, said), None)

        await self._answered(scope, receive, send, head, answer)
        return None

    def _read(self, raw: bytes) -> Body | None:
        if _NUL in raw:
            return None
        try:
            body = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return body if self.takes(body) else None


def head_of(scope: Scope, *more: bytes) -> Head:
    """What shortcuts ask of a request's headers, and `more` of them."""
    return {name: value for name, value in scope["headers"] if name in _ASKED or name in more}
