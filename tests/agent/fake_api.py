"""A Kubernetes API server for tests: it keeps objects, tells of their changes, and misbehaves when it is told to.

It shows what a real one cannot be made to show (a history that ends where the test says, a connection that goes silent, a page
that expires), over real sockets. What it must have in common with a real one, tests/agent/test_real_api.py runs on both. It is
whole: one server, and how it answers.
"""

import copy
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
WORKFLOWS = ("argoproj.io", "v1alpha1", "workflows")


@dataclass(frozen=True)
class Request:
    verb: str
    """GET, LIST or WATCH, else the method."""
    path: str
    query: dict[str, str]
    token: str | None


class Answered(Exception):
    """A fault has answered the request."""


Fault = Callable[["Handler", Request], None]
"""Answers and raises Answered, or does something and lets the request go on."""


@dataclass
class FakeApi:
    """`faults[verb]` is taken from the front, one for each request with that verb; None lets one through."""

    served: set[tuple[str, str, str]] = field(default_factory=lambda: {WORKFLOWS})
    tokens: set[str] | None = None
    """None: whoever comes is let in."""
    streams_lists: bool = True
    bookmark_s: float | None = 0.05
    watch_s: float = 30.0
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self._objects: dict[tuple[str, str, str], Json] = {}  # plural, namespace, name
        self._log: list[tuple[int, str, Json | None, Json | None]] = []  # version, plural, before, after
        self._history: list[tuple[str, Json]] = []
        self._version = itertools.count(1001)
        self.version = 1000
        self._floor = 0
        self._pages: dict[str, tuple[int, list[Json]]] = {}
        self.changed = threading.Condition()
        self.stopping = False

    # ---- the cluster ------------------------------------------------------------------------------------------------

    def put(self, content: Json, plural: str = "workflows") -> Json:
        """Create or change. Gives what is kept: with uid, resourceVersion, apiVersion."""
        with self.changed:
            metadata = content.setdefault("metadata", {})
            metadata.setdefault("namespace", "default")
            key = (plural, metadata["namespace"], metadata["name"])
            before = self._objects.get(key)
            kept = copy.deepcopy(content)
            kept.setdefault("apiVersion", "argoproj.io/v1alpha1")
            kept.setdefault("kind", "Workflow")
            kept["metadata"]["uid"] = metadata.get("uid") or (before["metadata"]["uid"] if before else str(uuid.uuid4()))
            self._note(plural, before, kept)
            self._objects[key] = kept
            return copy.deepcopy(kept)

    def delete(self, name: str, namespace: str = "default", plural: str = "workflows") -> None:
        with self.changed:
            self._note(plural, self._objects.pop((plural, namespace, name)), None)

    def events(self) -> list[tuple[str, Json]]:
        """All that ever happened, compacted or not: type and object."""
        with self.changed:
            return list(self._history)

    def labels(self, name: str, namespace: str = "default", plural: str = "workflows") -> Json:
        with self.changed:
            return dict(self._objects[plural, namespace, name]["metadata"].get("labels") or {})

    def present(self, plural: str, namespace: str | None, selector: str | None) -> list[Json]:
        """Under the lock."""
        kept = (kept for key, kept in sorted(self._objects.items()) if key[0] == plural)
        return [copy.deepcopy(one) for one in kept if chosen(one, namespace, selector)]

    def restamp(self, by: int = 1) -> None:
        """The cluster's version goes on without these kinds: others change."""
        with self.changed:
            for _ in range(by):
                self.version = next(self._version)

    def compact(self) -> None:
        """The history up to now is forgotten: a watch from before is 410."""
        with self.changed:
            self._floor = self.version
            self._log.clear()
            self._pages.clear()

    def restore(self, version: int) -> None:
        """As after a restore of etcd from a backup: the versions start again lower."""
        with self.changed:
            self._version = itertools.count(version + 1)
            self.version = version
            self._log.clear()
            self._floor = 0
            for kept in self._objects.values():
                kept["metadata"]["resourceVersion"] = str(version)

    def _note(self, plural: str, before: Json | None, after: Json | None) -> None:
        self.version = next(self._version)
        if after is not None:
            after["metadata"]["resourceVersion"] = str(self.version)
        self._log.append((self.version, plural, before, copy.deepcopy(after)))
        if after is None and before is not None:
            gone = copy.deepcopy(before)
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._history.append(("DELETED", gone))
        elif after is not None:
            self._history.append(("MODIFIED" if before else "ADDED", copy.deepcopy(after)))
        self.changed.notify_all()

    # ---- the server -------------------------------------------------------------------------------------------------

    @contextmanager
    def serving(self) -> Iterator["FakeApi"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"api": self}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            with self.changed:
                self.stopping = True
                self.changed.notify_all()
            server.shutdown()
            server.server_close()
            thread.join(10)

    def fail(self, verb: str, *faults: Fault | None) -> None:
        with self.changed:
            self.faults.setdefault(verb, []).extend(faults)

    def asked(self, verb: str) -> list[Request]:
        with self.changed:
            return [request for request in self.requests if request.verb == verb]


class Handler(BaseHTTPRequestHandler):
    api: FakeApi
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path.strip("/").split("/")
        namespace = path[path.index("namespaces") + 1] if "namespaces" in path else None
        rest = path[5 if namespace is not None else 3 :]
        verb = "WATCH" if query.get("watch") == "true" else "LIST" if len(rest) == 1 else "GET"
        request = Request(verb, parts.path, query, (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None)
        api = self.api
        with api.changed:
            api.requests.append(request)
            waiting = api.faults.get(verb) or []
            fault = waiting.pop(0) if waiting else None
        try:
            if fault is not None:
                fault(self, request)
            self._answer(request, (path[1], path[2], rest[0]), namespace, rest[1:])
        except Answered:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_PATCH(self) -> None:
        """A merge patch of labels, guarded by the version, as marking a Workflow needs it."""
        api = self.api
        parts = urlsplit(self.path).path.strip("/").split("/")
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["metadata"]
        request = Request("PATCH", self.path, {}, None)
        with api.changed:
            api.requests.append(request)
            waiting = api.faults.get("PATCH") or []
            fault = waiting.pop(0) if waiting else None
        if fault is not None:
            fault(self, request)
        with api.changed:
            kept = api._objects.get((parts[5], parts[4], parts[6]))
        if kept is None:
            return self.status(404, "NotFound")
        if kept["metadata"]["resourceVersion"] != patch["resourceVersion"]:
            return self.status(409, "Conflict")
        changed = copy.deepcopy(kept)
        changed["metadata"].setdefault("labels", {}).update(patch["labels"])
        self.json(200, api.put(changed, parts[5]))
        return None

    def _answer(self, request: Request, resource: tuple[str, str, str], namespace: str | None, name: list[str]) -> None:
        api = self.api
        if api.tokens is not None and request.token not in api.tokens:
            return self.status(401, "Unauthorized")
        if resource not in api.served:
            return self.status(404, "NotFound", "the server could not find the requested resource")
        plural, selector = resource[2], request.query.get("labelSelector")
        if request.verb == "WATCH":
            return self._watch(request.query, plural, namespace, selector)
        if name:
            kept = api._objects.get((plural, namespace or "", name[0]))
            return self.json(200, kept) if kept else self.status(404, "NotFound")
        return self._list(request.query, plural, namespace, selector)

    def _list(self, query: dict[str, str], plural: str, namespace: str | None, selector: str | None) -> None:
        api = self.api
        with api.changed:
            token = query.get("continue")
            if token:
                if token not in api._pages:
                    return self.status(410, "Expired", "The provided continue parameter is too old")
                version, items = api._pages.pop(token)
            else:
                version = api.version
                items = api.present(plural, namespace, selector)
            limit = int(query.get("limit") or 500)
            page, rest = items[:limit], items[limit:]
            metadata = {"resourceVersion": str(version)}
            if rest:
                metadata["continue"] = uuid.uuid4().hex
                api._pages[metadata["continue"]] = (version, rest)
        return self.json(200, {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page})

    def _watch(self, query: dict[str, str], plural: str, namespace: str | None, selector: str | None) -> None:
        api = self.api
        initial = query.get("sendInitialEvents") == "true"
        if initial and not api.streams_lists:
            return self.status(422, "Invalid", "sendInitialEvents is forbidden for watch")
        with api.changed:
            since = api.version if initial else int(query["resourceVersion"])
            if not initial and since < api._floor:
                return self.status(410, "Expired", "too old resource version")
            if since > api.version:
                return self.status(504, "Timeout", f"Too large resource version: {since}, current: {api.version}")
            present = api.present(plural, namespace, selector)
        self.begin()
        if initial:
            for kept in present:
                self.event("ADDED", kept)
            self.event("BOOKMARK", bookmark(since, ends=True))
        began = marked_at = time.monotonic()
        while time.monotonic() < began + api.watch_s and not api.stopping:
            with api.changed:
                news = [entry for entry in api._log if entry[0] > since and entry[1] == plural]
                now = api.version
                if not news:
                    api.changed.wait(0.02)
            for version, _, before, after in news:
                since = version
                had, has = (one is not None and chosen(one, namespace, selector) for one in (before, after))
                if after is not None and has:
                    self.event("MODIFIED" if had else "ADDED", after)
                elif before is not None and had:  # deleted, or it leaves the selector
                    gone = copy.deepcopy(before)
                    gone["metadata"]["resourceVersion"] = str(version)
                    self.event("DELETED", gone)
            if not news and api.bookmark_s is not None and time.monotonic() - marked_at > api.bookmark_s:
                since, marked_at = max(since, now), time.monotonic()
                self.event("BOOKMARK", bookmark(since))
        self.end()
        return None

    # ---- writing ----------------------------------------------------------------------------------------------------

    def json(self, code: int, content: Json, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def status(self, code: int, reason: str, message: str = "", headers: dict[str, str] | None = None) -> None:
        self.json(code, {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}, headers)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def event(self, type: str, content: Json) -> None:
        self.chunk(json.dumps({"type": type, "object": content}).encode() + b"\n")

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """The connection ends without a word."""
        self.close_connection = True
        self.connection.shutdown(2)


def bookmark(version: int, *, ends: bool = False) -> Json:
    metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if ends:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": "Workflow", "apiVersion": "argoproj.io/v1alpha1", "metadata": metadata}


def chosen(kept: Json, namespace: str | None, selector: str | None) -> bool:
    labels = kept["metadata"].get("labels") or {}
    wanted = dict(part.split("=") for part in selector.split(",")) if selector else {}
    inside = namespace in {None, kept["metadata"]["namespace"]}
    return inside and all(labels.get(name) == value for name, value in wanted.items())


# ---- faults ---------------------------------------------------------------------------------------------------------


def answers(code: int, reason: str = "", message: str = "", **headers: str) -> Fault:
    """With this status; `Retry_After="1"` is a header."""

    def fault(handler: Handler, request: Request) -> None:
        handler.status(code, reason, message, {name.replace("_", "-"): value for name, value in headers.items()})
        raise Answered

    return fault


def says(*lines: Json | bytes, then: str = "end") -> Fault:
    """A watch of these lines; then it ends, is cut off, or stays silent."""

    def fault(handler: Handler, request: Request) -> None:
        handler.begin()
        for line in lines:
            handler.chunk(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        if then == "silence":
            while not handler.api.stopping:
                time.sleep(0.02)
        if then == "end":
            handler.end()
        else:
            handler.cut()
        raise Answered

    return fault


def expired() -> Json:
    """The event by which a watch ends whose history is gone."""
    status = {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old resource version"}
    return {"type": "ERROR", "object": status}


def cut(handler: Handler, request: Request) -> None:
    handler.cut()
    raise Answered


def sends(body: bytes) -> Fault:
    """This body, as it is."""

    def fault(handler: Handler, request: Request) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        raise Answered

    return fault


def silent(handler: Handler, request: Request) -> None:
    """No answer ever comes."""
    while not handler.api.stopping:
        time.sleep(0.02)
    handler.cut()
    raise Answered


def first(act: Callable[[], object]) -> Fault:
    """Something happens in the cluster just before the request is answered."""

    def fault(handler: Handler, request: Request) -> None:
        act()

    return fault
