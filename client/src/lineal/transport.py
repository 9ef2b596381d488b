"""One keep-alive connection pool to a server: address and token from the environment, tries again what is safe to send again."""

import os
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from lineal.errors import ApiError, LinealError, Unreachable

DEFAULT_URL = "http://127.0.0.1:8080"
RETRIES = 6
_AGAIN = {429, 502, 503, 504}


class Transport:
    """`url` defaults to LINEAL_URL, `token` to LINEAL_TOKEN, `workspace` to LINEAL_WORKSPACE."""

    def __init__(
        self, url: str | None = None, *, token: str | None = None, workspace: str | None = None, timeout_s: float = 60
    ) -> None:
        self.url = (url or os.environ.get("LINEAL_URL") or DEFAULT_URL).rstrip("/")
        headers = {"User-Agent": "lineal-client"}
        self.token = token or os.environ.get("LINEAL_TOKEN")
        self.workspace = workspace or os.environ.get("LINEAL_WORKSPACE")
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.workspace:
            headers["X-Lineal-Workspace"] = self.workspace
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)
        except httpx.InvalidURL as error:
            raise LinealError(f"{self.url!r} is no address of a server: {error}") from error

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        return self.request("GET", path, params={key: value for key, value in params.items() if value is not None})

    def post(self, path: str, body: Any = None, *, create: bool = False) -> Any:
        """`create`: sent with an Idempotency-Key, so that trying again makes one record."""
        return self.request("POST", path, json=body, headers={"Idempotency-Key": secrets.token_hex(16)} if create else None)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of the answer (None for 204).

        Every call of this client is safe to send twice (reads, replay-safe logs, creates with a key), so lost connections
        and 429, 502, 503, 504 are tried again for about half a minute.

        Raises:
            ApiError: the server refused.
            Unreachable: there was no answer.
        """
        return _answer(self._sent(lambda: self._http.request(method, path, params=params, json=json, headers=headers)))

    def pages(self, path: str, items: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page."""
        token: str | None = None
        while True:
            page = self.get(path, page_token=token, **params)
            yield from page[items]
            token = page.get("next_page_token")
            if not token:
                return

    def upload(self, path: str, body: Callable[[], Iterable[bytes]], *, size_bytes: int, sha256: str) -> tuple[Any, bool]:
        """PUT `size_bytes` bytes that have this digest: what the server says, and whether the file is new there.

        `body` gives them from the beginning each time that it is called: a broken transfer is sent again.
        """
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size_bytes),
            "X-Content-Sha256": sha256,
        }
        response = self._sent(lambda: self._http.put(path, content=iter(body()), headers=headers))
        return _answer(response), response.status_code == 201

    @contextmanager
    def download(self, path: str, *, offset: int = 0) -> Iterator[httpx.Response]:
        """A streamed GET from `offset` on; not tried again here: the caller knows how far it came.

        Raises:
            ApiError: the server refused.
            Unreachable: no answer, or it broke off.
        """
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            with self._http.stream("GET", path, headers=headers) as response:
                if response.status_code in _AGAIN:
                    raise Unreachable(f"the download from {self.url} was put off: HTTP {response.status_code}")
                if response.status_code >= 400:
                    response.read()
                    _answer(response)
                yield response
        except httpx.TransportError as error:
            raise Unreachable(f"the download from {self.url} broke off: {error}") from error

    def _sent(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer, once it is one that will not change by trying again. Raises Unreachable."""
        last = "no answer"
        for attempt in range(RETRIES):
            try:
                response = send()
            except httpx.UnsupportedProtocol as error:
                raise LinealError(f"{self.url!r} is no address of a server: {error}") from error
            except httpx.TransportError as error:
                last = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in _AGAIN or attempt == RETRIES - 1:
                    return response
                last = f"HTTP {response.status_code}"
            if attempt < RETRIES - 1:
                pause(attempt)
        raise Unreachable(f"{self.url} cannot be reached ({last}); is the server running, is LINEAL_URL right?")


def pause(attempt: int) -> None:
    """Before trying again: longer each time, and never for all clients at once."""
    time.sleep(min(10.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)


def _answer(response: httpx.Response) -> Any:
    if response.status_code >= 400:
        try:
            problem = response.json()
        except ValueError:
            problem = {"detail": response.text[:200] or response.reason_phrase}
        raise ApiError(response.status_code, problem if isinstance(problem, dict) else {"detail": str(problem)})
    if response.status_code == 204 or not response.content:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise LinealError(f"{response.url} did not answer in JSON: is this a Lineal server?") from error
