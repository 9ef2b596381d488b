"""A TCP proxy between two of ours that misbehaves on request."""

import contextlib
import socket
import threading
import time
from enum import Enum, auto
from typing import Self


class Mode(Enum):
    PASS = auto()
    AWAY = auto()
    """Connections are closed at once."""
    CUT_ANSWERS = auto()
    """The request arrives; the first byte of the answer ends the connection instead of being passed on."""
    SLOW = auto()
    """Nothing is passed on until the mode changes."""
    ERRORS = auto()
    """HTTP 500, whatever was asked."""


class Proxy:
    """Listens on a free port of 127.0.0.1; `mode` counts from the next byte on."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.mode = Mode.PASS
        self.upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self.mode is Mode.AWAY:
                return
            if self.mode is Mode.ERRORS:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(self.upstream) as server:
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                self._pass(server, client, True)

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.mode is Mode.SLOW:
                    time.sleep(0.02)
                if self.mode in {Mode.AWAY, Mode.ERRORS} or (is_answer and self.mode is Mode.CUT_ANSWERS):
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
