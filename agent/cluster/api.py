"""Reading from the Kubernetes API: one answer, or a watch's lines. Nothing here writes to the cluster."""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import httpx
import msgspec

from agent.cluster.access import Access
from agent.cluster.events import Status, lines, status_of

CONNECT_S = 10.0
ANSWER_S = 60.0
"""A page of a hundred large objects takes seconds; the API server itself gives up after 60."""
LONGEST_WAIT_S = 120.0

Query = Mapping[str, str | int]


class ApiError(Exception):
    """The API server answered something else than what was asked for."""

    def __init__(self, code: int, status: Status, wait_s: float | None = None) -> None:
        super().__init__(f"HTTP {code} {status.reason}: {status.message[:300]}".strip())
        self.code = code
        self.reason = status.reason
        self.wait_s = wait_s
        """How long the server asked to be left alone, in seconds."""
        self.message = status.message


class Gone(ApiError):
    """410: the resourceVersion, or the list that was being paged, is too old. Only a new list helps."""


class ClusterApi:
    """GET only. A request that is refused with 401 is sent once more with credentials that are read anew."""

    def __init__(self, access: Access, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._access = access
        self._client = httpx.AsyncClient(
            base_url=access.server,
            headers=[*access.headers, ("Accept", "application/json"), ("User-Agent", "lineal-agent")],
            verify=access.context,
            proxy=access.proxy,
            transport=transport,
            trust_env=access.proxy is None,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S, pool=None),
        )
        self._extensions = {"sni_hostname": access.server_name} if access.server_name else {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.aclose()

    async def get(self, path: str, query: Query | None = None) -> bytes:
        """Raises ApiError, httpx.TransportError, AccessError."""
        async with self._answer("GET", path, query or {}, read_s=ANSWER_S) as response:
            return await response.aread()

    @asynccontextmanager
    async def watch(self, path: str, query: Query, *, silence_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch as they come, of any length; a line that the end of the connection cut off is left out.

        Raises as `get`; httpx.ReadTimeout: nothing came for so long.
        """
        async with self._answer("GET", path, {**query, "watch": "true"}, read_s=silence_s) as response:
            yield lines(response.aiter_bytes())

    async def send(self, method: str, path: str, content: bytes, media_type: str) -> bytes:
        """For agent.cluster.writing alone, which says what the agent may write."""
        async with self._answer(method, path, {}, read_s=ANSWER_S, content=content, media_type=media_type) as response:
            return await response.aread()

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, query: Query, *, read_s: float, content: bytes | None = None, media_type: str | None = None
    ) -> AsyncIterator[httpx.Response]:
        timeout = httpx.Timeout(CONNECT_S, read=read_s, pool=None)
        for last in (False, True):
            headers = await self._access.credentials.headers() | ({"Content-Type": media_type} if media_type else {})
            request = self._client.build_request(
                method, path, params=query, headers=headers, content=content, timeout=timeout, extensions=self._extensions
            )
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code == httpx.codes.UNAUTHORIZED and not last:
                    self._access.credentials.forget()
                    continue
                if not response.is_success:
                    raise failure(response.status_code, await response.aread(), response.headers.get("Retry-After"))
                yield response
                return
            finally:
                await response.aclose()


def failure(code: int | None, body: bytes, retry_after: str | None = None) -> ApiError:
    """What an answer with this code means; an ERROR event in a watch has none of its own, but that of its body."""
    try:
        status = status_of(body)
    except msgspec.MsgspecError:
        status = Status(message=body[:300].decode("utf-8", "replace"))
    wait = _seconds(retry_after)
    if wait is None and status.details and status.details.retryAfterSeconds:
        wait = min(status.details.retryAfterSeconds, LONGEST_WAIT_S)
    code = code or status.code or 500
    return (Gone if code == httpx.codes.GONE else ApiError)(code, status, wait)


def _seconds(retry_after: str | None) -> float | None:
    try:
        wait = float(retry_after or "")
    except ValueError:
        return None
    return min(max(wait, 0.0), LONGEST_WAIT_S) if math.isfinite(wait) else None
