"""Run by a Python that has mlflow and the libraries: they log by themselves, models are logged, loaded, registered and restored.

It prints what it saw as JSON.
"""

import json
import logging
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import lightgbm  # type: ignore[import-not-found, unused-ignore]
import mlflow  # type: ignore[import-not-found, unused-ignore]
import pandas as pd  # type: ignore[import-not-found, unused-ignore]
import xgboost  # type: ignore[import-not-found, unused-ignore]
from mlflow.models import infer_signature  # type: ignore[import-not-found, unused-ignore]
from sklearn.datasets import load_iris  # type: ignore[import-not-found, unused-ignore]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found, unused-ignore]

logging.getLogger("mlflow").setLevel(logging.ERROR)
seen: dict[str, Any] = {}
mlflow.set_tracking_uri(sys.argv[1])
experiment = mlflow.set_experiment("libraries")
client = mlflow.MlflowClient()
features, target = load_iris(return_X_y=True, as_frame=True)
requirements = ["scikit-learn"]  # asking pip what a model needs takes longer than all else


def of_run(run: Any) -> Any:
    return client.get_run(run.info.run_id)


# ---- what the libraries log by themselves

mlflow.sklearn.autolog(log_datasets=True, extra_tags={"library": "sklearn"})
with mlflow.start_run(run_name="sklearn") as run:
    LogisticRegression(max_iter=300, C=0.5).fit(features, target)
mlflow.sklearn.autolog(disable=True)
found = of_run(run)
seen["sklearn"] = {
    "C": found.data.params["C"],
    "accurate": found.data.metrics["training_accuracy_score"] > 0.9,
    "figure": "training_confusion_matrix.png" in {file.path for file in client.list_artifacts(run.info.run_id)},
    "dataset": [one.tags[0].value for one in found.inputs.dataset_inputs],
    "models": len(found.outputs.model_outputs),
}
trained = mlflow.search_logged_models([experiment.experiment_id], output_format="list")[0]
seen["same predictions"] = bool(
    (mlflow.sklearn.load_model(f"models:/{trained.model_id}").predict(features) == target).mean() > 0.9
)

mlflow.xgboost.autolog(log_models=False)
with mlflow.start_run(run_name="xgboost") as run:
    matrix = xgboost.DMatrix(features, label=target)
    xgboost.train(
        {"objective": "multi:softprob", "num_class": 3, "nthread": 1},
        matrix,
        num_boost_round=5,
        evals=[(matrix, "train")],
        verbose_eval=False,
    )
found = of_run(run)
seen["xgboost"] = [found.data.params["num_boost_round"], len(client.get_metric_history(run.info.run_id, "train-mlogloss"))]
mlflow.xgboost.autolog(disable=True)

mlflow.lightgbm.autolog(log_models=False)
with mlflow.start_run(run_name="lightgbm") as run:
    data = lightgbm.Dataset(features, label=target)
    settings = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    lightgbm.train(settings, data, num_boost_round=4, valid_sets=[data], valid_names=["train"])
found = of_run(run)
seen["lightgbm"] = [found.data.params["num_boost_round"], len(client.get_metric_history(run.info.run_id, "train-multi_logloss"))]
mlflow.lightgbm.autolog(disable=True)

# ---- models: logged, registered, called by every name, loaded, copied, restored

model = LogisticRegression(max_iter=300).fit(features, target)
with mlflow.start_run(run_name="model") as made:
    logged = mlflow.sklearn.log_model(
        model,
        name="iris",
        signature=infer_signature(features, model.predict(features)),
        input_example=features.head(2),
        registered_model_name="flowers",
        pip_requirements=requirements,
        params={"C": 1.0},
    )
    mlflow.log_metric("accuracy", 0.97, model_id=logged.model_id)
second = mlflow.register_model(logged.model_uri, "flowers", tags={"by": "hand"})
client.set_registered_model_alias("flowers", "champion", second.version)
client.transition_model_version_stage("flowers", "1", "Production")
expected = model.predict(features)
seen["loaded"] = {
    uri.replace(made.info.run_id, "RUN").replace(logged.model_id, "MODEL"): bool(
        (mlflow.pyfunc.load_model(uri).predict(features) == expected).all()
    )
    for uri in (
        f"runs:/{made.info.run_id}/iris",
        "models:/flowers/1",
        "models:/flowers/latest",
        "models:/flowers@champion",
        "models:/flowers/Production",
        logged.model_uri,
    )
}
seen["logged"] = [client.get_logged_model(logged.model_id).metrics[0].value, client.get_logged_model(logged.model_id).params]
copied = client.copy_model_version("models:/flowers/1", "flowers-copy")
seen["copied"] = [
    copied.name,
    copied.version,
    bool((mlflow.pyfunc.load_model("models:/flowers-copy/1").predict(features) == expected).all()),
]
client.delete_run(made.info.run_id)
client.restore_run(made.info.run_id)
seen["restored"] = bool((mlflow.sklearn.load_model(f"runs:/{made.info.run_id}/iris").predict(features) == expected).all())
client.delete_model_version("flowers", "1")
seen["versions"] = sorted(one.version for one in client.search_model_versions("name = 'flowers'"))

# ---- tables, nested runs, runs at once, later logging, the machine's own metrics, frames

with mlflow.start_run(run_name="parent") as parent:
    mlflow.log_table({"question": ["a", "b"], "answer": [1, 2]}, "answers.json")
    mlflow.log_table(pd.DataFrame({"question": ["c"], "answer": [3]}), "answers.json")
    mlflow.log_input(mlflow.data.from_pandas(features, name="iris", source="iris.csv"), context="training")
    for number in range(2):
        with mlflow.start_run(run_name=f"child {number}", nested=True):
            mlflow.log_param("number", number)
seen["table"] = mlflow.load_table("answers.json", run_ids=[parent.info.run_id])["answer"].tolist()
children = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
seen["children"] = sorted(children["params.number"])
reading = mlflow.search_runs(filter_string="dataset.name = 'iris' AND dataset.context = 'training'")
seen["readers"] = list(reading["tags.mlflow.runName"])


def worker(number: int) -> None:
    run = client.create_run(experiment.experiment_id, run_name=f"worker {number}")
    for step in range(10):
        client.log_metric(run.info.run_id, "loss", 1.0 / (step + number + 1), step=step)
    folder = Path(tempfile.mkdtemp())
    (folder / "weights.bin").write_bytes(bytes([number]) * 1000)
    client.log_artifacts(run.info.run_id, str(folder))
    client.set_terminated(run.info.run_id)


workers = [threading.Thread(target=worker, args=(number,)) for number in range(8)]
for one in workers:
    one.start()
for one in workers:
    one.join()
frame = mlflow.search_runs(filter_string="attributes.run_name LIKE 'worker%'", order_by=["metrics.loss ASC"])
seen["workers"] = [len(frame), frame["tags.mlflow.runName"].tolist()[0], set(frame["status"]) == {"FINISHED"}]

with mlflow.start_run(run_name="later") as later:
    waiting = [mlflow.log_metric("later", step, step=step, synchronous=False) for step in range(50)]
    for one in waiting:
        one.wait()
seen["later"] = len(client.get_metric_history(later.info.run_id, "later"))

mlflow.set_system_metrics_sampling_interval(0.2)
mlflow.set_system_metrics_samples_before_logging(1)
with mlflow.start_run(run_name="machine", log_system_metrics=True) as machine:
    time.sleep(1.5)
seen["machine"] = any(key.startswith("system/cpu") for key in of_run(machine).data.metrics)
seen["frame"] = [len(mlflow.search_runs()), str(mlflow.search_runs()["start_time"].dtype).startswith("datetime64")]
print(json.dumps(seen))
