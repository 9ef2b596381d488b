"""How many SQL statements a call costs: docs/doors/mlflow.md has the constants."""

from typing import Any

import pytest

from registry.catalog.actors import Actor
from registry.catalog.run_creation import create_run
from registry.db.counting import count_statements
from registry.db.session import Session
from registry.names import Role
from tests.mlflow.calling import Caller, metric

RUNS = 1_000
COSTS = {"sqlite": (5, 13, 12, 26), "postgresql": (1, 12, 10, 29), "mariadb": (6, 17, 15, 34)}
"""Of a model, a version from a place that is new, one from a known place, and one of a run; without what writes audit rows."""


@pytest.fixture(scope="module")
def experiment(door: Caller) -> str:
    """With as many runs as a page has, each with a tag."""
    id = door.experiment()

    def write(session: Session) -> None:
        for number in range(RUNS):
            create_run(session, actor, now=5 + number, experiment=int(id), name=f"run {number}", tags={"t": "1"})

    actor = Actor("tester", 1, "default", Role.ADMIN)
    door.served.services.runner.write(write)
    door.post("runs/log-metric", run_id=door.run(door.experiment()), **metric("m1", 1.0))
    return id


def cost(door: Caller, verb: str, path: str, **fields: Any) -> int:
    with count_statements(door.served.services.runner.database) as counted:
        answer = door.ask(verb, path, **fields)
    assert answer.status_code == 200, answer.text
    # A task of the server's own seals audit rows; which workspace is meant is asked once in five seconds.
    return len([one for one in counted.statements if "audit" not in one and "FROM workspaces" not in one])


def batch(size: int, offset: int) -> dict[str, Any]:
    points = [metric(f"m{number % 20}", float(number), offset + number) for number in range(size - 100)]
    params = [{"key": f"p{number}", "value": "1"} for number in range(50)]
    return {"metrics": points, "params": params, "tags": [{"key": f"t{number}", "value": str(offset)} for number in range(50)]}


def test_hot_calls_cost_what_the_page_says(door: Caller, experiment: str) -> None:
    run = door.run(experiment, run_name="hot")
    door.post("runs/log-batch", run_id=run, **batch(1_000, 0))

    assert cost(door, "GET", "runs/get", run_id=run) == 4
    one_statement = door.served.services.runner.database.dialect == "postgresql"
    assert cost(door, "POST", "runs/log-metric", run_id=run, **metric("m1", 1.0, 5)) == (1 if one_statement else 3)
    fresh_run = door.run(experiment, run_name="batch")
    assert cost(door, "POST", "runs/log-batch", run_id=fresh_run, **batch(1_000, 7)) <= 6


def test_making_models_and_versions_costs_what_the_page_says(door: Caller) -> None:
    dialect, tagged = door.served.services.runner.database.dialect, {"tags": [{"key": "t", "value": "1"}]}
    run = door.run(door.experiment())
    for name in ("first", "second"):
        door.post("registered-models/create", name=f"costly {name}", **tagged)
    door.post("model-versions/create", name="costly first", source="s3://b/0", **tagged)
    door.post("model-versions/create", name="costly first", source="s3://b/0", run_id=run, **tagged)

    made = cost(door, "POST", "registered-models/create", name="costly third", **tagged)
    fresh = cost(door, "POST", "model-versions/create", name="costly first", source="s3://b/1", **tagged)
    known = cost(door, "POST", "model-versions/create", name="costly first", source="s3://b/1", **tagged)
    of_run = cost(door, "POST", "model-versions/create", name="costly first", source="s3://b/2", run_id=run, **tagged)

    assert (made, fresh, known, of_run) == COSTS[dialect]


def test_reads_of_the_registry_cost_what_the_page_says(door: Caller) -> None:
    prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    door.post("registered-models/create", name="greeting", tags=prompt)
    door.post("registered-models/create", name="counted", tags=[{"key": "t", "value": "1"}])
    for number in ("1", "2"):
        door.post("model-versions/create", name="counted", source="s3://b/m", tags=[{"key": "t", "value": number}])
        door.post("registered-models/alias", name="counted", alias=f"a{number}", version=number)
        door.post("model-versions/transition-stage", name="counted", version=number, stage="Staging")

    assert cost(door, "GET", "registered-models/alias", name="counted", alias="a1") == 1
    assert cost(door, "GET", "registered-models/alias", name="counted", alias="latest") == 1
    assert cost(door, "GET", "model-versions/get", name="counted", version="1") == 1
    assert cost(door, "GET", "model-versions/get-download-uri", name="counted", version="1") == 1
    assert cost(door, "GET", "registered-models/get", name="counted") == 4
    door.get("registered-models/search", filter="tags.t = '1'")
    assert cost(door, "GET", "registered-models/search", filter="tags.t = '1'") == 4
    assert cost(door, "GET", "model-versions/search", filter="tags.t = '1'") == 4


def test_reads_of_logged_models_cost_what_the_page_says(door: Caller) -> None:
    experiment = door.experiment()
    run = door.run(experiment)
    for number in range(3):
        made = door.post("logged-models", experiment_id=experiment, tags=[{"key": "t", "value": "1"}])["model"]["info"]
        door.post("runs/outputs", run_id=run, models=[{"model_id": made["model_id"], "step": number}])

    assert cost(door, "GET", f"logged-models/{made['model_id']}") == 4
    door.post("logged-models/search", experiment_ids=[experiment], filter="tags.t = '1'")
    assert cost(door, "POST", "logged-models/search", experiment_ids=[experiment], filter="tags.t = '1'") == 4
    assert cost(door, "GET", "runs/get", run_id=run) == 5


def test_a_page_of_a_thousand_runs_costs_four_statements(door: Caller, experiment: str) -> None:
    assert cost(door, "POST", "runs/search", experiment_ids=[experiment], max_results=RUNS) == 4
    door.found(experiment, filter="tags.t = '1'", order_by=["metrics.m1 DESC"], max_results=1)
    ordered = cost(door, "POST", "runs/search", experiment_ids=[experiment], filter="tags.t = '1'", order_by=["metrics.m1 DESC"])
    assert ordered == 5  # one asks whether there are many
