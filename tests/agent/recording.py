"""Watching from outside: a proxy that writes down what goes through it, and a recorder of all that happens in a namespace."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from agent.kind import Kind
from tests.services.kubernetes import KubeCluster

Json = dict[str, Any]
_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "accept-encoding", "server", "date"}


@dataclass(frozen=True)
class Passed:
    method: str
    path: str
    body: bytes
    status: int


@dataclass
class RecordingProxy:
    """HTTP in front of `target`. While `away` it ends each connection without an answer."""

    target: str
    verify: ssl.SSLContext | bool = False
    headers: dict[str, str] = field(default_factory=dict)
    away: bool = False
    passed: list[Passed] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def serving(self) -> Iterator["RecordingProxy"]:
        client = httpx.Client(base_url=self.target, verify=self.verify, timeout=httpx.Timeout(120, connect=5))
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"proxy": self, "client": client}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            client.close()


class _Handler(BaseHTTPRequestHandler):
    proxy: RecordingProxy
    client: httpx.Client
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # whoever asked was killed
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.proxy.away:
            self._hang_up()
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP} | self.proxy.headers
        status = 0
        try:
            with self.client.stream(self.command, self.path, content=body or None, headers=headers) as answer:
                if self.command != "GET":
                    answer.read()
                status = answer.status_code
                self.proxy.passed.append(Passed(self.command, self.path, body, status))  # a watch may not end for long
                self.send_response(status)
                for name, value in answer.headers.items():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for chunk in [answer.content] if self.command != "GET" else answer.iter_bytes():
                    if chunk:
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                        self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
        except (httpx.TransportError, OSError):
            self._hang_up()
            if not status:
                self.proxy.passed.append(Passed(self.command, self.path, body, status))

    def _hang_up(self) -> None:
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the standard library's names


@dataclass(frozen=True)
class Recorded:
    kind: str
    version: int
    type: str
    content: Json

    @property
    def uid(self) -> str:
        return str(self.content["metadata"]["uid"])


class Recorder:
    """All events of some kinds in a namespace, by watches of its own. Who changes something waits until it is here."""

    def __init__(self, cluster: KubeCluster, kinds: Sequence[Kind], namespace: str) -> None:
        self.events: list[Recorded] = []
        self._cluster, self._namespace = cluster, namespace
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._present: dict[tuple[str, str], int] = {}
        self._watching: set[str] = set()
        self._proven: set[str] = set()
        """Kinds whose place in the history the API server has confirmed since their watch was last interrupted."""
        self._threads = [threading.Thread(target=self._record, args=(kind,), daemon=True) for kind in kinds]
        for thread in self._threads:
            thread.start()

    @property
    def records(self) -> bool:
        return bool(self._threads)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def wait_ready(self, kind: str) -> None:
        """Until changes of the kind are watched: what is deleted between a list and its watch may be missed.

        That a watch is open says little: the API server accepts one from a version that it has lost, and then says 410 in it.
        A line does; the first is at the latest the bookmark that comes shortly before the watch ends.
        """
        with self._news:
            ready = self._news.wait_for(lambda: kind in self._watching and kind in self._proven, 120)
            assert ready, f"{kind} is not watched"

    def wait_for(self, uid: str, version: int | None) -> None:
        """Until this version of the object is recorded; None: until its deletion is."""

        def wanted(event: Recorded) -> bool:
            return event.type == "DELETED" if version is None else event.version >= version

        with self._news:
            found = self._news.wait_for(
                lambda: any(
                    e.uid == uid and (e.type == "DELETED" if version is None else e.version >= version) for e in self.events
                ),
                60,
            )
        assert found, f"{uid} {version} was not recorded"

    def _record(self, kind: Kind) -> None:
        path = f"/apis/{kind.group}/{kind.versions[0]}/namespaces/{self._namespace}/{kind.plural}"
        version = ""
        while not self._stop.is_set():
            try:
                if not version:
                    version = self._list(kind, path)
                query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "5"}
                with self._cluster.http.stream("GET", path, params=query, timeout=httpx.Timeout(30, connect=5)) as answer:
                    if not answer.is_success:
                        version = "" if answer.status_code == 410 else version
                        self._proven.discard(kind.name)
                        time.sleep(0.2)
                        continue
                    self._watch_of(kind, goes_on=True)
                    for line in answer.iter_lines():
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            version = ""
                            self._proven.discard(kind.name)
                            break
                        version = event["object"]["metadata"]["resourceVersion"]
                        self._prove(kind)
                        if event["type"] != "BOOKMARK":
                            self._note(kind, event["type"], event["object"])
            except (httpx.HTTPError, ValueError):
                self._proven.discard(kind.name)
                time.sleep(0.1)
            finally:
                self._watch_of(kind, goes_on=False)

    def _watch_of(self, kind: Kind, *, goes_on: bool) -> None:
        with self._news:
            (self._watching.add if goes_on else self._watching.discard)(kind.name)
            self._news.notify_all()

    def _prove(self, kind: Kind) -> None:
        with self._news:
            self._proven.add(kind.name)
            self._news.notify_all()

    def _list(self, kind: Kind, path: str) -> str:
        answer = self._cluster.http.get(path)
        answer.raise_for_status()
        for content in answer.json()["items"]:
            self._note(kind, "ADDED", content)
        return str(answer.json()["metadata"]["resourceVersion"])

    def _note(self, kind: Kind, type: str, content: Json) -> None:
        version, uid = int(content["metadata"]["resourceVersion"]), content["metadata"]["uid"]
        with self._news:
            if self._present.get((kind.name, uid), 0) >= version:
                return
            self._present[kind.name, uid] = version
            self.events.append(Recorded(kind.name, version, type, content))
            self._news.notify_all()
