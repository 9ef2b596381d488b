"""Steps about experiments, runs, what is logged to them and logged models."""

from typing import Any

from tests.mlflow.differential.programs.writing import KEYS, ODD_TIMES, TIMES, Fields, Step, Writer


def create_experiment(w: Writer) -> None:
    """Some whose name is taken or none; those nobody comes back to."""
    tags = w.pairs(odd=False)
    if "experiment" in w.made and w.chance(0.5):
        names: Any = (f"{w.prefix}e1", "", None, 5, "x" * 501, [])
        w.add("POST", "experiments/create", name=w.one(names), tags=tags)
        return
    fields: Fields = {"name": f"{w.prefix}e{len(w.made.get('experiment', [])) + 1}", "tags": tags}
    if w.chance(0.3):
        fields["artifact_location"] = w.one(("s3://bucket/p", "s3://bucket", "gs://b/x/", "s3://b/x;p", "s3://b/x?y=1"))
    w.add("POST", "experiments/create", w.new("experiment"), **fields)


def read_experiment(w: Writer) -> None:
    if w.chance(0.7):
        w.add("GET", "experiments/get", experiment_id=w.some("experiment"))
    else:
        w.add("GET", "experiments/get-by-name", experiment_name=f"{w.prefix}e{w.rng.randint(1, 4)}")


def change_experiment(w: Writer) -> None:
    one, action = w.some("experiment"), w.one(("set", "set", "unset", "rename", "delete", "restore"))
    if action == "set":
        w.add("POST", "experiments/set-experiment-tag", experiment_id=one, key=w.key(), value=w.text())
    elif action == "unset":
        w.add("POST", "experiments/delete-experiment-tag", experiment_id=one, key=w.key())
    elif action == "rename" and one not in w.gone:
        name = w.one((f"{w.prefix}r{len(w.steps)}",), ("", None, 5, "x" * 501), 0.2)
        w.add("POST", "experiments/update", experiment_id=one, new_name=name)
    elif action == "delete" and one != w.made["experiment"][0]:
        w.gone.add(one)
        w.add("POST", "experiments/delete", experiment_id=one)
    elif action == "restore":
        w.gone.discard(one)
        w.add("POST", "experiments/restore", experiment_id=one)


def create_run(w: Writer) -> None:
    """No two start together, and a name that a server made up is soon another: orders are never chance."""
    at = len(w.steps) * 10 + 1
    fields: Fields = {"start_time": w.one((at, at, str(at), float(at)))}
    if w.chance(0.8):
        fields["run_name"] = w.one(("one", "two", "Two", "ä", "%", "it's"), ("", None, " ", "x" * 300), 0.05)
    tags = w.pairs()
    if w.chance(0.6):
        fields["user_id"] = user = w.one(("ada", "bob"))
        tags.append({"key": "mlflow.user", "value": user})
    if w.chance(0.2) and "run" in w.made:
        tags.append({"key": "mlflow.parentRunId", "value": w.some("run")})
    fields["tags"] = [tag for tag in tags if tag["key"] and len(tag["key"]) <= len(KEYS[-1])]
    if w.chance(0.1):
        w.add("POST", "runs/create", **fields, experiment_id=w.one(("999999", *w.gone)))
        return
    run = w.new("run")
    w.add("POST", "runs/create", run, **fields, experiment_id=w.here("experiment"))
    if not fields.get("run_name"):
        w.add("POST", "runs/update", run_id=run, run_name=w.one(("one", "two", "named later")))


def read_run(w: Writer) -> None:
    w.add("GET", "runs/get", **{w.one(("run_id",), ("run_uuid",), 0.05): w.some("run")})


def log_values(w: Writer) -> None:
    run, action = w.some("run"), w.rng.random()
    if action < 0.3:
        w.add("POST", "runs/log-metric", run_id=run, **w.metric(odd=True))
    elif action < 0.45:
        w.add("POST", "runs/log-parameter", run_id=run, key=w.key(), value=w.text())
    elif action < 0.6:
        key = w.one((w.key(), w.key(), "mlflow.note.content", "mlflow.source.name"))
        w.add("POST", "runs/set-tag", run_id=run, key=key, value=w.text())
    elif action < 0.66:
        w.add("POST", "runs/delete-tag", run_id=run, key=w.key())
    else:
        fields: Fields = {"params": w.pairs(), "tags": w.pairs()}
        fields["metrics"] = [w.metric(odd=False) for _ in range(w.rng.randint(0, 6))]
        kept = {name: value for name, value in fields.items() if value and w.chance(0.7)}
        w.add("POST", "runs/log-batch", run_id=run, **kept)


def change_run(w: Writer) -> None:
    """A run is not ended without a time or before 1970, nor reopened: ours means something else by that."""
    run, action = w.some("run"), w.rng.random()
    if action < 0.3:
        status = w.one(("FINISHED", "FAILED", "KILLED"), ("finished", "X", 4, 5), 0.2)
        w.add("POST", "runs/update", run_id=run, status=status, end_time=w.one(TIMES, ODD_TIMES[1:3], 0.05))
    elif action < 0.5:
        w.add("POST", "runs/update", run_id=run, run_name=w.one(("one", "renamed", "ä"), ("", None, " "), 0.2))
    elif action < 0.75:
        w.add("POST", "runs/delete", run_id=run)
    elif w.gone.isdisjoint(w.made["experiment"]):
        w.add("POST", "runs/restore", run_id=run)


def history(w: Writer) -> None:
    fields: Fields = {"metric_key": w.key()}
    if w.chance(0.7):
        if w.chance(0.3):
            fields["max_results"] = w.one((1, 2, 25_000), (0, -1), 0.2)
        w.add("GET", "metrics/get-history", run_id=w.some("run"), **fields)
        return
    if w.chance(0.4):
        fields |= {"start_step": w.one((0, 1, -1)), "end_step": w.one((2, 10, 2**31))}
    runs = [w.some("run") for _ in range(w.rng.randint(1, 3))]
    most = w.one((2500, 1000), (0, -1, 2501), 0.2)
    w.add("GET", "metrics/get-history-bulk-interval", run_ids=runs, max_results=most, **fields)


def log_inputs(w: Writer) -> None:
    """The same dataset is the same in every experiment here: what it is never differs."""

    def dataset() -> Fields:
        name, digest = w.one((f"{w.prefix}d", f"{w.prefix}e")), w.one(("1", "2"))
        keys = w.rng.sample(("mlflow.data.context", "t"), w.rng.randint(0, 2))
        tags = [{"key": key, "value": w.one(("train", "eval", ""))} for key in keys]
        shown = {"name": name, "digest": digest, "source_type": "local", "source": '{"uri": "x"}'}
        return {"dataset": shown, "tags": tags}

    if w.chance(0.7):
        w.add("POST", "runs/log-inputs", run_id=w.some("run"), datasets=[dataset() for _ in range(w.rng.randint(1, 2))])
    else:
        ids = {"experiment_ids": [w.some("experiment")]}
        w.steps.append(Step("POST", "experiments/search-datasets", ids, base="/ajax-api/2.0/mlflow"))


# ---- logged models ---------------------------------------------------------------------------------------------------


def create_logged(w: Writer) -> None:
    """One whose name the server makes up is deleted at once: a search would have it anywhere."""
    fields: Fields = {"params": w.pairs(odd=False), "tags": w.pairs(odd=False)}
    if w.chance(0.6):
        fields["source_run_id"] = w.here("run")
    if w.chance(0.5):
        fields["model_type"] = w.one(("agent", "", "x"))
    if w.chance(0.15):
        odd: Any = (5, "a/b", "a.b", "a:b", "a%b", "a'b", 'a"b')
        w.add("POST", "logged-models", **fields, experiment_id=w.here("experiment"), name=w.one(odd))
        return
    if w.chance(0.9):
        fields["name"] = w.one((f"{w.prefix}l", f"{w.prefix}m", "ä", ""))
    model = w.new("model")
    w.add("POST", "logged-models", model, **fields, experiment_id=w.here("experiment"))
    if not fields.get("name"):
        w.gone.add(model)
        w.add("DELETE", f"logged-models/{model}")


def change_logged(w: Writer) -> None:
    """A metric comes after its model is the run's input, as MLflow's client does it: ours takes that as said. None is NaN, which
    theirs keeps as 0 of a model.
    """
    one, action = w.here("model"), w.rng.random()
    if action < 0.2:
        status = w.one(("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"), ("LOGGED_MODEL_PENDING", 2), 0.15)
        w.add("PATCH", f"logged-models/{one}", model_id=one, status=status)
    elif action < 0.4:
        w.add("PATCH", f"logged-models/{one}/tags", tags=w.pairs(odd=False))
    elif action < 0.5:
        w.add("DELETE", f"logged-models/{one}/tags/{w.one(('a', 'b', 'loss'))}")
    elif action < 0.6:
        w.add(
            "POST", f"logged-models/{one}/params", model_id=one, params=[{"key": f"p{len(w.steps)}", "value": w.one(("1", "x"))}]
        )
    elif action < 0.9:
        run = w.some("run")
        w.add("POST", "runs/log-inputs", run_id=run, models=[{"model_id": one}])
        measured = w.metric(odd=False)
        if measured["value"] in {"NaN", "-nan"}:
            measured["value"] = 0.25
        w.add("POST", "runs/log-metric", run_id=run, model_id=one, **measured)
    elif len(w.made["model"]) > len(w.gone) + 2:
        w.gone.add(one)
        w.add("DELETE", f"logged-models/{one}")


def read_logged(w: Writer) -> None:
    w.add("GET", f"logged-models/{w.some('model')}", **w.one(({}, {}, {"allow_deleted": "true"})))
