"""Every list of the API: the same number of statements whatever its size, and pages that fit together.

The lists come from the OpenAPI document; one without a case here fails.
"""

from collections.abc import Callable

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
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.outbox import record
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.counting import count_statements
from registry.db.session import Session
from registry.names import ArtifactKind, Direction, EventType, Role, TargetKind, new_run_hex
from registry.tables.runs import runs as run_table
from registry.tables.runs import steps
from tests.servers import Served

Fill = Callable[[Session, Actor, str, int], str | None]
"""Puts `n` more rows into the list of the case that the text names; gives the id in the path, if it has one."""


def fill_runs(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        hex = new_run_hex()
        runs.create_run(session, actor, now=1, experiment=None, hex=hex, tags={"a": "1"})
        log_many(session, [Batch(actor.workspace, hex, [Point("m", 1.0, 1)], {"p": "1"})])


def fill_experiments(session: Session, actor: Actor, _case: str, n: int) -> None:
    for _ in range(n):
        experiments.create_experiment(session, actor, new_run_hex(), now=1, tags={"a": "1"})


def the_run(session: Session, actor: Actor, case: str) -> str:
    """The case's own run, made the first time."""
    hex = case.encode().hex().ljust(32, "0")[:32]
    if not session.scalars(sa.select(run_table.c.id).where(run_table.c.hex == hex)):
        runs.create_run(session, actor, now=1, experiment=None, hex=hex)
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
        runs.create_run(session, actor, now=1, experiment=None, hex=hex)
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
        runs.create_run(session, actor, now=1, experiment=None, hex=hex)
        read = datasets.log_dataset(session, actor, hex, case, now=1, digest="d")
    return read.own_id


CASES: dict[str, Fill] = {
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
    "listAudit": fill_audit,
    "listTokens": fill_tokens,
    "listWorkspaces": fill_workspaces,
}


def lists() -> dict[str, tuple[str, bool]]:
    """Operation to (path, whether it has pages): each GET whose answer is a list of records."""
    spec = create_app().openapi()
    found = {}
    for path, operations in spec["paths"].items():
        operation = operations.get("get")
        schema = operation and operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
        name = (schema or {}).get("$ref", "").rpartition("/")[2]
        fields = spec["components"]["schemas"].get(name, {}).get("properties", {})
        if "next_page_token" in fields or name.endswith("List"):
            found[operation["operationId"]] = (path, "next_page_token" in fields)
    return found


LISTS = lists()


def test_every_list_has_a_case() -> None:
    assert set(CASES) == set(LISTS)


def of_root(path: str, id: str | None) -> dict[str, str]:
    """The record that a list is of, where the path does not name it."""
    return {"root": id} if id is not None and "{id}" not in path else {}


@pytest.mark.parametrize("operation", CASES)
def test_a_list_costs_the_same_statements_at_10_and_at_500_rows(server: Served, http: httpx.Client, operation: str) -> None:
    path, paged = LISTS[operation]
    workspace = server.services.runner.write(lambda session: get_or_create_workspace(session, operation, now=1))
    actor = Actor("test", workspace, operation, Role.ADMIN)
    counts, sizes = [], []
    for more in (10, 490):
        id = server.services.runner.write(lambda session, more=more: CASES[operation](session, actor, operation, more))  # type: ignore[misc]
        url = path.replace("{id}", id or "").replace("{key}", "m")
        params = ({"page_size": "1000"} if paged else {}) | of_root(path, id)
        ask = httpx.Request("GET", server.url + url, headers={"X-Lineal-Workspace": operation}, params=params)
        http.send(ask)  # fills the caches of names and identities
        seen = []
        for _ in range(3):  # the cache of workspaces may run out beside one of them
            with count_statements(server.services.runner.database, reads_only=True) as counted:
                body = http.send(ask).json()
            seen.append(counted.count)
        counts.append(min(seen))
        sizes.append(max(len(value) for value in body.values() if isinstance(value, list)))

    assert sizes[0] >= 10
    assert sizes[1] >= sizes[0] + 490
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("operation", [name for name, (_, paged) in LISTS.items() if paged])
def test_pages_of_a_list_fit_together(server: Served, http: httpx.Client, operation: str) -> None:
    path, _ = LISTS[operation]
    name = f"{operation} pages"
    workspace = server.services.runner.write(lambda session: get_or_create_workspace(session, name, now=1))
    actor = Actor("test", workspace, name, Role.ADMIN)
    id = server.services.runner.write(lambda session: CASES[operation](session, actor, name, 7))
    url = path.replace("{id}", id or "").replace("{key}", "m")
    headers = {"X-Lineal-Workspace": name}
    first = http.get(url, headers=headers, params=of_root(path, id)).json()
    field, whole = next((field, value) for field, value in first.items() if isinstance(value, list))

    rows, token = [], ""
    while True:
        params = {"page_size": "3"} | ({"page_token": token} if token else {}) | of_root(path, id)
        page = http.get(url, headers=headers, params=params).json()
        assert len(page[field]) <= 3
        rows += page[field]
        token = page["next_page_token"]
        if not token:
            break

    assert len(whole) >= 7
    if operation != "listAudit":  # each page's reader may be one sealing further
        assert rows == whole
    assert [row.get("id", row) for row in rows] == [row.get("id", row) for row in whole]
