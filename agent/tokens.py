"""Bearer tokens of the servers that are asked, each as a text or in a file that somebody writes anew before it ends."""

import logging
import time
from collections.abc import Generator
from pathlib import Path

import httpx

log = logging.getLogger("lineal.agent")

TOKEN_AGE_S = 60.0


class Token:
    """A text, or a file that is read anew each minute and whenever the server did not accept it."""

    def __init__(self, token: str | None, file: Path | None) -> None:
        self._token, self._file = token, file
        self._read_at = float("-inf")

    def value(self) -> str | None:
        if self._file is not None and time.monotonic() - self._read_at > TOKEN_AGE_S:
            try:
                self._token, self._read_at = self._file.read_text("utf-8").strip(), time.monotonic()
            except OSError as error:
                log.warning("the token file cannot be read", extra={"data": {"error": str(error)}})
        return self._token

    def forget(self) -> None:
        self._read_at = float("-inf")


class TokenAuth(httpx.Auth):
    """Shows the token; one that is not accepted is read again, and the request is sent once more."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        shown = self._show(request)
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._token.forget()
            if self._show(request) != shown:
                yield request

    def _show(self, request: httpx.Request) -> str | None:
        token = self._token.value()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return token


def auth_of_file(file: str | None) -> TokenAuth | None:
    """None where no file is named."""
    return TokenAuth(Token(None, Path(file))) if file else None
