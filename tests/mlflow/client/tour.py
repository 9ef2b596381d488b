"""Run by a Python that has mlflow: its own client does what notebooks do, and prints what it saw as JSON."""

import json
import math
import sys
import threading
from typing import Any

import mlflow  # type: ignore[import-not-found, unused-ignore]
import numpy as np  # type: ignore[import-not-found, unused-ignore]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found, unused-ignore]

seen: dict[str, Any] = {}
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()

experiment = mlflow.set_experiment("tour")
seen["again"] = mlflow.set_experiment("tour").experiment_id == experiment.experiment_id
seen["default"] = client.get_experiment("0").name
seen["none"] = client.get_experiment_by_name("nobody's")

with mlflow.start_run(run_name="parent", tags={"team": "red"}) as parent:
    mlflow.log_params({"lr": 0.1, "layers": 3})
    for step in range(5):
        mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
    mlflow.log_metrics({"acc": 0.75, "odd": math.nan}, step=4)
    with mlflow.start_run(run_name="child", nested=True) as child:
        mlflow.set_tag("stage", "inner")
    try:
        mlflow.log_param("lr", 0.2)
    except MlflowException as error:
        seen["changed"] = error.error_code

found = client.get_run(parent.info.run_id)
seen["status"] = found.info.status
seen["params"] = found.data.params
seen["metrics"] = {key: str(value) for key, value in found.data.metrics.items()}
seen["name"] = found.info.run_name
seen["parent"] = client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
seen["history"] = [(point.step, point.value) for point in client.get_metric_history(parent.info.run_id, "loss")]

with mlflow.start_run(run_id=parent.info.run_id):
    mlflow.log_metric("loss", 0.01, step=9)
seen["resumed"] = client.get_run(parent.info.run_id).data.metrics["loss"]

with mlflow.start_run(run_name="many") as many:
    mlflow.log_params({f"p{number}": number for number in range(250)})
    batch = [mlflow.entities.Metric("m", float(number), number, number) for number in range(2500)]
    client.log_batch(many.info.run_id, metrics=batch)
seen["many"] = (len(client.get_run(many.info.run_id).data.params), len(client.get_metric_history(many.info.run_id, "m")))


def worker(number: int) -> None:
    made = client.create_run(experiment.experiment_id, run_name=f"worker {number}")
    for step in range(5):
        client.log_metric(made.info.run_id, "w", number, step=step)
    client.set_terminated(made.info.run_id)


threads = [threading.Thread(target=worker, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
workers = client.search_runs(
    [experiment.experiment_id], "attributes.run_name LIKE 'worker%'", order_by=["metrics.w ASC"], max_results=3
)
seen["page"] = [run.data.metrics["w"] for run in workers]
rest = client.search_runs(
    [experiment.experiment_id],
    "attributes.run_name LIKE 'worker%'",
    order_by=["metrics.w ASC"],
    max_results=10,
    page_token=workers.token,
)
seen["rest"] = [run.data.metrics["w"] for run in rest]
frame = mlflow.search_runs(experiment_names=["tour"], filter_string="metrics.loss < 0.5 and params.lr = '0.1'")
seen["frame"] = list(frame["tags.mlflow.runName"])

mlflow.config.enable_async_logging(True)
with mlflow.start_run(run_name="async") as later:
    for step in range(20):
        mlflow.log_metric("a", step, step=step)
    mlflow.flush_async_logging()
mlflow.config.enable_async_logging(False)
seen["async"] = len(client.get_metric_history(later.info.run_id, "a"))

with mlflow.start_run(run_name="reader") as reader:
    mlflow.log_input(mlflow.data.from_numpy(np.arange(6).reshape(3, 2), name="six"), context="train")
read = client.get_run(reader.info.run_id).inputs.dataset_inputs
seen["inputs"] = [(one.dataset.name, one.tags[0].value) for one in read]

client.delete_run(child.info.run_id)
seen["deleted"] = client.get_run(child.info.run_id).info.lifecycle_stage
client.restore_run(child.info.run_id)
client.set_experiment_tag(experiment.experiment_id, "owner", "ada")
client.rename_experiment(experiment.experiment_id, "toured")
seen["experiments"] = [one.name for one in client.search_experiments(filter_string="tags.owner = 'ada'")]
client.delete_experiment(experiment.experiment_id)
try:
    client.create_experiment("toured")
except MlflowException as error:
    seen["taken"] = error.error_code
client.restore_experiment(experiment.experiment_id)
seen["restored"] = client.get_run(child.info.run_id).info.lifecycle_stage
print(json.dumps(seen))
