"""The whole object of a finished run, over HTTP: sent with the report, read back by the run, spared by the sweeper."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.main import main
from registry.api.rest import reports as routes
from registry.maintenance import orphans
from storage.errors import StoreUnavailable
from tests.servers import Served

OBJECTS = Path(__file__).parents[2] / "examples" / "objects"


def final(uid: str) -> dict[str, Any]:
    ref = {"kind": "Workflow", "name": "w", "uid": uid, "resource_version": "1"}
    return {"object": ref, "run": {"id": uid, "state": "COMPLETE"}, "tasks": []}


def test_a_replayed_object_is_read_back_whole(http: httpx.Client, server: Served, tmp_path: Path) -> None:
    uid = str(uuid.uuid4())
    file = tmp_path / "w.yaml"
    file.write_text(
        "kind: Workflow\napiVersion: argoproj.io/v1alpha1\n"
        f"metadata: {{name: w, uid: {uid}, namespace: default, managedFields: []}}\n"
        "spec: {entrypoint: main, templates: []}\nstatus: {phase: Succeeded, nodes: {}}\n"
    )

    code = main(["replay", "--server", server.url, str(file)])

    found = http.get(f"/api/v1/runs/run_{uuid.UUID(uid).hex}/source")
    assert code == 0
    assert found.headers["content-type"] == "application/json"
    assert found.json()["spec"] == {"entrypoint": "main", "templates": []}
    assert "managedFields" not in found.json()["metadata"]


def test_the_sweeper_takes_what_was_replaced_and_spares_what_is_kept(http: httpx.Client, server: Served) -> None:
    uid = str(uuid.uuid4())
    http.post("/api/v1/reports", json=final(uid) | {"source": {"old": uid}}).raise_for_status()
    newer = final(uid) | {"source": {"new": uid}}
    newer["object"]["resource_version"] = "2"
    http.post("/api/v1/reports", json=newer).raise_for_status()
    before = {entry.key for entry in server.services.store.list(".lineal/").objects}

    grace = timedelta(minutes=10)
    database, store = server.services.runner.database, server.services.store
    later = datetime.now(UTC) + timedelta(hours=1)
    gone = [one.key for one in orphans(database, store, grace=grace, delete=True, now=later)]

    assert len(gone) == 1
    assert {entry.key for entry in store.list(".lineal/").objects} == before - set(gone)
    assert http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}/source").json() == {"new": uid}


def test_a_run_without_an_object_has_no_source(http: httpx.Client) -> None:
    made = http.post("/api/v1/runs", json={}).json()["id"]

    assert http.get(f"/api/v1/runs/{made}/source").status_code == 404


def test_a_report_is_applied_where_the_object_store_is_away_and_the_object_comes_with_the_next(
    http: httpx.Client, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = str(uuid.uuid4())
    body = final(uid) | {"source": {"a": uid}}

    def away(*_call: object, **_options: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(type(server.services.store), "put", away)
        first = http.post("/api/v1/reports", json=body).json()
    missing = http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}/source").status_code
    again = http.post("/api/v1/reports", json=body).json()

    assert (first["result"], missing, again["result"]) == ("applied", 404, "unchanged")
    assert "not stored" in first["warnings"][0]
    assert http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}/source").json() == {"a": uid}


def test_a_source_that_is_no_object_is_refused_and_nothing_is_applied(http: httpx.Client) -> None:
    uid = str(uuid.uuid4())

    refused = http.post("/api/v1/reports", json=final(uid) | {"source": 7})

    assert refused.status_code == 400
    assert http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}").status_code == 404


def test_the_documented_form_of_a_report_has_the_source() -> None:
    assert "source" in routes.report_schemas()["Report"]["properties"]
