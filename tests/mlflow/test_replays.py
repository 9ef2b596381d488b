"""What a client sends again after a lost answer changes nothing: each such call of the registry, twice, gives the same dump."""

import json
from typing import Any

import pytest

from registry.catalog.dumping import dump
from tests.mlflow.calling import Caller, pairs

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("PATCH", "registered-models/update", {"description": "d"}),
    ("POST", "registered-models/set-tag", {"key": "k", "value": "v"}),
    ("DELETE", "registered-models/delete-tag", {"key": "k"}),
    ("POST", "registered-models/alias", {"alias": "best", "version": "1"}),
    ("DELETE", "registered-models/alias", {"alias": "best"}),
    ("PATCH", "model-versions/update", {"version": "1", "description": "d"}),
    ("POST", "model-versions/set-tag", {"version": "1", "key": "k", "value": "v"}),
    ("DELETE", "model-versions/delete-tag", {"version": "1", "key": "k"}),
    ("POST", "model-versions/transition-stage", {"version": "1", "stage": "Production", "archive_existing_versions": True}),
    ("DELETE", "model-versions/delete", {"version": "2"}),
    ("POST", "registered-models/rename", {"new_name": "renamed"}),
    ("DELETE", "registered-models/delete", {"name": "renamed"}),
]


def test_each_call_sent_twice_leaves_what_it_left_the_first_time(door: Caller) -> None:
    door.post("registered-models/create", name="m", tags=pairs(a="b"))
    for _ in range(3):
        version = door.post("model-versions/create", name="m", source="s3://b/m")["model_version"]["version"]
        door.post("model-versions/transition-stage", name="m", version=version, stage="Production")
    for verb, path, fields in CALLS:
        first = door.ask(verb, path, **{"name": "m", **fields})
        left = _left(door)
        second = door.ask(verb, path, **{"name": "m", **fields})

        assert first.status_code == 200, first.text
        assert second.status_code in {200, 404}, second.text
        assert _left(door) == left, path


LOGGED: list[tuple[str, str, dict[str, Any]]] = [
    ("PATCH", "logged-models/{model_id}/tags", {"tags": pairs(a="b")}),
    ("POST", "logged-models/{model_id}/params", {"params": pairs(a="b")}),
    ("DELETE", "logged-models/{model_id}/tags/a", {}),
    ("PATCH", "logged-models/{model_id}", {"status": "LOGGED_MODEL_READY"}),
    ("POST", "runs/outputs", {"models": [{"model_id": "{model_id}", "step": 1}]}),
    ("POST", "runs/log-inputs", {"models": [{"model_id": "{model_id}"}]}),
    ("POST", "runs/log-metric", {"key": "m", "value": 1.0, "timestamp": 1, "model_id": "{model_id}", "dataset_name": "d"}),
    ("POST", "runs/log-model", {"model_json": '{"run_id": "", "artifact_path": "", "utc_time_created": "", "flavors": {}}'}),
    ("DELETE", "logged-models/{model_id}", {}),
]


def test_each_call_about_a_logged_model_sent_twice_leaves_what_it_left_the_first_time(door: Caller) -> None:
    experiment = door.experiment()
    run, model_id = door.run(experiment), door.post("logged-models", experiment_id=experiment)["model"]["info"]["model_id"]
    for verb, path, fields in LOGGED:
        sent = json.loads(json.dumps({"run_id": run, **fields}).replace("{model_id}", model_id))
        first = door.ask(verb, path.replace("{model_id}", model_id), **sent)
        left = _left(door)
        second = door.ask(verb, path.replace("{model_id}", model_id), **sent)

        assert first.status_code == 200, first.text
        assert second.status_code in {200, 404}, second.text
        assert _left(door) == left, path


@pytest.mark.parametrize("path", ["registered-models/rename", "registered-models/delete"])
def test_what_is_gone_by_its_name_answers_not_found(door: Caller, path: str) -> None:
    verb = "POST" if path.endswith("rename") else "DELETE"

    assert door.refused(verb, path, name="gone", new_name="x") == (404, "RESOURCE_DOES_NOT_EXIST")


def _left(door: Caller) -> dict[str, list[str]]:
    """All rows but those that the server's own task writes, and versions of records, which move with every write."""
    found: dict[str, list[str]] = {}
    for line in door.served.services.runner.read(lambda session: list(dump(session))):
        if not line["table"].startswith("audit_"):
            row = {name: value for name, value in line["row"].items() if name not in {"version", "claimed_until", "attempts"}}
            found.setdefault(line["table"], []).append(json.dumps(row, sort_keys=True))
    return found
