"""A grpc-web client: what a browser sends and takes apart. Knows nothing of the server's own framing."""

import base64
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx

from registry.api.mlmd.descriptors import service

TEXT = "application/grpc-web-text"
BINARY = "application/grpc-web+proto"


@dataclass(frozen=True)
class Answer:
    """`message` None: there was none. `trailers` by lower-case name."""

    message: bytes | None
    trailers: dict[str, str]

    @property
    def code(self) -> int:
        return int(self.trailers["grpc-status"])

    @property
    def text(self) -> str:
        return unquote(self.trailers.get("grpc-message", ""))


class WebClient:
    def __init__(self, url: str, kind: str = BINARY, prefix: str = "") -> None:
        self.url = f"{url}{prefix}/{service().name}"
        self.kind = kind

    def send(self, method: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """`body` as it goes over the wire."""
        sent = {"content-type": self.kind, "x-grpc-web": "1", **(headers or {})}
        return httpx.post(f"{self.url}/{method}", content=body, headers=sent, timeout=60)

    def ask(self, method: str, message: bytes, headers: dict[str, str] | None = None) -> Answer:
        frame = struct.pack(">BI", 0, len(message)) + message
        answer = self.send(method, base64.b64encode(frame) if self.kind.startswith(TEXT) else frame, headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(self.kind.removesuffix("+proto"))
        return parsed(base64.b64decode(answer.content) if self.kind.startswith(TEXT) else answer.content)

    def call(self, method: str, /, **fields: Any) -> Any:
        """The response message; fails on any status but OK."""
        of = service().methods[method]
        answer = self.ask(method, of.request(**fields).SerializeToString())
        assert (answer.code, answer.message is None) == (0, False), answer
        return of.response.FromString(answer.message or b"")


def parsed(body: bytes) -> Answer:
    """At most one message, then the trailers, then nothing."""
    message = None
    if body[:1] == b"\x00":
        [length] = struct.unpack(">I", body[1:5])
        message, body = body[5 : 5 + length], body[5 + length :]
    flags, length = struct.unpack(">BI", body[:5])
    assert (flags, len(body)) == (0x80, 5 + length)
    lines = body[5:].decode("ascii").split("\r\n")
    assert lines.pop() == ""
    return Answer(message, dict(line.split(":", 1) for line in lines))
