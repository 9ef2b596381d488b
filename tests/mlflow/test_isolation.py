"""What a workspace holds is not there for another one, and no route does more than the caller's role: every route, called."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from registry.api.mlflow.table import ENDPOINTS, Endpoint
from registry.catalog.actors import Actor
from registry.catalog.dumping import canonical
from registry.catalog.tokens import create_token
from registry.catalog.workspaces import get_or_create_workspace
from registry.names import Role
from registry.settings import Settings
from tests.mlflow.calling import BASE, Caller, metric, pairs
from tests.servers import serving

SERVED = [
    one
    for one in ENDPOINTS
    if one.handler is not None and not one.path.startswith(("mlflow-artifacts", "get-", "model-versions"))
]
"""Files have tests of their own: `test_artifacts.py`."""

GONE = (404, "RESOURCE_DOES_NOT_EXIST")
OVERRIDES: dict[str, dict[str, Any]] = {
    "logged-models/{model_id}": {"status": "LOGGED_MODEL_READY"},
    "logged-models/search": {"datasets": []},
    "runs/create-promptlab-run": {
        **dict.fromkeys(("prompt_template", "model_route", "model_input", "mlflow_version"), "x"),
        "prompt_parameters": pairs(a="b"),
    },
    "artifacts/presigned-upload-url": {"model_id": None},
    "runs/log-model": {"model_json": '{"run_id": "", "artifact_path": "", "utc_time_created": "", "flavors": {}}'},
}
OF_NO_RECORD = {"experiments/create", "registered-models/create", "workspaces", "workspaces/{workspace_name}"}
FOUND_NOTHING = {"experiments/search", "runs/search", "metrics/get-history", "metrics/get-history-bulk"}
FOUND_NOTHING |= {"metrics/get-history-bulk-interval", "registered-models/search", "model-versions/search"}
FOUND_NOTHING |= {"logged-models/search", "experiments/search-datasets"}
POSTED_READS = {"experiments/search", "runs/search", "registered-models/get-latest-versions", "logged-models/search"}
POSTED_READS |= {"experiments/search-datasets", "artifacts/presigned-download-url"}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A server with the workspace `team` beside the default one."""
    with serving(Settings(data_dir=str(tmp_path_factory.mktemp("data")))) as served, Caller(served) as made:
        served.services.runner.write(lambda session: get_or_create_workspace(session, "team", now=1))
        yield made


@pytest.fixture(scope="module")
def strangers(team: Caller) -> dict[str, Any]:
    """Fields that lead every call to records of the default workspace."""
    experiment = team.experiment(name="theirs", tags=pairs(secret="1"))
    run = team.run(experiment, run_name="theirs", tags=pairs(secret="1"))
    team.post("runs/log-batch", run_id=run, metrics=[metric("m", 1.0)])
    logged = team.post("logged-models", experiment_id=experiment, name="theirs", tags=pairs(secret="1"))
    model_id = logged["model"]["info"]["model_id"]
    team.post("runs/outputs", run_id=run, models=[{"model_id": model_id}])
    team.post("registered-models/create", name="theirs", tags=pairs(secret="1"))
    team.post("model-versions/create", name="theirs", source="s3://b/secret", tags=pairs(secret="1"))
    team.post("registered-models/alias", name="theirs", alias="secret", version="1")
    team.ask("GET", "experiments/get", experiment_id="0").raise_for_status()
    _as_team(team, "GET", "experiments/get", {"experiment_id": "0"})
    return {
        "experiment_id": experiment,
        "experiment_ids": [experiment],
        "experiment_name": "theirs",
        "new_name": "ours",
        "run_id": run,
        "run_ids": [run],
        "metric_key": "m",
        "max_results": 100,
        "filter": "tags.secret = '1'",
        "datasets": [{"dataset": {"name": "d", "digest": "1"}}],
        "metrics": [metric("m", 2.0)],
        "status": "FAILED",
        "path": "a.txt",
        "artifact_file_path": "a.txt",
        "name": "theirs",
        "version": "1",
        "alias": "secret",
        "stage": "Staging",
        "source": "models:/theirs/1",
        "model_id": model_id,
        "models": [{"model_id": model_id}],
        "tag_key": "secret",
        **metric("secret", 2.0),
    }


def _as_team(team: Caller, verb: str, path: str, fields: dict[str, Any], **headers: str) -> Any:
    sent: dict[str, Any] = {"params": fields} if verb == "GET" or path == "upload-artifact" else {"json": fields}
    return team.http.request(verb, f"{BASE}/{path}", headers={"X-MLFLOW-WORKSPACE": "team", **headers}, **sent)


def _dump(team: Caller) -> str:
    return json.dumps(team.served.services.runner.read(lambda session: list(canonical(session))), sort_keys=True, default=str)


def _name(one: Endpoint) -> str:
    return one.path.removeprefix("mlflow/")


OF_RECORDS = [one for one in SERVED if _name(one) not in OF_NO_RECORD]


@pytest.mark.parametrize("one", OF_RECORDS, ids=lambda one: f"{one.verb} {_name(one)}")
def test_the_records_of_another_workspace_are_not_there(team: Caller, strangers: dict[str, Any], one: Endpoint) -> None:
    fields = strangers | ({"value": "2"} if _name(one) != "runs/log-metric" else {}) | OVERRIDES.get(_name(one), {})
    before = _dump(team)
    answer = _as_team(team, one.verb, _name(one).format(**strangers), fields)

    assert _dump(team) == before
    if _name(one) in FOUND_NOTHING:
        assert (answer.status_code, answer.json().get("metrics", [])) == (200, [])
        assert set(answer.json()) <= {"metrics"}
    else:
        assert (answer.status_code, answer.json()["error_code"]) == GONE


@pytest.mark.parametrize("one", SERVED, ids=lambda one: f"{one.verb} {_name(one)}")
def test_a_viewer_may_read_and_nothing_else(team: Caller, viewer: str, one: Endpoint) -> None:
    before = _dump(team)
    answer = _as_team(
        team,
        one.verb,
        _name(one).format(workspace_name="team", model_id="m", tag_key="k"),
        {"max_results": 5},
        Authorization=viewer,
    )

    reads = one.verb == "GET" or _name(one) in POSTED_READS
    assert (answer.status_code == 403) is not reads, answer.text
    assert _dump(team) == before


@pytest.fixture(scope="module")
def viewer(team: Caller) -> str:
    return _token(team, Role.VIEWER)


def _token(team: Caller, role: Role) -> str:
    runner = team.served.services.runner
    _as_team(team, "GET", "experiments/get", {"experiment_id": "0"})
    id = runner.write(lambda session: get_or_create_workspace(session, "team", now=1))
    actor = Actor("admin", id, "team", Role.ADMIN)
    return f"Bearer {runner.write(lambda session: create_token(session, actor, f'a {role.name}', role, now=1))[1]}"


@pytest.mark.parametrize(
    "name", ["x", "a" * 64, "A", "a b", "a_b", "-a", "a-", "a/b", "a\n", "é1", "default", "api", "ajax-api", "", None, 5]
)
def test_a_workspaces_name_is_a_label(sqlite_door: Caller, name: Any) -> None:
    before = sqlite_door.get("workspaces")

    assert sqlite_door.refused("POST", "workspaces", name=name) == (400, "INVALID_PARAMETER_VALUE")
    assert sqlite_door.get("workspaces") == before


def test_a_workspace_is_made_once(sqlite_door: Caller) -> None:
    made = sqlite_door.ask("POST", "workspaces", name="a-team", description="not kept")

    assert (made.status_code, made.json()) == (201, {"workspace": {"name": "a-team"}})
    assert sqlite_door.refused("POST", "workspaces", name="a-team") == (400, "RESOURCE_ALREADY_EXISTS")
    assert sqlite_door.get("workspaces/a-team") == {"workspace": {"name": "a-team"}}
    assert {"name": "a-team"} in sqlite_door.get("workspaces")["workspaces"]


def test_workspaces_are_made_by_administrators_only(team: Caller) -> None:
    contributor = _token(team, Role.CONTRIBUTOR)

    assert _as_team(team, "POST", "workspaces", {"name": "new"}, Authorization=contributor).status_code == 403
    assert _as_team(team, "GET", "workspaces/new", {}).status_code == 404
