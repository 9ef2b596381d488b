"""Finding runs over REST: filter, order, totals, pages; on every database."""

from collections.abc import Iterator

import httpx
import pytest

from registry.names import new_run_hex
from registry.settings import Settings
from tests.api.test_runs import problem
from tests.servers import Served, serving

RUNS: list[tuple[str, dict[str, float | str], dict[str, str], str]] = [
    ("a", {"acc": 0.9, "loss": 1}, {"lr": "0.1"}, "succeeded"),
    ("b", {"acc": 0.5}, {"lr": "0.2"}, "failed"),
    ("c", {"acc": "NaN"}, {"lr": "0.1"}, "running"),
    ("d", {}, {}, "running"),
    ("e", {"acc": "Infinity"}, {"opt": "Adam%"}, "succeeded"),
]


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(Settings(db=database_url, data_dir=str(tmp_path_factory.mktemp("data")))) as served:
        yield served


@pytest.fixture(scope="module")
def experiment(http: httpx.Client) -> str:
    made = str(http.post("/api/v1/experiments", json={"name": new_run_hex()}).json()["id"])
    for at, (name, metrics, params, status) in enumerate(RUNS, start=1):
        body = {"experiment_id": made, "name": name, "started_at": at, "status": status, "tags": {"name": name}}
        run = http.post("/api/v1/runs", json=body).json()["id"]
        points = [{"key": key, "value": value, "at": 1} for key, value in metrics.items()]
        assert http.post(f"/api/v1/runs/{run}/log", json={"metrics": points, "params": params}).status_code == 204
    return made


def names(http: httpx.Client, experiment: str, **params: str) -> str:
    answer = http.get("/api/v1/runs", params={"experiment_id": experiment} | params)
    assert answer.status_code == 200, answer.text
    return "".join(run["name"] for run in answer.json()["runs"])


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("metrics.acc > 0.6", "ae"),
        ("metrics.acc <= 0.5", "b"),
        ("NOT metrics.acc > 0.6", "bcd"),
        ("metrics.acc IS NULL", "d"),
        ("params.lr = '0.1' AND metrics.loss >= 1", "a"),
        ("params.lr IN ('0.2', '0.3') OR status = running", "bcd"),
        ("params.opt LIKE 'A%'", "e"),
        ("params.opt ILIKE 'adam\\%'", "e"),
        ("params.nobody = 'x'", ""),
        ("tags.name = 'b'", "b"),
        ("name != 'a' AND (status = failed OR status = 'succeeded')", "be"),
        ("started_at >= 4", "de"),
        ("created_at > 0 AND name = 'c'", "c"),
        ("", "abcde"),
    ],
)
def test_a_filter_finds_what_it_is_true_for(http: httpx.Client, experiment: str, filter: str, found: str) -> None:
    assert names(http, experiment, filter=filter) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("metrics.acc DESC", "eabcd"),
        ("metrics.acc", "baecd"),
        ("params.lr DESC, started_at DESC", "bcaed"),
        ("started_at DESC", "edcba"),
        ("status, name DESC", "dceab"),
        ("created_at", "abcde"),
        ("experiment, tags.name DESC", "edcba"),
    ],
)
@pytest.mark.parametrize("page_size", [1, 2, 100])
def test_an_order_holds_over_pages_with_missing_values_last(
    http: httpx.Client, experiment: str, order: str, found: str, page_size: int
) -> None:
    seen, params = "", {"experiment_id": experiment, "order_by": order, "page_size": str(page_size)}
    while True:
        page = http.get("/api/v1/runs", params=params).json()
        seen += "".join(run["name"] for run in page["runs"])
        if page["next_page_token"] is None:
            break
        params["page_token"] = page["next_page_token"]

    assert seen == found


def test_a_total_is_counted_where_it_is_asked_for(http: httpx.Client, experiment: str) -> None:
    params: dict[str, str | int] = {"experiment_id": experiment, "filter": "metrics.acc > 0", "page_size": 1}

    assert http.get("/api/v1/runs", params=params).json()["total"] is None
    assert http.get("/api/v1/runs", params=params | {"total": "true"}).json()["total"] == {"value": 3, "exact": True}


@pytest.mark.parametrize(
    ("params", "column"),
    [
        ({"filter": "nam = 'a'"}, 1),
        ({"filter": "name = 'a' AND metrics.acc = 'x'"}, 30),
        ({"filter": "name ="}, 7),
        ({"filter": "id = 'run_1'"}, 6),
        ({"order_by": "name, nobody"}, 7),
    ],
)
def test_a_wrong_filter_says_where(http: httpx.Client, params: dict[str, str], column: int) -> None:
    body = problem(http.get("/api/v1/runs", params=params), 400, "invalid-filter")

    assert body["data"] == {"line": 1, "column": column}
    assert str(body["detail"]).startswith(next(iter(params)))


def test_a_token_of_another_order_is_refused(http: httpx.Client, experiment: str) -> None:
    params = {"experiment_id": experiment, "page_size": "1"}
    token = http.get("/api/v1/runs", params=params).json()["next_page_token"]

    refused = http.get("/api/v1/runs", params=params | {"page_token": token, "order_by": "name"})

    problem(refused, 400, "invalid-page-token")
