"""Searching as MLflow's clients do: the grammar, orders, pages, on each database."""

import pytest

from tests.mlflow.calling import Caller, fresh, metric, pairs

RUNS = {
    "a": {"metrics": [metric("acc", 0.9)], "params": pairs(lr="0.1", opt="Adam"), "tags": pairs(team="red")},
    "b": {"metrics": [metric("acc", 0.5)], "params": pairs(lr="0.2")},
    "c": {"metrics": [metric("acc", "NaN")], "tags": pairs(team="team's-run")},
    "d": {"params": pairs(lr="0.3"), "tags": [{"key": "odd key-1", "value": "x"}]},
}


@pytest.fixture(scope="module")
def experiment(door: Caller) -> str:
    id = door.experiment()
    for number, (name, logged) in enumerate(RUNS.items()):
        run = door.run(id, run_name=name, start_time=1000 + number, user_id=f"user-{name}")
        door.post("runs/log-batch", run_id=run, **logged)
        if name == "b":
            door.post("runs/update", run_id=run, status="FINISHED", end_time=2000)
    return id


FILTERS = {
    "metrics.acc > 0.5": "a",
    "metric.acc >= 0.5 AND params.lr = '0.1'": "a",
    "metrics.acc != 0.9": "bc",
    "metrics.`acc` <= 0.9": "ab",
    "params.lr != '0.1'": "bd",
    "param.opt LIKE 'A%'": "a",
    "param.opt LIKE 'a%'": "",
    "parameters.opt ILIKE 'a%'": "a",
    "params.opt IS NULL": "bcd",
    "tags.team IS NOT NULL": "ac",
    "tag.\"odd key-1\" = 'x'": "d",
    "tags.`mlflow.runName` = 'b'": "b",
    "tags.mlflow.user = 'user-c'": "c",
    "attributes.run_name LIKE '%a%'": "a",
    "attr.status = 'FINISHED'": "b",
    "status != 'FINISHED'": "acd",
    "status = 'running'": "",
    "status ILIKE 'run%'": "acd",
    "status NOT IN ('RUNNING', 'FAILED')": "b",
    "run.user_id = 'user-d'": "d",
    "start_time > 1001": "cd",
    "Created <= 1000": "a",
    "end_time = 2000": "b",
    'tags.team = "team\'s-run"': "c",
    r"tags.team = 'team\'s-run'": "c",
    "tags.team = 'team''s-run'": "c",
    "run_name IN ('a', 'd') OR metrics.acc = 0.5": "abd",
    "NOT (params.lr = '0.1')": "bcd",
    "params.lr > '0.1'": "bd",
    "tags.mlflow.parentRunId IS NULL": "abcd",
    "dataset.name IN ()": "",
}


@pytest.mark.parametrize("filter", FILTERS)
def test_a_filter_finds_what_it_says(door: Caller, experiment: str, filter: str) -> None:
    assert "".join(sorted(door.found(experiment, filter=filter))) == FILTERS[filter]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([], "dcba"),
        (["start_time ASC"], "abcd"),
        (["metrics.acc DESC"], "abcd"),
        (["metrics.acc ASC"], "bacd"),
        (["params.lr"], "abdc"),
        (["params.lr DESC"], "dbac"),
        (["attributes.status", "run_name DESC"], "bdca"),
        (["tags.`mlflow.runName` DESC"], "dcba"),
        (['"Run Name"'], "abcd"),
    ],
)
def test_orders_put_values_first_then_nan_then_nothing(door: Caller, experiment: str, order: list[str], expected: str) -> None:
    assert "".join(door.found(experiment, order_by=order)) == expected


def test_a_run_that_nobody_owns_has_an_empty_user_and_no_tag_of_one(door: Caller) -> None:
    id = door.experiment()
    for name, fields in (("x", {"user_id": "ada"}), ("y", {}), ("z", {"user_id": "bob"})):
        door.run(id, run_name=name, start_time=1, **fields)

    assert door.found(id, order_by=["user_id"]) == ["y", "x", "z"]
    assert door.found(id, order_by=["user_id DESC"]) == ["z", "x", "y"]
    assert door.found(id, order_by=["tags.`mlflow.user`", "user_id"]) == ["x", "z", "y"]
    assert door.found(id, order_by=["tags.`mlflow.user` DESC"]) == ["z", "x", "y"]
    assert door.found(id, filter="user_id != 'ada'", order_by=["run_name"]) == ["y", "z"]
    assert door.found(id, filter="user_id = ''") == ["y"]
    assert door.found(id, filter="tags.mlflow.user != 'ada'") == ["z"]
    assert door.found(id, filter="tags.mlflow.user IS NULL") == ["y"]


@pytest.mark.parametrize("descending", [False, True])
def test_runs_are_ordered_by_where_their_files_are(door: Caller, *, descending: bool) -> None:
    far, near = door.experiment(artifact_location="s3://far"), door.experiment(artifact_location="gs://near")
    for name, id in (("far", far), ("near", near)):
        door.run(id, run_name=name)
    fields = {"experiment_ids": [far, near], "order_by": [f"attributes.artifact_uri {'DESC' if descending else 'ASC'}"]}
    first = door.post("runs/search", **fields, max_results=1)
    last = door.post("runs/search", **fields, max_results=1, page_token=first["next_page_token"])

    found = [page["runs"][0]["info"]["run_name"] for page in (first, last)]
    assert found == (["far", "near"] if descending else ["near", "far"])


@pytest.mark.parametrize("order", [[], ["metrics.acc DESC"], ["params.lr", "run_id"], ["user_id", "artifact_uri DESC"]])
def test_pages_give_each_run_once_and_the_last_has_no_token(door: Caller, experiment: str, order: list[str]) -> None:
    whole = door.found(experiment, order_by=order)
    paged, token = [], ""
    while True:
        page = door.post("runs/search", experiment_ids=[experiment], order_by=order, max_results=1, page_token=token)
        paged += [run["info"]["run_name"] for run in page["runs"]]
        token = page.get("next_page_token", "")
        if not token:
            break

    assert paged == whole


@pytest.mark.parametrize("order", [[], ["params.none"], ["start_time ASC"]])
def test_runs_that_started_together_come_by_their_ids(door: Caller, order: list[str]) -> None:
    id = door.experiment()
    ids = sorted(door.run(id, start_time=1, run_name=str(number)) for number in range(5))
    late = door.run(id, start_time=2)
    found = door.post("runs/search", experiment_ids=[id], order_by=order)["runs"]

    expected = [*ids, late] if order == ["start_time ASC"] else [late, *ids]
    assert [run["info"]["run_id"] for run in found] == expected


def test_a_token_of_another_query_is_refused(door: Caller, experiment: str) -> None:
    token = door.post("runs/search", experiment_ids=[experiment], max_results=1)["next_page_token"]
    refused = door.refused("POST", "runs/search", experiment_ids=[experiment], page_token=token, filter="params.lr = '1'")

    assert refused == (400, "INVALID_PARAMETER_VALUE")


@pytest.fixture(scope="module")
def readers(door: Caller) -> str:
    """An experiment whose runs read: `a` one dataset to train, `b` another to test and `c` the first for no reason it gave."""
    id = door.experiment()
    for name, dataset, context in (("a", "one", "training"), ("b", "two", "testing"), ("c", "one", None)):
        tags = pairs(**{"mlflow.data.context": context}) if context else pairs(why="x")
        source = {"name": dataset, "digest": f"{dataset}-1", "source_type": "s", "source": "x"}
        door.post("runs/log-inputs", run_id=door.run(id, run_name=name), datasets=[{"dataset": source, "tags": tags}])
    return id


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("dataset.name = 'one'", "ac"),
        ("datasets.digest LIKE 'two%'", "b"),
        ("dataset.context = 'training'", "a"),
        ("dataset.context != 'training'", "b"),
        ("dataset.context LIKE '%ing'", "ab"),
        ("dataset.context ILIKE 'TEST%'", "b"),
        ("dataset.context IN ('training', 'x')", "a"),
        ("dataset.context NOT IN ('training')", "b"),
        ("dataset.context = 'training' AND dataset.name = 'two'", ""),
    ],
)
def test_runs_are_found_by_what_they_read(door: Caller, readers: str, filter: str, expected: str) -> None:
    assert "".join(sorted(door.found(readers, filter=filter))) == expected


def test_datasets_of_experiments_are_summed_up(door: Caller, readers: str) -> None:
    other = door.experiment()
    found = door.post("experiments/search-datasets", experiment_ids=[other, readers])["dataset_summaries"]

    one = {"experiment_id": readers, "name": "one", "digest": "one-1"}
    two = {"experiment_id": readers, "name": "two", "digest": "two-1", "context": "testing"}
    assert sorted(found, key=str) == sorted([one, one | {"context": "training"}, two], key=str)
    assert door.post("experiments/search-datasets", experiment_ids=[other]) == {}
    for ids in ([], ["1"] * 21, ["x"]):
        assert door.refused("POST", "experiments/search-datasets", experiment_ids=ids) == (400, "INVALID_PARAMETER_VALUE")


def test_views_show_active_deleted_or_all_and_no_experiments_show_nothing(door: Caller) -> None:
    id = door.experiment()
    kept, gone = door.run(id, run_name="kept"), door.run(id, run_name="gone")
    door.post("runs/delete", run_id=gone)

    assert kept
    assert door.found(id) == ["kept"]
    assert door.found(id, run_view_type="DELETED_ONLY") == ["gone"]
    assert sorted(door.found(id, run_view_type="ALL")) == ["gone", "kept"]
    assert door.found(id, run_view_type="NONSENSE") == ["kept"]
    assert door.post("runs/search") == {}


def test_experiments_are_found_by_name_tag_time_and_id(door: Caller) -> None:
    name = fresh("sought")
    id = door.experiment(name=name, tags=pairs(kind="sought"))
    other = door.experiment(name=f"{name}-other", tags=pairs(kind="other"))
    door.post("experiments/delete", experiment_id=other)

    def found(filter: str, **fields: object) -> list[str]:
        page = door.post("experiments/search", max_results=10, filter=filter, **fields)
        return [one["experiment_id"] for one in page.get("experiments", [])]

    assert found(f"name = '{name}'") == [id]
    assert found(f"name LIKE '{name}%'", view_type="ALL") == [other, id]
    assert found(f"name ILIKE '{name.upper()}%'", view_type="DELETED_ONLY") == [other]
    assert found(f"tags.kind = 'sought' AND experiment_id IN ('{id}', '0')") == [id]
    assert found("experiment_id = '0'") == ["0"]
    assert found(f"name = '{name}' AND creation_time > 1 AND last_update_time < 1") == []
    by_name = door.post("experiments/search", max_results=1000, order_by=["name DESC"], view_type="ALL")["experiments"]
    assert [one["name"] for one in by_name] == sorted((one["name"] for one in by_name), reverse=True)
