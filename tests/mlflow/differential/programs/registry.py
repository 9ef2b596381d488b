"""Steps about registered models and their versions, and searches of everything."""

from typing import Any

from tests.mlflow.differential.programs import filters
from tests.mlflow.differential.programs.filters import Vocabulary
from tests.mlflow.differential.programs.writing import KEYS, TEXTS, Fields, Writer

NAMES = ("one", "two", "Three", "ä", "sp ace", "%_")
WITHOUT_VERSIONS = "none"
"""A rename moves the time of all versions there: what is renamed has none."""


def _name(w: Writer) -> str:
    return f"{w.prefix}{w.one(NAMES)}"


def create_model(w: Writer) -> None:
    odd: Any = ("", None, " ", 5, "a/b", "a:b")
    fields: Fields = {"name": w.one((_name(w), f"{w.prefix}{WITHOUT_VERSIONS}"), odd, 0.08), "tags": w.pairs(odd=False)}
    if w.chance(0.5):
        fields["description"] = w.one(TEXTS)
    w.add("POST", "registered-models/create", **fields)


def change_model(w: Writer) -> None:
    action, name = w.rng.random(), _name(w)
    if action < 0.25:
        w.add("PATCH", "registered-models/update", name=name, description=w.one(TEXTS))
    elif action < 0.5:
        w.add("POST", "registered-models/set-tag", name=name, key=w.key(), value=w.text())
    elif action < 0.65:
        w.add("DELETE", "registered-models/delete-tag", name=name, key=w.key())
    elif action < 0.8:
        new = w.one((f"{w.prefix}n{len(w.steps)}", _name(w)), ("", None, "a/b"), 0.1)
        w.add("POST", "registered-models/rename", name=f"{w.prefix}{WITHOUT_VERSIONS}", new_name=new)
    elif action < 0.9:
        w.add("DELETE", "registered-models/delete", name=name)
    else:
        create_model(w)


def read_model(w: Writer) -> None:
    action, name = w.rng.random(), _name(w)
    if action < 0.5:
        w.add("GET", "registered-models/get", name=name)
    elif action < 0.75:
        stages = [w.one(("None", "Staging", "production", "Archived"), ("x", "", "all"), 0.1) for _ in range(w.rng.randint(0, 2))]
        w.add("POST", "registered-models/get-latest-versions", name=name, stages=stages)
    else:
        w.add("GET", "registered-models/alias", name=name, alias=w.one(("champion", "next", "Champion", "latest")))


def _alias(w: Writer) -> Any:
    odd: Any = ("latest", "v1", "V2", "", "a b", "x" * 255, "x" * 256, "ä", 5, "a.b", "-", "version")
    return w.one(("champion", "next", "Champion"), odd, 0.15)


def create_version(w: Writer) -> None:
    run = w.some("run")
    usual = ("s3://b/m", "s3://b/m/", "dbfs:/x", "gs://b/ä", f"runs:/{run}/m", f"models:/{_name(w)}/1")
    odd: Any = ("", None, "x", "dummy-source", "/tmp/x", "file:///x", "s3://b/../c", "models:/a", "models:/", "s3://b/%2e%2e/x")
    fields: Fields = {"name": _name(w), "source": w.one(usual, odd, 0.15), "tags": w.pairs(odd=False)}
    if w.chance(0.5):
        fields["run_id"] = run
    if w.chance(0.3):
        fields["description"] = w.one(TEXTS)
    if w.chance(0.2):
        fields["run_link"] = w.one(TEXTS)
    w.add("POST", "model-versions/create", **fields)


def _version(w: Writer) -> Any:
    return w.one(("1", "1", "2", "3", 1), ("0", "-1", "x", "", None, "1.0", "99"), 0.08)


def change_version(w: Writer) -> None:
    action, where = w.rng.random(), {"name": _name(w), "version": _version(w)}
    if action < 0.15:
        w.add("PATCH", "model-versions/update", **where, description=w.one(TEXTS))
    elif action < 0.3:
        w.add("POST", "model-versions/set-tag", **where, key=w.key(), value=w.text())
    elif action < 0.4:
        w.add("DELETE", "model-versions/delete-tag", **where, key=w.key())
    elif action < 0.6:
        stage = w.one(("Staging", "production", "PRODUCTION", "Archived", "None"), ("", "x", None), 0.1)
        archive = stage in {"Staging", "production", "PRODUCTION"} and w.chance(0.5)
        w.add("POST", "model-versions/transition-stage", **where, stage=stage, archive_existing_versions=archive)
    elif action < 0.85:
        w.add("POST", "registered-models/alias", alias=_alias(w), **where)
    elif action < 0.93:
        w.add("DELETE", "registered-models/alias", name=where["name"], alias=_alias(w))
    else:
        w.add("DELETE", "model-versions/delete", **where)


def read_version(w: Writer) -> None:
    path = w.one(("model-versions/get", "model-versions/get", "model-versions/get-download-uri"))
    w.add("GET", path, name=_name(w), version=_version(w))


# ---- searches --------------------------------------------------------------------------------------------------------


def _words(w: Writer) -> Vocabulary:
    return Vocabulary(KEYS[:8], TEXTS, w.prefix, w.made["run"], w.made["experiment"])


def _paged(w: Writer, fields: Fields, maximum: int) -> Fields:
    if w.chance(0.3):
        fields["max_results"] = w.one((1, 2, 3, 50), (0, maximum, maximum + 1), 0.1)
    return fields


def _experiments(w: Writer) -> list[str]:
    return [w.some("experiment") for _ in range(w.rng.randint(1, 2))]


def search_runs(w: Writer) -> None:
    fields: Fields = {"experiment_ids": _experiments(w), **filters.runs(w.rng, _words(w))}
    if w.chance(0.3):
        fields["run_view_type"] = w.one(("ALL", "DELETED_ONLY", "ACTIVE_ONLY"), ("all", "x", 2, ""), 0.1)
    w.add("POST", "runs/search", **_paged(w, fields, 50_000))


def search_experiments(w: Writer) -> None:
    fields = {"max_results": 1000, **filters.experiments(w.rng, _words(w))}
    if w.chance(0.3):
        fields["view_type"] = w.one(("ALL", "DELETED_ONLY", "ACTIVE_ONLY"))
    w.add(w.one(("POST", "GET")), "experiments/search", **_paged(w, fields, 50_000))


def search_models(w: Writer) -> None:
    fields = filters.models(w.rng, _words(w))
    if w.chance(0.3):
        fields["max_results"] = w.one((1, 2, 3, 50), (1000, 1001), 0.1)
    w.add("GET", "registered-models/search", **fields)


def search_versions(w: Writer) -> None:
    w.add("GET", "model-versions/search", **_paged(w, filters.versions(w.rng, _words(w)), 200_000))


def search_logged(w: Writer) -> None:
    fields: Fields = {"experiment_ids": _experiments(w), **filters.logged_models(w.rng, _words(w))}
    w.add("POST", "logged-models/search", **_paged(w, fields, 50))
