"""Opens a run that no MLflow client made, and finds it by a metric. Arguments: the server's URL, the run's id, the metric."""

import json
import sys

import mlflow  # type: ignore[import-not-found, unused-ignore]

url, run_id, metric = sys.argv[1:]
mlflow.set_tracking_uri(url)
run = mlflow.get_run(run_id)


def found(condition: str) -> list[str]:
    filter = f'metrics."{metric}" {condition}'
    runs = mlflow.search_runs([run.info.experiment_id], filter, output_format="list")
    return [one.info.run_id for one in runs]


shown = [run.info.run_name, run.info.status, run.data.params, run.data.metrics]
print(json.dumps({"run": shown, "found": found("> 0.8"), "missed": found("> 0.95")}))
