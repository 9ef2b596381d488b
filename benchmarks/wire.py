"""A raw keep-alive HTTP client: one request at a time per connection, no pipelining, as little Python as it takes.

httpx costs more than the calls that are measured. `call_all` and `drive` give back every answer, to be checked after the
clock has stopped.
"""

import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

Address = tuple[str, int]
_RECEIVE = 1 << 18


class Answer(NamedTuple):
    status: int
    body: bytes


class Exchange(NamedTuple):
    """One call: when it was sent (a clock's seconds), how long until its last byte was here, what came."""

    sent_at: float
    seconds: float
    answer: Answer


class WireError(Exception):
    """The connection or its HTTP is broken."""


def request(method: str, path: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """The bytes of a request; with `length` only its head, for a body that is sent apart."""
    size = len(body) if length is None else length
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if size or method in {"POST", "PUT", "PATCH"}:
        lines += [f"Content-Length: {size}"]
    if body and not any(line.lower().startswith("content-type") for line in headers):
        lines += ["Content-Type: application/json"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Parser:
    """Gives an answer once its last byte was fed."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head_end = -1
        self._end = -1
        self._status = 0

    def feed(self, data: bytes | memoryview) -> Answer | None:
        self._data += data
        if self._head_end < 0:
            found = self._data.find(b"\r\n\r\n")
            if found < 0:
                return None
            self._read_head(bytes(self._data[:found]))
            self._head_end = found + 4
        if self._end < 0:
            return self._chunked()
        if len(self._data) < self._head_end + self._end:
            return None
        answer = Answer(self._status, bytes(self._data[self._head_end : self._head_end + self._end]))
        self._data.clear()
        self._head_end = self._end = -1
        return answer

    def _read_head(self, head: bytes) -> None:
        self._status, self._end = read_head(head)

    def _chunked(self) -> Answer | None:
        if not self._data.endswith(b"0\r\n\r\n"):
            return None
        body, place = bytearray(), self._head_end
        while True:
            line = self._data.find(b"\r\n", place)
            size = int(self._data[place:line], 16) if line >= 0 else -1
            if size < 0 or len(self._data) < line + size + 4:
                return None  # the ending was part of a chunk
            if size == 0:
                break
            body += self._data[line + 2 : line + 2 + size]
            place = line + size + 4
        answer = Answer(self._status, bytes(body))
        self._data.clear()
        self._head_end = -1
        return answer


def read_head(head: bytes) -> tuple[int, int]:
    """Status and length of the body; -1 where it comes in chunks."""
    lines = head.split(b"\r\n")
    status, length, chunked = int(lines[0].split(b" ", 2)[1]), 0, False
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif name.lower() == b"transfer-encoding":
            chunked = b"chunked" in value.lower()
    return status, -1 if chunked else length


class Connection:
    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=300)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = Parser()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def call(self, data: bytes) -> Answer:
        self.socket.sendall(data)
        return self.receive()

    def receive(self) -> Answer:
        while True:
            data = self.socket.recv(_RECEIVE)
            if not data:
                raise WireError("the server closed the connection")
            answer = self._parser.feed(data)
            if answer is not None:
                return answer

    def upload(self, head: bytes, block: bytes, times: int) -> Answer:
        """Send a body that is `block` so many times."""
        self.socket.sendall(head)
        for _ in range(times):
            self.socket.sendall(block)
        return self.receive()

    def download(self, data: bytes, block: bytes, times: int) -> bool:
        """Receive what `upload` sent, without keeping it; whether it was 200 and those bytes, all of them."""
        self.socket.sendall(data)
        head = bytearray()
        while (end := head.find(b"\r\n\r\n")) < 0:
            head += self.socket.recv(1)
        status, length = read_head(bytes(head[:end]))
        if status != 200 or length != len(block) * times:
            raise WireError(f"answered {status} with {length} bytes")
        buffer = memoryview(bytearray(len(block)))
        same = True
        for _ in range(times):
            filled = 0
            while filled < len(block):
                got = self.socket.recv_into(buffer[filled:])
                if not got:
                    raise WireError("the server closed the connection")
                filled += got
            same = same and block.startswith(buffer)  # as long as it: memcmp, where views compare byte by byte
        return same


def call_all(address: Address, requests: Iterable[bytes], *, seconds: float = 1e9) -> list[Exchange]:
    """One client, one request after the other, until they are through or the time is (at least one)."""
    found: list[Exchange] = []
    with Connection(address) as connection:
        end = time.perf_counter() + seconds
        for data in requests:
            start = time.perf_counter()
            answer = connection.call(data)
            found.append(Exchange(start, time.perf_counter() - start, answer))
            if start > end:
                break
    return found


@dataclass
class _Client:
    connection: Connection
    requests: Iterator[bytes]
    number: int
    sent_at: float = 0.0

    def send(self) -> bool:
        """Whether there was one more."""
        data = next(self.requests, None)
        if data is None:
            return False
        self.sent_at = time.perf_counter()
        self.connection.socket.setblocking(True)
        self.connection.socket.sendall(data)
        self.connection.socket.setblocking(False)
        return True


def drive(address: Address, streams: Sequence[Iterable[bytes]], *, seconds: float) -> list[list[Exchange]]:
    """One client per stream, all at once in this thread; each sends its next request when it has the answer to the last."""
    if len(streams) == 1:
        return [call_all(address, streams[0], seconds=seconds)]
    found: list[list[Exchange]] = [[] for _ in streams]
    selector = selectors.DefaultSelector()
    clients = [_Client(Connection(address), iter(stream), number) for number, stream in enumerate(streams)]
    end, busy = time.perf_counter() + seconds, 0
    for client in clients:
        selector.register(client.connection.socket, selectors.EVENT_READ, client)
        busy += client.send()
    while busy:
        for key, _ in selector.select():
            client = key.data
            data = client.connection.socket.recv(_RECEIVE)
            if not data:
                raise WireError("the server closed a connection")
            answer = client.connection._parser.feed(data)  # noqa: SLF001  (its own reader, without waiting)
            if answer is None:
                continue
            now = time.perf_counter()
            found[client.number].append(Exchange(client.sent_at, now - client.sent_at, answer))
            if now > end or not client.send():
                busy -= 1
                selector.unregister(client.connection.socket)
    for client in clients:
        client.connection.socket.close()
    return found
