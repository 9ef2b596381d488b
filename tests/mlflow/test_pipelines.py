"""The calls of Kubeflow Pipelines' MLflow plugin, as its Go client sends them: no user, ignored fields, double-quoted keys."""

from tests.mlflow.calling import Caller, fresh, pairs

KEY = "mlflow.kfp.idempotencyKey"


def test_a_pipeline_run_with_a_nested_task_is_made_found_again_and_reopened(door: Caller) -> None:
    name = fresh("pipeline")
    assert door.refused("GET", "experiments/get-by-name", experiment_name=name) == (404, "RESOURCE_DOES_NOT_EXIST")
    experiment = door.post("experiments/create", name=name, description="of a pipeline")["experiment_id"]
    assert door.refused("POST", "experiments/create", name=name) == (400, "RESOURCE_ALREADY_EXISTS")
    assert door.get("experiments/get", experiment_id=experiment)["experiment"]["name"] == name

    tags = [{"key": KEY, "value": f"{name}-1"}, {"key": "kfp.pipeline_id", "value": "p"}]
    parent = door.run(experiment, run_name="parent", start_time=1, tags=tags)
    by_key = {"filter": f"tags.`{KEY}` = '{name}-1'", "max_results": 1000}
    assert door.found(experiment, **by_key) == ["parent"]

    child = door.run(experiment, run_name="task", start_time=2, tags=[{"key": "mlflow.parentRunId", "value": parent}])
    door.post("runs/log-batch", run_id=child, params=pairs(lr="0.1"), metrics=[{"key": "acc", "value": 1, "timestamp": 5}])
    door.post("runs/update", run_id=child, status="FAILED", end_time=9)
    door.post("runs/update", run_id=parent, status="FAILED", end_time=9)
    door.post("runs/update", run_id=parent, status="RUNNING")

    nested = {"filter": f"tags.\"mlflow.parentRunId\" = '{parent}'", "max_results": 1000}
    assert door.found(experiment, **nested) == ["task"]
    found = door.post("runs/search", experiment_ids=[experiment], **nested)["runs"][0]
    assert found["data"]["metrics"] == [{"key": "acc", "value": 1.0, "timestamp": 5, "step": 0}]
    assert door.get("runs/get", run_id=parent)["run"]["info"]["status"] == "RUNNING"
