"""Run by a Python that has the last MLflow 2: the core of what people do with it, and what it saw as JSON."""

import json
import logging
import sys
from typing import Any

import mlflow  # type: ignore[import-not-found, unused-ignore]
from mlflow.models import infer_signature  # type: ignore[import-not-found, unused-ignore]
from sklearn.datasets import load_iris  # type: ignore[import-not-found, unused-ignore]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found, unused-ignore]

logging.getLogger("mlflow").setLevel(logging.ERROR)
seen: dict[str, Any] = {"major": mlflow.__version__.split(".")[0]}
mlflow.set_tracking_uri(sys.argv[1])
experiment = mlflow.set_experiment("second")
client = mlflow.MlflowClient()
features, target = load_iris(return_X_y=True, as_frame=True)

mlflow.sklearn.autolog(log_models=False)
with mlflow.start_run(run_name="by itself") as run:
    LogisticRegression(max_iter=300, C=0.5).fit(features, target)
mlflow.sklearn.autolog(disable=True)
found = client.get_run(run.info.run_id)
seen["autolog"] = [found.data.params["C"], found.data.metrics["training_accuracy_score"] > 0.9]

model = LogisticRegression(max_iter=300).fit(features, target)
with mlflow.start_run(run_name="model") as made:
    mlflow.log_params({"lr": 0.1})
    for step in range(3):
        mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
    mlflow.log_text("words", "notes/a.txt")
    mlflow.log_dict({"a": 1}, "b.json")
    mlflow.log_input(mlflow.data.from_pandas(features, name="iris"), context="training")
    logged = mlflow.sklearn.log_model(
        model,
        "iris",
        signature=infer_signature(features, model.predict(features)),
        registered_model_name="second-flowers",
        pip_requirements=["scikit-learn"],
    )
    with mlflow.start_run(run_name="child", nested=True) as child:
        mlflow.log_metric("inner", 1)
client.set_registered_model_alias("second-flowers", "champion", "1")
client.transition_model_version_stage("second-flowers", "1", "Staging")
seen["history"] = [point.value for point in client.get_metric_history(made.info.run_id, "loss")]
seen["files"] = sorted(file.path for file in client.list_artifacts(made.info.run_id))
seen["text"] = mlflow.artifacts.load_text(f"runs:/{made.info.run_id}/notes/a.txt")
expected = model.predict(features)
seen["loaded"] = [
    bool((mlflow.pyfunc.load_model(uri).predict(features) == expected).all())
    for uri in (
        f"runs:/{made.info.run_id}/iris",
        logged.model_uri,
        "models:/second-flowers/1",
        "models:/second-flowers@champion",
        "models:/second-flowers/Staging",
    )
]
frame = mlflow.search_runs(filter_string="metrics.loss < 0.5")
seen["found"] = frame["tags.mlflow.runName"].tolist()
seen["child"] = client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == made.info.run_id
seen["dataset"] = [one.dataset.name for one in client.get_run(made.info.run_id).inputs.dataset_inputs]
seen["noted"] = json.loads(client.get_run(made.info.run_id).data.tags["mlflow.log-model.history"])[0]["artifact_path"]
print(json.dumps(seen))
