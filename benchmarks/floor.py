"""The hand-written floor: the same work on our tables by the raw driver, in a raw ASGI application. `python -m benchmarks.floor`.

No authorisation, no audit, no checks of input: less than any server could do, so a bound and not an aim. It writes beside our
server with ids that begin far above its own.
"""

import asyncio
import hashlib
import itertools
import json
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.nodes import artifact_row, node_row
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, ArtifactKind, EventType, sha256
from registry.tables import graph
from registry.tables import runs as running
from registry.tables.service import blobs

FIRST_ID = 500_000_000
Row = dict[str, Any]


class Floor:
    def __init__(self, url: str, folder: Path) -> None:
        """`folder`: where files go."""
        self.folder = folder
        self.connection: Any
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            self.connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
            for pragma in ("synchronous=FULL", "cache_size=-32768"):
                self.connection.execute(f"PRAGMA {pragma}")
        else:
            import psycopg

            self.connection = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True)
        self._ids = itertools.count(FIRST_ID + int(time.time()) % 100_000 * 1000)

    # ---- lineage -----------------------------------------------------------------------------------------------------

    def walk(self, root: int, direction: str, depth: int, per_hop: int, *, with_root: bool = True) -> Row:
        """Level by level, artifacts and executions in turn; then the names of all nodes."""
        up = direction == "upstream"
        seen: dict[str, dict[int, int]] = {"artifact": {root: 0}, "execution": {}}
        edges: list[tuple[str, str]] = []
        frontier, near = [root], "artifact"
        for level in range(1, depth + 1):
            far = "execution" if near == "artifact" else "artifact"
            types = OUTPUT_EVENTS if (near == "artifact") == up else INPUT_EVENTS
            counts: dict[int, int] = {}
            fresh: list[int] = []
            for own, other in self._events(near, far, frontier, types):
                counts[own] = counts.get(own, 0) + 1
                if counts[own] > per_hop:
                    continue
                edges.append((f"{near}_{own}", f"{far}_{other}"))
                if other not in seen[far]:
                    seen[far][other] = level
                    fresh.append(other)
            if not fresh:
                break
            frontier, near = fresh, far
        if not with_root:
            del seen["artifact"][root]
        return {"nodes": [node for kind, ids in seen.items() for node in self._cards(kind, ids)], "edges": edges}

    def _events(self, near: str, far: str, ids: Sequence[int], types: Iterable[int]) -> list[tuple[int, int]]:
        wanted = ", ".join(str(int(one)) for one in types)
        listed = ", ".join(map(str, ids))
        text = f"SELECT {near}, {far} FROM events WHERE {near} IN ({listed}) AND type IN ({wanted}) ORDER BY {near}, at DESC"  # noqa: S608
        return list(self.connection.execute(text).fetchall())

    def _cards(self, kind: str, ids: dict[int, int]) -> list[Row]:
        listed = ", ".join(map(str, ids)) or "0"
        text = f"SELECT id, name, type_id, created_at FROM {kind}s WHERE id IN ({listed})"  # noqa: S608
        return [
            {"id": f"{kind}_{id}", "name": name, "type": type_id, "created_at": at, "depth": ids[id]}
            for id, name, type_id, at in self.connection.execute(text).fetchall()
        ]

    # ---- reports -----------------------------------------------------------------------------------------------------

    def apply(self, body: bytes) -> Row:
        """A new report's rows in one transaction, one statement per table."""
        report, now = orjson.loads(body), int(time.time() * 1000)
        own: Row = {"workspace": 1, "now": now}
        run, name = next(self._ids), report["run"]["name"]
        contexts = [node_row(run, type_id=node_types.RUN, name=name, **own)]
        runs = [_run_row(run, name, now)]
        objects = [_object_row(next(self._ids), report, run, body, now)]
        executions, steps, artifacts, events, belongs = [], [], [], [], []
        files: dict[str, int] = {}
        for task in report["tasks"]:
            step = next(self._ids)
            executions.append(node_row(step, type_id=node_types.STEP, name=task["name"], **own))
            steps.append(_step_row(step, run, task))
            belongs.append({"context": run, "execution": step})
            for way, type in (("inputs", EventType.INPUT), ("outputs", EventType.OUTPUT)):
                for file in task[way].get("artifacts", ()):
                    if file["uri"] not in files:
                        files[file["uri"]] = next(self._ids)
                        given = {"uri": file["uri"], "location_hash": sha256(file["uri"]), "step": step, "port": file["name"]}
                        id, kind = files[file["uri"]], ArtifactKind.OTHER
                        artifacts.append(artifact_row(id, type_id=node_types.ARTIFACT, kind=kind, name=None, **own, **given))
                    ends = {"artifact": files[file["uri"]], "execution": step}
                    events.append({"id": next(self._ids), **ends, "type": int(type), "at": now, "port": file["name"]})
        self.connection.execute("BEGIN")
        for table, rows in (
            (graph.contexts, contexts),
            (running.runs, runs),
            (running.objects, objects),
            (graph.executions, executions),
            (running.steps, steps),
            (graph.artifacts, artifacts),
            (graph.events, events),
            (graph.associations, belongs),
        ):
            self._insert(table, rows)
        self.connection.execute("COMMIT")
        return {"result": "applied"}

    def _insert(self, table: sa.Table, rows: Sequence[Row]) -> None:
        names = [column.name for column in table.columns]
        mark = "?" if self.is_sqlite else "%s"
        text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join([mark] * len(names))})"  # noqa: S608
        values = [[row.get(name) for name in names] for row in rows]
        if self.is_sqlite:
            self.connection.executemany(text, values)
        else:
            with self.connection.cursor() as cursor:
                cursor.executemany(text, values)

    def unchanged(self, body: bytes) -> Row:
        report = orjson.loads(body)
        mark = "?" if self.is_sqlite else "%s"
        text = f"SELECT report FROM objects WHERE workspace = 1 AND identity = {mark}"  # noqa: S608
        found = self.connection.execute(text, (sha256(report["object"]["uid"]),)).fetchone()
        return {"result": "unchanged" if found and bytes(found[0]) == body else "applied"}

    # ---- files -------------------------------------------------------------------------------------------------------

    async def put(self, path: str, receive: Any) -> Row:
        """Hashed, on the disk with its folder's entry, then a row: what ours promises, one thing after the other."""
        file = self.folder / path.lstrip("/")
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
        digest, size, part = hashlib.sha256(), 0, f"{file}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        more = True
        while more:
            message = await receive()
            piece, more = message.get("body", b""), bool(message.get("more_body"))
            digest.update(piece)
            os.write(descriptor, piece)
            size += len(piece)
        _place(descriptor, Path(part), file)
        row = {"id": next(self._ids), "workspace": 1, "key": path, "key_hash": sha256(path), "digest": digest.hexdigest()}
        now = int(time.time() * 1000)
        self.connection.execute("BEGIN")
        self._insert(blobs, [row | {"size_bytes": size, "created_at": now, "updated_at": now}])
        self.connection.execute("COMMIT")
        return {"sha256": row["digest"]}

    # ---- the application ---------------------------------------------------------------------------------------------

    async def __call__(self, scope: Row, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "PUT":
            content = orjson.dumps(await self.put(scope["path"], receive))
            await self._send(send, content)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"].startswith("/api/v1/files/"):
            await self._send(send, (self.folder / scope["path"].lstrip("/")).read_bytes())
            return
        await self._send(send, orjson.dumps(self._answer(scope["path"], parse_qs(scope["query_string"].decode()), body)))

    async def _send(self, send: Any, content: bytes) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, path: str, query: dict[str, list[str]], body: bytes) -> Row:
        if path == "/walk":
            numbers = {name: int(query[name][0]) for name in ("root", "depth", "per_hop")}
            return self.walk(direction=query["direction"][0], with_root="without_root" not in query, **numbers)
        if path == "/report":
            return self.apply(body)
        if path == "/unchanged":
            return self.unchanged(body)
        return {}


def _place(descriptor: int, part: Path, file: Path) -> None:
    os.fsync(descriptor)
    os.close(descriptor)
    part.rename(file)
    parent = os.open(file.parent, os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)


def _run_row(id: int, name: str, now: int) -> Row:
    hex = uuid.uuid4().hex
    words = {"experiment_author": 1, "name_author": 1, "status": 3, "status_author": 1, "lifecycle": 0, "origin": 1}
    return {"id": id, "workspace": 1, "hex": hex, "name": name, "started_at": now, "ended_at": now, **words}


def _step_row(id: int, run: int, task: Row) -> Row:
    detail = json.dumps({"inputs": task["inputs"]["parameters"], "depends_on": task.get("depends_on", [])}).encode()
    names = {"path": task["key"], "path_key": task["key"], "name": task["name"], "phase": task["phase"]}
    return {"id": id, "workspace": 1, "run": run, "status": 3, "status_author": 1, "detail": detail, **names}


def _object_row(id: int, report: Row, run: int, body: bytes, now: int) -> Row:
    of = report["object"]
    names = {"cluster": "", "namespace": of["namespace"], "kind": of["kind"], "name": of["name"], "uid": of["uid"]}
    more = {"identity": sha256(of["uid"]), "run": run, "report": body, "deleted": 0, "received_at": now}
    return {"id": id, "workspace": 1, **names, **more}


def main(url: str, port: int, folder: Path) -> None:
    import uvicorn

    app: Any = Floor(url, folder)
    config = uvicorn.Config(app, port=port, log_config=None, loop="uvloop", http="httptools", lifespan="off")
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
