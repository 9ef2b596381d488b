"""Filling a store faster than any API could: rows straight into our tables and the peer's.

Ours must not be running: it keeps counters of ids. What is written here is read back through the API by every case.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Self

import sqlalchemy as sa

from benchmarks.generate import EPOCH, Generator, RunData, Weave
from registry.catalog import node_types
from registry.catalog.nodes import artifact_row, node_row
from registry.names import ArtifactKind, Author, EventType, Lifecycle, NodeKind, Origin, OwnerKind, Status, prefix_of, sha256
from registry.tables import graph, metrics
from registry.tables import models as registering
from registry.tables import runs as running

CHUNK = 20_000
Row = dict[str, Any]


class Bulk:
    """One connection by the raw driver; rows of SQLAlchemy tables in large pieces, one commit."""

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self.connection: Any
        if self.is_sqlite:
            self.connection = sqlite3.connect(url.removeprefix("sqlite:///"))
            self.connection.execute("PRAGMA synchronous=OFF")  # of this connection only: the filling is not measured
            self.connection.execute("PRAGMA cache_size=-400000")
        else:
            import psycopg

            self.connection = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_rest: object) -> None:
        with closing(self.connection):
            if failed is None:
                self.connection.commit()
                self.connection.execute("ANALYZE")
                self.connection.commit()

    def all(self, statement: str, *values: object) -> list[Any]:
        text = statement if self.is_sqlite else statement.replace("?", "%s")
        return list(self.connection.execute(text, values).fetchall())

    def put(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Tuples in the order of `columns`."""
        listed = ", ".join(columns)
        if self.is_sqlite:
            marks = ", ".join("?" * len(columns))
            self.connection.executemany(f"INSERT INTO {name} ({listed}) VALUES ({marks})", rows)  # noqa: S608
            return
        with self.connection.cursor().copy(f"COPY {name} ({listed}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def insert(self, table: sa.Table, rows: Iterable[Row]) -> None:
        """Whole or partial rows: what a row lacks and may be NULL is NULL."""
        names = [column.name for column in table.columns]
        self.put(table.name, names, ([row.get(name) for name in names] for row in rows))

    def next_id(self, kind: str) -> int:
        """The first free id of a kind (`registry/db/ids.py`), of which any number may be used before `taken`."""
        if self.is_sqlite:
            return int(self.all("SELECT high FROM id_marks WHERE kind = ?", kind)[0][0]) + 1
        return int(self.all(f"SELECT nextval('ids_{kind}')")[0][0])

    def taken(self, kind: str, last: int) -> None:
        if self.is_sqlite:
            self.connection.execute("UPDATE id_marks SET high = ? WHERE kind = ?", (last, kind))
        else:
            self.all(f"SELECT setval('ids_{kind}', {last})")

    def intern(self, keys: Sequence[str]) -> dict[str, int]:
        """Ids of names of ours, made where they are missing."""
        known = dict(self.all("SELECT name, id FROM names"))
        missing = [key for key in keys if key not in known]
        first = self.next_id("name")
        known |= {key: first + place for place, key in enumerate(missing)}
        self.put("names", ("id", "name"), [(known[key], key) for key in missing])
        self.taken("name", first + len(missing))
        return known


def chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def fill_lineal_runs(url: str, experiment: int, generator: Generator, numbers: range, *, workspace: int) -> None:
    """Finished runs of one experiment, each metric with its one point."""
    with Bulk(url) as bulk:
        example = generator.run(0)
        ids = bulk.intern([*example.metrics, *example.params, *example.tags])
        first = bulk.next_id("context")
        for chunk in chunks(numbers, 2_000):
            made = [(first + number - numbers.start, generator.run(number)) for number in chunk]
            bulk.insert(graph.contexts, (_context_row(id, run, experiment, workspace) for id, run in made))
            bulk.insert(running.runs, (_run_row(id, run, experiment, workspace) for id, run in made))
            points = [_point_row(id, run, ids[key], value) for id, run in made for key, value in run.metrics.items()]
            bulk.insert(metrics.series, points)
            bulk.insert(metrics.metric_points, points)
            for table, name in ((graph.params, "params"), (graph.tags, "tags")):
                pairs = ((id, key, value) for id, run in made for key, value in getattr(run, name).items())
                bulk.insert(table, (_pair_row(id, ids[key], value) for id, key, value in pairs))
        bulk.taken("context", first + len(numbers))


def _context_row(id: int, run: RunData, experiment: int, workspace: int) -> Row:
    key = f"{experiment}:{run.hex}"
    return node_row(id, type_id=node_types.RUN, workspace=workspace, now=run.started_at, name=run.name, name_key=key)


def _run_row(id: int, run: RunData, experiment: int, workspace: int) -> Row:
    return {
        "id": id,
        "workspace": workspace,
        "hex": run.hex,
        "experiment": experiment,
        "experiment_author": Author.CLIENT,
        "name": run.name,
        "name_author": Author.CLIENT,
        "status": int(Status.SUCCEEDED),
        "status_author": Author.CLIENT,
        "started_at": run.started_at,
        "ended_at": run.started_at + 500,
        "artifact_root": f"default/runs/{run.hex}/artifacts",
        "lifecycle": int(Lifecycle.ACTIVE),
        "origin": int(Origin.REST),
        "final_at": run.started_at + 500,
    }


def _point_row(id: int, run: RunData, name_id: int, value: float) -> Row:
    key = {"owner_kind": int(OwnerKind.RUN), "owner": id, "name_id": name_id, "dataset": 0}
    return key | {"step": 0, "at": run.started_at, "value": value, "special": 0, "author": int(Author.CLIENT)}


def _pair_row(id: int, name_id: int, value: str) -> Row:
    row = {"kind": int(NodeKind.CONTEXT), "node": id, "name_id": name_id, "value": value}
    return row | {"value_prefix": prefix_of(value), "author": int(Author.CLIENT)}


def fill_versions(url: str, model: int, numbers: range, sources: Sequence[str], *, workspace: int) -> None:
    """Further versions of a model of ours, as creating them one after the other would leave them (but for the audit)."""
    with Bulk(url) as bulk:
        tag = bulk.intern(["stage"])["stage"]
        first = bulk.next_id("context")
        ids = dict(zip(numbers, range(first, first + len(numbers)), strict=True))
        own: Row = {"workspace": workspace, "now": EPOCH}
        keys = {number: f"{model}:{number}" for number in numbers}
        made = (node_row(ids[n], type_id=node_types.VERSION, name=keys[n], name_key=keys[n], **own) for n in numbers)
        bulk.insert(graph.contexts, made)
        common = {"workspace": workspace, "model": model, "lifecycle": 0, "readiness": 0, "origin": 0}
        rows = (
            {"id": ids[n], "number": n, "name": str(n), "source": source, "location_hash": sha256(source), **common}
            for n, source in zip(numbers, sources, strict=True)
        )
        bulk.insert(registering.model_versions, rows)
        bulk.insert(graph.tags, (_pair_row(id, tag, "bench") for id in ids.values()))
        mark = "?" if bulk.is_sqlite else "%s"
        statement = f"UPDATE registered_models SET last_number = {mark} WHERE id = {mark}"  # noqa: S608
        bulk.connection.execute(statement, (numbers[-1], model))
        bulk.taken("context", first + len(numbers))


def fill_mlflow_runs(url: str, experiment: str, generator: Generator, numbers: range) -> None:
    """The same runs in the peer's tables (MLflow 3)."""
    columns = ["run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"]
    columns += ["end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"]
    with Bulk(url) as bulk:
        for chunk in chunks(numbers, 2_000):
            made = [generator.run(number) for number in chunk]
            into = int(experiment)
            head = ("UNKNOWN", "", "", "bench", "FINISHED")
            bulk.put(
                "runs",
                columns,
                ((r.hex, r.name, *head, r.started_at, r.started_at + 500, "", "active", f"bench/{r.hex}", into) for r in made),
            )
            points = [(r.hex, key, value, r.started_at, 0, False) for r in made for key, value in r.metrics.items()]
            for table in ("metrics", "latest_metrics"):
                bulk.put(table, ("run_uuid", "key", "value", "timestamp", "step", "is_nan"), points)
            bulk.put("params", ("run_uuid", "key", "value"), ((r.hex, k, v) for r in made for k, v in r.params.items()))
            tags = ((r.hex, k, v) for r in made for k, v in {**r.tags, "mlflow.runName": r.name}.items())
            bulk.put("tags", ("run_uuid", "key", "value"), tags)


def fill_weave(url: str, weave: Weave, *, workspace: int) -> tuple[int, int]:
    """The executions, artifacts and events of a weave in our tables; gives the ids of its first artifact and execution."""
    with Bulk(url) as bulk:
        artifact, execution, event = (bulk.next_id(kind) for kind in ("artifact", "execution", "event"))
        own: Row = {"workspace": workspace, "now": EPOCH}
        bulk.insert(
            graph.artifacts,
            (
                artifact_row(artifact + n, type_id=node_types.ARTIFACT, kind=ArtifactKind.OTHER, name=f"a{n}", **own)
                for n in range(weave.artifacts)
            ),
        )
        made = (node_row(execution + n, type_id=node_types.STEP, name=f"e{n}", **own) for n in range(weave.executions))
        bulk.insert(graph.executions, made)
        rows = (_event_row(event + n, artifact, execution, edge) for n, edge in enumerate(weave.events()))
        bulk.put("events", EVENT, rows)
        for kind, first, count in (
            ("artifact", artifact, weave.artifacts),
            ("execution", execution, weave.executions),
            ("event", event, weave.edges),
        ):
            bulk.taken(kind, first + count)
    return artifact, execution


def fill_hub(url: str, readers: int, *, workspace: int) -> int:
    """A source, a step that makes the hub of it, the hub, `readers` steps that read it, an artifact of each; the source's id."""
    with Bulk(url) as bulk:
        artifact, execution, event = (bulk.next_id(kind) for kind in ("artifact", "execution", "event"))
        own: Row = {"workspace": workspace, "now": EPOCH}
        kind = ArtifactKind.OTHER
        made = (
            artifact_row(artifact + n, type_id=node_types.ARTIFACT, kind=kind, name=f"h{n}", **own) for n in range(2 + readers)
        )
        bulk.insert(graph.artifacts, made)
        steps = (node_row(execution + n, type_id=node_types.STEP, name=f"r{n}", **own) for n in range(1 + readers))
        bulk.insert(graph.executions, steps)
        edges = [(0, 0, True), (1, 0, False)]
        edges += [edge for n in range(1, readers + 1) for edge in ((1, n, True), (n + 1, n, False))]
        bulk.put("events", EVENT, (_event_row(event + n, artifact, execution, edge) for n, edge in enumerate(edges)))
        bulk.taken("artifact", artifact + 2 + readers)
        bulk.taken("execution", execution + 1 + readers)
        bulk.taken("event", event + len(edges))
    return artifact


EVENT = ("id", "artifact", "execution", "type", "at", "port")


def _event_row(id: int, artifact: int, execution: int, edge: tuple[int, int, bool]) -> tuple[Any, ...]:
    one, by, read = edge
    return id, artifact + one, execution + by, int(EventType.INPUT if read else EventType.OUTPUT), EPOCH + id % 1_000_000, "data"


def waited(url: str) -> None:
    """Let PostgreSQL finish what the filling has begun (vacuum, checkpoint)."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    import psycopg

    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    time.sleep(1)
