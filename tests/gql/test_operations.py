"""Every committed operation gives data. What it gives is compared with what was told over REST."""

import httpx

from tests.gql.asking import OPERATIONS, ask, operation
from tests.gql.world import World


def test_every_operation_has_a_test_here() -> None:
    assert {f"test_{name.replace('-', '_')}" for name in OPERATIONS} <= set(globals())


def test_run(http: httpx.Client, world: World) -> None:
    run = ask(http, operation("run"), id=world.workflow)["run"]

    assert (run["name"], run["status"], run["experimentName"]) == (world.name, "succeeded", "pipelines/churn")
    assert [(step["id"], step["path"], step["status"]) for step in run["steps"]["nodes"]] == [
        (world.steps[0], "prepare", "succeeded"),
        (world.steps[1], "train", "succeeded"),
    ]
    assert run["steps"]["totalCount"] == {"value": 2, "exact": True}
    used = [(use["artifact"]["id"], use["port"], use["step"]["name"]) for use in run["inputs"]["nodes"]]
    assert used == [(world.dataset_version, None, "prepare"), (world.dataset_version, "data", "train")]
    assert {use["artifact"]["dataset"]["name"] for use in run["inputs"]["nodes"]} == {world.name}
    [output] = run["outputs"]["nodes"]
    assert (output["artifact"]["id"], output["artifact"]["kind"], output["step"]["id"]) == (
        world.artifact,
        "model",
        world.steps[1],
    )


def test_run_with_its_values(http: httpx.Client, world: World) -> None:
    run = ask(http, operation("run"), id=world.runs[1], keys=["loss"])["run"]

    assert run["metrics"] == [{"key": "loss", "value": 0.25, "step": "2", "at": "2"}]
    assert run["params"] == [{"key": "lr", "value": "0.25"}]
    assert {"key": "team", "value": "red"} in run["tags"]
    assert run["experiment"] == {"id": world.experiment, "name": world.name}
    assert [(one["id"], one["number"], one["aliases"]) for one in run["versions"]["nodes"]] == [
        (world.versions[1], 2, ["champion"])
    ]


def test_run_metrics(http: httpx.Client, world: World) -> None:
    [loss] = ask(http, operation("run-metrics"), id=world.runs[0], keys=["loss", "none"])["run"]["metricHistory"]
    [cut] = ask(http, operation("run-metrics"), id=world.runs[0], keys=["loss"], points=2)["run"]["metricHistory"]

    assert loss == {"key": "loss", "steps": ["0", "1", "2"], "times": ["0", "1", "2"], "values": [1.0, "NaN", 0.5], "more": False}
    assert (cut["values"], cut["more"]) == ([1.0, "NaN"], True)


def test_search_runs(http: httpx.Client, world: World) -> None:
    asked = {"filter": "metrics.loss < 1", "orderBy": "metrics.loss", "experiment": world.experiment}

    found = ask(http, operation("search-runs"), **asked, metrics=["loss"], params=["lr"], total=True)["searchRuns"]

    assert [edge["node"]["id"] for edge in found["edges"]] == world.runs[::-1]
    assert found["edges"][0]["node"]["metrics"] == [{"key": "loss", "value": 0.25}]
    assert found["edges"][0]["node"]["params"] == [{"key": "lr", "value": "0.25"}]
    assert found["totalCount"] == {"value": 2, "exact": True}
    assert found["pageInfo"] == {"hasNextPage": False, "endCursor": found["edges"][1]["cursor"]}


def test_compare_runs(http: httpx.Client, world: World) -> None:
    http.put("/api/v1/metrics/loss", json={"direction": "minimize"})

    found = ask(http, operation("compare-runs"), ids=world.runs, baseline=world.runs[0])["compareRuns"]

    assert [item["id"] for item in found["items"]] == world.runs
    [loss] = [row for row in found["metrics"] if row["key"] == "loss"]
    assert loss["cells"][1] == {"value": 0.25, "delta": -0.25, "ratio": -0.5, "verdict": "better", "best": True}
    assert {"key": "lr", "values": ["0.5", "0.25"]} in found["params"]
    assert [row["key"] for row in found["tags"]] == []  # the only one is equal


def test_compare_model_versions(http: httpx.Client, world: World) -> None:
    found = ask(http, operation("compare-model-versions"), ids=world.versions, onlyDifferent=True)["compareModelVersions"]

    assert [item["id"] for item in found["items"]] == world.versions
    [loss] = [row for row in found["metrics"] if row["key"] == "loss"]
    assert [cell["value"] for cell in loss["cells"]] == [0.5, 0.25]
    assert {"key": "lr", "values": ["0.5", "0.25"]} in found["params"]


def test_models(http: httpx.Client, world: World) -> None:
    [model] = ask(http, operation("models"), filter=f"name = '{world.name}'")["models"]["nodes"]

    assert (model["id"], model["owner"], model["aliases"]) == (world.model, "ann", [{"alias": "champion", "number": 2}])
    assert model["versions"] == {
        "nodes": [{"id": world.versions[1], "number": 2, "stage": None}],
        "totalCount": {"value": 2, "exact": True},
    }


def test_model(http: httpx.Client, world: World) -> None:
    by_name = ask(http, operation("model"), name=world.name, metrics=["loss"])["model"]
    by_id = ask(http, operation("model"), id=world.model, metrics=["loss"])["model"]

    assert by_name == by_id
    newest = by_id["versions"]["nodes"][0]
    assert (newest["id"], newest["run"]["id"], newest["metrics"]) == (
        world.versions[1],
        world.runs[1],
        [{"key": "loss", "value": 0.25}],
    )
    moves = [
        (move["target"], move["fromVersion"], move["toVersion"]["number"], move["reason"]) for move in by_id["moves"]["nodes"]
    ]
    assert moves == [
        ("champion", {"id": world.versions[0], "number": 1}, 2, "better"),
        ("champion", None, 1, "better"),
    ]
    # The deployment is of the model by its pinned version.
    assert [(one["id"], one["versionNumber"]) for one in by_id["deployments"]["nodes"]] == [(world.deployment, 2)]


def test_model_version(http: httpx.Client, world: World) -> None:
    found = ask(http, operation("model-version"), model=world.name, alias="champion")["modelVersion"]

    assert (found["id"], found["number"], found["run"]) == (world.versions[1], 2, world.runs[1])


def test_version(http: httpx.Client, world: World) -> None:
    found = ask(http, operation("version"), id=world.versions[1])["modelVersion"]

    assert found["model"] == {"id": world.model, "name": world.name}
    assert found["artifact"] == {"id": world.artifact, "uri": f"s3://b/{world.name}", "digest": "0" * 64, "sizeBytes": "7"}
    assert found["run"]["experimentName"] == world.name
    assert {"key": "loss", "value": 0.25} in found["metrics"]
    assert {"key": "lr", "value": "0.25"} in found["params"]
    assert [one["id"] for one in found["deployments"]["nodes"]] == [world.deployment]
    kinds = {node["id"]: (node["kind"], node["way"]) for node in found["lineage"]["nodes"]}
    assert kinds[world.versions[1]] == ("model_version", None)
    assert kinds[world.artifact] == ("model", "upstream")
    assert kinds[world.deployment] == ("deployment", "downstream")


def test_lineage(http: httpx.Client, world: World) -> None:
    found = ask(http, operation("lineage"), node=world.deployment, direction="upstream", depth=10)["lineage"]

    depths = {node["id"]: node["depth"] for node in found["nodes"]}
    assert found["root"] == world.deployment
    assert [depths[id] for id in (world.deployment, world.versions[1], world.artifact, world.steps[1])] == [0, 1, 2, 3]
    assert depths[world.dataset_version] == 4
    made = {"source": world.steps[1], "target": world.artifact, "kind": "output", "role": "model", "inferred": False}
    assert made in found["edges"]
    assert (found["truncated"], found["cut"]) == (False, [])


def test_lineage_that_is_cut_says_where(http: httpx.Client, world: World) -> None:
    found = ask(http, operation("lineage"), node=world.artifact, direction="upstream", depth=1)["lineage"]

    assert (found["truncated"], found["cut"], found["depthReached"]) == (True, ["depth"], 1)
    assert world.steps[1] in {stub["node"] for stub in found["frontier"] if stub["hidden"]}


def test_lineage_of_some_kinds_passes_through_the_others(http: httpx.Client, world: World) -> None:
    asked = {"node": world.deployment, "direction": "upstream", "depth": 10, "kinds": ["dataset"]}

    found = ask(http, operation("lineage"), **asked)["lineage"]

    assert [node["id"] for node in found["nodes"]] == [world.deployment, world.dataset_version]
    assert [(edge["source"], edge["target"], edge["kind"]) for edge in found["edges"]] == [
        (world.dataset_version, world.deployment, "via")
    ]


def test_lineage_paths(http: httpx.Client, world: World) -> None:
    found = ask(http, operation("lineage-paths"), start=world.dataset_version, goal=world.deployment)["lineagePaths"]

    shortest = found["paths"][0]
    assert shortest["nodes"] == [world.dataset_version, world.steps[1], world.artifact, world.versions[1], world.deployment]
    assert [edge["kind"] for edge in shortest["edges"]] == ["input", "output", "registered_as", "deployed_as"]
    assert {node["id"] for node in found["nodes"]} >= set(shortest["nodes"])


def test_impact(http: httpx.Client, world: World) -> None:
    asked = {"node": world.dataset_version, "kinds": ["model_version", "deployment"]}

    first = ask(http, operation("impact"), **asked, first=1)["impact"]
    rest = ask(http, operation("impact"), **asked, after=first["pageInfo"]["endCursor"])["impact"]

    assert [(node["id"], node["depth"]) for node in first["nodes"]] == [(world.versions[1], 3)]
    assert [(node["id"], node["depth"]) for node in rest["nodes"]] == [(world.deployment, 4)]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)


def test_artifact(http: httpx.Client, world: World) -> None:
    found = ask(http, operation("artifact"), id=world.artifact)["artifact"]

    assert (found["kind"], found["sizeBytes"], found["digest"]) == ("model", "7", "0" * 64)
    assert found["producer"]["id"] == world.workflow
    assert found["step"] == {"id": world.steps[1], "path": "train", "name": "train"}
    assert [(one["id"], one["modelName"]) for one in found["versions"]["nodes"]] == [(world.versions[1], world.name)]
    assert (found["dataset"], found["datasetVersion"]) == (None, None)


def test_artifact_that_is_a_dataset_s_version(http: httpx.Client, world: World) -> None:
    found = ask(http, operation("artifact"), id=world.dataset_version)["artifact"]

    assert found["dataset"] == {"id": world.dataset, "namespace": "", "name": world.name}
    assert found["datasetVersion"]["digest"] == "d1"
    assert found["producer"] is None


def test_experiments(http: httpx.Client, world: World) -> None:
    [found] = ask(http, operation("experiments"), filter=f"name = '{world.name}'")["experiments"]["nodes"]

    assert (found["id"], found["derived"], found["runs"]["totalCount"]) == (world.experiment, False, {"value": 2, "exact": True})


def test_deployments(http: httpx.Client, world: World) -> None:
    [found] = ask(http, operation("deployments"), environment=world.environment)["deployments"]["nodes"]

    assert (found["id"], found["environmentName"], found["desiredState"]) == (world.deployment, f"{world.name}-prod", "deployed")
    assert found["version"] == {"id": world.versions[1], "modelName": world.name, "number": 2, "aliases": ["champion"]}
    assert found["shares"] == [{"version": world.versions[1], "percent": 100}]


def test_node(http: httpx.Client, world: World) -> None:
    assert ask(http, operation("node"), id=world.dataset)["node"] == {"__typename": "Dataset", "id": world.dataset}
