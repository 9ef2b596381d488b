"""Probes of registered models, their versions, and logged models."""

from typing import Any

from tests.mlflow.calling import metric
from tests.mlflow.differential.asking import Asker
from tests.mlflow.differential.tracking import NOBODY, Calls, pairs

PROMPT = "mlflow.prompt.is_prompt"
MODEL_FILTERS = [
    " ",
    "name = 'm one'",
    "name != 'm one'",
    "name LIKE 'm%'",
    "name ILIKE 'M%'",
    "name LIKE 'M%'",
    "name IN ('m one', 'm two')",
    "name NOT IN ('m one')",
    "tags.team = 'red'",
    "tags.team != 'red'",
    "tags.team LIKE 'r%'",
    "tag.team = 'red'",
    "tags.team = 'red' AND tags.team LIKE 'r%'",
    f"tags.`{PROMPT}` = 'true'",
    f"tags.`{PROMPT}` != 'true'",
    f"tags.`{PROMPT}` = 'false'",
    "name = 5",
    "name",
    "colour = 'red'",
    "name = 'm one' OR name = 'm two'",
    "metrics.a > 1",
]
MODEL_ORDERS = [
    ["name"],
    ["name DESC"],
    ["timestamp"],
    ["last_updated_timestamp DESC"],
    ["creation_timestamp"],
    ["colour"],
    ["name up"],
]
VERSION_FILTERS = [
    " ",
    "name = 'm one'",
    "name LIKE 'm%'",
    "version_number > 1",
    "version_number = 1",
    "version_number = 'x'",
    "run_id IN ('x')",
    "source_path = 's3://b/1'",
    "source_path LIKE 's3://b%'",
    "tags.stage = 'x'",
    "tags.kind = 'a' AND name = 'm one'",
    "current_stage = 'None'",
    "status = 'READY'",
    "colour = 'red'",
    "name = 'm one' OR version_number = 1",
]
VERSION_ORDERS = [
    ["version_number"],
    ["version_number DESC"],
    ["name", "version_number DESC"],
    ["creation_timestamp"],
    ["colour"],
]
LOGGED_FILTERS = [
    " ",
    "name = 'l one'",
    "name LIKE 'l%'",
    "model_type = 'agent'",
    "attributes.name IN ('l one')",
    "params.p = '1'",
    "tags.t = 'x'",
    "tags.t != 'x'",
    "metrics.acc > 0.5",
    "metrics.acc < 0.4",
    "creation_timestamp > 5",
    "source_run_id = 'x'",
    "colour = 'red'",
    "status = 'LOGGED_MODEL_READY'",
    "status = 'READY'",
    "name = 'l one' OR name = 'l two'",
    'name = "l one"',
    "params.a/b = '1'",
    "status = 'x'",
]


def models(ask: Asker) -> None:
    create, get = "registered-models/create", "registered-models/get"
    ask.call("create model", "POST", create, name="m one", description="d", tags=pairs(team="red"))
    ask.call("create bare model", "POST", create, name="m two")
    ask.call("create prompt", "POST", create, name="a prompt", tags=pairs(**{PROMPT: "true"}))
    calls: Calls = {
        "taken": {"name": "m one"},
        "without name": {},
        "with a slash": {"name": "a/b"},
        "with a colon": {"name": "a:b"},
        "empty": {"name": ""},
        "of a number": {"name": 5},
    }
    for label, fields in calls.items():
        ask.call(f"model name {label}", "POST", create, **fields)
    ask.call("get model", "GET", get, name="m one")
    ask.call("get no model", "GET", get)
    ask.call("get model that is not there", "GET", get, name="nobody's")
    ask.call("update model", "PATCH", "registered-models/update", name="m one", description="other")
    ask.call("update nothing of a model", "PATCH", "registered-models/update", name="m one")
    ask.call("update model that is not there", "PATCH", "registered-models/update", name="nobody's", description="x")
    ask.call("set model tag", "POST", "registered-models/set-tag", name="m one", key="k", value="1")
    ask.call("set model tag again", "POST", "registered-models/set-tag", name="m one", key="k", value="2")
    ask.call("set model tag without key", "POST", "registered-models/set-tag", name="m one", value="2")
    ask.call("set tag of nobody's model", "POST", "registered-models/set-tag", name="nobody's", key="k", value="2")
    ask.call("model with tags", "GET", get, name="m one")
    ask.call("delete model tag", "DELETE", "registered-models/delete-tag", name="m one", key="k")
    ask.call("delete model tag again", "DELETE", "registered-models/delete-tag", name="m one", key="k")
    versions(ask)
    search = "registered-models/search"
    for text in MODEL_FILTERS:
        ask.call(f"search models: {text}", "GET", search, filter=text, max_results=100)
    for terms in MODEL_ORDERS:
        ask.call(f"order models: {terms}", "GET", search, order_by=terms, max_results=100)
    for most in (1, 0, -1, 1000, 1001):
        ask.call(f"models, at most {most}", "GET", search, max_results=most)
    ask.call("models with a bad token", "GET", search, page_token="bad")
    before = _updated(ask, "version before a rename", "m two")
    ask.call("rename model", "POST", "registered-models/rename", name="m two", new_name="m three")
    ask.fact("rename moves the time of versions", _updated(ask, "version after a rename", "m three") != before)
    ask.call("renamed model", "GET", get, name="m three")
    ask.call("versions of a renamed model", "GET", "model-versions/search", filter="name = 'm three'")
    ask.call("renamed model by its old name", "GET", get, name="m two")
    ask.call("rename model to a taken name", "POST", "registered-models/rename", name="m three", new_name="m one")
    ask.call("rename model without name", "POST", "registered-models/rename", name="m three")
    ask.call("delete model", "DELETE", "registered-models/delete", name="m three")
    ask.call("delete model again", "DELETE", "registered-models/delete", name="m three")
    ask.call("create model of a deleted name", "POST", create, name="m three")
    ask.call("first version of a new model", "POST", "model-versions/create", name="m three", source="s3://b/new")


def _updated(ask: Asker, probe: str, name: str) -> int:
    """When the first version was changed last."""
    found = ask.call(probe, "GET", "model-versions/get", name=name, version="1")
    return int(found["model_version"]["last_updated_timestamp"])


def versions(ask: Asker) -> None:
    experiment = ask.experiment("versions")
    run = ask.run("maker", experiment)
    create, get = "model-versions/create", "model-versions/get"
    ask.call("create version", "POST", create, name="m one", source="s3://b/1", tags=pairs(kind="a"), description="first")
    ask.call("create second version", "POST", create, name="m one", source="s3://b/2", run_id=run, run_link="")
    ask.call("create version of another", "POST", create, name="m two", source="s3://b/3")
    proxied = f"mlflow-artifacts:/{experiment}/{run}/artifacts/model"
    calls: Calls = {
        "of nobody's model": {"name": "nobody's", "source": "s3://b/1"},
        "without name": {"source": "s3://b/1"},
        "without source": {"name": "m one"},
        "of a run's files": {"name": "m one", "source": proxied, "run_id": run},
        "of a run's files without run": {"name": "m one", "source": proxied},
        "by runs": {"name": "m one", "source": f"runs:/{run}/model", "run_id": run},
        "by runs without run": {"name": "m one", "source": f"runs:/{run}/model"},
        "of a version": {"name": "m two", "source": "models:/m one/1"},
        "of nobody's version": {"name": "m two", "source": "models:/nobody's/1"},
        "of a local path": {"name": "m one", "source": "/etc"},
        "of a file URI": {"name": "m one", "source": "file:///etc"},
        "that climbs": {"name": "m one", "source": f"mlflow-artifacts:/{experiment}/{run}/artifacts/../../x", "run_id": run},
        "of another host": {"name": "m one", "source": proxied.replace(":/", "://elsewhere/"), "run_id": run},
        "of a run that is not there": {"name": "m one", "source": "s3://b/4", "run_id": NOBODY},
    }  # fmt: skip
    for label, fields in calls.items():
        ask.call(f"version {label}", "POST", create, **fields)
    ask.call("get version", "GET", get, name="m one", version="1")
    ask.call("get version of a run", "GET", get, name="m one", version="2")
    ask.call("get copy", "GET", get, name="m two", version="2")
    ask.call("get version that is not there", "GET", get, name="m one", version="77")
    ask.call("get version by a word", "GET", get, name="m one", version="x")
    ask.call("get no version", "GET", get, name="m one")
    ask.call("download URI", "GET", "model-versions/get-download-uri", name="m one", version="1")
    ask.call("download URI of a copy", "GET", "model-versions/get-download-uri", name="m two", version="2")
    ask.call("update version", "PATCH", "model-versions/update", name="m one", version="1", description="other")
    ask.call("set version tag", "POST", "model-versions/set-tag", name="m one", version="1", key="k", value="1")
    ask.call("delete version tag", "DELETE", "model-versions/delete-tag", name="m one", version="1", key="k")
    ask.call("delete version tag again", "DELETE", "model-versions/delete-tag", name="m one", version="1", key="k")
    aliases(ask)
    stages(ask)
    search = "model-versions/search"
    for text in VERSION_FILTERS:
        ask.call(f"search versions: {text}", "GET", search, filter=text)
    for terms in VERSION_ORDERS:
        ask.call(f"order versions: {terms}", "GET", search, filter="name = 'm one'", order_by=terms)
    for most in (1, 0, 200_001):
        ask.call(f"versions, at most {most}", "GET", search, filter="name = 'm one'", max_results=most)
    ask.call("delete version", "DELETE", "model-versions/delete", name="m one", version="1")
    ask.call("delete version again", "DELETE", "model-versions/delete", name="m one", version="1")
    ask.call("deleted version", "GET", get, name="m one", version="1")
    ask.call("after deletes", "GET", "registered-models/get", name="m one")


def aliases(ask: Asker) -> None:
    alias = "registered-models/alias"
    ask.call("set alias", "POST", alias, name="m one", alias="champion", version="1")
    ask.call("get alias", "GET", alias, name="m one", alias="champion")
    ask.call("move alias", "POST", alias, name="m one", alias="champion", version="2")
    ask.call("moved alias", "GET", alias, name="m one", alias="champion")
    ask.call("version with alias", "GET", "model-versions/get", name="m one", version="2")
    ask.call("model with alias", "GET", "registered-models/get", name="m one")
    for text in ("latest", "v3", "a b", "x" * 256, ""):
        ask.call(f"alias {text[:20]!r}", "POST", alias, name="m one", alias=text, version="1")
    ask.call("alias of nobody's version", "POST", alias, name="m one", alias="a", version="77")
    ask.call("alias of nobody's model", "POST", alias, name="nobody's", alias="a", version="1")
    ask.call("get latest", "GET", alias, name="m one", alias="latest")
    ask.call("get v2", "GET", alias, name="m one", alias="v2")
    ask.call("get nobody's alias", "GET", alias, name="m one", alias="nothing")
    ask.call("get alias of nobody's model", "GET", alias, name="nobody's", alias="champion")
    for text in ("latest", "v1", "a b", "none"):
        ask.call(f"delete alias {text!r}", "DELETE", alias, name="m one", alias=text)
    ask.call("delete alias of nobody's model", "DELETE", alias, name="nobody's", alias="latest")
    ask.call("delete alias", "DELETE", alias, name="m one", alias="champion")
    ask.call("delete alias again", "DELETE", alias, name="m one", alias="champion")


def stages(ask: Asker) -> None:
    move = "model-versions/transition-stage"
    for version, stage, archive in (
        ("1", "Staging", False),
        ("2", "staging", True),
        ("1", "Production", False),
        ("2", "Production", True),
        ("1", "Archived", False),
        ("1", "None", False),
        ("1", "None", True),
        ("1", "Archived", True),
        ("1", "Live", False),
        ("77", "Staging", False),
    ):
        fields: dict[str, Any] = {"version": version, "stage": stage, "archive_existing_versions": archive}
        ask.call(f"move {version} to {stage}, {archive}", "POST", move, name="m one", **fields)
    ask.call("move without flag", "POST", move, name="m one", version="1", stage="Staging")
    latest = "registered-models/get-latest-versions"
    for wanted in ([], ["Production"], ["staging", "None"], ["Live"]):
        ask.call(f"latest of {wanted}", "POST", latest, name="m one", stages=wanted)
    ask.call("latest by GET", "GET", latest, name="m one")
    ask.call("latest of nobody's", "POST", latest, name="nobody's")


def logged_models(ask: Asker) -> None:
    experiment = ask.experiment("logged models")
    run = ask.run("logger", experiment)
    one = _logged(ask, "l one", experiment, source_run_id=run, model_type="agent", params=pairs(p="1"), tags=pairs(t="x"))
    two = _logged(ask, "l two", experiment)
    for label, fields in _logged_calls(experiment).items():
        ask.call(f"logged model {label}", "POST", "logged-models", **fields)
    of = f"logged-models/{one}"
    ask.call("get logged model", "GET", of)
    ask.call("get nobody's logged model", "GET", f"logged-models/m-{NOBODY}")
    ask.call("finalize", "PATCH", of, model_id=one, status="LOGGED_MODEL_READY")
    ask.call("finalize again", "PATCH", of, model_id=one, status="LOGGED_MODEL_READY")
    ask.call("set logged model tags", "PATCH", f"{of}/tags", tags=pairs(t="y", u="z"))
    ask.call("delete logged model tag", "DELETE", f"{of}/tags/u")
    ask.call("log params of a logged model", "POST", f"{of}/params", model_id=one, params=pairs(q="2"))
    ask.call("log the same params of a logged model", "POST", f"{of}/params", model_id=one, params=pairs(q="2"))
    ask.call("metric of a logged model", "POST", "runs/log-metric", run_id=run, model_id=one, **metric("acc", 0.3, 1, 0))
    ask.call("later metric of a logged model", "POST", "runs/log-metric", run_id=run, model_id=one, **metric("acc", 0.9, 2, 1))
    ask.call("nobody's metric of a logged model", "POST", "runs/log-metric", run_id=NOBODY, model_id=one, **metric("acc", 0.3))
    ask.call("logged model with values", "GET", of)
    ask.call("outputs", "POST", "runs/outputs", run_id=run, models=[{"model_id": one, "step": 3}])
    ask.call("outputs again", "POST", "runs/outputs", run_id=run, models=[{"model_id": one, "step": 3}])
    ask.call(
        "outputs of nobody's model",
        "POST",
        "runs/outputs",
        run_id=ask.run("odd", experiment),
        models=[{"model_id": f"m-{NOBODY}", "step": 0}],
    )
    ask.call("run with outputs", "GET", "runs/get", run_id=run)
    reader = ask.run("model reader", experiment)
    ask.call("model inputs", "POST", "runs/log-inputs", run_id=reader, models=[{"model_id": one}])
    ask.call("run with model inputs", "GET", "runs/get", run_id=reader)
    readers: dict[str, Any] = {"experiment_ids": [experiment], "filter": "run_name = 'model reader'"}
    ask.call("search what reads models", "POST", "runs/search", **readers)
    measurer = ask.run("measurer", experiment)
    ask.call("metric of a model of another run", "POST", "runs/log-metric", run_id=measurer, model_id=two, **metric("acc", 0.1))
    stray: dict[str, Any] = {"run_id": measurer, "model_id": f"m-{NOBODY}"}
    ask.call("metric of nobody's logged model", "POST", "runs/log-metric", **stray, **metric("acc", 0.1))
    search = "logged-models/search"
    for text in LOGGED_FILTERS:
        ask.call(f"search logged models: {text}", "POST", search, experiment_ids=[experiment], filter=text)
    for field in ("name", "creation_timestamp", "metrics.acc", "colour"):
        order = [{"field_name": field, "ascending": True}]
        ask.call(f"order logged models: {field}", "POST", search, experiment_ids=[experiment], order_by=order)
    ask.call("logged models nowhere", "POST", search)
    ask.call("logged models, at most 0", "POST", search, experiment_ids=[experiment], max_results=0)
    first = ask.call("a page of logged models", "POST", search, experiment_ids=[experiment], max_results=1)
    token = first.get("next_page_token", "")
    ask.call("next page of logged models", "POST", search, experiment_ids=[experiment], max_results=1, page_token=token)
    ask.call("version of a logged model", "POST", "registered-models/create", name="from logged")
    registered: dict[str, Any] = {"name": "from logged", "source": f"models:/{one}", "model_id": one}
    ask.call("create version of a logged model", "POST", "model-versions/create", **registered)
    ask.call("get version of a logged model", "GET", "model-versions/get", name="from logged", version="1")
    ask.call("delete logged model", "DELETE", f"logged-models/{two}")
    ask.call("deleted logged model", "GET", f"logged-models/{two}")
    ask.call("deleted logged model, allowed", "GET", f"logged-models/{two}", allow_deleted="true")
    ask.call("finalize a deleted logged model", "PATCH", f"logged-models/{two}", model_id=two, status="LOGGED_MODEL_READY")
    ask.call("tag a deleted logged model", "PATCH", f"logged-models/{two}/tags", tags=pairs(t="y"))
    late = {"run_id": ask.run("late", experiment), "model_id": two}
    ask.call("measure a deleted logged model", "POST", "runs/log-metric", **late, **metric("acc", 0.1))
    ask.call("files of a logged model", "GET", f"{of}/artifacts/directories")


def _logged(ask: Asker, name: str, experiment: str, **fields: Any) -> str:
    made = ask.call(f"create logged model {name}", "POST", "logged-models", experiment_id=experiment, name=name, **fields)
    return ask.known("model", made["model"]["info"]["model_id"])


def _logged_calls(experiment: str) -> Calls:
    return {
        "without experiment": {"name": "x"},
        "of nobody's experiment": {"name": "x", "experiment_id": "777777"},
        "with a slash": {"name": "a/b", "experiment_id": experiment},
        "with a dot": {"name": "a.b", "experiment_id": experiment},
    }


def kept_by_one_side_only(ask: Asker) -> None:
    """Last, as what follows would see what it leaves."""
    ask.call("model of a web address", "POST", "registered-models/create", name="web")
    ask.call("version of a web address", "POST", "model-versions/create", name="web", source="https://elsewhere/model")
    experiment = ask.experiment("one-sided models")
    made = ask.call("create logged model for nothing", "POST", "logged-models", experiment_id=experiment, name="n")
    model = ask.known("model", made["model"]["info"]["model_id"])
    ask.call("finalize as nothing", "PATCH", f"logged-models/{model}", model_id=model, status="LIVE")
    twice = [*pairs(t="1"), *pairs(t="2")]
    ask.call("logged model with a tag twice", "POST", "logged-models", experiment_id=experiment, name="twice", tags=twice)
    run = ask.run("measures nothing", experiment)
    made = ask.call("create logged model for NaN", "POST", "logged-models", experiment_id=experiment, name="nan")
    model = ask.known("model", made["model"]["info"]["model_id"])
    ask.call(
        "log NaN of a logged model", "POST", "runs/log-metric", run_id=run, model_id=model, key="m", value="NaN", timestamp=1
    )
    ask.call("logged model that is NaN", "GET", f"logged-models/{model}")
