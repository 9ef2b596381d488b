"""Run by a Python that has mlflow: what its own client does with models, versions and prompts; prints what it saw as JSON."""

import json
import sys
from typing import Any

import mlflow  # type: ignore[import-not-found, unused-ignore]
from mlflow.entities import LoggedModelInput, LoggedModelOutput  # type: ignore[import-not-found, unused-ignore]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found, unused-ignore]

seen: dict[str, Any] = {}
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
experiment = mlflow.set_experiment("registry tour")


def code(call: Any, *args: Any, **kwargs: Any) -> str:
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        return str(error.error_code)
    return "nothing was refused"


with mlflow.start_run(run_name="train") as run:
    model = client.create_logged_model(
        experiment.experiment_id, name="net", source_run_id=run.info.run_id, params={"depth": "3"}, tags={"team": "red"}
    )
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 7)])
    client.finalize_logged_model(model.model_id, "READY")
    mlflow.log_metric("acc", 0.75, step=7, model_id=model.model_id)
    mlflow.log_metrics({"f1": 0.5, "loss": 0.1}, step=7, model_id=model.model_id)
outputs = client.get_run(run.info.run_id).outputs.model_outputs
seen["outputs"] = [(one.model_id == model.model_id, one.step) for one in outputs]
logged = client.get_logged_model(model.model_id)
seen["logged"] = [logged.name, str(logged.status), logged.params, logged.tags, sorted((m.key, m.value) for m in logged.metrics)]
seen["of the run"] = {one.run_id for one in logged.metrics} == {run.info.run_id}

with mlflow.start_run(run_name="evaluate") as evaluation:
    client.log_inputs(evaluation.info.run_id, models=[LoggedModelInput(model.model_id)])
    mlflow.log_metric("acc", 0.5, model_id=model.model_id)
inputs = client.get_run(evaluation.info.run_id).inputs.model_inputs
seen["inputs"] = [one.model_id == model.model_id for one in inputs]
seen["search"] = [
    one.name
    for one in mlflow.search_logged_models(
        [experiment.experiment_id],
        filter_string="metrics.acc >= 0.5 AND tags.team = 'red'",
        order_by=[{"field_name": "metrics.acc", "ascending": False}],
        output_format="list",
    )
]

version = mlflow.register_model(f"models:/{model.model_id}", "tour", tags={"a": "b"})
seen["registered"] = [version.name, version.version, version.status, version.source == f"models:/{model.model_id}"]
seen["again"] = mlflow.register_model(f"models:/{model.model_id}", "tour").version
seen["noted"] = [one["version"] for one in json.loads(client.get_logged_model(model.model_id).tags["mlflow.modelVersions"])]
by_run = client.create_model_version("tour", f"runs:/{run.info.run_id}/net", run.info.run_id, description="by run")
seen["by run"] = [by_run.version, client.search_model_versions(f"run_id = '{run.info.run_id}'")[0].version]
seen["elsewhere"] = code(client.create_model_version, "tour", "mlflow-artifacts:/x", run.info.run_id)

client.set_registered_model_alias("tour", "best", "2")
client.transition_model_version_stage("tour", 1, "Production")
client.transition_model_version_stage("tour", 3, "production", archive_existing_versions=True)
seen["best"] = client.get_model_version_by_alias("tour", "best").version
seen["aliases"] = client.get_registered_model("tour").aliases
seen["stages"] = {one.version: one.current_stage for one in client.search_model_versions("name = 'tour'")}
seen["latest"] = {one.current_stage: one.version for one in client.get_latest_versions("tour")}
seen["download"] = client.get_model_version_download_uri("tour", "1") == logged.artifact_location
seen["no alias"] = code(client.get_model_version_by_alias, "tour", "none")
seen["reserved"] = code(client.set_registered_model_alias, "tour", "latest", "1")
copy = client.copy_model_version("models:/tour@best", "copied")
seen["copy"] = [copy.version, copy.source, client.get_model_version_download_uri("copied", "1") == logged.artifact_location]

client.update_registered_model("tour", "described")
client.rename_registered_model("tour", "toured")
client.set_model_version_tag("toured", "1", "k", "v")
client.delete_model_version_tag("toured", "1", "a")
seen["tags"] = client.get_model_version("toured", "1").tags
client.delete_model_version("toured", "2")
seen["deleted"] = [code(client.get_model_version, "toured", "2"), client.get_registered_model("toured").aliases]
seen["models"] = [one.name for one in client.search_registered_models(order_by=["name DESC"])]
client.delete_registered_model("copied")
seen["gone"] = code(client.get_registered_model, "copied")

prompt = mlflow.genai.register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"lang": "en"})
mlflow.genai.register_prompt("greeting", "Good day, {{name}}", commit_message="second")
mlflow.genai.set_prompt_alias("greeting", "live", 1)
loaded = mlflow.genai.load_prompt("prompts:/greeting@live")
seen["prompt"] = [
    prompt.version,
    loaded.version,
    loaded.format(name="Ada"),
    mlflow.genai.load_prompt("greeting", version=2).template,
]
seen["prompts"] = [one.name for one in mlflow.genai.search_prompts()]
seen["models only"] = [one.name for one in client.search_registered_models()]
seen["no such prompt"] = mlflow.genai.load_prompt("nobody", allow_missing=True)
seen["prompt taken"] = code(client.create_registered_model, "greeting")
print(json.dumps(seen))
