"""Logged models: their lives, what runs measure on them, what runs read and made, and how they become versions."""

import json
from typing import Any

import pytest

from tests.mlflow.calling import Caller, fresh, metric, pairs

INVALID = (400, "INVALID_PARAMETER_VALUE")
GONE = (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.fixture(scope="module")
def experiment(door: Caller) -> str:
    return door.experiment()


def made(door: Caller, experiment: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = door.post("logged-models", experiment_id=experiment, **fields)["model"]["info"]
    return found


def got(door: Caller, model_id: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = door.get(f"logged-models/{model_id}", **fields)["model"]
    return found


def found(door: Caller, experiment: str, **fields: Any) -> list[str]:
    answer = door.post("logged-models/search", experiment_ids=[experiment], **fields)
    return [one["info"]["name"] for one in answer.get("models", [])]


def test_a_model_is_shown_as_it_was_made(door: Caller, experiment: str) -> None:
    run = door.run(experiment)
    fields = {"name": "net", "model_type": "cnn", "source_run_id": run, "params": pairs(a="1"), "tags": pairs(t="x")}
    answer = door.post("logged-models", experiment_id=experiment, **fields)["model"]

    info = answer["info"]
    assert info["model_id"].startswith("m-")
    assert len(info["model_id"]) == 34
    assert info["artifact_uri"] == f"mlflow-artifacts:/{experiment}/models/{info['model_id']}/artifacts"
    assert {key: info[key] for key in ("name", "status", "model_type", "source_run_id", "tags")} == {
        "name": "net",
        "status": "LOGGED_MODEL_PENDING",
        "model_type": "cnn",
        "source_run_id": run,
        "tags": [{"key": "t", "value": "x"}],
    }
    assert answer["data"] == {"params": [{"key": "a", "value": "1"}]}
    assert got(door, info["model_id"]) == answer


def test_a_model_that_is_of_no_type_has_an_empty_one(door: Caller) -> None:
    experiment = door.experiment()
    for name, fields in (("x", {"model_type": "x"}), ("none", {}), ("empty", {"model_type": ""})):
        made(door, experiment, name=name, **fields)

    assert sorted(found(door, experiment, filter="model_type != 'y'")) == ["empty", "none", "x"]
    assert sorted(found(door, experiment, filter="model_type NOT IN ('x')")) == ["empty", "none"]
    assert sorted(found(door, experiment, filter="model_type = ''")) == ["empty", "none"]
    assert found(door, experiment, order_by=[{"field_name": "model_type", "ascending": True}])[-1] == "x"
    assert found(door, experiment, order_by=[{"field_name": "model_type", "ascending": False}])[0] == "x"


@pytest.mark.parametrize(
    ("location", "place", "query"),
    [
        ("s3://bucket/folder?endpoint=http://minio:9000", "s3://bucket/folder", "?endpoint=http://minio:9000"),
        ("s3://bucket/folder/?a=1?b=2", "s3://bucket/folder", "?a=1?b=2"),
        ("s3://bucket/folder//", "s3://bucket/folder", ""),
    ],
)
def test_an_experiments_location_keeps_its_query_behind_what_is_made_in_it(
    door: Caller, location: str, place: str, query: str
) -> None:
    experiment = door.experiment(artifact_location=location)
    run = door.run(experiment)
    model = made(door, experiment, name="m")

    assert door.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"] == f"{place}/{run}/artifacts{query}"
    assert model["artifact_uri"] == f"{place}/models/{model['model_id']}/artifacts{query}"


def test_without_a_name_it_gets_one_and_a_run_that_is_not_here_keeps_its_text(door: Caller, experiment: str) -> None:
    info = made(door, experiment, source_run_id="123")

    assert info["name"]
    assert got(door, info["model_id"])["info"]["source_run_id"] == "123"


def test_it_is_ready_once_it_is_said_to_be_and_said_again_changes_nothing(door: Caller, experiment: str) -> None:
    id = made(door, experiment)["model_id"]

    ready = door.ask("PATCH", f"logged-models/{id}", model_id=id, status="LOGGED_MODEL_READY").json()["model"]
    assert ready["info"]["status"] == "LOGGED_MODEL_READY"
    assert door.ask("PATCH", f"logged-models/{id}", status=2).json()["model"] == ready
    failed = door.ask("PATCH", f"logged-models/{id}", status="LOGGED_MODEL_UPLOAD_FAILED").json()["model"]["info"]
    assert failed["status"] == "LOGGED_MODEL_UPLOAD_FAILED"
    assert failed["last_updated_timestamp_ms"] > failed["creation_timestamp_ms"]


def test_a_deleted_model_is_gone_unless_deleted_ones_are_wanted(door: Caller, experiment: str) -> None:
    info = made(door, experiment, name="gone")
    for _ in range(2):
        assert door.ask("DELETE", f"logged-models/{info['model_id']}").json() == {}

    assert door.refused("GET", f"logged-models/{info['model_id']}") == GONE
    assert got(door, info["model_id"], allow_deleted="true")["info"]["name"] == "gone"
    assert found(door, experiment, filter="name = 'gone'") == []


def test_tags_change_and_params_do_not(door: Caller, experiment: str) -> None:
    id = made(door, experiment, params=pairs(a="1"), tags=pairs(t="1"))["model_id"]
    for _ in range(2):
        door.ask("PATCH", f"logged-models/{id}/tags", tags=pairs(t="2", u="3")).raise_for_status()
        door.ask("POST", f"logged-models/{id}/params", params=pairs(a="1", b="2")).raise_for_status()
    assert door.refused("POST", f"logged-models/{id}/params", params=pairs(a="9")) == INVALID
    assert door.ask("DELETE", f"logged-models/{id}/tags/u").json() == {}
    assert door.refused("DELETE", f"logged-models/{id}/tags/u") == GONE

    shown = got(door, id)
    assert shown["info"]["tags"] == pairs(t="2")
    assert shown["data"]["params"] == pairs(a="1", b="2")


@pytest.mark.parametrize(
    ("verb", "path", "fields", "refusal"),
    [
        ("POST", "", {}, INVALID),
        ("POST", "", {"experiment_id": "777"}, GONE),
        ("POST", "", {"experiment_id": "0", "name": "a/b"}, INVALID),
        ("POST", "", {"experiment_id": "0", "name": "a.b"}, INVALID),
        ("POST", "", {"experiment_id": "0", "name": "x" * 501}, INVALID),
        ("GET", "/m-1", {}, GONE),
        ("PATCH", "/m-1", {"status": "LOGGED_MODEL_READY"}, GONE),
        ("PATCH", "/m-1", {"status": "READY"}, INVALID),
        ("DELETE", "/m-1", {}, GONE),
        ("PATCH", "/m-1/tags", {"tags": []}, GONE),
        ("POST", "/m-1/params", {}, GONE),
        ("POST", "/search", {}, INVALID),
        ("POST", "/search", {"experiment_ids": []}, INVALID),
        ("POST", "/search", {"experiment_ids": ["0"], "filter": "colour = 'red'"}, INVALID),
        ("POST", "/search", {"experiment_ids": ["0"], "filter": "status = 'LOST'"}, INVALID),
        ("POST", "/search", {"experiment_ids": ["0"], "filter": "metrics.a > 'x'"}, INVALID),
        ("POST", "/search", {"experiment_ids": ["0"], "datasets": [{"dataset_digest": "1"}]}, INVALID),
        ("POST", "/search", {"experiment_ids": ["0"], "order_by": [{"field_name": "params.a"}]}, INVALID),
        ("POST", "/search", {"experiment_ids": ["0"], "order_by": [{"field_name": "name"}, {"field_name": "name"}]}, INVALID),
        ("POST", "/search", {"experiment_ids": ["0"], "page_token": "x"}, INVALID),
    ],
)
def test_what_cannot_be_is_refused(
    sqlite_door: Caller, verb: str, path: str, fields: dict[str, Any], refusal: tuple[int, str]
) -> None:
    assert sqlite_door.refused(verb, f"logged-models{path}", **fields) == refusal


# ---- what runs measure, read and make --------------------------------------------------------------------------------


def test_a_metric_of_a_model_is_the_runs_and_the_models(door: Caller, experiment: str) -> None:
    run, id = door.run(experiment), made(door, experiment)["model_id"]
    point = metric("acc", 0.5, 123, 1)
    for _ in range(2):
        door.post("runs/log-metric", run_id=run, model_id=id, dataset_name="test", dataset_digest="d1", **point)

    assert got(door, id)["data"]["metrics"] == [
        {**point, "model_id": id, "dataset_name": "test", "dataset_digest": "d1", "run_id": run}
    ]
    shown = door.get("runs/get", run_id=run)["run"]
    assert shown["data"]["metrics"] == [point]
    assert shown["inputs"] == {}


def test_two_runs_that_measure_the_same_are_both_named_and_a_stranger_is_not(door: Caller, experiment: str) -> None:
    maker, other, stranger = (door.run(experiment) for _ in range(3))
    id = made(door, experiment, source_run_id=maker)["model_id"]
    point = metric("acc", "NaN", 1)
    for run in (maker, other):
        door.post("runs/log-metric", run_id=run, model_id=id, **point)
    door.post("runs/log-metric", run_id=other, model_id=id, **metric("acc", 2.0, 2))
    door.post("runs/log-metric", run_id=stranger, **point)

    shown = [(one["timestamp"], one["value"], one["run_id"]) for one in got(door, id)["data"]["metrics"]]
    assert shown == [(1, "NaN", maker), (1, "NaN", other), (2, 2.0, other)]


def test_a_batch_may_measure_several_models_and_is_all_or_nothing(door: Caller, experiment: str) -> None:
    run = door.run(experiment)
    one, two = (made(door, experiment)["model_id"] for _ in range(2))
    plain = metric("loss", 1.0)
    metrics = [plain, {**metric("acc", 0.1), "model_id": one}, {**metric("acc", 0.2), "modelId": two}]
    batch = {"metrics": metrics, "params": pairs(p="1"), "tags": pairs(**{"mlflow.runName": "measured"})}

    lost = {**batch, "metrics": [*metrics, {**metric("acc", 0.3), "model_id": "m-1"}]}
    assert door.refused("POST", "runs/log-batch", run_id=run, **lost) == GONE
    assert door.get("runs/get", run_id=run)["run"]["data"].get("metrics") is None
    for _ in range(2):
        door.post("runs/log-batch", run_id=run, **batch)
    assert [[m["value"] for m in got(door, id)["data"]["metrics"]] for id in (one, two)] == [[0.1], [0.2]]
    shown = door.get("runs/get", run_id=run)["run"]
    assert shown["info"]["run_name"] == "measured"
    assert {m["key"]: m["value"] for m in shown["data"]["metrics"]} == {"acc": 0.2, "loss": 1.0}


def test_a_run_shows_the_models_that_it_read_and_made(door: Caller, experiment: str) -> None:
    run = door.run(experiment)
    one, two, three = (made(door, experiment)["model_id"] for _ in range(3))
    dataset = {"dataset": {"name": "d", "digest": "1", "source_type": "s", "source": "x"}}
    for _ in range(2):
        door.post("runs/outputs", run_id=run, models=[{"model_id": one, "step": 3}, {"model_id": two}])
        door.post("runs/log-inputs", run_id=run, models=[{"model_id": three}], datasets=[dataset])
    door.post("runs/outputs", run_id=run, models=[{"model_id": one, "step": 9}])

    shown = door.get("runs/get", run_id=run)["run"]
    assert shown["outputs"] == {"model_outputs": [{"model_id": one, "step": 3}, {"model_id": two, "step": 0}]}
    assert shown["inputs"]["model_inputs"] == [{"model_id": three}]
    assert [one["dataset"]["name"] for one in shown["inputs"]["dataset_inputs"]] == ["d"]
    searched = door.post("runs/search", experiment_ids=[experiment], filter=f"run_id = '{run}'")["runs"]
    assert searched == [shown]
    assert door.refused("POST", "runs/outputs", run_id=run, models=[{"model_id": "m-1"}]) == GONE
    assert door.refused("POST", "runs/outputs", run_id=run) == INVALID


def test_an_old_clients_model_is_an_entry_of_a_tag(door: Caller, experiment: str) -> None:
    run = door.run(experiment)
    model = '{"artifact_path": "m%d", "flavors": {"f": {"config": 1, "v": 2}}, "utc_time_created": "t", "run_id": "r", "x": 1}'
    for number in (1, 1, 2):
        door.post("runs/log-model", run_id=run, model_json=model % number)

    entry = '{"run_id": "r", "artifact_path": "m%d", "utc_time_created": "t", "flavors": {"f": {"v": 2}}}'
    assert door.tags(run)["mlflow.log-model.history"] == f"[{entry % 1}, {entry % 2}]"
    for bad in ("{", "[]", "{}"):
        assert door.refused("POST", "runs/log-model", run_id=run, model_json=bad) == INVALID


def test_a_registered_model_has_the_files_and_the_run_of_its_logged_one(door: Caller, experiment: str) -> None:
    run, name = door.run(experiment), fresh("model")
    info = made(door, experiment, name="net", source_run_id=run)
    id = info["model_id"]
    door.post("runs/outputs", run_id=run, models=[{"model_id": id}])
    door.post("registered-models/create", name=name)
    for source in (f"models:/{id}", info["artifact_uri"], f"{info['artifact_uri']}/sub"):
        version = door.post("model-versions/create", name=name, source=source, model_id=id)["model_version"]
        assert (version["source"], version["run_id"]) == (source, run)

    uris = [door.get("model-versions/get-download-uri", name=name, version=str(n))["artifact_uri"] for n in (1, 2)]
    assert uris == [info["artifact_uri"]] * 2
    said = {tag["key"]: json.loads(tag["value"]) for tag in got(door, id)["info"]["tags"]}
    assert said == {"mlflow.modelVersions": [{"name": name, "version": number} for number in (1, 2, 3)]}
    for source, model_id in (
        (f"models:/{id}", None),
        (f"runs:/{run}/x", id),
        ("mlflow-artifacts:/x", id),
        (f"models:/{id}", "m-1"),
    ):
        refused = door.refused("POST", "model-versions/create", name=name, source=source, model_id=model_id)
        assert refused in {INVALID, GONE}
    assert door.ask("DELETE", f"logged-models/{id}").status_code == 200
    assert door.get("model-versions/get-download-uri", name=name, version="1")["artifact_uri"] == info["artifact_uri"]


def test_what_a_run_read_and_made_is_lineage_up_to_the_version(door: Caller, experiment: str) -> None:
    run, evaluation, name = door.run(experiment, run_name="train"), door.run(experiment, run_name="evaluate"), fresh("model")
    dataset = {"dataset": {"name": fresh("data"), "digest": "1", "source_type": "s", "source": "x"}}
    door.post("runs/log-inputs", run_id=run, datasets=[dataset])
    id = made(door, experiment, name="net", source_run_id=run)["model_id"]
    door.post("runs/outputs", run_id=run, models=[{"model_id": id, "step": 7}])
    door.post("runs/log-metric", run_id=evaluation, model_id=id, **metric("acc", 0.5))
    door.post("registered-models/create", name=name)
    door.post("model-versions/create", name=name, source=f"models:/{id}", model_id=id)

    found = door.http.get("/api/v1/lineage", params={"root": f"run_{run}", "depth": 4}).json()
    assert {node["kind"] for node in found["nodes"]} >= {"run", "dataset", "model_version"}
    names = {node["id"]: node["name"] for node in found["nodes"]}
    assert {"train", "evaluate", "net", dataset["dataset"]["name"]} <= set(names.values())
    shown = {(names[edge["source"]], names[edge["target"]]) for edge in found["edges"]}
    assert {(dataset["dataset"]["name"], "train"), ("train", "net"), ("net", "evaluate")} <= shown


# ---- search ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(door: Caller) -> dict[str, str]:
    """Three models in an experiment of their own: `a` ready and measured on two datasets, `b` measured on one, `c` not."""
    experiment = door.experiment()
    run = door.run(experiment)
    ids = {
        name: made(
            door, experiment, name=name, model_type=name * 2, source_run_id=run if name == "a" else None, tags=pairs(t=name)
        )["model_id"]
        for name in "abc"
    }
    door.ask("PATCH", f"logged-models/{ids['a']}", status="LOGGED_MODEL_READY").raise_for_status()
    door.ask("POST", f"logged-models/{ids['b']}/params", params=pairs(depth="3")).raise_for_status()

    def measure(name: str, value: Any, at: int, dataset: str, step: int = 0) -> None:
        on = {"dataset_name": dataset, "dataset_digest": "1"}
        door.post("runs/log-metric", run_id=run, model_id=ids[name], **on, **metric("acc", value, at, step))

    measure("a", 0.1, 1, "train")
    measure("a", 0.9, 2, "train")
    measure("a", 0.3, 3, "test")
    measure("b", 0.5, 1, "test")
    measure("b", 0.2, 0, "test", step=7)
    return {"experiment": experiment, "run": run, **ids}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("", "cba"),
        ("name = 'a'", "a"),
        ("name LIKE '%' AND name != 'a'", "cb"),
        ("name IN ('a', 'c')", "ca"),
        ("model_id = '{a}'", "a"),
        ("model_id IN ('{a}', '{b}')", "ba"),
        ("attributes.model_type ILIKE 'BB'", "b"),
        ("status = 'READY'", "a"),
        ("status != 'READY'", "cb"),
        ("status IN ('PENDING', 'FAILED')", "cb"),
        ("source_run_id = '{run}'", "a"),
        ("creation_timestamp > 0 AND creation_timestamp_ms > 0 AND last_updated_timestamp > 0", "cba"),
        ("metrics.acc > 0.8", "a"),
        ("metrics.acc < 0.2", "a"),
        ("metrics.acc < 0.1", ""),
        ("metrics.acc = 0.5", "b"),
        ("params.depth = '3'", "b"),
        ("tags.t = 'c'", "c"),
        ("tags.t IN ('a', 'b') AND metrics.acc <= 0.5", "ba"),
        ("name = 'a' OR params.depth = '3'", "ba"),
    ],
)
def test_a_filter_finds_what_it_says(door: Caller, searched: dict[str, str], filter: str, expected: str) -> None:
    assert "".join(found(door, searched["experiment"], filter=filter.format(**searched))) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"datasets": [{"dataset_name": "train"}]}, "a"),
        ({"datasets": [{"dataset_name": "test", "dataset_digest": "1"}]}, "ba"),
        ({"datasets": [{"dataset_name": "test", "dataset_digest": "2"}]}, ""),
        ({"datasets": [{"dataset_name": "nobody's"}, {"dataset_name": "train"}]}, "a"),
        ({"datasets": [{"dataset_name": "test"}], "filter": "metrics.acc > 0.4"}, "b"),
        ({"order_by": [{"field_name": "name", "ascending": True}]}, "abc"),
        ({"order_by": [{"field_name": "creation_timestamp", "ascending": True}]}, "abc"),
        ({"order_by": [{"field_name": "metrics.acc", "ascending": False}]}, "bac"),
        ({"order_by": [{"field_name": "metrics.acc"}]}, "abc"),
        ({"order_by": [{"field_name": "metrics.acc", "ascending": False, "dataset_name": "train"}]}, "acb"),
        ({"order_by": [{"field_name": "status"}, {"field_name": "name", "ascending": False}]}, "cba"),
        ({"order_by": [{"field_name": "status", "ascending": False}, {"field_name": "name"}]}, "abc"),
        ({"order_by": [{"field_name": "source_run_id", "ascending": False}, {"field_name": "model_type"}]}, "abc"),
    ],
)
def test_datasets_and_orders_choose_among_what_was_measured(
    door: Caller, searched: dict[str, str], fields: dict[str, Any], expected: str
) -> None:
    assert "".join(found(door, searched["experiment"], **fields)) == expected


@pytest.mark.parametrize("order", [[], [{"field_name": "metrics.acc"}], [{"field_name": "name"}]])
def test_pages_give_each_once(door: Caller, searched: dict[str, str], order: list[dict[str, Any]]) -> None:
    paged, token = [], ""
    while True:
        asked = {"experiment_ids": [searched["experiment"]], "max_results": 1, "order_by": order, "page_token": token}
        page = door.post("logged-models/search", **asked)
        paged += [one["info"]["name"] for one in page["models"]]
        token = page.get("next_page_token", "")
        if not token:
            break

    assert paged == found(door, searched["experiment"], order_by=order)
    first = door.post("logged-models/search", experiment_ids=[searched["experiment"]], max_results=1)["next_page_token"]
    asked = {"experiment_ids": [searched["experiment"]], "page_token": first, "filter": "name = 'a'"}
    assert door.refused("POST", "logged-models/search", **asked) == INVALID
