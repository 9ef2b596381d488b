from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from registry.names import new_run_hex
from tests.servers import Served


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, object]:
    """The body of a problem, checked for its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["type"] == f"urn:lineal:problem:{kind}"
    assert body["status"] == status
    assert body["instance"] == response.headers["x-request-id"]
    return body


@pytest.fixture
def experiment(http: httpx.Client) -> str:
    return str(http.post("/api/v1/experiments", json={"name": new_run_hex()}).json()["id"])


@pytest.fixture
def run(http: httpx.Client, experiment: str) -> str:
    return str(http.post("/api/v1/runs", json={"experiment_id": experiment}).json()["id"])


def test_a_run_is_made_logged_finished_and_read_back(http: httpx.Client) -> None:
    made = http.post("/api/v1/runs", json={"experiment_name": "first", "name": "r", "tags": {"team": "a"}}).json()
    metrics = [{"key": "loss", "value": 0.5, "step": 1, "at": 10}, {"key": "loss", "value": 0.25, "step": 2, "at": 20}]
    logged = http.post(f"/api/v1/runs/{made['id']}/log", json={"metrics": metrics, "params": {"lr": "0.1"}})
    http.patch(f"/api/v1/runs/{made['id']}", json={"status": "succeeded", "ended_at": 30})

    found = http.get(f"/api/v1/runs/{made['id']}").json()

    assert logged.status_code == 204
    assert found["experiment_name"] == "first"
    assert (found["status"], found["ended_at"]) == ("succeeded", 30)
    assert found["metrics"] == [{"key": "loss", "value": 0.25, "at": 20, "step": 2}]
    assert (found["params"], found["tags"]) == ({"lr": "0.1"}, {"team": "a"})


def test_history_is_paged_in_order_and_each_point_comes_once(http: httpx.Client, run: str) -> None:
    metrics = [{"key": "m", "value": float(step), "step": step, "at": step // 3} for step in range(10)]
    http.post(f"/api/v1/runs/{run}/log", json={"metrics": metrics})

    values, token = [], None
    while True:
        params = {"page_size": 3} | ({"page_token": token} if token else {})
        page = http.get(f"/api/v1/runs/{run}/metrics/m", params=params).json()
        values += [point["value"] for point in page["metrics"]]
        token = page["next_page_token"]
        if token is None:
            break

    assert values == [float(step) for step in range(10)]


def test_nan_and_infinities_travel_as_words(http: httpx.Client, run: str) -> None:
    words = ["NaN", "Infinity", "-Infinity"]
    metrics = [{"key": word, "value": word, "at": 1} for word in words]

    http.post(f"/api/v1/runs/{run}/log", json={"metrics": metrics})

    found = http.get(f"/api/v1/runs/{run}").json()["metrics"]
    assert {item["key"]: item["value"] for item in found} == {word: word for word in words}


def test_fields_limits_what_is_read(http: httpx.Client, run: str) -> None:
    body = {"metrics": [{"key": key, "value": 1, "at": 1} for key in ("a", "b")], "params": {"p": "1"}, "tags": {"t": "1"}}
    http.post(f"/api/v1/runs/{run}/log", json=body)

    some = http.get(f"/api/v1/runs/{run}", params={"fields": "metrics.b,params"}).json()
    none = http.get(f"/api/v1/runs/{run}", params={"fields": "none"}).json()

    assert ([item["key"] for item in some["metrics"]], some["params"], some["tags"]) == (["b"], {"p": "1"}, {})
    assert (none["metrics"], none["params"], none["tags"]) == ([], {}, {})


def test_a_create_sent_twice_with_a_key_makes_one_run(http: httpx.Client, experiment: str) -> None:
    headers = {"Idempotency-Key": new_run_hex()}
    body = {"experiment_id": experiment, "name": "once"}

    first = http.post("/api/v1/runs", json=body, headers=headers)
    again = http.post("/api/v1/runs", json=body, headers=headers)
    other = http.post("/api/v1/runs", json=body | {"name": "other"}, headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    problem(other, 422, "idempotency-mismatch")
    assert len(http.get("/api/v1/runs", params={"experiment_id": experiment}).json()["runs"]) == 1


def test_one_key_with_one_body_on_another_path_is_another_request(http: httpx.Client) -> None:
    models = [http.post("/api/v1/models", json={"name": new_run_hex()}).json()["id"] for _ in range(2)]
    headers, body = {"Idempotency-Key": new_run_hex()}, {"source": "s3://bucket/model"}

    first, other = (http.post(f"/api/v1/models/{model}/versions", json=body, headers=headers) for model in models)

    assert first.status_code == 201
    problem(other, 422, "idempotency-mismatch")
    assert http.get("/api/v1/model-versions", params={"model_id": models[1]}).json()["versions"] == []


def test_16_creates_with_one_key_at_once_make_one_run(http: httpx.Client, experiment: str) -> None:
    headers = {"Idempotency-Key": new_run_hex()}

    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda _: http.post("/api/v1/runs", json={"experiment_id": experiment}, headers=headers).json()["id"], range(16)
            )
        )

    assert len(set(answers)) == 1


def test_if_match_refuses_a_stale_picture(http: httpx.Client, experiment: str) -> None:
    etag = http.get(f"/api/v1/experiments/{experiment}").headers["etag"]
    changed = http.patch(f"/api/v1/experiments/{experiment}", json={"description": "1"}, headers={"If-Match": etag})

    stale = http.patch(f"/api/v1/experiments/{experiment}", json={"description": "2"}, headers={"If-Match": etag})
    nonsense = http.patch(f"/api/v1/experiments/{experiment}", json={"description": "2"}, headers={"If-Match": "abc"})

    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
    problem(stale, 412, "precondition-failed")
    problem(nonsense, 400, "invalid-argument")
    assert http.get(f"/api/v1/experiments/{experiment}").json()["description"] == "1"


def test_lists_page_by_a_token_of_their_own(http: httpx.Client, experiment: str) -> None:
    made = [http.post("/api/v1/runs", json={"experiment_id": experiment}).json()["id"] for _ in range(5)]
    where: dict[str, str | int] = {"experiment_id": experiment, "page_size": 2}

    first = http.get("/api/v1/runs", params=where).json()
    again = http.get("/api/v1/runs", params=where).json()
    second = http.get("/api/v1/runs", params=where | {"page_token": first["next_page_token"]}).json()
    third = http.get("/api/v1/runs", params=where | {"page_token": second["next_page_token"]}).json()

    assert first == again
    assert [run["id"] for page in (first, second, third) for run in page["runs"]] == made
    assert third["next_page_token"] is None
    problem(http.get("/api/v1/runs", params={"page_token": first["next_page_token"]}), 400, "invalid-page-token")
    problem(http.get("/api/v1/runs", params={"page_token": "AAAA"}), 400, "invalid-page-token")


def test_delete_and_restore(http: httpx.Client, experiment: str, run: str) -> None:
    deleted = http.delete(f"/api/v1/runs/{run}").json()
    listed = http.get("/api/v1/runs", params={"experiment_id": experiment}).json()["runs"]
    refused = http.post(f"/api/v1/runs/{run}/log", json={"tags": {"a": "b"}})
    restored = http.post(f"/api/v1/runs/{run}/restore").json()

    assert (deleted["lifecycle"], listed, restored["lifecycle"]) == ("deleted", [], "active")
    problem(refused, 409, "not-writable")


BAD = [
    ("POST", "/api/v1/experiments", {"name": ""}, 400, "invalid-argument"),
    ("POST", "/api/v1/experiments", {"name": "a\x00b"}, 400, "invalid-argument"),
    ("POST", "/api/v1/experiments", {"name": "x" * 513}, 400, "invalid-argument"),
    ("POST", "/api/v1/experiments", {"name": "n", "unknown": 1}, 400, "invalid-argument"),
    ("POST", "/api/v1/experiments", [], 400, "invalid-argument"),
    ("POST", "/api/v1/runs", {"experiment_id": "exp_999999"}, 404, "not-found"),
    ("POST", "/api/v1/runs", {"experiment_id": "exp_1", "experiment_name": "x"}, 400, "invalid-argument"),
    ("GET", "/api/v1/runs/run_" + "0" * 32, None, 404, "not-found"),
    ("GET", "/api/v1/runs/17", None, 400, "invalid-argument"),
    ("GET", "/api/v1/runs?page_size=1001", None, 400, "invalid-argument"),
    ("GET", "/api/v1/experiments/exp_0", None, 400, "invalid-argument"),
    ("GET", "/api/v1/nowhere", None, 404, "not-found"),
    ("PUT", "/api/v1/runs", {}, 405, "method-not-allowed"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind"), BAD)
def test_bad_input_is_a_problem(http: httpx.Client, method: str, path: str, body: object, status: int, kind: str) -> None:
    problem(http.request(method, path, json=body), status, kind)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"name": "\\ud800"}', b"[" * 100_000])
def test_a_body_that_is_no_usable_json_is_a_problem(http: httpx.Client, content: bytes) -> None:
    answer = http.post("/api/v1/experiments", content=content, headers={"Content-Type": "application/json"})

    problem(answer, 400, "invalid-argument")


def test_a_body_over_the_limit_is_refused_announced_or_not(server: Served, http: httpx.Client) -> None:
    limit = server.services.settings.max_body_bytes
    headers = {"Content-Type": "application/json"}

    announced = http.post("/api/v1/experiments", content=b" " * (limit + 1), headers=headers)
    streamed = http.post("/api/v1/experiments", content=iter([b" " * 1024 * 1024] * 17), headers=headers)

    problem(announced, 413, "too-large")
    problem(streamed, 413, "too-large")
