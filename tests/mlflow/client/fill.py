"""Fills a store of MLflow's own, through its own client, of 2.22 or 3: whatever an import has to take over.

Arguments: tracking URI, folder for artifacts, points of the long history. Prints a JSON object: `made`, the ids of what was
made, and `shown`, what MLflow shows of it all.
"""

import json
import math
import sys

import mlflow  # type: ignore[import-not-found, unused-ignore]
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag  # type: ignore[import-not-found, unused-ignore]
from mlflow.tracking import MlflowClient  # type: ignore[import-not-found, unused-ignore]
from read import Reading  # type: ignore[import-not-found]

uri, folder, points = sys.argv[1], sys.argv[2], int(sys.argv[3])
mlflow.set_tracking_uri(uri)
client = MlflowClient()
IS_THREE = int(mlflow.__version__.partition(".")[0]) >= 3
T = 1_700_000_000_000


plain = client.create_experiment("plain é", tags={"team": "red", "mlflow.note.content": "größer\n日本"})
local = client.create_experiment("local", artifact_location=f"{folder}/local files")
bucket = client.create_experiment("bucket", artifact_location="s3://models/mlflow")
gone = client.create_experiment("gone", tags={"why": "old"})

parent = client.create_run(plain, start_time=T, run_name="parent", tags={"mlflow.user": "ann", "mlflow.source.name": "train.py"})
parent = parent.info.run_id
child = client.create_run(plain, start_time=T + 1, run_name="child", tags={"mlflow.parentRunId": parent}).info.run_id
grandchild = client.create_run(plain, start_time=T + 2, tags={"mlflow.parentRunId": child, "k" * 250: "v"}).info.run_id
odd = [math.nan, math.inf, -math.inf, -0.0, 1e-300, 5e-324, 0.1]
client.log_batch(
    parent,
    metrics=[
        *(Metric("odd", value, T, 0) for value in odd),
        *(Metric("odd", 1.0, T + number, number) for number in (3, 1, 2)),
        *(Metric("same", 0.5, T + 5, step) for step in (2, 2, 1, -1)),
        Metric("last is nan", 1.0, T, 0),
        Metric("last is nan", math.nan, T + 1, 1),
        Metric("val/acc per class: a", 0.25, T, 2**40),
    ],
    params=[Param("lr", "0.1"), Param("empty", ""), Param("long", "x" * 6000), Param("a/b c", "é" * 300)],
    tags=[RunTag("mlflow.note.content", "n" * 5000), RunTag("blank", "")],
)
for start in range(0, points, 1000):
    some = range(start, min(points, start + 1000))
    client.log_batch(child, metrics=[Metric("loss", 1 / (number + 1), T + number // 3, number) for number in some])
client.log_inputs(
    parent,
    [
        DatasetInput(
            Dataset("iris", "d1", "local", '{"uri": "s3://b/iris.csv"}', '{"mlflow_colspec": []}', '{"num_rows": 150}'),
            [InputTag("mlflow.data.context", "training"), InputTag("fold", "1")],
        ),
        DatasetInput(Dataset("iris", "d2", "http", '{"url": "https://x/y"}'), [InputTag("mlflow.data.context", "eval")]),
    ],
)
client.log_inputs(child, [DatasetInput(Dataset("iris", "d1", "local", "{}"), [])])
runs = {"parent": parent, "child": child, "grandchild": grandchild}
for number, status in enumerate(("FINISHED", "FAILED", "KILLED", "SCHEDULED", "RUNNING")):
    runs[status] = client.create_run(local, start_time=T + 10 + number, run_name=status).info.run_id
    client.log_text(runs[status], f"of {status}", "notes/läs mich.txt")
    client.set_terminated(runs[status], status, T + 100 + number) if number < 3 else client.update_run(runs[status], status)
client.log_dict(runs["FINISHED"], {"a": 1}, "model/MLmodel.json")
client.set_terminated(parent, "FINISHED", T + 1000)
runs["s3"] = client.create_run(bucket, start_time=T + 20).info.run_id
runs["default"] = client.create_run("0", start_time=T + 30, run_name="in default").info.run_id
client.log_param(runs["default"], "p", "1")
client.log_text(runs["default"], "of default", "default.txt")
runs["deleted"] = client.create_run(plain, start_time=T + 40, run_name="deleted").info.run_id
client.log_batch(runs["deleted"], metrics=[Metric("m", 1.0, T, 0)], tags=[RunTag("t", "1")], params=[Param("p", "1")])
client.delete_run(runs["deleted"])
runs["of gone"] = client.create_run(gone, start_time=T + 50, run_name="of gone").info.run_id
client.delete_experiment(gone)

models = {}
if IS_THREE:
    made = client.create_logged_model(
        plain, "net", source_run_id=parent, params={"depth": "3"}, tags={"team": "red"}, model_type="classifier"
    )
    models["net"] = made.model_id
    client.finalize_logged_model(made.model_id, "READY")
    client.log_metric(parent, "acc", 0.75, timestamp=T + 60, step=1, model_id=made.model_id)
    client.log_metric(
        child, "f1", 0.5, timestamp=T + 61, step=2, model_id=made.model_id, dataset_name="iris", dataset_digest="d1"
    )
    client.log_outputs(parent, [mlflow.entities.LoggedModelOutput(made.model_id, 7)])
    client.log_inputs(child, models=[mlflow.entities.LoggedModelInput(made.model_id)])
    models["pending"] = client.create_logged_model(plain, "pending").model_id
    models["failed"] = client.create_logged_model(local, "failed", source_run_id=runs["FAILED"]).model_id
    client.finalize_logged_model(models["failed"], "FAILED")
    models["deleted"] = client.create_logged_model(plain, "deleted", tags={"t": "1"}, params={"p": "1"}).model_id
    client.finalize_logged_model(models["deleted"], "READY")
    client.delete_logged_model(models["deleted"])

client.create_registered_model("tour", tags={"owner": "ann", "note": "ü"}, description="A tour of everything")
finished = runs["FINISHED"]
root = client.get_run(finished).info.artifact_uri
client.create_model_version("tour", f"{root}/model", finished, tags={"v": "1"}, description="the first", run_link="https://x/1")
client.create_model_version("tour", f"runs:/{finished}/model", finished)
client.create_model_version("tour", f"{root}/model", finished, tags={"v": "3"})
client.create_model_version("tour", "s3://elsewhere/model")
if IS_THREE:
    client.create_model_version("tour", f"models:/{models['net']}", model_id=models["net"])
client.create_model_version("tour", f"runs:/{finished}/model", finished)
client.transition_model_version_stage("tour", "1", "Production")
client.transition_model_version_stage("tour", "2", "Staging")
client.transition_model_version_stage("tour", "4", "Archived")
client.set_registered_model_alias("tour", "champion", "2")
client.set_registered_model_alias("tour", "best", "2")
client.set_registered_model_alias("tour", "other", "4")
client.delete_model_version("tour", "3")
client.create_registered_model("bare")
client.copy_model_version("models:/tour/1", "copied")
prompts = mlflow.genai if IS_THREE else mlflow
prompts.register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"lang": "en"})
prompts.register_prompt("greeting", "Good day, {{name}}")
prompts.set_prompt_alias("greeting", "live", 1)
experiments = {"plain": plain, "local": local, "bucket": bucket, "gone": gone}
print(json.dumps({"made": {"runs": runs, "models": models, "experiments": experiments}, "shown": Reading(uri).all()}))
