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

SERVED = [one for one in ENDPOINTS if one.handler is not None]
GONE = (404, "RESOURCE_DOES_NOT_EXIST")
OF_NO_RECORD = {"experiments/create", "workspaces", "workspaces/{workspace_name}"}
FOUND_NOTHING = {"experiments/search", "runs/search", "metrics/get-history", "metrics/get-history-bulk"}
FOUND_NOTHING |= {"metrics/get-history-bulk-interval"}


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
        **metric("secret", 2.0),
    }


def _as_team(team: Caller, verb: str, path: str, fields: dict[str, Any], **headers: str) -> Any:
    sent: dict[str, Any] = {"params": fields} if verb == "GET" else {"json": fields}
    return team.http.request(verb, f"{BASE}/{path}", headers={"X-MLFLOW-WORKSPACE": "team", **headers}, **sent)


def _dump(team: Caller) -> str:
    return json.dumps(team.served.services.runner.read(lambda session: list(canonical(session))), sort_keys=True, default=str)


def _name(one: Endpoint) -> str:
    return one.path.removeprefix("mlflow/")


OF_RECORDS = [one for one in SERVED if _name(one) not in OF_NO_RECORD]


@pytest.mark.parametrize("one", OF_RECORDS, ids=lambda one: f"{one.verb} {_name(one)}")
def test_the_records_of_another_workspace_are_not_there(team: Caller, strangers: dict[str, Any], one: Endpoint) -> None:
    fields = strangers | ({"value": "2"} if _name(one) != "runs/log-metric" else {})
    before = _dump(team)
    answer = _as_team(team, one.verb, _name(one), fields)

    assert _dump(team) == before
    if _name(one) in FOUND_NOTHING:
        assert (answer.status_code, answer.json().get("metrics", [])) == (200, [])
        assert set(answer.json()) <= {"metrics"}
    else:
        assert (answer.status_code, answer.json()["error_code"]) == GONE


@pytest.mark.parametrize("one", SERVED, ids=lambda one: f"{one.verb} {_name(one)}")
def test_a_viewer_may_read_and_nothing_else(team: Caller, viewer: str, one: Endpoint) -> None:
    before = _dump(team)
    answer = _as_team(team, one.verb, _name(one).format(workspace_name="team"), {"max_results": 5}, Authorization=viewer)

    reads = one.verb == "GET" or _name(one) in {"experiments/search", "runs/search"}
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


def test_workspaces_are_made_by_administrators_only(team: Caller) -> None:
    contributor = _token(team, Role.CONTRIBUTOR)

    assert _as_team(team, "POST", "workspaces", {"name": "new"}, Authorization=contributor).status_code == 403
    assert _as_team(team, "GET", "workspaces/new", {}).status_code == 404
