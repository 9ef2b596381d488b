"""What nobody means well with: refused in MLflow's form and without a trace, or kept as the text that it is."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from registry.catalog.dumping import canonical
from tests.mlflow.calling import Caller, metric

INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE runs; --",
    '" OR ""="',
    "1; SELECT pg_sleep(5)",
    "%' UNION SELECT token FROM tokens --",
    "\\'; DELETE FROM runs; #",
    "$(reboot)",
    "`id`",
    "{{7*7}}",
    "${jndi:ldap://x/y}",
    "<script>alert(1)</script>",
    "a\nb\r\nSet-Cookie: x=y",
    "\u202eevil",
    "a\0b",
    "../../etc/passwd",
    "a" * 1_048_576,
]
LONG = "x" * 1_048_576


@pytest.fixture(scope="module")
def run(sqlite_door: Caller) -> str:
    return sqlite_door.run("0", run_name="victim")


@pytest.fixture
def unchanged(sqlite_door: Caller, run: str) -> Iterator[None]:
    before = _dump(sqlite_door)
    yield
    assert run
    assert _dump(sqlite_door) == before


def _dump(door: Caller) -> str:
    return json.dumps(door.served.services.runner.read(lambda session: list(canonical(session))), sort_keys=True, default=str)


def refused(door: Caller, verb: str, path: str, /, **fields: Any) -> None:
    status, code = door.refused(verb, path, **fields)
    assert 400 <= status < 500
    assert code in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("text", INJECTIONS, ids=lambda text: ascii(text[:24]))
def test_no_key_is_anything_but_a_key(sqlite_door: Caller, run: str, text: str) -> None:
    refused(sqlite_door, "POST", "runs/log-metric", run_id=run, **metric(text, 1.0))
    refused(sqlite_door, "POST", "runs/log-batch", run_id=run, metrics=[metric("good", 1.0), metric(text, 1.0)])
    refused(sqlite_door, "POST", "runs/log-batch", run_id=run, params=[{"key": text, "value": "1"}])
    refused(sqlite_door, "POST", "runs/set-tag", run_id=run, key=text, value="1")
    refused(sqlite_door, "POST", "experiments/set-experiment-tag", experiment_id="0", key=text, value="1")
    refused(sqlite_door, "POST", "registered-models/create", name="x", tags=[{"key": text, "value": "1"}])


@pytest.mark.parametrize("text", [one for one in INJECTIONS if len(one) < 100 and "\0" not in one], ids=ascii)
def test_the_tag_of_a_new_run_has_any_key_and_is_nothing_else(sqlite_door: Caller, text: str) -> None:
    """MLflow looks at keys of tags where they are set, not where a run is made with them."""
    run = sqlite_door.run("0", run_name="tagged", tags=[{"key": text, "value": "1"}])

    assert sqlite_door.tags(run) == {text: "1", "mlflow.runName": "tagged"}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("text", ["a\0b", LONG], ids=["NUL", "long"])
def test_the_tag_of_a_new_run_has_a_key_that_can_be_kept(sqlite_door: Caller, text: str) -> None:
    refused(sqlite_door, "POST", "runs/create", experiment_id="0", tags=[{"key": text, "value": "1"}])


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("text", [one for one in INJECTIONS if len(one) < 100 and one[0] != '"'], ids=ascii)
def test_no_filter_order_token_or_id_is_anything_else(sqlite_door: Caller, text: str) -> None:
    for path in ("runs/search", "experiments/search", "logged-models/search"):
        common: dict[str, Any] = {"max_results": 5, **({} if path.startswith("exp") else {"experiment_ids": ["0"]})}
        refused(sqlite_door, "POST", path, filter=f"name = {text}", **common)
        refused(sqlite_door, "POST", path, page_token=text, **common)
    refused(sqlite_door, "POST", "runs/search", experiment_ids=["0"], order_by=[f"metrics.m {text}"])
    refused(sqlite_door, "POST", "runs/search", experiment_ids=[text])
    for path in ("registered-models/search", "model-versions/search"):
        refused(sqlite_door, "GET", path, filter=f"name = {text}")
    refused(sqlite_door, "GET", "runs/get", run_id=text)
    refused(sqlite_door, "GET", "registered-models/alias", name=text, alias=text)
    refused(sqlite_door, "GET", "model-versions/get", name=text, version=text)


@pytest.mark.parametrize("text", [one for one in INJECTIONS if len(one) < 100 and "\0" not in one], ids=ascii)
def test_a_value_is_found_as_the_text_that_it_is_and_finds_nothing_else(sqlite_door: Caller, text: str) -> None:
    """Names of experiments and values have no characters that are refused, there as here."""
    id = sqlite_door.experiment(name=text)
    other, own = sqlite_door.run(id, run_name="other"), sqlite_door.run(id, run_name="own")
    sqlite_door.post("runs/set-tag", run_id=own, key="t", value=text)
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    assert sqlite_door.get("experiments/get-by-name", experiment_name=text)["experiment"]["name"] == text
    assert sqlite_door.found(id, filter=f"tags.t = {quoted}") == ["own"]
    assert sqlite_door.tags(own)["t"] == text
    assert "t" not in sqlite_door.tags(other)


CLAUSES = {
    "runs/search": "params.p = 'x'",
    "experiments/search": "tags.t = 'x'",
    "logged-models/search": "params.p = 'x'",
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("join", [" AND ", " OR ", " AND NOT "])
@pytest.mark.parametrize("path", CLAUSES)
def test_ten_thousand_clauses_are_refused(sqlite_door: Caller, path: str, join: str) -> None:
    common: dict[str, Any] = {"max_results": 5, **({} if path.startswith("exp") else {"experiment_ids": ["0"]})}

    refused(sqlite_door, "POST", path, filter=join.join([CLAUSES[path]] * 10_000), **common)


@pytest.mark.usefixtures("unchanged")
def test_brackets_ten_thousand_deep_and_lists_of_a_million_are_refused(sqlite_door: Caller) -> None:
    refused(sqlite_door, "POST", "runs/search", experiment_ids=["0"], filter="(" * 10_000 + "params.p = 'x'" + ")" * 10_000)
    refused(sqlite_door, "POST", "runs/search", experiment_ids=["0"], filter="run_id IN (" + ", ".join(["'x'"] * 200_000) + ")")
    refused(sqlite_door, "POST", "runs/search", experiment_ids=["0"], order_by=[f"params.p{n}" for n in range(1_000)])


MEGABYTE: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "experiments/create", {"name": LONG}),
    ("POST", "experiments/create", {"name": "x", "tags": [{"key": "k", "value": LONG}]}),
    ("POST", "experiments/update", {"experiment_id": "0", "new_name": LONG}),
    ("POST", "experiments/set-experiment-tag", {"experiment_id": "0", "key": "k", "value": LONG}),
    ("POST", "runs/create", {"experiment_id": "0", "run_name": LONG}),
    ("POST", "runs/create", {"experiment_id": "0", "user_id": LONG}),
    ("POST", "runs/search", {"experiment_ids": ["0"], "filter": f"params.p = '{LONG}'"}),
    ("POST", "runs/search", {"experiment_ids": ["0"], "page_token": LONG}),
    ("POST", "registered-models/create", {"name": LONG}),
    ("POST", "registered-models/create", {"name": "x", "tags": [{"key": "k", "value": LONG}]}),
    ("POST", "registered-models/create", {"name": "x", "description": LONG}),
    ("POST", "model-versions/create", {"name": LONG, "source": "s3://b/m"}),
    ("POST", "registered-models/alias", {"name": "x", "alias": LONG, "version": "1"}),
    ("POST", "logged-models", {"experiment_id": "0", "name": LONG}),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("verb", "path", "fields"), MEGABYTE)
def test_a_megabyte_is_too_much(sqlite_door: Caller, verb: str, path: str, fields: dict[str, Any]) -> None:
    refused(sqlite_door, verb, path, **fields)


def test_a_megabyte_of_a_param_and_a_tag_is_cut(sqlite_door: Caller, run: str) -> None:
    sqlite_door.post("runs/log-parameter", run_id=run, key="long", value=LONG)
    sqlite_door.post("runs/set-tag", run_id=run, key="long", value=LONG)

    data = sqlite_door.get("runs/get", run_id=run)["run"]["data"]
    assert [len(one["value"]) for one in data["params"] if one["key"] == "long"] == [6_000]
    assert [len(one["value"]) for one in data["tags"] if one["key"] == "long"] == [8_000]
