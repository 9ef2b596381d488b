"""One keep-alive connection pool to a server: address and token from the environment, tries again what is safe to send again."""

import os
import random
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
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
        token = token or os.environ.get("LINEAL_TOKEN")
        workspace = workspace or os.environ.get("LINEAL_WORKSPACE")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if workspace:
            headers["X-Lineal-Workspace"] = workspace
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)

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
        last = "no answer"
        for attempt in range(RETRIES):
            try:
                response = self._http.request(method, path, params=params, json=json, headers=headers)
            except httpx.TransportError as error:
                last = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in _AGAIN or attempt == RETRIES - 1:
                    return _answer(response)
                last = f"HTTP {response.status_code}"
            if attempt < RETRIES - 1:
                time.sleep(min(10.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
        raise Unreachable(f"{self.url} cannot be reached ({last}); is the server running, is LINEAL_URL right?")

    def pages(self, path: str, items: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page."""
        token: str | None = None
        while True:
            page = self.get(path, page_token=token, **params)
            yield from page[items]
            token = page.get("next_page_token")
            if not token:
                return

    def upload(self, path: str, chunks: Iterable[bytes], *, media_type: str | None = None) -> Any:
        """PUT a body in chunks. Not tried again: the chunks are spent."""
        headers = {"Content-Type": media_type or "application/octet-stream"}
        try:
            return _answer(self._http.put(path, content=iter(chunks), headers=headers))
        except httpx.TransportError as error:
            raise Unreachable(f"the upload to {self.url} broke off: {error}") from error

    @contextmanager
    def download(self, path: str) -> Iterator[httpx.Response]:
        """A streamed GET."""
        try:
            with self._http.stream("GET", path) as response:
                if response.status_code >= 400:
                    response.read()
                    _answer(response)
                yield response
        except httpx.TransportError as error:
            raise Unreachable(f"the download from {self.url} broke off: {error}") from error


def _answer(response: httpx.Response) -> Any:
    if response.status_code >= 400:
        try:
            problem = response.json()
        except ValueError:
            problem = {"detail": response.text[:200]}
        raise ApiError(response.status_code, problem if isinstance(problem, dict) else {"detail": str(problem)})
    if response.status_code == 204 or not response.content:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise LinealError(f"{response.url} did not answer in JSON: is this a Lineal server?") from error
