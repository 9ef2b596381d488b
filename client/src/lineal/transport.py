"""One keep-alive connection pool to a server: address and token from the environment, tries again what is safe to send again."""

import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from lineal.errors import ApiError, LinealError, Unreachable

DEFAULT_URL = "http://127.0.0.1:8080"
RETRIES = 9
"""With the pauses between them about half a minute."""

AGAIN = {429, 502, 503, 504}
"""Nothing is wrong with the request: later it may be answered."""

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Transport:
    """`url` defaults to LINEAL_URL, `token` to LINEAL_TOKEN, `workspace` to LINEAL_WORKSPACE."""

    def __init__(
        self, url: str | None = None, *, token: str | None = None, workspace: str | None = None, timeout_s: float = 60
    ) -> None:
        self.url = (url or os.environ.get("LINEAL_URL") or DEFAULT_URL).rstrip("/")
        self.token = _word("token", token or os.environ.get("LINEAL_TOKEN"))
        self.workspace = _word("workspace", workspace or os.environ.get("LINEAL_WORKSPACE"))
        self.tries = RETRIES
        self._timeout_s = timeout_s
        self._process = os.getpid()
        self._connected = self._connect()

    @property
    def _http(self) -> httpx.Client:
        if self._process != os.getpid():  # on one connection parent and child would read each other's answers
            self._process, self._connected = os.getpid(), self._connect()
        return self._connected

    def _connect(self) -> httpx.Client:
        headers = {"User-Agent": "lineal-client"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.workspace:
            headers["X-Lineal-Workspace"] = self.workspace
        try:
            return httpx.Client(base_url=self.url, headers=headers, timeout=self._timeout_s)
        except httpx.InvalidURL as error:
            raise LinealError(f"{self._shown} is no address of a server: {error}") from error

    @property
    def _shown(self) -> str:
        """The address for a message: without a password."""
        return re.sub(r"//[^/]*@", "//", self.url)

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
        once: bool = False,
    ) -> Any:
        """The JSON of the answer (None for 204).

        Lost connections and 429, 502, 503, 504 are tried again for about half a minute: calls are safe to send twice (reads,
        replay-safe logs, creates with a key). `once`: this one is not, and is sent again only if it did not get there.

        Raises:
            ApiError: the server refused.
            Unreachable: there was no answer.
        """
        response = self._sent(lambda: self._http.request(method, path, params=params, json=json, headers=headers), once=once)
        return _answer(response)

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
                if response.status_code in AGAIN:
                    raise Unreachable(f"the download from {self._shown} was put off: HTTP {response.status_code}")
                if response.status_code >= 400:
                    response.read()
                    _answer(response)
                yield response
        except httpx.TransportError as error:
            raise Unreachable(f"the download from {self._shown} broke off: {error}") from error

    def _sent(self, send: Callable[[], httpx.Response], *, once: bool = False) -> httpx.Response:
        """The answer, once it is one that will not change by trying again. Raises Unreachable."""
        last = "no answer"
        for attempt in range(self.tries):
            try:
                response = send()
            except httpx.UnsupportedProtocol as error:
                raise LinealError(f"{self._shown} is no address of a server: {error}") from error
            except httpx.TransportError as error:
                last = f"{type(error).__name__}: {error}"
                if once and not isinstance(error, _UNSENT):
                    raise Unreachable(f"{self._shown} did not answer ({last}); look whether the change was made") from error
            else:
                if response.status_code not in AGAIN or attempt == self.tries - 1 or (once and response.status_code != 429):
                    return response
                last = f"HTTP {response.status_code}"
            if attempt < self.tries - 1:
                pause(attempt)
        raise Unreachable(f"{self._shown} cannot be reached ({last}); is the server running, is LINEAL_URL right?")


def pause(attempt: int) -> None:
    """Before trying again: longer each time, and never for all clients at once."""
    time.sleep(min(10.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)


def _word(kind: str, text: str | None) -> str | None:
    """As it goes into a header; a file that it was read from may have ended in a newline. Raises LinealError without it."""
    text = None if text is None else text.strip()
    if text and not (text.isascii() and text.isprintable()):
        raise LinealError(f"the {kind} holds a character that cannot be sent (LINEAL_{kind.upper()}?)")
    return text or None


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
