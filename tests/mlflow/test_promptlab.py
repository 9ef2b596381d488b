"""What MLflow's prompt engineering page saves."""

import pytest

from tests.mlflow.calling import Caller, pairs

GIVEN = {
    "prompt_template": "Say {{word}}",
    "prompt_parameters": pairs(word="hello"),
    "model_route": "route",
    "model_input": "Say hello",
    "mlflow_version": "3.0.0",
}


def test_a_saved_prompt_is_a_finished_run_with_its_answer_as_a_table(sqlite_door: Caller) -> None:
    experiment = sqlite_door.experiment()
    run = sqlite_door.post(
        "runs/create-promptlab-run",
        experiment_id=experiment,
        run_name="tried",
        user_id="ada",
        start_time=456,
        model_parameters=pairs(temperature="0.1"),
        model_output="hello",
        model_output_parameters=pairs(latency="100"),
        **GIVEN,
    )["run"]

    info = run["info"]
    assert [info[key] for key in ("run_name", "user_id", "status", "start_time")] == ["tried", "ada", "FINISHED", 456]
    assert run["data"]["params"] == pairs(model_route="route", prompt_template="Say {{word}}", temperature="0.1")
    assert {"key": "mlflow.runSourceType", "value": "PROMPT_ENGINEERING"} in run["data"]["tags"]
    path = f"{info['artifact_uri'].removeprefix('mlflow-artifacts:/')}/eval_results_table.json"
    table = sqlite_door.http.get(f"/api/2.0/mlflow-artifacts/artifacts/{path}").json()
    assert table == {"columns": ["word", "prompt", "output", "latency"], "data": [["hello", "Say hello", "hello", "100"]]}


@pytest.mark.parametrize("left_out", ["experiment_id", *GIVEN])
def test_what_it_needs_is_named(sqlite_door: Caller, left_out: str) -> None:
    fields = {name: value for name, value in {"experiment_id": "0", **GIVEN}.items() if name != left_out}
    answer = sqlite_door.ask("POST", "runs/create-promptlab-run", **fields)

    assert answer.status_code == 400
    assert f"must specify {left_out}" in answer.json()["message"]
