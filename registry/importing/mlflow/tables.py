"""A store of MLflow in a database, as its server or library wrote it. Source: the tables of MLflow 2.22 and 3.17, observed.

Columns that a version does not have yet are NULL. Runs come in the order in which they began.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog.importing.foreign import Foreign
from registry.catalog.importing.mlflow.experiments import KEPT_BELOW
from registry.catalog.importing.mlflow.points import unclipped
from registry.catalog.importing.mlflow.records import Experiment, LoggedModel, Model, ModelPoint, Run, Uses, Version
from registry.catalog.metrics import Point
from registry.catalog.run_inputs import DatasetInput
from registry.errors import InvalidArgument
from registry.importing.databases import address_of
from registry.importing.mlflow.source import POINTS_AT_ONCE, RUNS_AT_ONCE, After, Batch, History

_TRACKING = ("experiments", "experiment_tags", "runs", "tags", "params", "metrics", "datasets", "inputs", "input_tags")
_LOGGED = ("logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics")
_REGISTRY = ("registered_models", "registered_model_tags", "registered_model_aliases", "model_versions", "model_version_tags")
_ELSEWHERE = (
    *("trace_info", "assessments", "evaluation_datasets", "scorers", "webhooks", "endpoints", "secrets", "label_schemas"),
    *("review_queues", "issues", "skills", "mcp_servers"),
)
"""What there is no record for here."""

_PAGE = 500
_HEADS = 20_000
_LOGGED_STATUS = {0: "UNSPECIFIED", 1: "PENDING", 2: "READY", 3: "FAILED"}
Where = sa.ColumnElement[bool]


class Tables(Foreign):
    """`workspace`: which of the store's own ones is read, where it has them."""

    workspace: str = "default"

    @property
    def address(self) -> str:
        return address_of(self.engine)

    def remarks(self) -> list[str]:
        found = [f"{table}: {count} rows are not kept here" for table in _ELSEWHERE if (count := self.count(table))]
        if self.has("experiments", "workspace"):
            table = self.tables["experiments"]
            query = sa.select(table.c.workspace, sa.func.count()).where(table.c.workspace != self.workspace)
            for name, count in self.rows(query.group_by(table.c.workspace).order_by(table.c.workspace)):
                found.append(f"workspace {name}: {count} experiments are not taken over: import it with --from-workspace")
        return found

    def totals(self) -> Mapping[str, int]:
        runs, models = self._of_experiments("runs"), self._of_experiments("logged_models")
        of_runs = self._of_runs
        return {
            "experiments": self.count("experiments", *self._mine("experiments")),
            "runs": self.count("runs", *runs),
            "params": self.count("params", *of_runs("params")),
            "tags": self.count("tags", *of_runs("tags")),
            "logged_models": self.count("logged_models", *models),
            "uses": sum(self.count("inputs", self._kind(kind), *of_runs("inputs", column)) for kind, column in _USES.items())
            if self.has("inputs")
            else 0,
            "metrics": self.count("metrics", *of_runs("metrics")),
            "model_metrics": self.count("logged_model_metrics", *self._of_experiments("logged_model_metrics")),
            "models": self.count("registered_models", *self._mine("registered_models")),
            "versions": self.count("model_versions", *self._mine("model_versions")),
            "aliases": self.count("registered_model_aliases", *self._mine("registered_model_aliases")),
        }

    def highest_experiment(self) -> int:
        table = self.tables["experiments"]
        return int(self.rows(sa.select(sa.func.max(table.c.experiment_id)).where(table.c.experiment_id < KEPT_BELOW))[0][0] or 0)

    # ---- tracking ---------------------------------------------------------------------------------------------------

    def experiments(self, after: After) -> Iterator[Batch[Experiment]]:
        table, place = self.tables["experiments"], after[0] if after else -1
        names = ("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time")
        query = sa.select(*(self.column("experiments", name) for name in names)).where(*self._mine("experiments"))
        while rows := self.rows(query.where(table.c.experiment_id > place).order_by(table.c.experiment_id).limit(_PAGE)):
            tags = self._pairs("experiment_tags", "experiment_id", "key", "value", [row.experiment_id for row in rows])
            found = [
                Experiment(
                    id=str(row.experiment_id),
                    name=row.name,
                    location=row.artifact_location,
                    is_deleted=row.lifecycle_stage == "deleted",
                    created_at=row.creation_time,
                    updated_at=row.last_update_time,
                    tags=tags.get(row.experiment_id, {}),
                )
                for row in rows
            ]
            place = rows[-1].experiment_id
            yield Batch(found, [place])

    def runs(self, after: After) -> Iterator[Batch[Run]]:
        for ids, place in self._run_ids(after):
            yield Batch(self._runs(ids), place)

    def _run_ids(self, after: After) -> Iterator[tuple[list[str], After]]:
        """Ids in parts, by start and id. The heads of many are read at once: the table has no index for this order."""
        table = self.tables["runs"]
        start = sa.func.coalesce(table.c.start_time, sa.literal(0, sa.BigInteger), type_=sa.BigInteger)
        query = sa.select(table.c.run_uuid, start.label("start")).where(*self._of_experiments("runs"))
        query = query.order_by(start, table.c.run_uuid).limit(_HEADS)
        place = tuple(after)
        while heads := self.rows(query.where(_behind((start, table.c.run_uuid), place)) if place else query):
            for first in range(0, len(heads), RUNS_AT_ONCE):
                part = heads[first : first + RUNS_AT_ONCE]
                yield [row.run_uuid for row in part], [part[-1].start, part[-1].run_uuid]
            place = (heads[-1].start, heads[-1].run_uuid)

    def _runs(self, ids: Sequence[str]) -> list[Run]:
        table = self.tables["runs"]
        names = ("run_uuid", "experiment_id", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage")
        columns = [self.column("runs", name) for name in (*names, "deleted_time", "artifact_uri")]
        rows = {row.run_uuid: row for row in self.rows(sa.select(*columns).where(table.c.run_uuid.in_(ids)))}
        tags = self._pairs("tags", "run_uuid", "key", "value", ids)
        params = self._pairs("params", "run_uuid", "key", "value", ids)
        return [
            Run(
                id=row.run_uuid,
                experiment=str(row.experiment_id),
                name=row.name,
                user=row.user_id,
                status=row.status or "SCHEDULED",
                started_at=row.start_time,
                ended_at=row.end_time,
                is_deleted=row.lifecycle_stage == "deleted",
                deleted_at=row.deleted_time,
                artifact_uri=row.artifact_uri,
                tags=tags.get(row.run_uuid, {}),
                params=params.get(row.run_uuid, {}),
            )
            for row in (rows[id] for id in ids if id in rows)
        ]

    def uses(self, after: After) -> Iterator[Batch[Uses]]:
        if not self.has("inputs"):
            return
        for ids, place in self._run_ids(after):
            inputs, models, made = self._inputs(ids), self._models("RUN_INPUT", ids), self._models("RUN_OUTPUT", ids)
            yield Batch(
                [
                    Uses(id, inputs.get(id, ()), [model for model, _ in models.get(id, ())], made.get(id, ()))
                    for id in ids
                    if id in inputs or id in models or id in made
                ],
                place,
            )

    def _inputs(self, ids: Sequence[str]) -> dict[str, list[DatasetInput]]:
        inputs, datasets = self.tables["inputs"], self.tables["datasets"]
        names = ("name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile")
        query = sa.select(inputs.c.input_uuid, inputs.c.destination_id, *(self.column("datasets", name) for name in names))
        query = query.join(datasets, datasets.c.dataset_uuid == inputs.c.source_id)
        query = query.where(self._kind("DATASET"), inputs.c.destination_type == "RUN", inputs.c.destination_id.in_(ids))
        rows = self.rows(query.order_by(inputs.c.input_uuid))
        tags = self._pairs("input_tags", "input_uuid", "name", "value", [row.input_uuid for row in rows])
        found: dict[str, list[DatasetInput]] = defaultdict(list)
        for row in rows:
            texts = (row.dataset_source_type, row.dataset_source, row.dataset_schema, row.dataset_profile)
            found[row.destination_id].append(DatasetInput(row.name, row.digest, *texts, tags.get(row.input_uuid, {})))
        return found

    def _models(self, kind: str, ids: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
        inputs = self.tables["inputs"]
        query = sa.select(inputs.c.source_id, inputs.c.destination_id, self.column("inputs", "step"))
        found: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for row in self.rows(query.where(self._kind(kind), inputs.c.source_id.in_(ids)).order_by(inputs.c.input_uuid)):
            found[row.source_id].append((row.destination_id, row.step or 0))
        return found

    def metrics(self, after: After) -> Iterator[Batch[History]]:
        """Whatever the length of the histories, few points are held at once."""
        table = self.tables["metrics"]
        columns = (table.c.run_uuid, table.c.key, table.c.value, table.c.timestamp, table.c.step, table.c.is_nan)
        for ids, place in self._run_ids(after):
            query = sa.select(*columns).where(table.c.run_uuid.in_(ids))
            with self.engine.connect() as connection:
                rows = connection.execution_options(stream_results=True).execute(query)
                for part in rows.partitions(POINTS_AT_ONCE):
                    histories: dict[str, list[Point]] = defaultdict(list)
                    for run, *point in part:
                        histories[run].append(_point(*point))
                    yield Batch(list(histories.items()), None)
            yield Batch([], place)

    def history(self, run: Run, key: str) -> list[Point]:
        table = self.tables["metrics"]
        query = sa.select(table.c.key, table.c.value, table.c.timestamp, table.c.step, table.c.is_nan)
        return [_point(*row) for row in self.rows(query.where(table.c.run_uuid == run.id, table.c.key == key)) if row.key == key]

    def count_points(self, runs: Sequence[Run]) -> int:
        return self.count("metrics", self.tables["metrics"].c.run_uuid.in_([run.id for run in runs]))

    # ---- logged models ----------------------------------------------------------------------------------------------

    def logged_models(self, after: After) -> Iterator[Batch[LoggedModel]]:
        for rows, place in self._logged_pages(after):
            ids = [row.model_id for row in rows]
            tags = self._pairs("logged_model_tags", "model_id", "tag_key", "tag_value", ids)
            params = self._pairs("logged_model_params", "model_id", "param_key", "param_value", ids)
            found = [
                LoggedModel(
                    id=row.model_id,
                    experiment=str(row.experiment_id),
                    name=row.name,
                    model_type=row.model_type,
                    run=row.source_run_id,
                    location=row.artifact_location,
                    status=_LOGGED_STATUS.get(row.status, str(row.status)),
                    is_deleted=row.lifecycle_stage == "deleted",
                    created_at=row.creation_timestamp_ms,
                    updated_at=row.last_updated_timestamp_ms,
                    tags=tags.get(row.model_id, {}),
                    params=params.get(row.model_id, {}),
                )
                for row in rows
            ]
            yield Batch(found, place)

    def _logged_pages(self, after: After) -> Iterator[tuple[Sequence[Any], After]]:
        if not self.has("logged_models"):
            return
        table, place = self.tables["logged_models"], tuple(after)
        key = (table.c.creation_timestamp_ms, table.c.model_id)
        query = sa.select(table).where(*self._of_experiments("logged_models")).order_by(*key).limit(_PAGE)
        while rows := self.rows(query.where(_behind(key, place)) if place else query):
            place = (rows[-1].creation_timestamp_ms, rows[-1].model_id)
            yield rows, list(place)

    def model_metrics(self, after: After) -> Iterator[Batch[ModelPoint]]:
        if not self.has("logged_model_metrics"):
            return
        table = self.tables["logged_model_metrics"]
        for heads, place in self._logged_pages(after):
            query = sa.select(table).where(table.c.model_id.in_([row.model_id for row in heads]))
            yield Batch([_model_point(row) for row in self.rows(query)], place)

    # ---- registry ---------------------------------------------------------------------------------------------------

    def models(self, after: After) -> Iterator[Batch[Model]]:
        """One at a time, each with its versions."""
        if not self.has("registered_models"):
            return
        table, place = self.tables["registered_models"], after[0] if after else None
        names = ("name", "description", "creation_time", "last_updated_time")
        query = sa.select(*(self.column("registered_models", name) for name in names)).where(*self._mine("registered_models"))
        query = query.order_by(table.c.name).limit(_PAGE)
        while rows := self.rows(query if place is None else query.where(table.c.name > place)):
            for row in rows:
                yield Batch([self._model(row)], [row.name])
            place = rows[-1].name

    def _model(self, row: Any) -> Model:
        aliases: dict[str, int] = {}
        if self.has("registered_model_aliases"):
            table = self.tables["registered_model_aliases"]
            query = sa.select(table.c.alias, table.c.version).where(table.c.name == row.name, *self._mine(table.name))
            aliases = {one.alias: int(one.version) for one in self.rows(query)}
        tags = self._pairs("registered_model_tags", "name", "key", "value", [row.name])
        return Model(
            name=row.name,
            description=row.description or None,
            created_at=row.creation_time,
            updated_at=row.last_updated_time,
            tags=tags.get(row.name, {}),
            aliases=aliases,
            versions=self._versions(row.name),
        )

    def _versions(self, model: str) -> list[Version]:
        table, tagged = self.tables["model_versions"], self.tables["model_version_tags"]
        tags: dict[int, dict[str, str]] = defaultdict(dict)
        query = sa.select(tagged.c.version, tagged.c.key, tagged.c.value).where(tagged.c.name == model)
        for row in self.rows(query.where(*self._mine("model_version_tags"))):
            tags[row.version][row.key] = row.value or ""
        times = ("version", "creation_time", "last_updated_time")
        texts = ("description", "user_id", "current_stage", "source", "storage_location", "run_id", "run_link", "status")
        columns = (self.column("model_versions", name) for name in (*times, *texts, "status_message"))
        found = sa.select(*columns).where(table.c.name == model)
        return [
            Version(
                number=int(row.version),
                created_at=row.creation_time,
                updated_at=row.last_updated_time,
                description=row.description or None,
                user=row.user_id,
                stage=row.current_stage,
                source=row.source,
                location=row.storage_location,
                run=row.run_id,
                run_link=row.run_link,
                status=row.status,
                status_message=row.status_message,
                tags=tags.get(row.version, {}),
            )
            for row in self.rows(found.where(*self._mine("model_versions")).order_by(table.c.version))
        ]

    # ---- parts of statements ----------------------------------------------------------------------------------------

    def _mine(self, table: str) -> list[Where]:
        return [self.tables[table].c.workspace == self.workspace] if self.has(table, "workspace") else []

    def _of_experiments(self, table: str) -> list[Where]:
        if not self.has("experiments", "workspace") or not self.has(table):
            return []
        return [self.tables[table].c.experiment_id.in_(sa.select(self._experiments()).where(*self._mine("experiments")))]

    def _of_runs(self, table: str, column: str = "run_uuid") -> list[Where]:
        if not self.has("experiments", "workspace") or not self.has(table):
            return []
        runs = sa.select(self.tables["runs"].c.run_uuid).where(*self._of_experiments("runs"))
        return [self.tables[table].c[column].in_(runs)]

    def _experiments(self) -> sa.ColumnElement[Any]:
        return self.tables["experiments"].c.experiment_id

    def _kind(self, kind: str) -> Where:
        return self.tables["inputs"].c.source_type == kind

    def _pairs(self, table: str, of: str, key: str, value: str, ids: Sequence[Any]) -> dict[Any, dict[str, str]]:
        """Tags or params by whose they are; NULL is an empty text."""
        found: dict[Any, dict[str, str]] = defaultdict(dict)
        if not ids or not self.has(table):
            return found
        columns = self.tables[table].c
        query = sa.select(columns[of], columns[key], columns[value]).where(columns[of].in_(ids), *self._mine(table))
        for owner, name, text in self.rows(query):
            found[owner][name] = text or ""
        return found

    def close(self) -> None:
        self.engine.dispose()


_USES = {"DATASET": "destination_id", "RUN_INPUT": "source_id", "RUN_OUTPUT": "source_id"}
"""Which end of an input is the run, by its kind."""


def open_tables(engine: sa.Engine, workspace: str) -> Tables:
    """Raises InvalidArgument: it is no store of MLflow, or has no such workspace."""
    made = Tables(engine)
    made.workspace = workspace
    made.look((*_TRACKING, *_LOGGED, *_REGISTRY, *_ELSEWHERE))
    missing = [name for name in ("experiments", "runs", "metrics", "params", "tags") if name not in made.tables]
    if missing:
        raise InvalidArgument(f"this is no database of MLflow: it has no table {missing[0]}")
    lacking = [name for name in ("step", "is_nan") if not made.has("metrics", name)]
    if lacking:
        raise InvalidArgument("the database is older than MLflow 1.0: run `mlflow db upgrade` of a newer MLflow on it first")
    if workspace != "default" and not made.has("experiments", "workspace"):
        raise InvalidArgument(f"the store has no workspaces, and so none that is called {workspace!r}")
    return made


def _behind(key: Sequence[sa.ColumnElement[Any]], place: Sequence[Any]) -> Where:
    first, second = key
    return sa.or_(first > place[0], sa.and_(first == place[0], second > place[1]))


def _point(key: str, value: float, at: int, step: int, is_nan: Any) -> Point:
    return Point(key, math.nan if is_nan else unclipped(value), at, step)


def _model_point(row: Any) -> ModelPoint:
    value = math.nan if row.metric_value is None else unclipped(row.metric_value)
    point = Point(row.metric_name, value, row.metric_timestamp_ms, row.metric_step)
    dataset = (row.dataset_name, row.dataset_digest or "") if row.dataset_name else None
    return ModelPoint(row.model_id, row.run_id, dataset, point)
