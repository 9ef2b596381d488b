"""Models, versions, aliases, stages, comparisons: the main job over REST."""

import math

import httpx
import pytest

from registry.names import new_run_hex
from tests.api.test_runs import problem

Json = dict[str, object]


@pytest.fixture
def model(http: httpx.Client) -> str:
    return str(http.post("/api/v1/models", json={"name": new_run_hex()}).json()["id"])


def version(http: httpx.Client, model: str, **fields: object) -> str:
    made = http.post(f"/api/v1/models/{model}/versions", json={"source": "s3://bucket/key"} | fields)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def run(http: httpx.Client, **body: object) -> str:
    made = str(http.post("/api/v1/runs", json={}).json()["id"])
    assert http.post(f"/api/v1/runs/{made}/log", json=body).status_code == 204
    return made


def points(**values: float) -> list[Json]:
    return [{"key": key, "value": value if math.isfinite(value) else "NaN", "at": 1} for key, value in values.items()]


def test_a_model_is_made_renamed_archived_deleted_and_restored(http: httpx.Client, model: str) -> None:
    path, name = f"/api/v1/models/{model}", new_run_hex()
    renamed = http.patch(path, json={"name": name, "owner": "ann"}).json()
    archived = http.post(f"{path}/archive").json()
    deleted = http.delete(path)
    found = http.get(path).json()
    listed = http.get("/api/v1/models", params={"name": name}).json()["models"]
    restored = http.post(f"{path}/restore").json()

    assert (renamed["name"], renamed["owner"]) == (name, "ann")
    assert (archived["lifecycle"], deleted.status_code, found["lifecycle"], listed) == ("archived", 204, "deleted", [])
    assert restored["lifecycle"] == "active"


def test_two_models_of_one_name_are_a_conflict(http: httpx.Client) -> None:
    name = new_run_hex()
    http.post("/api/v1/models", json={"name": name})

    problem(http.post("/api/v1/models", json={"name": name}), 409, "already-exists")


def test_versions_are_numbered_and_listed_by_model_and_run(http: httpx.Client, model: str) -> None:
    maker = run(http, metrics=points(acc=0.5), params={"lr": "1"})
    first, second = version(http, model, run_id=maker), version(http, model)

    listed = http.get("/api/v1/model-versions", params={"model_id": model}).json()["versions"]
    of_run = http.get("/api/v1/model-versions", params={"run_id": maker}).json()["versions"]

    assert [(one["id"], one["number"]) for one in listed] == [(first, 1), (second, 2)]
    assert [one["id"] for one in of_run] == [first]
    assert (of_run[0]["params"], of_run[0]["metrics"][0]["value"]) == ({"lr": "1"}, 0.5)


def test_a_version_s_own_metric_hides_that_of_its_run(http: httpx.Client, model: str) -> None:
    made = version(http, model, run_id=run(http, metrics=points(acc=0.5, loss=1)))

    http.post(f"/api/v1/model-versions/{made}/log", json={"metrics": points(acc=0.9)})

    found = http.get(f"/api/v1/model-versions/{made}").json()["metrics"]
    assert {one["key"]: one["value"] for one in found} == {"acc": 0.9, "loss": 1.0}


def test_an_alias_moves_only_from_whom_the_caller_expects(http: httpx.Client, model: str) -> None:
    first, second = version(http, model), version(http, model)
    path = f"/api/v1/models/{model}/aliases/champion"
    taken = http.put(path, json={"version_id": first, "expected": None}).json()["moves"]

    stale = http.put(path, json={"version_id": second, "expected": None})
    moved = http.put(path, json={"version_id": second, "expected": first, "reason": "better"}).json()["moves"]

    problem(stale, 412, "precondition-failed")
    assert [(one["from_version"], one["to_version"]) for one in (*taken, *moved)] == [(None, first), (first, second)]
    assert http.get(path).json()["id"] == second
    history = http.get(f"/api/v1/models/{model}/moves", params={"target": "champion"}).json()["moves"]
    assert [(one["to_version"], one["reason"]) for one in history] == [(second, "better"), (first, None)]


def test_an_alias_that_is_taken_away_names_nothing(http: httpx.Client, model: str) -> None:
    path = f"/api/v1/models/{model}/aliases/champion"
    http.put(path, json={"version_id": version(http, model)})

    gone, again = http.delete(path), http.delete(path)

    assert (len(gone.json()["moves"]), again.json()["moves"]) == (1, [])
    problem(http.get(path), 404, "not-found")


@pytest.mark.parametrize("alias", ["latest", "v1"])
def test_reserved_aliases_name_a_version_and_cannot_be_moved(http: httpx.Client, model: str, alias: str) -> None:
    made = version(http, model)

    assert http.get(f"/api/v1/models/{model}/aliases/{alias}").json()["id"] == made
    problem(http.put(f"/api/v1/models/{model}/aliases/{alias}", json={"version_id": made}), 400, "invalid-name")


def test_a_stage_archives_its_other_holders_if_asked(http: httpx.Client, model: str) -> None:
    first, second = version(http, model), version(http, model)
    http.put(f"/api/v1/model-versions/{first}/stage", json={"stage": "production"})

    http.put(f"/api/v1/model-versions/{second}/stage", json={"stage": "Production", "archive_existing": True})

    stages = {one["id"]: one["stage"] for one in http.get(f"/api/v1/model-versions?model_id={model}").json()["versions"]}
    assert stages == {first: "Archived", second: "Production"}


def test_tags_of_a_version_are_set_and_taken_away(http: httpx.Client, model: str) -> None:
    path = f"/api/v1/model-versions/{version(http, model)}"

    http.post(f"{path}/tags", json={"tags": {"a/b": "1", "c": "2"}})
    gone = http.delete(f"{path}/tags/a%2Fb")

    assert (gone.status_code, http.get(path).json()["tags"]) == (204, {"c": "2"})
    problem(http.delete(f"{path}/tags/a%2Fb"), 404, "not-found")


def test_register_makes_model_version_and_alias_in_one_call(http: httpx.Client) -> None:
    name = new_run_hex()
    body = {"model": name, "uri": "s3://b/m", "alias": "champion", "stage": "Staging", "tags": {"t": "1"}}

    made = http.post("/api/v1/register", json=body).json()

    assert (made["model_name"], made["number"], made["aliases"], made["stage"]) == (name, 1, ["champion"], "Staging")


def test_a_refused_register_leaves_no_model(http: httpx.Client) -> None:
    name = new_run_hex()

    problem(http.post("/api/v1/register", json={"model": name, "artifact_id": "art_999999"}), 404, "not-found")
    problem(http.post("/api/v1/register", json={"model": name}), 400, "invalid-argument")

    assert http.get("/api/v1/models", params={"name": name}).json()["models"] == []


def test_runs_are_compared_against_the_baseline(http: httpx.Client) -> None:
    key, flat = new_run_hex(), new_run_hex()
    http.put(f"/api/v1/metrics/{key}", json={"direction": "minimize", "unit": "s"})
    runs = [
        run(http, metrics=points(**{key: 2.0, flat: 1.0}), params={"lr": "1", "same": "x"}),
        run(http, metrics=points(**{key: 1.0, flat: 1.0}), params={"lr": "2", "same": "x"}),
        run(http, metrics=points(**{flat: 1.0}), params={"same": "x"}),
    ]

    found = http.get("/api/v1/compare/runs", params={"ids": ",".join(runs), "only_different": True}).json()

    assert [one["id"] for one in found["items"]] == runs
    assert found["baseline"] == runs[0]
    assert [row["key"] for row in found["metrics"]] == [key]
    row = found["metrics"][0]
    assert (row["direction"], row["unit"]) == ("minimize", "s")
    assert [cell["value"] for cell in row["cells"]] == [2.0, 1.0, None]
    assert [cell["delta"] for cell in row["cells"]] == [0.0, -1.0, None]
    assert [cell["ratio"] for cell in row["cells"]] == [0.0, -0.5, None]
    assert [cell["verdict"] for cell in row["cells"]] == ["equal", "better", None]
    assert [cell["best"] for cell in row["cells"]] == [False, True, False]
    assert found["params"] == [{"key": "lr", "different": True, "values": ["1", "2", None]}]


def test_a_missing_value_is_not_zero_and_nan_is_no_verdict(http: httpx.Client) -> None:
    key = new_run_hex()
    http.put(f"/api/v1/metrics/{key}", json={"direction": "maximize"})
    runs = [run(http, metrics=points(**{key: 0.0})), run(http), run(http, metrics=points(**{key: math.nan}))]

    row = http.get("/api/v1/compare/runs", params={"ids": ",".join(runs)}).json()["metrics"][0]

    assert [cell["value"] for cell in row["cells"]] == [0.0, None, "NaN"]
    assert [(cell["delta"], cell["verdict"]) for cell in row["cells"]] == [(0.0, "equal"), (None, None), (None, None)]


def test_the_baseline_can_be_named(http: httpx.Client) -> None:
    key = new_run_hex()
    runs = [run(http, metrics=points(**{key: 1.0})), run(http, metrics=points(**{key: 3.0}))]

    row = http.get("/api/v1/compare/runs", params={"ids": ",".join(runs), "baseline": runs[1]}).json()["metrics"][0]

    assert [cell["delta"] for cell in row["cells"]] == [-2.0, 0.0]
    assert [cell["verdict"] for cell in row["cells"]] == [None, None]  # nobody has said which way is better


def test_versions_are_compared_with_the_metrics_of_their_runs(http: httpx.Client, model: str) -> None:
    first = version(http, model, run_id=run(http, metrics=points(acc=0.5)), tags={"team": "a"})
    second = version(http, model, run_id=run(http, metrics=points(acc=0.75)), tags={"team": "b"})

    found = http.get("/api/v1/compare/model-versions", params={"ids": f"{first},{second}"}).json()

    assert [cell["delta"] for cell in found["metrics"][0]["cells"]] == [0.0, 0.25]
    assert found["tags"] == [{"key": "team", "different": True, "values": ["a", "b"]}]


RUN = "run_" + "0" * 32


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ({"ids": RUN}, 400, "invalid-argument"),
        ({"ids": f"{RUN},{RUN}"}, 400, "invalid-argument"),
        ({"ids": ",".join(f"run_{number:032x}" for number in range(51))}, 400, "invalid-argument"),
        ({"ids": f"{RUN},run_{'1' * 32}"}, 404, "not-found"),
        ({"ids": f"{RUN},run_{'1' * 32}", "baseline": f"run_{'2' * 32}"}, 400, "invalid-argument"),
    ],
)
def test_comparisons_that_cannot_be_are_refused(http: httpx.Client, query: dict[str, str], status: int, kind: str) -> None:
    problem(http.get("/api/v1/compare/runs", params=query), status, kind)


def test_a_version_whose_number_is_another_ones_name_is_named_after_its_door(http: httpx.Client) -> None:
    model = http.post("/api/v1/models", json={"name": f"m {new_run_hex()}"}).json()["id"]
    first = http.post(f"/api/v1/models/{model}/versions", json={}).json()
    http.patch(f"/api/v1/model-versions/{first['id']}", json={"name": "2"})

    second = http.post(f"/api/v1/models/{model}/versions", json={})
    taken = http.post(f"/api/v1/models/{model}/versions", json={"name": "2"})

    assert (second.status_code, second.json()["number"], second.json()["name"]) == (201, 2, "2.rest")
    assert taken.status_code == 409


def test_the_shortcut_and_the_route_make_the_same_version_and_the_same_model(http: httpx.Client) -> None:
    """A key of idempotency is left to the route."""
    body = {"source": "s3://b/m", "tags": {"b": "1", "a": "2"}, "author": "ada", "readiness": "pending"}
    own = {"id", "name", "number", "created_at", "updated_at"}
    models = [
        http.post("/api/v1/models", json={"name": f"m {new_run_hex()}", "owner": "o", "tags": {"b": "1", "a": "2"}}, headers=key)
        for key in ({}, {"Idempotency-Key": new_run_hex()})
    ]
    place = f"/api/v1/models/{models[0].json()['id']}/versions"

    versions = [http.post(place, json=body, headers=key) for key in ({}, {"Idempotency-Key": new_run_hex()})]

    for made in (models, versions):
        assert [one.status_code for one in made] == [201, 201]
        quick, routed = ({name: value for name, value in one.json().items() if name not in own} for one in made)
        assert quick == routed
        assert list(made[0].json()) == list(made[1].json())
        assert list(made[0].json()["tags"]) == ["a", "b"]
