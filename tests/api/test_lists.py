"""Every list of the API: the same number of statements whatever its size, and pages that fit together.

The lists come from the OpenAPI document; one without a case here fails. It is whole: a case for each list, in one table.
"""

import base64
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from registry.api.app import create_app
from registry.catalog import (
    artifacts,
    datasets,
    deployments,
    environments,
    experiments,
    metric_definitions,
    models,
    runs,
    targets,
    tokens,
    uses,
    versions,
)
from registry.catalog.actors import Actor
from registry.catalog.artifacts import location_hash
from registry.catalog.blobs import Blob, put_blob
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.outbox import record
from registry.catalog.reports.applying import apply_report
from registry.catalog.reports.record import parse
from registry.catalog.run_creation import create_run
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.counting import count_statements
from registry.db.session import Session
from registry.names import ArtifactKind, Direction, EventType, Role, TargetKind, new_run_hex
from registry.tables.models import revisions
from registry.tables.runs import runs as run_table
from registry.tables.runs import steps
from storage.store import ObjectStore
from tests.api.test_runs import problem
from tests.servers import Served

Fill = Callable[[Session, Actor, str, int], str | None]
"""Puts `n` more rows into the list of the case that the text names; gives the id in the path, if it has one."""


def fill_runs(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        hex = new_run_hex()
        create_run(session, actor, now=1, experiment=None, hex=hex, tags={"a": "1"})
        log_many(session, [Batch(actor.workspace, hex, [Point("m", 1.0, 1)], {"p": "1"})])


def fill_experiments(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        experiments.create_experiment(session, actor, new_run_hex(), now=1, tags={"a": "1"})


def the_run(session: Session, actor: Actor, case: str) -> str:
    """The case's own run, made the first time."""
    hex = case.encode().hex().ljust(32, "0")[:32]
    if not session.scalars(sa.select(run_table.c.id).where(run_table.c.hex == hex)):
        create_run(session, actor, now=1, experiment=None, hex=hex)
    return hex


def fill_steps(session: Session, actor: Actor, case: str, n: int) -> str:
    hex = the_run(session, actor, case)
    run = runs.get_run(session, actor, hex).id
    ids = session.next_ids("execution", n)
    empty = {column.name: None for column in steps.c}
    rows = [
        empty | {"id": id, "workspace": actor.workspace, "run": run, "path": f"s{id}", "path_key": f"s{id}", "name": "s"}
        for id in ids
    ]
    session.insert(steps, [row | {"status_author": 0} for row in rows])
    return f"run_{hex}"


def fill_points(session: Session, actor: Actor, case: str, n: int) -> str:
    hex = the_run(session, actor, case)
    points = [Point("m", 1.0, 1, session.next_id("record")) for _ in range(n)]
    log_many(session, [Batch(actor.workspace, hex, points)])
    return f"run_{hex}"


def fill_uses(session: Session, actor: Actor, case: str, n: int) -> str:
    hex = the_run(session, actor, case)
    for _ in range(n):
        made = artifacts.create_artifact(session, actor, now=1, tags={"a": "1"})
        uses.link(session, actor, made.id, hex, EventType.INPUT, now=1)
    return f"run_{hex}"


def fill_metrics(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        metric_definitions.define_metric(session, actor, new_run_hex(), Direction.MAXIMIZE, now=1)


def fill_models(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        made = models.create_model(session, actor, new_run_hex(), now=1, tags={"a": "1"})
        version = versions.create_version(session, actor, made.id, now=1)
        target = targets.Target(TargetKind.ALIAS, made.id, "champion")
        targets.move(session, target, version.id, expected=targets.ANY, actor=actor, now=1)


def fill_versions(session: Session, actor: Actor, case: str, n: int) -> None:
    model = models.get_or_create_model(session, actor, case, now=1)
    for _ in range(n):
        hex = new_run_hex()
        create_run(session, actor, now=1, experiment=None, hex=hex)
        log_many(session, [Batch(actor.workspace, hex, [Point("m", 1.0, 1)], {"p": "1"})])
        versions.create_version(session, actor, model.id, now=1, run=hex, tags={"a": "1"})


def fill_moves(session: Session, actor: Actor, case: str, n: int) -> str:
    model = models.get_or_create_model(session, actor, case, now=1)
    pair = [versions.create_version(session, actor, model.id, now=1).id for _ in range(2)]
    target = targets.Target(TargetKind.ALIAS, model.id, "champion")
    for number in range(n):
        targets.move(session, target, pair[number % 2], expected=targets.ANY, actor=actor, now=1)
    return model.own_id


def fill_artifacts(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        artifacts.create_artifact(session, actor, now=1, kind=ArtifactKind.MODEL, tags={"a": "1"})


def fill_datasets(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        datasets.create_dataset(session, actor, new_run_hex(), now=1)


def fill_dataset_versions(session: Session, actor: Actor, case: str, n: int) -> str:
    for _ in range(n):
        made = datasets.get_or_create_dataset_version(session, actor, case, now=1, digest=new_run_hex())
    return f"ds_{made.dataset}"


def fill_environments(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        environments.create_environment(session, actor, new_run_hex(), now=1)


def fill_deployments(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        shares = [{"percent": 100}]
        deployments.create_deployment(session, actor, new_run_hex(), now=1, environment="e", shares=shares, tags={"a": "1"})


def fill_objects(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        body = {"object": {"kind": "Notebook", "name": "nb", "uid": new_run_hex()}, "notebook": {"phase": "running"}}
        apply_report(session, actor, parse(json.dumps(body).encode()), now=1)


def fill_revisions(session: Session, actor: Actor, case: str, n: int) -> str:
    made = deployments.find_deployment(session, actor, "e", case)
    if made is None:
        made = deployments.create_deployment(session, actor, case, now=1, environment="e")
    ids = session.next_ids("record", n)
    common = {"deployment": made.id, "uri": "s3://b/k", "location_hash": location_hash("s3://b/k"), "label": None}
    common |= {"model_name": None, "version_name": None}
    rank = {"report_rank": b'[0, 0, 0, 0, ""]', "label_rank": None}
    session.insert(revisions, [{"id": id, "name": f"r{id}", **common, **rank} for id in ids])
    return made.own_id


def fill_audit(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        record(session, actor, "test.done", "obj_1", now=1)


def fill_tokens(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        tokens.create_token(session, actor, "t", Role.VIEWER, now=1)


def fill_workspaces(session: Session, _actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        get_or_create_workspace(session, new_run_hex(), now=1)


def fill_impact(session: Session, actor: Actor, case: str, n: int) -> str:
    for _ in range(n):
        hex = new_run_hex()
        create_run(session, actor, now=1, experiment=None, hex=hex)
        read = datasets.log_dataset(session, actor, hex, case, now=1, digest="d")
    return read.own_id


STORE: list[ObjectStore] = []  # the server's, for the case whose rows are files


@pytest.fixture(scope="module", autouse=True)
def store(server: Served) -> None:
    STORE[:] = [server.services.store]


def fill_files(session: Session, actor: Actor, _case: str, n: int) -> str:
    folder = f"{actor.workspace_name}/folder"
    found = artifacts.find_artifact(session, actor, STORE[0].uri(folder))
    made = found or artifacts.create_artifact(session, actor, now=1, uri=STORE[0].uri(folder))
    for _ in range(n):
        key = f"{folder}/{new_run_hex()}"
        STORE[0].put(key, [b"x"])
        put_blob(session, actor, Blob(key, "0" * 64, 1, None, 1), now=1)
    return made.own_id


CASES: dict[str, Fill] = {
    "listArtifactFiles": fill_files,
    "getImpact": fill_impact,
    "listExperiments": fill_experiments,
    "listRuns": fill_runs,
    "listSteps": fill_steps,
    "metricHistory": fill_points,
    "listUses": fill_uses,
    "listMetricDefinitions": fill_metrics,
    "listModels": fill_models,
    "listModelVersions": fill_versions,
    "listMoves": fill_moves,
    "listArtifacts": fill_artifacts,
    "listDatasets": fill_datasets,
    "listDatasetVersions": fill_dataset_versions,
    "listEnvironments": fill_environments,
    "listDeployments": fill_deployments,
    "deploymentRevisions": fill_revisions,
    "listObjects": fill_objects,
    "listAudit": fill_audit,
    "listTokens": fill_tokens,
    "listWorkspaces": fill_workspaces,
}


FILTERED: dict[str, tuple[str, str]] = {
    "listExperiments": ("tags.a = '1' AND derived = false", "tags.a, name DESC"),
    "listRuns": ("metrics.m > 0 AND params.p = '1' AND tags.a = '1'", "metrics.m DESC, params.p, experiment, id DESC"),
    "listModels": ("aliases = 'champion' AND tags.a = '1'", "name DESC"),
    "listModelVersions": ("metrics.m > 0 AND params.p = '1' AND tags.a = '1'", "metrics.m, stage DESC, number DESC"),
    "listArtifacts": ("kind = model AND tags.a = '1'", "tags.a, created_at DESC, id DESC"),
    "listDatasets": ("namespace = ''", "namespace, name DESC"),
    "listEnvironments": ("created_at > 0", "updated_at, name DESC"),
    "listObjects": ("kind = 'Notebook' AND phase = 'running'", "name, received_at DESC, id DESC"),
    "listDeployments": ("environment = 'e' AND tags.a = '1'", "model, environment DESC, name"),
}
"""Of the lists that have a filter: one that is true for the rows of the case, and an order that is not the one of ids."""


@dataclass(frozen=True)
class Listed:
    path: str
    paged: bool
    filtered: bool


def lists() -> dict[str, Listed]:
    """By operation: each GET whose answer is a list of records."""
    spec = create_app().openapi()
    found = {}
    for path, operations in spec["paths"].items():
        operation = operations.get("get")
        schema = operation and operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
        name = (schema or {}).get("$ref", "").rpartition("/")[2]
        fields = spec["components"]["schemas"].get(name, {}).get("properties", {})
        if "next_page_token" in fields or name.endswith("List"):
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            found[operation["operationId"]] = Listed(path, "next_page_token" in fields, "filter" in names)
            assert ("filter" in names) == ("order_by" in names) == ("total" in names and "total" in fields)
    return found


LISTS = lists()
PAGED = [name for name, listed in LISTS.items() if listed.paged]


def test_every_list_has_a_case() -> None:
    assert set(CASES) == set(LISTS)
    assert set(FILTERED) == {name for name, listed in LISTS.items() if listed.filtered}


class Case:
    """A list in a workspace of its own, which bears the case's name."""

    def __init__(self, server: Served, http: httpx.Client, operation: str, name: str) -> None:
        workspace = server.services.runner.write(lambda session: get_or_create_workspace(session, name, now=1))
        self._server, self._http, self._operation, self._name = server, http, operation, name
        self._actor = Actor("test", workspace, name, Role.ADMIN)
        self._id: str | None = None

    def fill(self, n: int) -> None:
        fill = CASES[self._operation]
        self._id = self._server.services.runner.write(lambda session: fill(session, self._actor, self._name, n))

    def get(self, params: dict[str, str]) -> httpx.Response:
        path = LISTS[self._operation].path
        if self._id is not None and "{id}" not in path:  # the record that the list is of
            params = params | {"root": self._id}
        url = path.replace("{id}", self._id or "").replace("{key}", "m")
        return self._http.get(url, headers={"X-Lineal-Workspace": self._name}, params=params)

    def rows(self, params: dict[str, str]) -> list[Any]:
        answer = self.get(params)
        assert answer.status_code == 200, answer.text
        return max((value for value in answer.json().values() if isinstance(value, list)), key=len)

    def statements(self, params: dict[str, str]) -> int:
        self.get(params)  # fills the caches of names and identities
        seen = []
        for _ in range(3):  # the cache of workspaces may run out beside one of them
            with count_statements(self._server.services.runner.database, reads_only=True) as counted:
                self.get(params)
            seen.append(counted.count)
        return min(seen)


def searched(operation: str) -> dict[str, str]:
    filter, order_by = FILTERED[operation]
    return {"filter": filter, "order_by": order_by}


@pytest.mark.parametrize("operation", CASES)
def test_a_list_costs_the_same_statements_at_10_and_at_500_rows(server: Served, http: httpx.Client, operation: str) -> None:
    case = Case(server, http, operation, operation)
    whole = {"page_size": "1000"} if LISTS[operation].paged else {}
    ways = [whole] + ([whole | searched(operation)] if LISTS[operation].filtered else [])

    case.fill(10)
    sizes, counts = [len(case.rows(way)) for way in ways], [case.statements(way) for way in ways]
    case.fill(490)

    assert min(sizes) >= 10
    assert all(len(case.rows(way)) >= size + 490 for way, size in zip(ways, sizes, strict=True))
    assert [case.statements(way) for way in ways] == counts
    # A filter and an order are in the same statement; before the order of a metric another asks whether there are many.
    assert 0 < counts[0] == counts[-1] - (len(ways) == 2 and operation == "listRuns")
    if LISTS[operation].filtered:
        assert case.statements(ways[-1] | {"total": "true"}) == counts[-1] + 1


@pytest.mark.parametrize(
    ("operation", "way"), [(name, {}) for name in PAGED] + [(name, searched(name)) for name in FILTERED], ids=str
)
def test_pages_of_a_list_fit_together(server: Served, http: httpx.Client, operation: str, way: dict[str, str]) -> None:
    case = Case(server, http, operation, f"{operation} pages {len(way)}")
    case.fill(7)
    whole = case.rows(way)

    rows, token = [], ""
    while True:
        page = case.get(way | {"page_size": "3"} | ({"page_token": token} if token else {})).json()
        found = max((value for value in page.values() if isinstance(value, list)), key=len)
        assert len(found) <= 3
        rows += found
        token = page["next_page_token"]
        if not token:
            break

    assert len(whole) >= 7
    if operation != "listAudit":  # each page's reader may be one sealing further
        assert rows == whole
    assert [row.get("id", row) for row in rows] == [row.get("id", row) for row in whole]
    if way:
        assert rows != case.rows({})  # the order is another one
        total = case.get(way | {"total": "true", "page_size": "1"}).json()["total"]
        assert total == {"value": len(whole), "exact": True}


@pytest.mark.parametrize(
    ("operation", "way"), [(name, {}) for name in PAGED] + [(name, searched(name)) for name in FILTERED], ids=str
)
def test_a_token_that_this_list_did_not_give_is_400(
    server: Served, http: httpx.Client, operation: str, way: dict[str, str]
) -> None:
    """The digest of a query is no secret: anybody can keep it and write other values."""
    case = Case(server, http, operation, f"{operation} forged {len(way)}")
    case.fill(3)
    one = way | {"page_size": "1"}
    token = case.get(one).json()["next_page_token"]
    digest, place = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    values = [2**63, -(2**70), "a\0", "\ud800", True, [1], {"a": 1}, math.nan, math.inf, "", 1, None]
    wrong: list[Any] = [[*place[:-1], value] for value in values if type(value) is not type(place[-1]) or value in values[:3]]
    wrong += [[value, *place[1:]] for value in values[:9]]
    wrong += [[], {}, None, 7, "x", [*place, 1], place[:-1]]
    bodies = [json.dumps([digest, forged]) for forged in wrong] + ["[" * 12_000, "[]", "not json", json.dumps(["x", place])]
    tokens = [base64.urlsafe_b64encode(body.encode()).decode().rstrip("=") for body in bodies] + ["A", "AAAA"]

    answers = {forged: case.get(one | {"page_token": forged}) for forged in tokens}

    assert case.get(one | {"page_token": token}).status_code == 200
    assert [forged for forged, answer in answers.items() if answer.status_code != 400] == []
    assert {answer.json()["type"] for answer in answers.values()} == {"urn:lineal:problem:invalid-page-token"}
    if way:
        problem(case.get({"page_size": "1", "page_token": token}), 400, "invalid-page-token")


@pytest.mark.parametrize("operation", FILTERED)
def test_a_mistake_in_a_filter_or_order_is_named_by_line_and_column(http: httpx.Client, operation: str) -> None:
    path = LISTS[operation].path

    for given, column in (({"filter": "name = 'a'\nAND nmae = 'b'"}, 5), ({"order_by": "name,\n  nobody"}, 3)):
        body = problem(http.get(path, params=given), 400, "invalid-filter")
        assert body["data"] == {"line": 2, "column": column}


def test_a_name_and_a_lifecycle_narrow_what_a_filter_finds(http: httpx.Client) -> None:
    name = new_run_hex()
    body = {"name": name, "tags": {"a": "1"}}
    made = http.post("/api/v1/models", json=body).json()["id"]
    http.post("/api/v1/models", json=body | {"name": new_run_hex()})

    def found(**params: str) -> list[str]:
        return [one["id"] for one in http.get("/api/v1/models", params=params).json()["models"]]

    assert found(filter="tags.a = '1'", name=name) == [made]
    assert found(filter="tags.a = '2'", name=name) == []
    assert found(filter="tags.a = '1'", name=name, lifecycle="archived") == []
